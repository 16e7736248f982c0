"""
What follows from what happened: pushes to open sockets (live), mails and bell messages (durable).

Each durable consumer takes each event once, so a mail is written once however often the event is delivered. Importing
this package subscribes them all.
"""

from notifications.handlers import carts, desk, goods, live, orders

__all__ = ["carts", "desk", "goods", "live", "orders"]
