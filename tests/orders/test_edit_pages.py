"""The page on which a customer changes an order: look first, do it once, no script needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from config.platform import flags
from config.platform.models import FeatureFlag, User
from inventory.models import StockLevel, Variant
from orders import services as orders
from orders.models import Order, OrderEdit, RefundRequest
from pricing.models import Price, ShippingZone, TaxRate
from tests import factories
from tests.conftest import actor_for
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FORM = {"name": "Ada Marsh", "line1": "2 Harbour Street", "line2": "", "city": "Portland", "state": "ME", "postal_code": "04101", "country": "US", "phone": ""}  # fmt: skip
BOSTON = {**FORM, "city": "Boston", "state": "MA", "postal_code": "02108"}


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def text(answer: Any) -> str:
    content: str = answer.content.decode()
    return content


def place_of(order: Order) -> str:
    return f"/orders/{order.number}/change/"


def look(page: Client, order: Order, status: int = 200, **form: Any) -> Any:
    answer = page.post(place_of(order), {**form, "step": "review"})
    assert answer.status_code == status, text(answer)
    return answer


def do(page: Client, order: Order, shown: Any, **form: Any) -> Any:
    """Press the button of a page that was shown: it sends all that it carried."""
    carried = dict(shown.context["carried"])
    quote = shown.context["proposal"].quote_id
    return page.post(place_of(order), {**carried, "quote": quote, "step": "do", **form})


def untouched(order: Order) -> None:
    assert not OrderEdit.objects.exists()
    assert not RefundRequest.objects.exists()
    assert Order.objects.count() == 1
    assert reload(order).shipping_address == ADDRESS
    assert [line.cancelled_quantity for line in order.lines.order_by("id")] == [0, 0]


@pytest.fixture
def tea(paid: Order) -> Variant:
    """Something else for 4.00, five of it in stock."""
    product = factories.make_product(name="Harbour tea")
    return factories.make_priced_variant("4.00", available=5, product=product)


def test_the_page_shows_the_order_as_it_is(paid: Order, page: Client) -> None:
    first, second = paid.lines.order_by("id")
    assert place_of(paid) in text(page.get(f"/orders/{paid.number}/"))

    shown = page.get(place_of(paid))

    assert shown.status_code == 200
    assert f'name="units-{first.id}"' in text(shown)
    assert [line["quantity"] for line in shown.context["lines"]] == [3, 1]
    assert 'value="1 Harbour Street"' in text(shown)
    same = {
        **FORM,
        "line1": "1 Harbour Street",
        f"units-{first.id}": "3",
        f"units-{second.id}": "1",
    }
    nothing = look(page, paid, 422, **same)
    assert "This would change nothing." in text(nothing)
    untouched(paid)


def test_all_at_once_is_shown_and_then_done_once(paid: Order, page: Client, tea: Variant) -> None:
    first, _second = paid.lines.order_by("id")
    wanted = {**FORM, f"units-{first.id}": "1", f"add-{tea.sku}": "2"}

    shown = look(page, paid, **wanted)

    said = " ".join(text(shown).split())
    assert "3 before, 1 then" in said
    assert [row["brings"] for row in shown.context["out"]] == [
        Decimal("21.98")
    ]  # 2 x 9.99, with tax
    assert [(row["quantity"], row["unit_price"]) for row in shown.context["more"]] == [
        (2, Decimal(4))
    ]
    assert "Change it and pay $8.80" in said  # 8.00 with 10 % tax; the parcel costs the same
    assert "Portland ME 04101<br>United States<br>" in said
    untouched(paid)
    key = {"key": "a" * 32}
    answers = [do(page, paid, shown, **key) for _ in range(2)]

    added = paid.additions.get()
    assert {answer["Location"] for answer in answers} == {f"/orders/{added.number}/pay/"}
    assert (added.status, added.grand_total) == ("draft", Decimal("8.80"))
    assert paid.refund_requests.get().amount == Decimal("21.98")
    assert paid.lines.get(pk=first.pk).cancelled_quantity == 2
    assert reload(paid).shipping_address["line1"] == "2 Harbour Street"
    assert {edit.reason for edit in OrderEdit.objects.all()} == {"by the customer"}
    assert StockLevel.objects.get(variant=tea).reserved == 2


def test_more_of_a_thing_is_an_addition(paid: Order, page: Client) -> None:
    _first, second = paid.lines.order_by("id")

    shown = look(page, paid, **{f"units-{second.id}": "2"})

    assert "As an order of its own" in text(shown)
    assert "Change it and pay $22.00" in text(shown)
    do(page, paid, shown)
    assert paid.additions.get().lines.get().quantity == 1
    assert paid.lines.get(pk=second.pk).cancelled_quantity == 0


def test_goods_are_found_by_their_name(paid: Order, page: Client, tea: Variant) -> None:
    first, _second = paid.lines.order_by("id")
    gone = factories.make_priced_variant("4.00", available=0, product=factories.make_product(name="Harbour tea, gone"))  # fmt: skip
    typed = {f"units-{first.id}": "2", "city": "Bangor"}

    found = page.post(place_of(paid), {**typed, "find": "harbour tea", "step": "find"})

    assert found.status_code == 200
    assert [row["field"] for row in found.context["found"]] == [f"add-{tea.sku}"]
    assert gone.sku not in text(found)
    assert found.context["lines"][0]["quantity"] == 2  # what was typed elsewhere stays
    assert 'value="Bangor"' in text(found)
    entered = page.post(place_of(paid), {**typed, "find": "harbour tea", "step": "review"})
    assert entered.context["found"] == found.context["found"]  # the enter key looks for it first
    chosen = page.post(place_of(paid), {"find": "kelp", "step": "find", f"add-{tea.sku}": "3"})
    assert [(row["name"], row["quantity"]) for row in chosen.context["added"]] == [("Harbour tea", 3)]  # fmt: skip
    assert "There is nothing in stock for “kelp”." in text(chosen)
    untouched(paid)


def test_another_way_to_ship(paid: Order, page: Client, tea: Variant) -> None:
    zone = ShippingZone.objects.get()
    factories.make_shipping_rule("12.00", zone=zone, code="express", name="Express")
    factories.make_shipping_rule("2.00", zone=zone, code="slow", name="Slow boat")

    refused = look(page, paid, 422, shipping_option="express")
    assert (
        "This would cost more to ship than was paid."
        in refused.context["errors"]["shipping_option"]
    )
    both = look(page, paid, shipping_option="express", **{f"add-{tea.sku}": "1"})
    assert "Express instead of Standard" in text(both)
    assert both.context["proposal"].to_pay == Decimal("12.10")  # 4.00 + 7.00, with tax
    less = look(page, paid, shipping_option="slow")
    assert "Shipping costs less" in text(less)
    untouched(paid)

    do(page, paid, less)

    assert reload(paid).shipping_option == "slow"
    assert paid.refund_requests.get().amount == Decimal("3.30")
    unknown = look(page, paid, 422, shipping_option="by-mule")
    assert "Offered there is only" in unknown.context["errors"]["shipping_option"]


def test_where_it_goes(paid: Order, page: Client) -> None:
    for state, price in (("MA", "2.00"), ("VT", "9.00")):
        zone = ShippingZone.objects.create(company_id=paid.company_id, name=state, countries=["US"], states=[state])  # fmt: skip
        factories.make_shipping_rule(price, zone=zone)
    vermont = {**FORM, "city": "Burlington", "state": "VT", "postal_code": "05401"}

    assert look(page, paid, **BOSTON).context["proposal"].to_refund == Decimal("3.30")

    refused = look(page, paid, 422, **vermont)
    assert "This would cost more to ship than was paid." in refused.context["errors"]["country"]
    factories.make_tax_rate("0.05", country="US", state="MA", name="MA tax", type="SALES_TAX")
    refused = look(page, paid, 422, **BOSTON)
    assert "Another tax is due there than was paid." in text(refused)
    assert 'value="Boston"' in text(refused)  # what was typed is not lost
    abroad = look(page, paid, 422, **{**FORM, "country": "FR", "state": "", "postal_code": "75001"})
    assert set(abroad.context["errors"]) == {"country"}
    missing = look(page, paid, 422, **{**FORM, "city": ""})
    assert set(missing.context["errors"]) == {"city"}
    untouched(paid)


def test_another_address_on_the_bill(paid: Order, page: Client) -> None:
    bill = {f"bill_{name}": value for name, value in BOSTON.items()}

    half = look(page, paid, 422, bill_name="Ada", bill_country="US")
    assert {"bill_line1", "bill_city", "bill_state", "bill_postal_code"} <= set(
        half.context["errors"]
    )
    shown = look(page, paid, **bill)

    assert "On the bill" in text(shown)
    untouched(paid)
    do(page, paid, shown)
    changed = reload(paid)
    assert changed.billing_address["city"] == "Boston"
    assert changed.shipping_address == ADDRESS


def test_no_more_than_there_is(paid: Order, page: Client, tea: Variant) -> None:
    first, second = paid.lines.order_by("id")
    wanted = {f"add-{tea.sku}": "6", f"units-{second.id}": "9"}

    refused = look(page, paid, 422, **wanted)

    assert refused.context["errors"] == {
        f"add-{tea.sku}": "There are only 5 left.",
        f"units-{second.id}": "There are only 3 left.",
    }
    assert text(refused).count("field__error") == 2
    for name, value in ((f"units-{first.id}", "-1"), (f"units-{first.id}", "x"), (f"add-{tea.sku}", "999"), (f"units-{first.id}", "²")):  # fmt: skip
        odd = look(page, paid, 422, **{name: value})
        assert set(odd.context["errors"]) == {name}
    none = look(page, paid, 422, **{f"units-{first.id}": "0", f"units-{second.id}": "0"})
    assert "Nothing would be left: cancel the order instead." in text(none)
    unknown = look(page, paid, 422, **{"add-NO-SUCH": "1"})
    assert set(unknown.context["errors"]) == {"add-NO-SUCH"}
    untouched(paid)


def test_somebody_else_was_quicker(paid: Order, page: Client, tea: Variant) -> None:
    shown = look(page, paid, **{f"add-{tea.sku}": "2"})
    StockLevel.objects.filter(variant=tea).update(available=1, total=1)

    refused = do(page, paid, shown)

    assert refused.status_code == 422
    assert refused.context["errors"] == {f"add-{tea.sku}": "There is only 1 left."}
    untouched(paid)


def test_what_was_shown_must_still_be_so(paid: Order, page: Client, tea: Variant) -> None:
    shown = look(page, paid, **{f"add-{tea.sku}": "2"})
    Price.objects.filter(variant=tea).update(amount="5.00")

    again = do(page, paid, shown)

    assert again.status_code == 200
    assert "This has changed since you saw it." in text(again)
    assert "Change it and pay $11.00" in text(again)
    untouched(paid)
    assert do(page, paid, again).status_code == 302
    assert paid.additions.get().grand_total == Decimal("11.00")


def test_going_back_loses_nothing(paid: Order, page: Client, tea: Variant) -> None:
    first, _second = paid.lines.order_by("id")
    shown = look(page, paid, **{**FORM, f"units-{first.id}": "2", f"add-{tea.sku}": "1"})

    back = page.post(place_of(paid), {**dict(shown.context["carried"]), "step": "back"})

    assert back.status_code == 200
    assert back.context["lines"][0]["quantity"] == 2
    assert back.context["added"][0]["quantity"] == 1
    assert 'value="2 Harbour Street"' in text(back)


def test_once_it_is_packed_it_is_too_late(paid: Order, page: Client, staff: Any, now: Any) -> None:
    first, _second = paid.lines.order_by("id")
    shown = look(page, paid, **{f"units-{first.id}": "2"})
    orders.process(actor=staff, order_id=paid.id, now=now)

    late = do(page, paid, shown)

    assert late.status_code == 409
    assert "It cannot be changed now" in text(late)
    assert f"/orders/{paid.number}/cancel-items/" in text(late)  # what can be done instead
    assert page.get(place_of(paid)).status_code == 409
    scripted = page.post(place_of(paid), {"step": "review"}, headers={"HX-Request": "true"})
    assert scripted["HX-Redirect"] == place_of(paid)
    whole = text(page.get(f"/orders/{paid.number}/"))
    assert place_of(paid) not in whole
    assert f"/orders/{paid.number}/cancel-items/" in whole
    untouched(paid)


def test_it_is_nobody_elses_and_not_for_what_is_unpaid(draft: Order, page: Client) -> None:
    stranger = Client()
    stranger.force_login(factories.make_user(), BACKEND)

    assert stranger.get(place_of(draft)).status_code == 404
    assert stranger.post(place_of(draft), {"step": "do"}).status_code == 404
    assert Client().get(f"{place_of(draft)}?token={orders.access_token(draft)}").status_code == 404
    waiting = page.get(place_of(draft))
    assert waiting.status_code == 409
    assert "put it back into the cart to change it" in text(waiting)
    assert not OrderEdit.objects.exists()


def test_where_parts_cannot_be_cancelled_only_more_is_asked_for(paid: Order, page: Client) -> None:
    FeatureFlag.objects.create(name="ORDER_ENABLE_PARTIAL_CANCELLATION", enabled=False)
    flags.forget()
    first, _second = paid.lines.order_by("id")

    assert page.get(place_of(paid)).context["lines"][0]["least"] == 3
    refused = look(page, paid, 422, **{f"units-{first.id}": "2"})
    assert set(refused.context["errors"]) == {f"units-{first.id}"}
    assert look(page, paid, **{f"units-{first.id}": "4"}).context["proposal"].to_pay


def test_what_was_added_is_shown_with_its_price_and_a_way_to_pay(paid: Order, page: Client, user: User, now: Any) -> None:  # fmt: skip
    tea = factories.make_priced_variant("4.00", available=2)
    buyer = orders.Edit(add=[orders.DirectItem(tea.sku, 1)])
    actor = actor_for(user, paid.company)
    about: dict[str, Any] = {"actor": actor, "order_id": paid.id, "edit": buyer, "now": now}
    shown = orders.preview_edit(**about)
    added = orders.apply_edit(**about, quote_id=shown.quote_id, reason="x").addition
    assert added is not None

    whole = text(page.get(f"/orders/{paid.number}/"))
    assert f"/orders/{added.number}/pay/" in whole
    assert "$4.40" in whole
    assert f"/orders/{paid.number}/" in text(page.get(f"/orders/{added.number}/"))


def test_pages_tell_each_tax_with_what_it_is_on(paid: Order, page: Client) -> None:
    """Of 49.97 and 5.00 shipping, 10 % each: as it was frozen, whatever the rates are by now."""
    TaxRate.objects.update(rate=Decimal("0.50"))

    whole = " ".join(text(page.get(f"/orders/{paid.number}/")).split())
    printed = " ".join(text(page.get(f"/orders/{paid.number}/invoice/")).split())

    assert "Sales tax 10 %, on $54.97</dt><dd>$5.50</dd>" in whole
    assert "Sales tax 10 %, on 49.97</dt><dd>5.00</dd>" in printed
    assert "Tax on shipping, on 5.00</dt><dd>0.50</dd>" in printed
