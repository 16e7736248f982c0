"""Installed by the control's server only."""
