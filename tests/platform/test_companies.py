"""
No route lets a caller of one company reach what belongs to another.

Every address with a name in it is called with the names of another company's rows: by nobody, by a stranger, by staff, and
by the very customer who owns them there. The answer is the resource's own 404, or the role's refusal, and no row of
the database changes. Beside it stands the proof that the names are good: in their own company they are found.

A new route with a name in it fails here until it has a row in `OWN` (what to call it with, which 404) or in `EXCEPT`
(why another company cannot be meant by it).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signing import get_cookie_signer
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from PIL import Image

from cart import services as carts
from cart import tokens
from cart.models import CartLine, RecoveryAttempt
from checkout import services as checkouts
from checkout.models import ReconciliationFinding
from config.platform.actor import Actor, hash_token
from config.platform.http.context import GUEST_COOKIE, GUEST_COOKIE_SALT
from config.platform.models import User
from inventory.models import (
    BackInStockRequest,
    Bundle,
    BundleItem,
    Category,
    Company,
    ProductImage,
    StockLevel,
    Warehouse,
)
from inventory.selectors import forget_companies
from notifications import services as notifications
from notifications.models import Notification
from orders import services as orders
from orders.services import DirectItem, WantedReturn
from pricing import services as pricing
from pricing.models import CustomerGroup, PriceAlert
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.conftest import Api, actor_for

pytestmark = pytest.mark.django_db

Body = dict[str, Any] | None

PRODUCT = {"PRODUCT_NOT_FOUND"}
STOCK = {"NOT_FOUND"}
LINE = {"ITEM_NOT_FOUND", "CART_NOT_FOUND"}
CART = {"CART_NOT_FOUND"}
RULE = {"NOT_FOUND"}
ORDER = {"ORDER_NOT_FOUND"}
DISPUTE = {"PRICE_DISPUTE_NOT_FOUND"}
CHECKOUT = {"CHECKOUT_NOT_FOUND"}
ANY = {"NOT_FOUND"}

# Addresses whose name in the path is nothing that a company owns, each with the reason.
EXCEPT = {
    "api/v1/cart/config/toggle/<str:feature>": "the name of a switch of the caller's own company",
    "api/v1/cart/discount/<str:code>": "a code on the caller's own cart",
    "api/v1/public/cart/discount/<str:code>": "a code on the caller's own cart",
    "api/v1/cart/history/<str:version>/restore": "a version of the caller's own cart",
    "api/v1/public/cart/history/<str:version>/restore": "a version of the caller's own cart",
    "api/v1/webhooks/<slug:provider>": "the name of a provider; the signed event names a payment by the provider's id",
    "stripe/webhook/<uuid:uuid>/": "the one address of Stripe's webhooks, for all companies",
    "api/v1/webhooks/inventory/<slug:source>": "a source's secret is of one company, and so is what it may write",
    "account/^confirm-email/(?P<key>[-:\\w]+)/$": "an account, which is the same in all companies",
    "account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "an account",
    "checkout/part/<slug:name>/": "the name of a section of the caller's own checkout",
    "dev/mail/<uuid:mail_id>/": "the demonstration's mailbox, refused in production",
    "dev/mail/<uuid:mail_id>/html/": "the demonstration's mailbox, refused in production",
    "dev/payments/<uuid:payment_id>/": "the demonstration's simulator, refused in production; of the company's payments only",
    "dev/payments/<uuid:payment_id>/story/": "the demonstration's simulator, refused in production; of the company's payments only",
    "dev/payments/<uuid:payment_id>/press/": "the demonstration's simulator, refused in production; of the company's payments only",
    "api/v1/products/<str:ref>/images": "takes a file, which test_a_picture_stays_in_its_company sends",
    r"^media/(?P<name>products/[0-9a-f]{2}/[0-9a-f-]{36}-[0-9a-f]{16}(-[0-9]{1,4})?\.webp)\Z": (
        "a public picture, named by its digest"
    ),
    "back-in-stock/<str:token>/": "a signed token that names the one request it was made for",
    "back-in-stock/confirm/<str:token>/": "a signed token that names the one request it was made for",
    "price-alerts/<str:token>/": "a signed token that names the one alert it was made for",
    "price-alerts/confirm/<str:token>/": "a signed token that carries its company",
    "unsubscribe/<str:token>/": "a signed token that carries its company",
}


@dataclass(frozen=True)
class Call:
    """What another company's row is called by, in path and body, and which codes say that it is not there."""

    codes: set[str]
    names: dict[str, str]
    bodies: dict[str, Body] = field(default_factory=dict)


