"""What pricing can tell."""

from pricing.selectors.rules import promotions_in_play, revision, revision_expression, rules

__all__ = ["promotions_in_play", "revision", "revision_expression", "rules"]
