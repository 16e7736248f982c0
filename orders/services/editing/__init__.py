"""
Changing a placed order: what it would come to is shown first, and then exactly that is done.

Nothing that was paid is priced anew. Units that are taken out give their frozen shares back, as a partial cancellation
does. Goods that are added are an order of their own (`Order.adds_to`), at today's prices and with a payment of its own,
for the same parcel: it costs what shipping all of it costs more than was paid (ADR 12).
"""

from orders.services.editing.applying import apply_edit, end_additions, preview_edit
from orders.services.editing.proposal import Addition, Edit, Edited, Proposal
from orders.services.editing.proposing import ways_to_ship, what_is_left

__all__ = [
    "Addition",
    "Edit",
    "Edited",
    "Proposal",
    "apply_edit",
    "end_additions",
    "preview_edit",
    "ways_to_ship",
    "what_is_left",
]