def _carts(base: str, named: bool = False) -> dict[str, Call]:
    """The routes that stand under `cart`, `public/cart` and `public/cart/<cart_id>`."""
    item = {"item_id": "line"}
    there = {"cart_id": "cart"} if named else {}
    codes = CART if named else LINE
    routes = {
        f"{base}/items/<str:item_id>": Call(
            codes, item | there, {"put": {"quantity": 2}, "patch": {"quantity": 2}}
        ),
        **{
            f"{base}/items/<str:item_id>/{verb}": Call(codes, item | there)
            for verb in ("save", "next-purchase", "activate", "duplicate")
        },
        f"{base}/bundles/<str:group_id>": Call(codes, {"group_id": "group", **there}),
    }
    if not named:
        return routes | {
            f"{base}/save-for-later/<str:item_id>": Call(codes, item),
            f"{base}/move-to-cart/<str:item_id>": Call(codes, item),
            f"{base}/next-purchase/<str:item_id>/activate": Call(codes, item),
            f"{base}/past/<str:cart_id>/re-add": Call(CART, {"cart_id": "past_cart"}),
            f"{base}/recovery/<str:token>": Call({"RECOVERY_TOKEN_INVALID"}, {"token": "recovery"}),
            f"{base}/recovery/<str:token>/restore": Call(
                {"RECOVERY_TOKEN_INVALID"}, {"token": "recovery"}
            ),
            f"{base}/<str:cart_id>/hold": Call(CART, {"cart_id": "cart"}),
            f"{base}/<str:cart_id>/hold/status": Call(CART, {"cart_id": "cart"}),
            f"{base}/upsells/<str:product_id>/add": Call(PRODUCT, {"product_id": "product"}),
            f"{base}/upsells/<str:product_id>/dismiss": Call(PRODUCT, {"product_id": "product"}),
        }
    place = {"country": "US", "state": "ME", "postalCode": "04101"}
    return routes | {
        f"{base}/items": Call(CART, there, {"post": {"sku": "THEIRS"}}),
        f"{base}/bulk/items": Call(
            CART,
            there,
            {
                "post": {"items": [{"sku": "THEIRS", "quantity": 1}]},
                "patch": {"items": [{"itemId": "id:line", "quantity": 1}]},
                "delete": {"itemIds": ["id:line"]},
            },
        ),
        f"{base}/bundles": Call(CART | PRODUCT, there, {"post": {"bundleId": "id:bundle"}}),
        f"{base}/discount": Call(CART, there, {"post": {"code": "SAVE10"}}),
        f"{base}/loyalty": Call(CART, there, {"post": {"points": 1}}),
        f"{base}/accept-prices": Call(CART, there, {"post": {}}),
        f"{base}/discount/<str:code>": Call(CART, {"code": "SAVE10", **there}),
        f"{base}/validate": Call(CART, there),
        f"{base}/refresh": Call(CART, there),
        f"{base}/explain": Call(CART, there),
        f"{base}/shipping/estimate": Call(CART, there, {"post": place}),
        f"{base}/shipping/rates": Call(CART, there),
        f"{base}/tax/estimate": Call(CART, there, {"post": place}),
        f"{base}/history": Call(CART, there),
        f"{base}/history/<str:version>/restore": Call(CART, {"version": "1", **there}),
        base: Call(CART, there, {"patch": {"metadata": {"a": "b"}}, "post": {}}),
    }


_SHELF = {"stock_level_id": "level"}
_ORDER = {"reference": "order"}
_UNITS = {"items": [{"itemId": "id:order_line", "quantity": 1}]}

