"""Customers and staff, who know the shop by its API alone and note what it has acknowledged."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bench.load import ADDRESS_BODY
from tests.concurrency.storm import Call, Reply, ask

PATIENCE = 1_200  # tries of one request, a quarter of a second apart
OUTCOMES = {
    "succeed": 55,
    "succeed_late": 15,
    "decline": 12,
    "requires_action": 6,
    "dispute": 4,
    "": 8,
}
DELIVERIES = {"normal": 35, "lost": 35, "duplicate": 15, "before_redirect": 15}
# A customer may be told any of this; none of it is the shop's failure.
REFUSALS = {400, 402, 404, 409, 410, 422}


@dataclass
class History:
    """What the shop has said to its clients. A status of 0 is no answer: the outcome was unknown until asked again."""

    answers: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    unanswered: int = 0
    resolved: int = 0
    unresolved: list[str] = field(default_factory=list)
    confirmed: dict[str, str] = field(default_factory=dict)  # number -> total
    wrong: list[str] = field(default_factory=list)

    def of(self, status: int) -> int:
        return sum(count for (_, each, _), count in self.answers.items() if each == status)


@dataclass
class Shop:
    """The address of the shop, and what its clients know of it."""

    port: int
    skus: Sequence[str]
    shelves: Sequence[str]
    products: Sequence[str]
    staff: str  # a bearer token
    code: str
    chance: random.Random
    history: History = field(default_factory=History)
    sold: list[tuple[str, str, str]] = field(default_factory=list)  # order, payment, guest token
    is_open: bool = True

    async def send(self, kind: str, call: Call) -> Reply:
        """Send a request until there is an answer, always by the same key; count what the answer was."""
        call = replace(call, key=uuid.uuid4().hex) if call.method != "GET" else call
        was_silent = False
        for _ in range(PATIENCE):
            try:
                reply = await ask(self.port, call)
            except (OSError, AssertionError, TimeoutError, asyncio.IncompleteReadError):
                self.history.unanswered += not was_silent
                was_silent = True
                await asyncio.sleep(0.25)
                continue
            if reply.status == 503 or reply.code == "IDEMPOTENCY_IN_PROGRESS":
                self.history.answers[kind, reply.status, reply.code] += 1
                await asyncio.sleep(0.25)
                continue
            self.history.answers[kind, reply.status, reply.code] += 1
            self.history.resolved += was_silent
            if reply.status >= 500 or (reply.status >= 400 and reply.status not in REFUSALS):
                self.history.wrong.append(f"{kind}: {reply}")
            return reply
        self.history.unresolved.append(kind)
        return Reply(0, {})

    def draw(self, weights: dict[str, int]) -> str:
        return self.chance.choices(list(weights), list(weights.values()))[0]


async def customers(shop: Shop) -> None:
    """Be one customer after the other."""
    while shop.is_open:
        await customer(shop)


async def customer(shop: Shop) -> None:
    """Look around, fill a cart, pay in one of many ways, and perhaps think better of it."""
    reply = await shop.send("cart", Call("POST", "/public/cart", body={}))
    if reply.status != 201:
        return
    token = reply.body["sessionToken"]
    await shop.send("browse", Call("GET", "/products?limit=10", token))
    for sku in shop.chance.sample(shop.skus, shop.chance.randint(1, 3)):
        body = {"sku": sku, "quantity": shop.chance.randint(1, 3)}
        await shop.send("add", Call("POST", "/cart/items", token, body))
    if shop.chance.random() < 0.3:
        await shop.send("code", Call("POST", "/cart/discount", token, {"code": shop.code}))
    email = f"{token[:12]}@example.com"
    reply = await shop.send("begin", Call("POST", "/checkout/initialize", token, {"email": email}))
    if reply.status != 201:
        return
    path = f"/checkout/{reply.body['id']}"
    body = {"shippingAddress": ADDRESS_BODY, "shippingOption": "standard"}
    reply = await shop.send("fill in", Call("PATCH", path, token, body))
    if reply.status != 200:
        return
    if shop.chance.random() < 0.1:  # in another tab
        other = {"sku": shop.chance.choice(shop.skus), "quantity": 1}
        await shop.send("add", Call("POST", "/cart/items", token, other))
    await pay(shop, token, path, reply.body["quoteId"])


async def pay(shop: Shop, token: str, path: str, quote: str) -> None:
    for _ in range(3):
        body = {"method": "test", "quoteId": quote}
        reply = await shop.send("pay", Call("POST", f"{path}/payment", token, body))
        if reply.code == "PRICE_CHANGED":
            quote = reply.body["extra"]["quoteId"]
            continue
        if reply.status != 200:
            return
        payment, order = reply.body["payment"]["id"], reply.body["order"]["id"]
        if outcome := shop.draw(OUTCOMES):
            told = {"outcome": outcome, "delivery": shop.draw(DELIVERIES)}
            await shop.send("simulate", Call("POST", f"/payments/{payment}/simulate", token, told))
        if shop.chance.random() < 0.15:
            return  # closes the window
        reply = await shop.send("complete", Call("POST", f"{path}/complete", token, {}))
        if reply.status == 200 and reply.body["status"] == "confirmed":
            shop.history.confirmed[reply.body["number"]] = reply.body["totals"]["grandTotal"]
            await bought(shop, token, order, payment)
            return
        if reply.status != 402:
            return
    await shop.send("give up", Call("POST", f"{path}/cancel", token, {}))


async def bought(shop: Shop, token: str, order: str, payment: str) -> None:
    if shop.chance.random() < 0.25:
        body = {"reason": "changed my mind"}
        calls = [Call("POST", f"/orders/{order}/cancel", token, body)] * shop.chance.randint(1, 2)
        await asyncio.gather(*(shop.send("cancel", call) for call in calls))
    else:
        shop.sold.append((order, payment, token))


async def staff(shop: Shop) -> None:
    """Change prices and stock, and work on what was sold, two of staff often at the same order."""
    while shop.is_open:
        work = [change_price, change_stock] + [undo, undo, send_and_take_back] * bool(shop.sold)
        await shop.chance.choice(work)(shop)
        await asyncio.sleep(shop.chance.uniform(0.02, 0.1))


async def change_price(shop: Shop) -> None:
    number = shop.chance.randrange(len(shop.skus))
    price = {
        "sku": shop.skus[number],
        "prices": {"USD": f"{shop.chance.randint(500, 1500) / 100:.2f}"},
    }
    await shop.send(
        "price",
        shop_call(shop, "PATCH", f"/products/{shop.products[number]}", {"variants": [price]}),
    )


async def change_stock(shop: Shop) -> None:
    shelf = shop.chance.choice(shop.shelves)
    body = {"quantity": shop.chance.choice([-3, -1, 2, 5, 8])}
    await shop.send("stock", shop_call(shop, "POST", f"/inventory/{shelf}/adjust", body))


async def undo(shop: Shop) -> None:
    """Refund an amount, cancel a unit or all: two of these at once."""
    order, payment, _ = shop.chance.choice(shop.sold)
    reply = await shop.send("look", shop_call(shop, "GET", f"/orders/{order}", None))
    if reply.status != 200:
        return
    line = reply.body["items"][0]["id"]
    works = [
        ("refund", "/payments/refund", {"paymentId": payment, "amount": "3.00", "reason": "goodwill"}),
        ("cancel-items", f"/orders/{order}/cancel-items", {"items": [{"itemId": line, "quantity": 1}]}),
        ("cancel", f"/orders/{order}/cancel", {"reason": "no"}),
    ]  # fmt: skip
    chosen = shop.chance.choices(works, [5, 4, 2], k=2)
    await asyncio.gather(
        *(shop.send(kind, shop_call(shop, "POST", path, body)) for kind, path, body in chosen)
    )


async def send_and_take_back(shop: Shop) -> None:
    """Bring an order to its customer, who sends a unit back."""
    order, _, token = shop.sold.pop(shop.chance.randrange(len(shop.sold)))
    for status in ("processing", "shipped", "delivered"):
        body = {"status": status, "reason": "on its way"}
        reply = await shop.send(status, shop_call(shop, "PUT", f"/orders/{order}/status", body))
        if reply.status != 200:
            return
    line = reply.body["items"][0]
    body = {"items": [{"itemId": line["id"], "quantity": 1, "reason": "too small"}]}
    reply = await shop.send("return", Call("POST", f"/orders/{order}/returns", token, body))
    if reply.status != 201:
        return
    for step in ("approve", "receive"):
        path = f"/orders/returns/{reply.body['id']}/{step}"
        await shop.send(step, shop_call(shop, "POST", path, {}))


def shop_call(shop: Shop, method: str, path: str, body: Any) -> Call:
    return Call(method, path, body=body, bearer=shop.staff)
