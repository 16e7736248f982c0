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

    def done(self) -> set[str]:
        """Return what was asked for and done."""
        return {kind for kind, status, _ in self.answers if status in {200, 201}}


@dataclass(frozen=True, slots=True)
class Who:
    """A client: a guest by a token, or somebody signed in."""

    token: str = ""
    bearer: str = ""

    def call(self, method: str, path: str, body: Any = None) -> Call:
        return Call(method, path, self.token, body, bearer=self.bearer)


@dataclass(frozen=True, slots=True)
class Sale:
    order: str
    payment: str
    buyer: Who


@dataclass
class Shop:
    """The address of the shop, and what its clients know of it."""

    port: int
    skus: Sequence[str]
    shelves: Sequence[str]
    products: Sequence[str]
    staff: Who
    members: list[Who]  # who have an account and points, and are not shopping right now
    code: str
    chance: random.Random
    history: History = field(default_factory=History)
    sold: list[Sale] = field(default_factory=list)
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
    """Be one customer after the other: a guest, or one of those who have an account."""
    while shop.is_open:
        if shop.members and shop.chance.random() < 0.5:
            member = shop.members.pop(0)
            await shop.send("cart", member.call("POST", "/cart", {}))
            await shop.send("empty", member.call("DELETE", "/cart"))
            await customer(shop, member)
            shop.members.append(member)
            continue
        reply = await shop.send("cart", Call("POST", "/public/cart", body={}))
        if reply.status == 201:
            await customer(shop, Who(reply.body["sessionToken"]))


async def customer(shop: Shop, who: Who) -> None:
    """Look around, fill a cart, pay in one of many ways, and perhaps think better of it."""
    await shop.send("browse", who.call("GET", "/products?limit=10"))
    for sku in shop.chance.sample(shop.skus, shop.chance.randint(1, 3)):
        body = {"sku": sku, "quantity": shop.chance.randint(1, 3)}
        await shop.send("add", who.call("POST", "/cart/items", body))
    if shop.chance.random() < 0.3:
        await shop.send("code", who.call("POST", "/cart/discount", {"code": shop.code}))
    if who.bearer and shop.chance.random() < 0.7:
        body = {"points": shop.chance.randint(1, 400)}
        await shop.send("points", who.call("POST", "/cart/loyalty", body))
    email = f"{(who.token or who.bearer)[-12:].lower().strip('-_')}@example.com"
    reply = await shop.send("begin", who.call("POST", "/checkout/initialize", {"email": email}))
    if reply.status != 201:
        return
    path = f"/checkout/{reply.body['id']}"
    body = {"shippingAddress": ADDRESS_BODY, "shippingOption": "standard"}
    reply = await shop.send("fill in", who.call("PATCH", path, body))
    if reply.status != 200:
        return
    if shop.chance.random() < 0.1:  # in another tab
        other = {"sku": shop.chance.choice(shop.skus), "quantity": 1}
        await shop.send("add", who.call("POST", "/cart/items", other))
    await pay(shop, who, path, reply.body["quoteId"])


async def pay(shop: Shop, who: Who, path: str, quote: str) -> None:
    for _ in range(3):
        body = {"method": "test", "quoteId": quote}
        reply = await shop.send("pay", who.call("POST", f"{path}/payment", body))
        if reply.code == "PRICE_CHANGED":
            quote = reply.body["extra"]["quoteId"]
            continue
        if reply.status != 200:
            return
        payment, order = reply.body["payment"]["id"], reply.body["order"]["id"]
        await at_the_bank(shop, who, payment)
        if shop.chance.random() < 0.15:
            return  # closes the window
        reply = await shop.send("complete", who.call("POST", f"{path}/complete", {}))
        if reply.status == 200 and reply.body["status"] == "confirmed":
            shop.history.confirmed[reply.body["number"]] = reply.body["totals"]["grandTotal"]
            await bought(shop, Sale(order, payment, who))
            return
        if reply.status != 402:
            return
    await shop.send("give up", who.call("POST", f"{path}/cancel", {}))


async def at_the_bank(shop: Shop, who: Who, payment: str) -> None:
    if outcome := shop.draw(OUTCOMES):
        told = {"outcome": outcome, "delivery": shop.draw(DELIVERIES)}
        await shop.send("simulate", who.call("POST", f"/payments/{payment}/simulate", told))


async def bought(shop: Shop, sale: Sale) -> None:
    thought = shop.chance.random()
    if thought < 0.2:
        call = sale.buyer.call(
            "POST", f"/orders/{sale.order}/cancel", {"reason": "changed my mind"}
        )
        calls = [call] * shop.chance.randint(1, 2)
        await asyncio.gather(*(shop.send("cancel", each) for each in calls))
        return
    if thought < 0.5:
        await change(shop, sale)
    shop.sold.append(sale)


