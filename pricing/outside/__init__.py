"""
Taxes, shipping and the prices of goods by somebody else's engine, for shops that have one; off unless its address is set.

An engine answers with *rules*: the rates of a place, the ways to ship there and their prices, what one unit of a SKU
costs from how many on. The totals are still made by `pricing.engine`, so they add up and explain themselves whoever
said what applies. A service that needs an answer while it holds locks does not ask: its transaction is given up, the
engine is asked outside of it, and the service runs again with the answer at hand (`asking`). Answers are kept by what
was asked. An engine that does not answer, or whose answer cannot be true, is left aside: the shop's own tables serve,
or, where that is switched off, the price is refused.
"""

from pricing.outside.asking import OWN_TABLES, asking, engine_for
from pricing.outside.http import HttpEngine
from pricing.outside.prices import PRICES, Asked, are_prices_asked, priced, who_priced
from pricing.outside.question import Question, Unusable
from pricing.outside.rules import KINDS, SHIPPING, TAX, applied, question_of

__all__ = [
    "KINDS",
    "OWN_TABLES",
    "PRICES",
    "SHIPPING",
    "TAX",
    "Asked",
    "HttpEngine",
    "Question",
    "Unusable",
    "applied",
    "are_prices_asked",
    "asking",
    "engine_for",
    "priced",
    "question_of",
    "who_priced",
]