OWN: dict[str, Call] = {
    # catalogue and stock
    "api/v1/inventory/product/<uuid:product_id>": Call(PRODUCT, {"product_id": "product"}),
    "api/v1/inventory/<uuid:stock_level_id>": Call(
        STOCK, _SHELF, {"put": {"reorderLevel": 1}, "patch": {"reorderLevel": 1}}
    ),
    "api/v1/inventory/<uuid:stock_level_id>/adjust": Call(STOCK, _SHELF, {"post": {"quantity": 1}}),
    "api/v1/inventory/<uuid:stock_level_id>/receive": Call(
        STOCK, _SHELF, {"post": {"quantity": 1}}
    ),
    "api/v1/inventory/<uuid:stock_level_id>/transfer": Call(
        STOCK, _SHELF, {"post": {"quantity": 1, "warehouse": "SECOND"}}
    ),
    "api/v1/inventory/<uuid:stock_level_id>/count": Call(STOCK, _SHELF, {"post": {"quantity": 9}}),
    "api/v1/inventory/<uuid:stock_level_id>/damage": Call(STOCK, _SHELF, {"post": {"quantity": 1}}),
    "api/v1/inventory/<uuid:stock_level_id>/transactions": Call(STOCK, _SHELF),
    **{
        f"api/v1/products/<str:ref>{tail}": Call(
            PRODUCT, {"ref": "product"}, {"patch": {"name": "Another"}}
        )
        for tail in (
            "",
            "/inventory",
            "/pricing",
            "/pricing/recommendations",
            "/pricing/history",
            "/recommendations",
            "/alternatives",
            "/upsells",
        )
    },
    "api/v1/products/<str:ref>/back-in-stock": Call(PRODUCT, {"ref": "product"}),
    "api/v1/back-in-stock/<uuid:request_id>": Call(STOCK, {"request_id": "request"}),
    "api/v1/products/pricing/alerts/<str:alert_id>": Call(STOCK, {"alert_id": "price_alert"}),
    "api/v1/products/<str:ref>/images/<uuid:image_id>": Call(
        PRODUCT, {"ref": "product", "image_id": "image"}, {"patch": {"alt": "Another"}}
    ),
    "products/<str:slug>/": Call(PRODUCT, {"slug": "slug:product"}),
    "category/<str:slug>/": Call({"CATEGORY_NOT_FOUND"}, {"slug": "slug:category"}),
    # rules of prices
    "api/v1/promotions/<str:promotion_id>": Call(
        RULE, {"promotion_id": "promotion"}, {"patch": {"name": "Another"}}
    ),
    "api/v1/promotions/<str:promotion_id>/restore": Call(
        RULE, {"promotion_id": "promotion"}, {"post": {"reason": "Not ours"}}
    ),
    "api/v1/promotions/<str:promotion_id>/batches": Call(
        RULE, {"promotion_id": "promotion"}, {"post": {"name": "Theirs", "number": 1}}
    ),
    "api/v1/coupon-batches/<str:batch_id>": Call(
        RULE, {"batch_id": "batch"}, {"patch": {"expiresAt": None}}
    ),
    "api/v1/coupon-batches/<str:batch_id>/codes": Call(RULE, {"batch_id": "batch"}),
    "api/v1/coupon-batches/<str:batch_id>/revoke": Call(
        RULE, {"batch_id": "batch"}, {"post": {"reason": "Not ours"}}
    ),
    "api/v1/tax-rates/<str:tax_rate_id>": Call(
        RULE, {"tax_rate_id": "tax_rate"}, {"patch": {"name": "Another"}}
    ),
    "api/v1/exchange-rates/<str:rate_id>": Call(RULE, {"rate_id": "exchange_rate"}),
    "api/v1/special-prices/<str:special_id>": Call(RULE, {"special_id": "special_price"}),
    "api/v1/customer-groups/<str:group_id>": Call(
        RULE, {"group_id": "customer_group"}, {"patch": {"name": "Another"}}
    ),
    "api/v1/shipping-zones/<str:zone_id>": Call(
        RULE, {"zone_id": "zone"}, {"patch": {"name": "Another"}}
    ),
    "api/v1/shipping-rules/<str:shipping_rule_id>": Call(
        RULE, {"shipping_rule_id": "shipping_rule"}, {"patch": {"name": "Another"}}
    ),
    # carts and lists
    **_carts("api/v1/cart"),
    **_carts("api/v1/public/cart"),
    **_carts("api/v1/public/cart/<str:cart_id>", named=True),
    "api/v1/wishlist/items/<str:item_id>": Call({"ITEM_NOT_FOUND"}, {"item_id": "wish"}),
    "api/v1/wishlist/items/<str:item_id>/move-to-cart": Call(
        {"ITEM_NOT_FOUND"}, {"item_id": "wish"}
    ),
    "api/v1/compare/<str:ref>": Call({"ITEM_NOT_FOUND"}, {"ref": "product"}),
    "cart/lines/<uuid:line_id>/": Call(ANY, {"line_id": "line"}),
    "cart/upsells/<uuid:product_id>/": Call(ANY, {"product_id": "product"}),
    "cart/recover/<str:token>/": Call(ANY, {"token": "recovery"}),
    "wishlist/<uuid:wish_id>/": Call(ANY, {"wish_id": "wish"}),
    # orders
    **{
        f"api/v1/orders/<str:reference>{tail}": Call(ORDER, _ORDER, bodies)
        for tail, bodies in {
            "": {"patch": {"staffNotes": "Ring twice", "reason": "asked"}},
            "/cancel": {"post": {"reason": "x"}},
            "/cancel-items": {"post": {**_UNITS, "reason": "x"}},
            "/returns": {"post": _UNITS},
            "/status": {"put": {"status": "processing", "reason": "x"}},
            "/ship": {"post": {}},
            "/deliver": {"post": {}},
            "/shipments": {"post": {}},
            "/review": {"post": {"decision": "approve"}},
            "/address": {"patch": {"billingAddress": ADDRESS}},
            "/edits": {"post": {"billingAddress": ADDRESS, "quoteId": "x"}},
            "/edits/preview": {"post": {"billingAddress": ADDRESS}},
            "/invoice": {},
            "/invoices": {},
            "/packing-slip": {},
            "/status-history": {},
            "/edit-history": {},
            "/explain": {},
            "/payments": {"post": {"method": "test"}},
            "/refund-items": {"post": _UNITS},
            "/refunds": {},
            "/reorder": {},
            "/edit-in-cart": {},
        }.items()
    },
    "api/v1/products/pricing/disputes/<str:dispute_id>": Call(DISPUTE, {"dispute_id": "dispute"}),
    "api/v1/products/pricing/disputes/<str:dispute_id>/decide": Call(
        DISPUTE, {"dispute_id": "dispute"}, {"post": {"status": "REJECTED", "answer": "No."}}
    ),
    **{
        f"api/v1/orders/returns/<uuid:return_id>/{verb}": Call(
            {"NOT_FOUND", "RETURN_NOT_FOUND", "ORDER_NOT_FOUND"}, {"return_id": "return"}
        )
        for verb in ("approve", "reject", "receive", "close", "withdraw")
    },
    **{
        f"api/v1/orders/<str:reference>/shipments/<uuid:shipment_id>{tail}": Call(
            ORDER, {**_ORDER, "shipment_id": "order"}, bodies
        )
        for tail, bodies in {"": {"patch": {"carrier": "x"}}, "/deliver": {}}.items()
    },
    **{
        f"api/v1/orders/<str:reference>/refunds/<uuid:refund_id>/{deed}": Call(
            ORDER, {**_ORDER, "refund_id": "order"}, bodies
        )
        for deed, bodies in {
            "retry": {},
            "pay-outside": {
                "post": {"means": "cash", "reference": "x", "reason": "x", "paidOn": "2026-01-01"}
            },
        }.items()
    },
    "orders/<str:number>/": Call(ORDER, {"number": "number:order"}),
    **{
        f"orders/<str:number>/{tail}/": Call(ORDER, {"number": "number:order"})
        for tail in (
            "cancel",
            "cancel-items",
            "dispute",
            "return",
            "reorder",
            "invoice",
            "pay",
            "change",
            "edit-in-cart",
        )
    },
    "orders/<str:number>/returns/<uuid:return_id>/withdraw/": Call(
        ORDER, {"number": "number:order", "return_id": "return"}
    ),
    "orders/<str:number>/invoice/<str:paper>.pdf": Call(
        ORDER, {"number": "number:order", "paper": "number:order"}
    ),
    "api/v1/orders/<str:reference>/invoices/<str:number>/pdf": Call(
        ORDER, {**_ORDER, "number": "number:order"}
    ),
    "account/addresses/<uuid:address_id>/": Call({"ADDRESS_NOT_FOUND"}, {"address_id": "address"}),
    # checkout and payment
    "api/v1/addresses/<uuid:address_id>": Call(
        {"ADDRESS_NOT_FOUND"}, {"address_id": "address"}, {"patch": {"city": "Bath"}}
    ),
    **{
        f"api/v1/checkout/<uuid:checkout_id>{tail}": Call(
            CHECKOUT, {"checkout_id": "checkout"}, bodies
        )
        for tail, bodies in {
            "": {"patch": {"notes": "x"}},
            "/status": {},
            "/validate": {},
            "/calculate": {},
            "/payment": {"post": {"method": "test", "quoteId": "q"}},
            "/complete": {},
            "/cancel": {},
        }.items()
    },
    "api/v1/payments/order/<str:reference>": Call(ORDER, _ORDER),
    "api/v1/payments/<uuid:payment_id>": Call(ANY, {"payment_id": "payment"}),
    "api/v1/payments/reconciliation/runs/<uuid:run_id>": Call(ANY, {"run_id": "comparison"}),
    **{
        f"api/v1/payments/reconciliation/findings/<uuid:finding_id>{tail}": Call(
            ANY, {"finding_id": "difference"}, bodies
        )
        for tail, bodies in {
            "": {},
            "/fix": {"post": {"step": "look", "seen": "x"}},
            "/explain": {"post": {"reason": "x", "seen": "x"}},
        }.items()
    },
    "api/v1/payments/<uuid:payment_id>/simulate": Call(
        ANY, {"payment_id": "payment"}, {"post": {"outcome": "succeed"}}
    ),
    **{
        f"checkout/pay/<uuid:payment_id>/{tail}": Call(ANY, {"payment_id": "payment"})
        for tail in ("", "simulate/", "complete/", "cancel/")
    },
    # messages
    "api/v1/notifications/<uuid:notification_id>": Call(ANY, {"notification_id": "notification"}),
    "api/v1/notifications/<uuid:notification_id>/read": Call(
        ANY, {"notification_id": "notification"}
    ),
}

