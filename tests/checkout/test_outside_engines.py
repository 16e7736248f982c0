"""Engines of others: asked outside of transactions, believed only what can be true, and done without when they fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from checkout.models import Checkout
from config.platform.errors import DependencyUnavailable
from inventory.models import Company
from orders import services as orders
from orders.models import Order
from orders.services import DirectItem
from pricing.outside import KINDS, HttpEngine, Question
from pricing.outside.question import key_of
from tests import factories
from tests.checkout.conftest import ADDRESS, Buyer
from tests.checkout.engines import Fake, drip, hang, serving

pytestmark = pytest.mark.django_db

RATES = {
    "rates": [
        {"name": "Maine sales tax", "type": "SALES_TAX", "rate": "0.055", "state": "ME"},
        {"name": "Portland tax", "type": "SALES_TAX", "rate": "0.01", "onShipping": False},
    ]
}
OPTIONS = {
    "options": [
        {"id": "drone", "name": "Drone", "price": "12.00", "currency": "USD", "minDays": 0, "maxDays": 1},
        {"id": "sloop", "name": "Sloop", "price": "3.50", "currency": "USD", "minDays": 4, "maxDays": 9},
    ]
}  # fmt: skip


@pytest.fixture
def engine(settings: Any) -> Iterator[Fake]:
    cache.clear()
    with serving(settings, {"tax": RATES, "shipping": OPTIONS}) as server:
        yield server


def totals(buyer: Buyer) -> dict[str, str]:
    shown: dict[str, str] = buyer.api.get(f"/checkout/{buyer.checkout_id}").json()["totals"]
    return shown


# --- it serves ------------------------------------------------------------------------------------


def test_what_it_says_is_offered_charged_and_explained(engine: Fake, buyer: Buyer) -> None:
    buyer.begin().fill(shipping_option="sloop")
    shown = buyer.api.get(f"/checkout/{buyer.checkout_id}").json()
    order = buyer.place()
    told = buyer.api.get(f"/orders/{order.number}/explain").json()

    assert [(each["id"], each["price"]) for each in shown["shippingOptions"]] == [
        ("sloop", "3.50"),
        ("drone", "12.00"),
    ]
    # 20.00 goods: 1.10 + 0.20; 3.50 shipping: 0.19
    assert shown["totals"]["taxTotal"] == "1.49" == f"{order.tax_total:.2f}"
    assert (order.shipping_option, order.grand_total) == ("sloop", Decimal("24.99"))
    assert order.quote["basis"]["servedBy"] == {"shipping": "outside", "tax": "outside"}
    assert [(rate["name"], rate["state"]) for rate in told["rules"]["taxRates"]] == [
        ("Maine sales tax", "ME"),
        ("Portland tax", ""),
    ]
    assert told["steps"][-1]["runningTotal"] == "24.99"


def test_it_is_asked_once_for_the_same_and_learns_nobodys_name(engine: Fake, buyer: Buyer) -> None:
    buyer.begin().fill(shipping_option="sloop")
    asked = len(engine.asked)
    totals(buyer)
    buyer.api.post("/checkout/tax/calculate", {})
    buyer.place()

    assert [kind for kind, _question, _headers in engine.asked[:asked]] == ["shipping", "tax"]
    assert len(engine.asked) == asked
    for _kind, question, headers in engine.asked:
        assert headers["Authorization"] == "Bearer secret-of-the-shop"
        assert question["destination"] == {"country": "US", "state": "ME", "postalCode": "04101"}
        assert [line["quantity"] for line in question["lines"]] == [2]
        sent = json.dumps(question)
        assert "Ada" not in sent
        assert "@" not in sent
        assert "Harbour" not in sent


def test_another_cart_is_another_question(engine: Fake, buyer: Buyer, variant: Any) -> None:
    buyer.begin().fill(shipping_option="sloop")
    asked = len(engine.asked)

    buyer.add(variant, 1)
    totals(buyer)

    assert len(engine.asked) == asked + 2


def test_an_order_from_skus_asks_too(
    engine: Fake, shop: Company, system: Any, now: datetime
) -> None:
    variant = factories.make_priced_variant("10.00")
    order = orders.place_direct(
        actor=system,
        items=[DirectItem(variant.sku, 1)],
        email="ada@example.com",
        shipping_address=ADDRESS,
        now=now,
    )

    assert (order.shipping_option, order.grand_total) == ("sloop", Decimal("14.34"))


def test_only_the_one_that_is_set_up_serves(engine: Fake, buyer: Buyer, settings: Any) -> None:
    settings.OUTSIDE_ENGINES = {**settings.OUTSIDE_ENGINES, "shipping": ""}

    order = buyer.begin().fill().place()

    assert order.quote["basis"]["servedBy"] == {"tax": "outside"}
    assert (order.shipping_option, order.shipping_total) == ("standard", Decimal("4.90"))


def test_the_cart_stays_an_estimate_by_the_own_tables(engine: Fake, buyer: Buyer) -> None:
    place = {"country": "US", "state": "ME"}

    answer = buyer.api.post("/cart/shipping/estimate", place).json()

    assert [option["id"] for option in answer["options"]] == ["standard"]
    assert engine.asked == []


def test_no_way_to_ship_there_blocks_the_checkout(engine: Fake, buyer: Buyer) -> None:
    engine.answers["shipping"] = {"options": []}
    buyer.begin().fill(shipping_option="")
    shown = buyer.api.get(f"/checkout/{buyer.checkout_id}").json()

    assert shown["shippingOptions"] == []
    assert "NO_SHIPPING_ZONE" in [each["code"] for each in shown["requirements"]]


@pytest.mark.django_db(transaction=True)
def test_it_is_never_asked_in_a_transaction(
    engine: Fake, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HttpEngine.answer
    seen: list[bool] = []

    def watched(self: HttpEngine, question: Question) -> Any:
        seen.append(connection.in_atomic_block)
        return real(self, question)

    monkeypatch.setattr(HttpEngine, "answer", watched)
    buyer.begin().fill(shipping_option="sloop")
    cache.clear()  # so that the placement asks again
    order = buyer.place()

    assert order.shipping_total == Decimal("3.50")
    assert len(seen) == 4
    assert not any(seen)


# --- it fails -------------------------------------------------------------------------------------


def lie(kind: str, **fields: Any) -> dict[str, Any]:
    """Return the good answer with something wrong in its first row."""
    name, good = ("rates", RATES) if kind == "tax" else ("options", OPTIONS)
    rows = [dict(row) for row in good[name]]
    rows[0] |= fields
    return {name: rows}


BAD: list[tuple[str, Any]] = [
    ("tax", hang),
    ("tax", drip),
    ("tax", (500, {"error": "oh"})),
    ("tax", (302, {})),
    ("tax", b"<html>"),
    ("tax", b"[]"),
    ("tax", b"{}"),
    ("tax", b"[" * 100_000),
    ("tax", b" " * 300_000),
    ("tax", {"rates": None}),
    ("tax", {"rates": [1]}),
    ("tax", {"rates": RATES["rates"] * 40}),
    ("tax", lie("tax", rate="-0.05")),
    ("tax", lie("tax", rate="1.5")),
    ("tax", lie("tax", rate="NaN")),
    ("tax", lie("tax", rate=0.055)),
    ("tax", lie("tax", rate="0.12345678")),
    ("tax", lie("tax", type="TITHE")),
    ("tax", lie("tax", name="")),
    ("tax", lie("tax", name="two\nlines")),
    ("tax", lie("tax", taxClass="goods-of-others")),
    ("tax", lie("tax", country="FR")),
    ("tax", lie("tax", state="CA")),
    ("tax", lie("tax", included="yes")),
    ("tax", lie("tax", name="Portland tax")),
    ("shipping", hang),
    ("shipping", {"options": "none"}),
    ("shipping", lie("shipping", price="-1.00")),
    ("shipping", lie("shipping", price="1.005")),
    ("shipping", lie("shipping", price="Infinity")),
    ("shipping", lie("shipping", currency="EUR")),
    ("shipping", lie("shipping", id="sloop")),
    ("shipping", lie("shipping", id="../../etc")),
    ("shipping", lie("shipping", minDays=9, maxDays=1)),
    ("shipping", lie("shipping", minDays=True)),
]


@pytest.mark.parametrize(
    ("kind", "answer"), BAD, ids=lambda value: getattr(value, "__name__", str(value)[:60])
)
def test_what_cannot_be_true_is_left_aside_for_the_own_tables(
    engine: Fake, buyer: Buyer, settings: Any, kind: str, answer: Any
) -> None:
    factories.make_tax_rate("0.05", country="US", name="Own tax", type="SALES_TAX")
    engine.answers[kind] = answer
    if callable(answer):  # no answer in time: only the one that is late is set up
        settings.OUTSIDE_ENGINE_TIMEOUT = 0.3
        settings.OUTSIDE_ENGINES = {kind: settings.OUTSIDE_ENGINES[kind]}

    buyer.begin().fill(shipping_option="")
    assert buyer.view is not None
    order = buyer.fill(shipping_option=buyer.view.quote.shipping_options[0].id).place()

    served = order.quote["basis"]["servedBy"]
    assert served[kind] == "own tables"
    assert {by for other, by in served.items() if other != kind} <= {"outside"}
    if kind == "tax":
        assert [tax["name"] for tax in order.lines.get().taxes] == ["Own tax"]
    else:
        assert (order.shipping_option, order.shipping_total) == ("standard", Decimal("4.90"))


def test_one_that_failed_is_not_asked_again_for_a_while(engine: Fake, buyer: Buyer) -> None:
    engine.answers["tax"] = (503, {})
    buyer.begin().fill(shipping_option="sloop")
    asked = [kind for kind, _question, _headers in engine.asked].count("tax")

    for _ in range(3):
        totals(buyer)

    assert asked == 1
    assert [kind for kind, _question, _headers in engine.asked].count("tax") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_own_tables_it_is_refused_and_nothing_is_written(
    engine: Fake, buyer: Buyer, settings: Any, kind: str
) -> None:
    buyer.begin()
    before = list(Checkout.objects.values_list())
    settings.OUTSIDE_ENGINE_FALLBACK = False
    engine.answers[kind] = (500, {})

    answer = buyer.api.patch(
        f"/checkout/{buyer.checkout_id}", {"shippingAddress": ADDRESS, "notes": "ring twice"}
    )
    with pytest.raises(DependencyUnavailable):
        buyer.fill()

    assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert answer["Retry-After"] == "30"
    assert list(Checkout.objects.values_list()) == before
    assert not Order.objects.exists()


def test_an_answer_that_changed_since_it_was_shown_must_be_seen_first(
    engine: Fake, buyer: Buyer
) -> None:
    buyer.begin().fill(shipping_option="sloop")
    engine.answers["shipping"] = lie("shipping", id="sloop", price="30.00")
    engine.answers["shipping"]["options"].pop()
    cache.clear()

    answer = buyer.api.request(
        "POST",
        f"/checkout/{buyer.checkout_id}/payment",
        {"method": "test", "quoteId": buyer.quote_id},
        key="once",
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_CHANGED")
    assert not Order.objects.exists()


def test_it_is_off_unless_it_is_set_up(buyer: Buyer, settings: Any) -> None:
    assert not any(settings.OUTSIDE_ENGINES.values())

    order = buyer.begin().fill().place()

    assert order.quote["basis"]["servedBy"] == {}


def test_equal_content_is_the_same_question() -> None:
    key = key_of("tax", {"a": 1, "b": 2})

    assert key == key_of("tax", {"b": 2, "a": 1})
    assert key != key_of("shipping", {"a": 1, "b": 2})
