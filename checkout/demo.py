"""
The demo shop, *Kelp & Hold*: a catalogue, stock in two warehouses, rules, customers, orders and carts left behind.

Everything is done by the services that customers and staff use, so the demo cannot hold what the shop could not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from cart import services as carts
from checkout import services as checkout
from config.platform.actor import Actor, ActorKind, hash_token
from config.platform.models import User
from inventory import selectors as catalogue
from inventory import services as inventory
from inventory.models import Bundle, Company, Product, StockLevel
from orders import services as orders
from orders.models import Order
from pricing import services as pricing
from pricing.demo import seed_rules

DATA = Path(__file__).resolve().parent.parent / "inventory" / "demo" / "catalogue.json"
STAFF = ("admin@example.com", "admin", "Mara Quill")
CUSTOMER = ("customer@example.com", "customer", "Kim Sandoval")
Progress = Callable[[str], None]
OPENED = timedelta(days=45)

HOME = {
    "name": "Kim Sandoval",
    "line1": "27 Lantern Lane",
    "line2": "",
    "city": "Rockland",
    "state": "ME",
    "postalCode": "04841",
    "country": "US",
    "phone": "",
}
BERLIN = {
    "name": "Jonas Petersen",
    "line1": "Torstraße 88",
    "line2": "",
    "city": "Berlin",
    "state": "",
    "postalCode": "10119",
    "country": "DE",
    "phone": "",
}
LEITH = {
    "name": "Isla Reid",
    "line1": "4 Shore Place",
    "line2": "",
    "city": "Edinburgh",
    "state": "",
    "postalCode": "EH6 6SW",
    "country": "GB",
    "phone": "",
}


def seed(*, now: datetime, progress: Progress) -> None:
    """Fill an empty shop; on a filled one, bring catalogue and rules up to date and leave the rest alone."""
    company = catalogue.default_company()
    actor = Actor.system(company.id, source="demo")
    with transaction.atomic():
        progress("company and people")
        _name(company)
        staff, customer = _people()
        progress("catalogue, pictures and stock")
        _catalogue(actor, now, opened=now - OPENED)
        progress("tax, shipping and codes")
        seed_rules(company=company, now=now)
        pricing.bump(actor=actor, what="demo", now=now)
    inventory.learn_words()
    # Payments talk to their provider outside any transaction, so these come after.
    if settings.PAYMENT_TEST_PROVIDER and not Order.objects.filter(company=company).exists():
        progress("orders")
        _orders(company, staff, customer, now)
        progress("work at the shelves")
        _shelf_work(company, staff, now)
        orders.count_co_purchases(company_id=company.id, now=now)
        progress("carts left behind")
        _abandoned_carts(company, now)


def _data() -> dict[str, Any]:
    return dict(json.loads(DATA.read_text(encoding="utf-8")))


def _name(company: Company) -> None:
    shop = _data()["shop"]
    Company.objects.filter(pk=company.pk).update(name=shop["name"], currency="USD", country="US")
    catalogue.forget_companies()


def _people() -> tuple[User | None, User | None]:
    """Create the demo log-ins where the settings allow them; their passwords are public."""
    if not settings.DEMO_LOGINS:
        return None, None
    people: list[User] = []
    for (email, password, name), is_staff in ((STAFF, True), (CUSTOMER, False)):
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            make = User.objects.create_superuser if is_staff else User.objects.create_user
            user = make(email, password, name=name)
        people.append(user)
    return people[0], people[1]


# --- catalogue ------------------------------------------------------------------------------------


def _catalogue(actor: Actor, now: datetime, *, opened: datetime) -> None:
    """Write the catalogue; what is new lay on its shelves on the day the shop opened, before the first order."""
    data = _data()
    for place in data["warehouses"]:
        inventory.upsert_warehouse(
            actor=actor,
            code=place["code"],
            name=place["name"],
            priority=place["priority"],
            address=place["address"],
            is_default=place["priority"] == 1,
            now=now,
        )
    inventory.upsert_categories(
        actor=actor,
        drafts=[
            inventory.CategoryDraft(
                slug=category["slug"],
                name=category["name"],
                description=category["description"],
                image=_static(category["image"]),
                position=category["position"],
            )
            for category in data["categories"]
        ],
        now=now,
    )
    known = set(Product.objects.filter(company_id=actor.company_id).values_list("slug", flat=True))
    drafts = [
        _draft(product, with_stock=product["slug"] not in known) for product in data["products"]
    ]
    at = now if known else opened
    written = inventory.upsert_products(
        actor=actor, drafts=drafts, now=at, reference="opening stock"
    )
    variant_ids: dict[str, UUID] = {}
    for result in written:
        if isinstance(result, Exception):
            raise result
        variant_ids |= result.variant_ids
    pricing.set_prices(
        actor=actor,
        prices=[
            pricing.NewPrice(
                variant_id=variant_ids[variant["sku"]],
                currency=currency,
                amount=Decimal(amount),
                compare_at=Decimal(variant["compare_at"][currency])
                if variant.get("compare_at")
                else None,
            )
            for product in data["products"]
            for variant in product["variants"]
            for currency, amount in variant["prices"].items()
        ],
        reason="demo",
        now=now,
    )
    _relate(actor, data, now)
    _bundles(actor, data, now)


def _draft(product: dict[str, Any], *, with_stock: bool) -> inventory.ProductDraft:
    pictures = {product["image"]: product.get("image_alt", "")}
    for variant in product["variants"]:
        pictures.setdefault(variant.get("image") or product["image"], product.get("image_alt", ""))
    return inventory.ProductDraft(
        slug=product["slug"],
        name=product["name"],
        description=product["description"],
        vendor=product["vendor"],
        tags=product["tags"],
        option_names=product["options"],
        status=product["status"],
        tax_class=product["tax_class"],
        metadata=product["metadata"],
        category=product["category"],
        images=[inventory.ImageDraft(_static(path), alt) for path, alt in pictures.items()],
        variants=[
            inventory.VariantDraft(
                sku=variant["sku"],
                options=variant["options"],
                barcode=variant["barcode"],
                weight_grams=variant["weight_grams"],
                inventory_policy=variant["inventory_policy"],
                image=_static(variant.get("image") or product["image"]),
                stock=variant["stock"] if with_stock else None,
                reorder_level=variant["reorder_level"],
            )
            for variant in product["variants"]
        ],
    )


def _static(path: str) -> str:
    return f"{settings.STATIC_URL}{path}"


def _relate(actor: Actor, data: dict[str, Any], now: datetime) -> None:
    inventory.relate(
        actor=actor,
        relations={
            (product["slug"], kind): slugs
            for product in data["products"]
            for kind, slugs in product["relations"].items()
            if slugs
        },
        now=now,
    )


def _bundles(actor: Actor, data: dict[str, Any], now: datetime) -> None:
    for bundle in data["bundles"]:
        made: Bundle = inventory.upsert_bundle(
            actor=actor,
            draft=inventory.BundleDraft(
                slug=bundle["slug"],
                name=bundle["name"],
                description=bundle["description"],
                image=_static(bundle["image"]),
                items={item["sku"]: item["quantity"] for item in bundle["items"]},
            ),
            now=now,
        )
        for currency, amount in bundle["price"].items():
            pricing.set_bundle_price(
                actor=actor, bundle_id=made.id, currency=currency, amount=Decimal(amount), now=now
            )


# --- orders and carts -------------------------------------------------------------------------------


def _shopper(company: Company, user: User | None, currency: str, now: datetime) -> Actor:
    """Open a cart and return whose it is: a customer's, or that of a new guest."""
    if user is not None:
        buyer = Actor(
            kind=ActorKind.USER,
            company_id=company.id,
            user_id=user.pk,
            email=user.email,
            source="demo",
        )
        carts.create(actor=buyer, currency=currency, now=now)
        return buyer
    guest = Actor(kind=ActorKind.ANONYMOUS, company_id=company.id, source="demo")
    token = carts.create(actor=guest, currency=currency, now=now).token
    assert token is not None
    return replace(guest, kind=ActorKind.GUEST, session_hash=hash_token(token))


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order of the past: who bought what, how many days ago, and how far it has come."""

    days: int
    items: dict[str, int]
    address: dict[str, str]
    email: str
    status: str = "delivered"
    currency: str = "USD"
    codes: tuple[str, ...] = ()


def _someone(name: str, city: str, state: str, postal_code: str) -> dict[str, str]:
    return {**HOME, "name": name, "city": city, "state": state, "postalCode": postal_code}


def _purchases() -> list[Purchase]:
    kim, tom = CUSTOMER[0], "tom@example.com"
    portland = _someone("Tom Weir", "Portland", "ME", "04101")
    salem = _someone("Ada Marsh", "Salem", "MA", "01970")
    astoria = _someone("Noor Haddad", "Astoria", "OR", "97103")
    return [
        Purchase(29, {"KH-BLK-KLP-D": 1}, salem, "ada@example.com"),
        Purchase(27, {"KH-LAN-BRS": 1, "KH-CDL-2": 2}, astoria, "noor@example.com"),
        Purchase(26, {"KH-MUG-KLP": 2, "KH-TEA-100": 1}, HOME, kim, codes=("SAVE10",)),
        Purchase(23, {"KH-ROP-10": 1, "KH-CLT-100": 2}, portland, tom),
        Purchase(21, {"KH-GAN-INK-M": 1}, BERLIN, "jonas@example.com", currency="EUR"),
        Purchase(18, {"KH-SAR-OIL": 6, "KH-SAR-LEM": 6}, salem, "ada@example.com"),
        Purchase(16, {"KH-TCK-BRS": 1}, astoria, "noor@example.com"),
        Purchase(15, {"KH-MUG-INK": 4, "KH-TEA-250": 1, "KH-TWL-SIG": 1}, portland, tom),
        Purchase(14, {"KH-SKL-26": 1, "KH-SLT-200": 1}, portland, tom),
        Purchase(12, {"KH-OIL-KLP-M": 1}, BERLIN, "jonas@example.com", currency="EUR"),
        Purchase(9, {"KH-CAP-SIG": 2, "KH-SOK-OAT-M": 2}, HOME, kim),
        Purchase(8, {"KH-CHP-FLT": 1, "KH-DIV-1": 1}, salem, "ada@example.com"),
        Purchase(7, {"KH-SAR-LEM": 3, "KH-SLT-80": 2, "KH-MUG-KLP": 1}, portland, tom),
        Purchase(6, {"KH-SAR-OIL": 3, "KH-SLT-80": 1}, LEITH, "isla@example.com", "shipped", "EUR"),
        Purchase(5, {"KH-CSH-RST": 2}, astoria, "noor@example.com"),
        Purchase(3, {"KH-CDL-2": 1, "KH-TWL-KLP": 2}, HOME, kim, "shipped"),
        Purchase(3, {"KH-MUG-BON": 2, "KH-TEA-100": 1}, salem, "ada@example.com", "shipped"),
        Purchase(2, {"KH-KET-KLP": 1, "KH-TEA-250": 1}, portland, tom, "shipped"),
        Purchase(2, {"KH-SAR-PAP": 4, "KH-SLT-80": 1}, astoria, "noor@example.com", "shipped"),
        Purchase(1, {"KH-BSC-24": 2}, salem, "ada@example.com", "cancelled"),
        Purchase(1, {"KH-BOT-41": 1}, astoria, "noor@example.com", "confirmed"),
        Purchase(0, {"KH-MUG-BON": 4}, portland, tom, "confirmed"),
        Purchase(0, {"KH-SAR-OIL": 2, "KH-TEA-100": 1}, HOME, kim, "confirmed"),
    ]


def _orders(company: Company, staff: User | None, customer: User | None, now: datetime) -> None:
    """Place orders as customers would, days ago, and bring them as far as such orders would be by now."""
    hands = Actor.system(company.id, source="demo")
    if staff is not None:
        hands = replace(hands, kind=ActorKind.STAFF, user_id=staff.pk, email=staff.email)
    purchases = _purchases()
    for index, purchase in enumerate(purchases):
        at = now - timedelta(days=purchase.days, minutes=50 * (len(purchases) - index))
        user = customer if purchase.email == CUSTOMER[0] else None
        buyer = _shopper(company, user, purchase.currency, at)
        order_id = _buy(buyer, purchase, at)
        if purchase.status in {"shipped", "delivered"}:
            orders.ship(
                actor=hands,
                order_id=order_id,
                carrier="Coastal Post",
                tracking_number=f"CP{20261100 + index}",
                now=at + timedelta(hours=20),
            )
        if purchase.status == "delivered":
            orders.deliver(actor=hands, order_id=order_id, now=at + timedelta(days=4))
        if purchase.status == "cancelled":
            orders.cancel(
                actor=hands,
                order_id=order_id,
                reason="Ordered by mistake",
                now=at + timedelta(hours=2),
            )
    checkout.execute_refunds(now=now)


def _shelf_work(company: Company, staff: User | None, now: datetime) -> None:
    """Leave what people did at the shelves of late: a delivery, a move, a count and what was broken."""
    hands = Actor.system(company.id, source="demo")
    if staff is not None:
        hands = replace(hands, kind=ActorKind.STAFF, user_id=staff.pk, email=staff.email)
    shelves = {
        (level.variant.sku, level.warehouse.code): level.pk
        for level in StockLevel.objects.filter(company=company).select_related(
            "variant", "warehouse"
        )
    }

    def units(sku: str, place: str, quantity: int) -> inventory.ShelfUnits:
        return inventory.ShelfUnits(shelves[sku, place], quantity)

    inventory.receive_delivery(
        actor=hands,
        lines=[inventory.DeliveryLine("KH-SAR-OIL", 48), inventory.DeliveryLine("KH-TEA-100", 24)],
        warehouse="HARBOUR",
        reference="PO-2041",
        now=now - timedelta(days=11),
    )
    inventory.transfer(
        actor=hands,
        lines=[units("KH-MUG-KLP", "NORTH", 12)],
        warehouse="HARBOUR",
        reference="T-118",
        now=now - timedelta(days=6),
    )
    inventory.write_off(
        actor=hands,
        lines=[units("KH-BWL-FOM-S", "HARBOUR", 2)],
        notes="Broken on the way to the shelf",
        now=now - timedelta(days=4),
    )
    inventory.count_shelves(
        actor=hands,
        counts=[inventory.ShelfCount(shelves["KH-CLT-100", "NORTH"], 43)],
        reference="Count of week 47",
        now=now - timedelta(days=2),
    )


def _buy(actor: Actor, purchase: Purchase, now: datetime) -> UUID:
    """Take an open cart to a paid order."""
    for sku, quantity in purchase.items.items():
        carts.add_line(actor=actor, sku=sku, quantity=quantity, now=now)
    for code in purchase.codes:
        carts.apply_code(actor=actor, code=code, now=now)
    checkout_id = checkout.initialize(actor=actor, email=purchase.email, now=now).checkout.id
    changes: dict[str, Any] = {"shipping_address": purchase.address}
    checkout.update(actor=actor, checkout_id=checkout_id, changes=changes, now=now)
    changes = {"shipping_option": "standard"}
    view = checkout.update(actor=actor, checkout_id=checkout_id, changes=changes, now=now)
    order, payment = checkout.pay(
        actor=actor, checkout_id=checkout_id, method="test", quote_id=view.quote.id, now=now
    )
    if payment is not None:
        checkout.simulate(
            actor=actor,
            payment_id=payment.id,
            outcome=checkout.Outcome.SUCCEED,
            delivery=checkout.Delivery.BEFORE_REDIRECT,
            now=now,
        )
    return order.id


def _abandoned_carts(company: Company, now: datetime) -> None:
    """Leave carts with an address behind, some hours and days ago; their holds have lapsed since."""
    plan: list[tuple[str, str, dict[str, int], float]] = [
        ("lena@example.com", "USD", {"KH-BLK-KLP-D": 1}, 2),
        ("marcus@example.com", "USD", {"KH-MUG-INK": 2, "KH-SLT-80": 1}, 5),
        ("noor@example.com", "EUR", {"KH-OIL-KLP-M": 1, "KH-TEA-100": 1}, 26),
        ("", "USD", {"KH-TWL-KLP": 3}, 30),
        ("freya@example.com", "EUR", {"KH-CDL-2": 2}, 52),
    ]
    for email, currency, items, hours in plan:
        at = now - timedelta(hours=hours)
        actor = _shopper(company, None, currency, at)
        for sku, quantity in items.items():
            carts.add_line(actor=actor, sku=sku, quantity=quantity, now=at)
        if email:
            checkout.initialize(actor=actor, email=email, now=at)
    inventory.release_expired(now=now)
    checkout.expire_due(now=now)
    carts.mark_abandoned(now=now)