# Names that stand in a body: (method, path, body). Each is refused in another company.
IN_BODIES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("post", "cart/items", {"sku": "sku:variant"}, PRODUCT),
    ("post", "cart/items", {"variantId": "id:variant"}, PRODUCT),
    ("post", "cart/items", {"productId": "id:product"}, PRODUCT),
    ("post", "cart/bundles", {"bundleId": "id:bundle"}, PRODUCT | {"ITEM_NOT_FOUND", "NOT_FOUND"}),
    ("post", "cart/discount", {"code": "THEIRS10"}, {"DISCOUNT_INVALID"}),
    ("post", "wishlist/items", {"variantId": "id:variant"}, PRODUCT),
    ("post", "compare", {"product": "id:product"}, PRODUCT),
    ("post", "products/validate", {"sku": "sku:variant"}, {"valid:false"}),
    ("post", "products/inventory/check", {"items": [{"sku": "sku:variant"}]}, {"sufficient:false"}),
    ("post", "products/inventory/reserve", {"items": [{"sku": "sku:variant"}]}, PRODUCT),
    ("post", "products/inventory/release", {"holdIds": ["id:line"]}, {"released:0"}),
    ("post", "inventory", {"variantId": "id:variant", "available": 1}, PRODUCT),
    ("post", "orders/lookup", {"number": "number:order", "email": "owner@example.com"}, ORDER),
    ("post", "payments/capture", {"paymentId": "id:payment"}, {"NOT_FOUND"}),
    ("post", "payments/refund", {"paymentId": "id:payment", "reason": "x"}, {"NOT_FOUND"}),
    (
        "post",
        "payments/intent",
        {"orderId": "id:order", "amount": "1.00", "currency": "USD", "method": "test"},
        ORDER,
    ),
]  # fmt: skip


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield each route with a name in it, once (the alias without `v1` serves the same views), and its methods."""
    for entry in patterns if patterns is not None else get_resolver("config.urls").url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and ("<" in route):
            if route.startswith("admin/") or re.match(r"api/(?!v1/)", route):
                continue
            view = getattr(entry.callback, "cls", None)
            actions = getattr(entry.callback, "actions", None)
            if actions:
                methods = set(actions)
            elif view:
                methods = {
                    method
                    for method in ("get", "post", "put", "patch", "delete")
                    if hasattr(view, method) and method in view.http_method_names
                }
            else:
                methods = {"get", "post"}
            yield route, methods - {"head", "options"}


ROUTES = dict(routes())


def test_each_route_with_a_name_in_it_is_looked_at() -> None:
    known = OWN.keys() | EXCEPT.keys()

    assert sorted(ROUTES.keys() - known) == [], "say what another company's row is called by here"
    assert sorted(known - ROUTES.keys()) == [], "routes that are gone"


# --- two companies --------------------------------------------------------------------------------


@dataclass
class World:
    """A company with one of everything, and the people who are at home there."""

    company: Company
    names: dict[str, str]
    owner: User
    guest: str  # the token of the one who is at the checkout

    def fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if isinstance(value, str):
            return self.names.get(value.removeprefix("id:"), value) if ":" in value else value
        return value

    def path(self, route: str, names: dict[str, str]) -> str:
        return re.sub(
            r"<(?:\w+:)?(\w+)>",
            lambda found: self.names.get(names[found[1]], names[found[1]]),
            route,
        )


@pytest.fixture
def world(company: Company) -> World:
    """Build the other company through the services that build any."""
    now = timezone.now()
    there = factories.make_company()
    owner = factories.make_user(email="owner@example.com")
    actor = actor_for(owner, there)
    system = Actor.system(there.id)
    category = Category.objects.create(company=there, name="Theirs", slug="theirs")
    product = factories.make_product(company=there, category=category, slug="theirs-only")
    variant = factories.make_priced_variant("10.00", product=product, available=90, sku="THEIRS")
    Warehouse.objects.create(company=there, code="SECOND", name="Second")
    rule = factories.make_shipping_rule("4.90", countries=["US"], company=there)
    tax_rate = factories.make_tax_rate("0.10", country="US", company=there)
    trade = CustomerGroup.objects.create(company=there, name="Trade")
    special_price = factories.make_special_price(variant, "1.00", group=trade)
    promotion = factories.make_promotion("THEIRS10", company=there)
    batch = pricing.create_batch(
        actor=system, promotion_id=promotion.id, name="Theirs", number=2, now=now
    )
    bundle = Bundle.objects.create(company=there, slug="their-box", name="Box")
    BundleItem.objects.create(bundle=bundle, variant=variant)

    image = ProductImage.objects.create(product=product, url="demo/doorway-bell.svg", alt="Theirs")
    gone = factories.make_priced_variant("10.00", company=there, available=0)
    at_home = Api(**{"X-Company-Id": str(there.id)}).as_user(owner)
    asked = at_home.post(f"/products/{gone.product.slug}/back-in-stock", {})
    assert asked.status_code in (200, 201, 202), asked.content

    price_alert = PriceAlert.objects.create(
        company=there, variant=variant, user_id=owner.id, currency="USD", target=1, created_at=now
    )

    exchange_rate = pricing.set_exchange_rate(
        actor=system,
        terms=pricing.RateTerms(quote="EUR", rate=Decimal(2), valid_from=now + timedelta(days=1)),
        now=now,
    )

    order = orders.place_direct(
        actor=actor,
        items=[DirectItem(variant.sku, 3)],
        email=owner.email,
        shipping_address=ADDRESS,
        now=now,
    )
    orders.set_payment_status(
        actor=system, order_id=order.id, status="captured", method="test", now=now
    )
    orders.confirm(actor=system, order_id=order.id, now=now)
    staff = actor_for(factories.make_staff(), there)
    orders.ship(actor=staff, order_id=order.id, now=now)
    orders.deliver(actor=staff, order_id=order.id, now=now)
    order_line = order.lines.get()
    returned = orders.request_return(
        actor=actor, order_id=order.id, wanted=[WantedReturn(order_line.id, 1)], now=now
    )

    dispute = orders.dispute_price(
        actor=actor, order_id=order.id, line_id=order_line.id, reason="TAX", now=now
    )

    carts.create(actor=actor, now=now)
    view = carts.add_line(actor=actor, variant_id=variant.id, now=now)
    line = view.items[0]
    view = carts.add_bundle(actor=actor, bundle_id=bundle.id, quantity=1, now=now)
    group = CartLine.objects.exclude(group_id=None).get().group_id
    wish = carts.add_wish(actor=actor, currency="USD", sku=variant.sku, now=now)
    carts.compare(actor=actor, product_ref=product.slug)
    attempt = RecoveryAttempt.objects.create(
        cart_id=view.id,
        cycle=1,
        stage=1,
        email=owner.email,
        token_hash=b"0" * 32,
        created_at=now,
        expires_at=now + timedelta(days=1),
    )
    recovery = tokens.sign(
        cart_id=view.id, attempt_id=attempt.id, expires_at=attempt.expires_at, cycle=1
    )
    attempt.token_hash = hash_token(recovery)
    attempt.save()

    past = Buyer.arrive(there, now).add(variant).begin().fill()
    past.pay()
    buyer = Buyer.arrive(there, now).add(variant).begin().fill()
    checkout_id = buyer.checkout_id
    _placed, payment = Buyer.arrive(there, now).add(variant).begin().fill().pay()
    comparison = checkouts.request_run(
        actor=system, since=now - timedelta(days=1), until=now, mends=False, now=now
    )
    difference = ReconciliationFinding.objects.create(
        company=there, key="x", kind="refund_missing", provider="test", provider_id=payment.provider_id,
        payment=payment, order=order, currency="USD", theirs=0, ours=1, first_seen_at=now, last_seen_at=now,
    )  # fmt: skip
    notifications.tell(
        actor=system, user_id=owner.id, channel="x", subject="Hello", dedupe_key="x", now=now
    )
    address = checkouts.add_address(actor=actor_for(owner, there), address={**ADDRESS}, now=now)
    past_cart = past.view.checkout.cart_id if past.view else None
    assert past_cart
    factories.make_priced_variant("5.00", sku="HERE")
    Warehouse.objects.create(company=company, code="SECOND", name="Second")
    names = {
        "image": image.id, "price_alert": price_alert.id, "exchange_rate": exchange_rate.id, "request": BackInStockRequest.objects.get().id,
        "product": product.id, "slug:product": product.slug, "slug:category": category.slug,
        "variant": variant.id, "sku:variant": variant.sku, "bundle": bundle.id, "group": group,
        "level": StockLevel.objects.get(variant=variant).id, "promotion": promotion.id, "tax_rate": tax_rate.id,
        "batch": batch.id,
        "special_price": special_price.id, "customer_group": trade.id,
        "zone": rule.zone_id, "shipping_rule": rule.id, "cart": view.id, "line": line.id, "wish": wish.id,
        "past_cart": past_cart, "recovery": recovery, "order": order.id, "number:order": order.number,
        "order_line": order_line.id, "return": returned.id, "dispute": dispute.id, "checkout": checkout_id, "payment": payment.id, "address": address.id,
        "comparison": comparison.id, "difference": difference.id,
        "notification": Notification.objects.get(dedupe_key__contains="x", user_id=owner.id).id,
        
    }  # fmt: skip
    return World(there, {key: str(value) for key, value in names.items()}, owner, buyer.token)


def callers(world: World, **headers: str) -> dict[str, Api]:
    """Return who calls: nobody, a stranger with a cart, staff, the owner, and the guest at the other checkout."""
    api = Api(**headers)
    stranger = api.as_user(factories.make_user())
    staff = api.as_user(factories.make_staff(is_superuser=True))
    owner = api.as_user(world.owner)
    for client in (stranger, staff, owner):
        client.post("/cart/items", {"sku": "HERE"})
    return {
        "staff": staff,
        "owner": owner,
        "guest": api.as_guest(world.guest),
        "stranger": stranger,
        "nobody": api,
    }


# What a refused or repeated request may leave: who tried doors, which answer was given, when somebody was last seen.
NOT_COMPARED = {"audit_entries", "idempotency_logs", "django_session", "sign_ins"}


def fingerprint() -> dict[str, str]:
    """Return a digest of each table, to see whether anything was written."""
    tables = sorted(
        {
            model._meta.db_table
            for model in apps.get_models(include_auto_created=True)
            if model._meta.managed and not model._meta.proxy
        }
        - NOT_COMPARED
    )
    union = " union all ".join(
        f"select '{table}', md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from \"{table}\" t"
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(union)
        return dict(cursor.fetchall())


def code_of(answer: Any) -> str:
    return str(answer.json().get("code", "")) if "json" in answer.get("Content-Type", "") else ""


def wrong(answer: Any, who: str, codes: set[str]) -> str:
    """Return what is wrong with a refusal, or nothing."""
    code = code_of(answer)
    if code in codes and answer.status_code in (400, 404):
        return ""
    if answer.status_code == 401 and who in {"nobody", "guest"}:
        return ""
    if answer.status_code == 403 and who not in {"staff"}:
        return ""
    return f"{answer.status_code} {code}"


def _is_found(clients: Iterable[Api], method: str, path: str, body: Body, codes: set[str]) -> bool:
    """Return whether somebody gets another answer than that it is not there; what that writes is taken back."""
    for client in clients:
        with transaction.atomic():
            answer = client.request(method, path, body, key=uuid4().hex)
            transaction.set_rollback(True)
        if answer.status_code not in (401, 403) and code_of(answer) not in codes:
            return True
    return False


@pytest.mark.slow
def test_the_api_gives_nothing_of_another_company_away(world: World) -> None:
    """A call of staff or of the owner themself is 404 with the resource's own code, whatever the method."""
    at_home = callers(world, **{"X-Company-Id": str(world.company.id)})
    abroad = callers(world)
    before, failures = fingerprint(), []
    for route, call in OWN.items():
        if not route.startswith("api/"):
            continue
        path = "/" + world.path(route, call.names)
        for method in sorted(ROUTES[route]):
            body = world.fill(call.bodies.get(method, None if method == "get" else {}))
            what = f"{method.upper()} {route}"
            for who, client in abroad.items():
                answer = client.request(method, path, body, key=uuid4().hex)
                if problem := wrong(answer, who, call.codes):
                    failures.append(f"{what} as {who}: {problem}")
            if not _is_found(at_home.values(), method, path, body, call.codes):
                failures.append(f"{what}: nobody finds it at home, so this proves nothing")
    assert not failures, "\n".join(failures)
    after = fingerprint()
    assert {table for table in before if before[table] != after[table]} == set()