async def change(shop: Shop, sale: Sale) -> None:
    """Take a unit out, add another thing, or both, and pay for what was added."""
    path = f"/orders/{sale.order}"
    reply = await shop.send("look", sale.buyer.call("GET", path))
    if reply.status != 200:
        return
    line, body = reply.body["items"][0], {}
    if shop.chance.random() < 0.7:
        body["items"] = [{"itemId": line["id"], "quantity": max(line["quantity"] - 1, 1)}]
    if not body or shop.chance.random() < 0.5:
        body["add"] = [{"sku": shop.chance.choice(shop.skus), "quantity": 1}]
    shown = await shop.send("preview", sale.buyer.call("POST", f"{path}/edits/preview", body))
    if shown.status != 200:
        return
    wanted = {**body, "quoteId": shown.body["quoteId"], "reason": "on second thought"}
    done = await shop.send("edit", sale.buyer.call("POST", f"{path}/edits", wanted))
    if done.status != 200 or not done.body.get("addition"):
        return
    added = done.body["addition"]["orderId"]
    call = sale.buyer.call("POST", f"/orders/{added}/payments", {"method": "test"})
    opened = await shop.send("pay more", call)
    if opened.status == 201:
        await at_the_bank(shop, sale.buyer, opened.body["id"])


async def staff(shop: Shop) -> None:
    """Change prices and stock, and work on what was sold, two of staff often at the same order."""
    while shop.is_open:
        work = [change_price, change_stock]
        if shop.sold:
            work += [undo, undo, send_a_part, send_and_take_back]
        await shop.chance.choice(work)(shop)
        await asyncio.sleep(shop.chance.uniform(0.02, 0.1))


async def change_price(shop: Shop) -> None:
    number = shop.chance.randrange(len(shop.skus))
    price = {
        "sku": shop.skus[number],
        "prices": {"USD": f"{shop.chance.randint(500, 1500) / 100:.2f}"},
    }
    path = f"/products/{shop.products[number]}"
    await shop.send("price", shop.staff.call("PATCH", path, {"variants": [price]}))


async def change_stock(shop: Shop) -> None:
    shelf = shop.chance.choice(shop.shelves)
    body = {"quantity": shop.chance.choice([-3, -1, 2, 5, 8])}
    await shop.send("stock", shop.staff.call("POST", f"/inventory/{shelf}/adjust", body))


async def undo(shop: Shop) -> None:
    """Collect, refund an amount or a unit, cancel a unit or all: two of these at once."""
    sale = shop.chance.choice(shop.sold)
    path = f"/orders/{sale.order}"
    reply = await shop.send("look", shop.staff.call("GET", path))
    if reply.status != 200:
        return
    units = [{"itemId": reply.body["items"][0]["id"], "quantity": 1}]
    works = [
        ("capture", "/payments/capture", {"paymentId": sale.payment}),
        ("refund", "/payments/refund", {"paymentId": sale.payment, "amount": "3.00", "reason": "goodwill"}),
        ("refund-items", f"{path}/refund-items", {"items": units, "shipping": "0.50", "reason": "late"}),
        ("cancel-items", f"{path}/cancel-items", {"items": units}),
        ("cancel", f"{path}/cancel", {"reason": "no"}),
    ]  # fmt: skip
    chosen = shop.chance.choices(works, [4, 4, 2, 4, 2], k=2)
    await asyncio.gather(
        *(shop.send(kind, shop.staff.call("POST", where, body)) for kind, where, body in chosen)
    )


async def send_a_part(shop: Shop) -> None:
    """Send one unit of an order, and leave the rest for later."""
    path = f"/orders/{shop.chance.choice(shop.sold).order}"
    reply = await shop.send("look", shop.staff.call("GET", path))
    if reply.status == 200:
        body = {"items": [{"itemId": reply.body["items"][0]["id"], "quantity": 1}]}
        await shop.send("parcel", shop.staff.call("POST", f"{path}/shipments", body))


async def send_and_take_back(shop: Shop) -> None:
    """Bring an order to its customer, who sends a unit back: for its money, or for the same thing again."""
    sale = shop.sold.pop(shop.chance.randrange(len(shop.sold)))
    path = f"/orders/{sale.order}"
    await shop.send(
        "capture", shop.staff.call("POST", "/payments/capture", {"paymentId": sale.payment})
    )
    await shop.send("ship", shop.staff.call("POST", f"{path}/ship", {}))
    reply = await shop.send("deliver", shop.staff.call("POST", f"{path}/deliver", {}))
    if reply.status != 200:
        return
    line = reply.body["items"][0]
    unit: dict[str, Any] = {"itemId": line["id"], "quantity": 1, "reason": "too small"}
    if shop.chance.random() < 0.5:
        unit["exchangeFor"] = {"sku": line["sku"]}
    asked = await shop.send("return", sale.buyer.call("POST", f"{path}/returns", {"items": [unit]}))
    if asked.status != 201:
        return
    back = f"/orders/returns/{asked.body['id']}"
    await shop.send("approve", shop.staff.call("POST", f"{back}/approve", {}))
    spoilt = {"items": [{"itemId": line["id"], "received": 1, "damaged": 1}]}
    body = shop.chance.choice([{}, {}, spoilt])
    await shop.send("receive", shop.staff.call("POST", f"{back}/receive", body))
