"""Installed by the shop of the chaos run only."""