@pytest.mark.slow
def test_a_name_in_a_body_is_as_good_as_none(world: World) -> None:
    abroad = callers(world)
    before, failures = fingerprint(), []
    for method, path, given, codes in IN_BODIES:
        body = world.fill(given)
        for who, client in abroad.items():
            answer = client.request(method, f"/{path}", body, key=uuid4().hex)
            told = answer.json()
            said = {
                f"valid:{told.get('valid')}".lower(),
                f"released:{told.get('released')}",
                *(f"sufficient:{row.get('sufficient')}".lower() for row in told.get("results", ())),
            }
            # A guest's token opens nothing here, whatever the body names.
            expected = codes | CART if who == "guest" else codes
            if not (said & codes) and (problem := wrong(answer, who, expected)):
                failures.append(f"{method.upper()} {path} {given} as {who}: {problem}")
    assert not failures, "\n".join(failures)
    after = fingerprint()
    assert {table for table in before if before[table] != after[table]} == set()


@pytest.mark.slow
def test_pages_give_nothing_of_another_company_away(world: World) -> None:
    """Pages answer a form by going somewhere; whatever they say, nothing of the other company is in it or changed."""
    clients = {"nobody": Client(raise_request_exception=False)}
    for who, user in {
        "stranger": factories.make_user(),
        "owner": world.owner,
        "staff": factories.make_staff(is_superuser=True),
    }.items():
        clients[who] = Client(raise_request_exception=False)
        clients[who].force_login(user)
    clients["guest"] = Client(raise_request_exception=False)
    signer = get_cookie_signer(salt=GUEST_COOKIE + GUEST_COOKIE_SALT)
    clients["guest"].cookies[GUEST_COOKIE] = signer.sign(world.guest)
    before, failures = fingerprint(), []
    secrets = ["theirs-only", "THEIRS", world.names["number:order"]]
    for route, call in OWN.items():
        if route.startswith("api/"):
            continue
        path = "/" + world.path(route, call.names)
        for who, client in clients.items():
            for method in ("get", "post"):
                answer = getattr(client, method)(
                    path, {"act": "remove", "outcome": "succeed"} if method == "post" else {}
                )
                shown = answer.content.decode().replace(path, "")
                if answer.status_code >= 500:
                    failures.append(f"{method} {route} as {who}: {answer.status_code}")
                elif answer.status_code == 200 and any(secret in shown for secret in secrets):
                    failures.append(f"{method} {route} as {who}: shows it")
                elif method == "get" and answer.status_code == 200:
                    failures.append(f"{method} {route} as {who}: 200")
    assert not failures, "\n".join(failures)
    after = fingerprint()
    assert {table for table in before if before[table] != after[table]} == set()


LISTS = [
    "products", "products/search?q=product", "products/bundles", "categories", "inventory", "products/inventory/low-stock",
    "promotions", "promotions/active", "tax-rates", "shipping-zones", "shipping-rules", "orders", "cart/past", "wishlist",
    "compare", "notifications", "notifications/admin/all",
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_lists_hold_what_is_the_companys_own(world: World, path: str) -> None:
    home = {"X-Company-Id": str(world.company.id)}
    staff = factories.make_staff(is_superuser=True)
    clients = [(world.owner, False), (staff, True)]
    for user, _is_staff in clients:
        answer = Api().as_user(user).get(f"/{path}")
        if answer.status_code == 403:
            continue
        assert answer.status_code == 200, answer.content
        shown = {
            str(value)
            for row in answer.json()["results"]
            for key, value in row.items()
            if key in {"id", "productId", "slug", "sku"}
        }
        assert not shown & set(world.names.values()), shown & set(world.names.values())
    there = [Api(**home).as_user(user).get(f"/{path}") for user, _is_staff in clients]
    assert any(answer.status_code == 200 and answer.json()["results"] for answer in there) or (
        path in {"products/inventory/low-stock", "promotions/active", "cart/past"}
    )


# --- which company a request is for ---------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        "01900000-0000-7000-8000-00000000dead",
        "nobody-knows",
        "x" * 300,
        "'; drop table companies",
        "é",
        "0",
        "-1",
    ],
)
def test_an_unknown_company_is_404(company: Company, sent: str) -> None:
    for path in ("/products", "/cart", "/products/health"):
        answer = Api(**{"X-Company-Id": sent}).get(path)
        assert (answer.status_code, code_of(answer)) == (404, "COMPANY_NOT_FOUND")


def test_a_company_is_named_by_id_slug_or_host(company: Company, settings: Any) -> None:
    there = factories.make_company(slug="harbour", host="harbour.example")
    settings.ALLOWED_HOSTS = ["testserver", "harbour.example"]
    product = factories.make_product(company=there)
    forget_companies()

    path = f"/api/v1/products/{product.id}"
    assert Client().get(path, headers={"X-Company-Id": str(there.id)}).status_code == 200
    assert Client().get(path, headers={"X-Company-Id": "harbour"}).status_code == 200
    assert Client().get(path, headers={"Host": "harbour.example"}).status_code == 200
    assert Client().get(path, headers={"Host": "HARBOUR.example:443"}).status_code == 200
    assert Client().get(path).status_code == 404
    # A host that is not ours is refused before anybody asks whose it is.
    assert Client().get(path, headers={"Host": "evil.example"}).status_code == 400
    forget_companies()


def test_the_header_wins_over_the_host(company: Company, settings: Any) -> None:
    there = factories.make_company(slug="harbour", host="harbour.example")
    settings.ALLOWED_HOSTS = ["harbour.example"]
    product = factories.make_product(company=company)
    forget_companies()

    answer = Client().get(
        f"/api/v1/products/{product.id}",
        headers={"Host": "harbour.example", "X-Company-Id": str(company.id)},
    )
    assert answer.status_code == 200
    assert there.id != company.id
    forget_companies()


def test_an_account_is_the_same_everywhere_and_its_things_are_not(world: World) -> None:
    """One sign-in serves all shops of an installation; cart, orders, lists and messages stay with their shop."""
    here = Api().as_user(world.owner)
    home = Api(**{"X-Company-Id": str(world.company.id)}).as_user(world.owner)

    assert home.get("/cart").json()["items"]
    assert here.get("/cart").json()["items"] == []
    assert len(home.get("/orders").json()["results"]) == 1
    assert here.get("/orders").json()["results"] == []
    assert (
        home.get("/notifications/unread-count").json()
        != here.get("/notifications/unread-count").json()
    )


def test_the_back_office_shows_the_company_it_is_asked_for(world: World) -> None:
    """Also a superuser sees one company at a time: that of the request's host or header, like everywhere else."""
    staff = factories.make_staff(is_superuser=True)
    request = RequestFactory().get("/admin/")
    request.user = staff
    request.company_id = Company.DEFAULT_ID  # type: ignore[attr-defined]
    looked_at, unscoped = set(), []
    for model, page in admin.site._registry.items():
        paths = [
            path
            for path in (getattr(page, "company_path", ""), "company_id")
            if path and (path != "company_id" or hasattr(model, "company_id"))
        ]
        if not paths:
            continue
        theirs = {paths[0]: world.company.id}
        if page.get_queryset(request).filter(**theirs).exists():
            unscoped.append(model.__name__)
        if model._base_manager.filter(**theirs).exists():
            looked_at.add(model.__name__)
    assert unscoped == []
    assert {"Product", "StockLevel", "Cart", "Order", "Payment", "Promotion"} <= looked_at


@pytest.mark.parametrize(
    ("app", "model", "column"),
    [("inventory", "stocklevel", "variant"), ("inventory", "product", "category")],
)
def test_the_back_office_offers_nothing_of_another_company(
    world: World, client: Client, app: str, model: str, column: str
) -> None:
    client.force_login(factories.make_staff(is_superuser=True))
    query = {"app_label": app, "model_name": model, "field_name": column, "term": "Their"}

    answer = client.get("/admin/autocomplete/", query)

    assert answer.status_code in (200, 403)  # 403: the page offers no such choice
    if answer.status_code == 200:
        assert answer.json()["results"] == []


def test_a_picture_stays_in_its_company(world: World) -> None:
    staff = Api().as_user(factories.make_staff())
    drawn = io.BytesIO()
    Image.new("RGB", (80, 80), "teal").save(drawn, "PNG")
    sent = SimpleUploadedFile("mug.png", drawn.getvalue(), "image/png")

    answer = Client().post(
        f"/api/v1/products/{world.names['product']}/images",
        {"image": sent, "alt": "A mug"},
        headers=staff.headers,
    )

    assert (answer.status_code, code_of(answer)) == (404, "PRODUCT_NOT_FOUND")
    assert ProductImage.objects.count() == 1
