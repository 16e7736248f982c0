"""A placed order is changed as it was shown: what leaves gives its frozen shares back, what comes is paid for itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from config.platform import invariants, relay
from config.platform.models import OutboxEvent
from inventory.models import Reservation, StockLevel
from orders import services as orders
from orders.models import Order, OrderEdit, RefundRequest
from orders.services import DirectItem, Units
from pricing.models import Price, ShippingRule, ShippingZone
from tests import factories
from tests.conftest import Api
from tests.orders.conftest import ADDRESS, reload

pytestmark = pytest.mark.django_db

NEARBY = {**ADDRESS, "line1": "2 Harbour Street"}
BOSTON = {**ADDRESS, "city": "Boston", "state": "MA", "postalCode": "02108"}


def preview(api: Api, order: Any, body: dict[str, Any], status: int = 200) -> Any:
    answer = api.post(f"/orders/{order.number}/edits/preview", body)
    assert answer.status_code == status, answer.json()
    return answer.json()


def apply(api: Api, order: Any, body: dict[str, Any], status: int = 200, **more: Any) -> Any:
    quote_id = more.pop("quoteId", None) or preview(api, order, body)["quoteId"]
    answer = api.post(f"/orders/{order.id}/edits", {**body, "quoteId": quote_id, **more})
    assert answer.status_code == status, answer.json()
    return answer.json()


def untouched(order: Any) -> None:
    """Nothing was written: no edit, no refund, no addition, no stock, no event."""
    assert not OrderEdit.objects.exists()
    assert not RefundRequest.objects.exists()
    assert Order.objects.count() == 1
    assert not OutboxEvent.objects.filter(
        name__in=["order.edited", "order.items_cancelled"]
    ).exists()
    assert [line.cancelled_quantity for line in reload(order).lines.all()] == [0, 0]
    assert reload(order).shipping_address == order.shipping_address


def on_shelf(variant: Any) -> tuple[int, int]:
    return StockLevel.objects.values_list("available", "reserved").get(variant=variant)


def sound() -> None:
    """All rules of orders hold that do not ask for a real payment."""
    checks = [check for check in invariants.all_checks() if check.id in {"I05", "I06", "I07", "O03", "O04", "O06", "O07", "R03", "E01"}]  # fmt: skip
    assert [found.to_json() for found in invariants.run(checks) if not found.holds] == []


@pytest.fixture
def express(shop: Any) -> ShippingRule:
    """A faster way in the same zone, for 12.00."""
    zone = ShippingZone.objects.get()
    return factories.make_shipping_rule("12.00", zone=zone, code="express", name="Express")


def test_a_preview_says_of_each_line_that_there_is_not_enough(
    paid: Any, user_api: Api, staff_api: Api, variant: Any
) -> None:
    first, second = paid.lines.order_by("position")
    tea = factories.make_priced_variant("4.00", available=5)
    there = on_shelf(variant)[0]
    body: dict[str, Any] = {
        "items": [{"itemId": str(second.id), "quantity": 5}, {"itemId": str(first.id), "quantity": 4}],
        "add": [{"sku": tea.sku, "quantity": 6}, {"sku": "NO-SUCH", "quantity": 1}],
    }  # fmt: skip

    for api in (user_api, staff_api):
        refused = preview(api, paid, body, 400)
        assert refused["code"] == "VALIDATION_ERROR"
        assert [(row["field"], row["code"], row["message"]) for row in refused["errors"]] == [
            ("add.1.sku", "PRODUCT_NOT_FOUND", "There is no such product."),
            ("items.0.quantity", "ITEM_OUT_OF_STOCK", "There are only 3 left."),
            ("add.0.quantity", "ITEM_OUT_OF_STOCK", "There are only 5 left."),
        ]
    untouched(paid)
    # The same thing in two places is counted once, and what leaves the order counts as there.
    twice = {
        "items": [{"itemId": str(first.id), "quantity": 4}],
        "add": [{"sku": first.sku, "quantity": there}],
    }
    short = preview(user_api, paid, twice, 400)["errors"]
    assert [row["field"] for row in short] == ["items.0.quantity", "add.0.quantity"]
    swapped = {**twice, "items": [{"itemId": str(first.id), "quantity": 2}]}
    assert preview(
        user_api, paid, {**swapped, "add": [{"sku": first.sku, "quantity": there + 2}]}, 400
    )
    all_there = {**swapped, "add": [{"sku": first.sku, "quantity": there + 1}]}
    assert apply(user_api, paid, all_there)["addition"] is not None
    assert on_shelf(variant) == (0, there + 1)


# --- taking out ---------------------------------------------------------------------------------------


def test_what_is_shown_is_what_is_done(
    paid: Any, user_api: Api, variant: Any, refunds: Any
) -> None:
    first, _second = paid.lines.all()
    body = {"items": [{"itemId": str(first.id), "quantity": 1}]}

    shown = preview(user_api, paid, body)

    untouched(paid)
    assert shown["difference"] == {"kind": "refund", "toPay": "0.00", "toRefund": "21.98"}
    assert [(row["quantityBefore"], row["quantityAfter"], row["refund"]) for row in shown["items"]] == [
        (3, 1, "21.98"),
        (1, 1, "0.00"),
    ]  # fmt: skip
    assert shown["added"] == []
    assert shown["shipping"]["difference"] == "0.00"
    assert preview(user_api, paid, body)["quoteId"] == shown["quoteId"]

    done = apply(user_api, paid, body, quoteId=shown["quoteId"], reason="too many")

    assert (done["toRefund"], done["toPay"], done["addition"]) == ("21.98", "0.00", None)
    assert [line["cancelledQuantity"] for line in done["order"]["items"]] == [2, 0]
    assert on_shelf(variant) == (9, 0)
    edit = OrderEdit.objects.get()
    assert (edit.field, edit.old, edit.new, edit.reason) == (f"{first.sku}.cancelled_quantity", 0, 2, "too many")  # fmt: skip
    event = OutboxEvent.objects.get(name="order.edited")
    assert event.payload["fields"] == ["items"]
    assert event.payload["to_refund"] == "21.98"
    assert refunds(paid) == [Decimal("21.98")]
    assert orders.refundable(reload(paid)) == Decimal("60.47") - Decimal("21.98")
    sound()


def test_a_quote_is_good_for_one_state_of_the_order(paid: Any, user_api: Api, staff: Any, now: Any) -> None:  # fmt: skip
    first, second = paid.lines.all()
    body = {"items": [{"itemId": str(first.id), "quantity": 1}]}
    shown = preview(user_api, paid, body)
    orders.request_refund(actor=staff, order_id=paid.id, amount=Decimal("50.00"), reason="x", now=now)  # fmt: skip

    answer = apply(user_api, paid, body, status=409, quoteId=shown["quoteId"])

    assert answer["code"] == "PRICE_CHANGED"
    assert answer["extra"]["toRefund"] == "10.47"  # what is left of the payment
    assert answer["extra"]["quoteId"] == preview(user_api, paid, body)["quoteId"]
    assert [line.cancelled_quantity for line in reload(paid).lines.all()] == [0, 0]
    apply(user_api, paid, body, quoteId=answer["extra"]["quoteId"])
    # the same once more is another edit: it finds that nothing would change
    again = user_api.post(f"/orders/{paid.id}/edits", {**body, "quoteId": shown["quoteId"]})
    assert (again.status_code, again.json()["code"]) == (400, "VALIDATION_ERROR")
    other = {"items": [{"itemId": str(second.id), "quantity": 0}]}
    assert apply(user_api, paid, other, status=409, quoteId=shown["quoteId"])["code"] == "PRICE_CHANGED"  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"itemId": "first", "quantity": 3}]}, "items"),
        ({"items": [{"itemId": "first", "quantity": 0}, {"itemId": "second", "quantity": 0}]}, "items"),
        ({"items": [{"itemId": "first", "quantity": -1}]}, "items.0.quantity"),
        ({"items": [{"itemId": "order", "quantity": 1}]}, "items.0.itemId"),
        ({"items": [{"itemId": "first", "quantity": 1}, {"itemId": "first", "quantity": 2}]}, "items"),
        ({"add": [{"sku": "NO-SUCH", "quantity": 1}]}, "add.0.sku"),
        ({"shippingAddress": {**ADDRESS, "city": ""}}, "shippingAddress.city"),
        ({"shippingAddress": {**ADDRESS, "name": "4242424242424242"}}, "shippingAddress.name"),
        ({"shippingOption": "teleport"}, "shippingOption"),
        ({"price": "1.00", "shippingOption": "standard"}, "price"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(paid: Any, user_api: Api, body: Any, field: str) -> None:  # fmt: skip
    first, second = paid.lines.all()
    ids = {"first": str(first.id), "second": str(second.id), "order": str(paid.id)}
    if body.get("items"):
        body = {"items": [{**item, "itemId": ids[item["itemId"]]} for item in body["items"]]}
    for path, more in (("/preview", {}), ("", {"quoteId": "x"})):
        answer = user_api.post(f"/orders/{paid.id}/edits{path}", {**body, **more})
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
        assert field in [error["field"] for error in answer.json()["errors"]]
    untouched(paid)


def test_who_may_change_it_and_until_when(
    draft: Any, user_api: Api, staff_api: Api, guest_api: Api, staff: Any, system: Any, now: Any
) -> None:
    first, _second = draft.lines.all()
    body = {"items": [{"itemId": str(first.id), "quantity": 1}]}
    assert preview(user_api, draft, body, 409)["extra"]["code"] == "NOT_PAID"
    orders.set_payment_status(actor=system, order_id=draft.id, status="captured", now=now)
    orders.confirm(actor=system, order_id=draft.id, now=now)
    stranger = Api().as_user(factories.make_user())
    for caller in (stranger, guest_api):
        assert preview(caller, draft, body, 404)["code"] == "ORDER_NOT_FOUND"
    assert preview(user_api, draft, {**body, "waiveShipping": True}, 403)["code"] == "FORBIDDEN"

    orders.process(actor=staff, order_id=draft.id, now=now)
    assert preview(user_api, draft, body, 409)["code"] == "ORDER_NOT_EDITABLE"
    assert preview(staff_api, draft, body)["difference"]["kind"] == "refund"
    orders.ship(actor=staff, order_id=draft.id, units=[Units(first.id, 1)], now=now)
    refused = preview(staff_api, draft, body, 409)
    assert (refused["code"], refused["extra"]["code"]) == ("ORDER_NOT_EDITABLE", "PARTLY_SENT")
    untouched(draft)


# --- where it goes, and how -----------------------------------------------------------------------------


def test_a_cheaper_way_gives_back_what_it_costs_less(
    paid: Any, user_api: Api, express: Any, refunds: Any, staff: Any, now: Any
) -> None:
    ShippingRule.objects.filter(code="standard").update(base_price=Decimal("2.00"))
    factories.make_shipping_rule("3.50", zone=express.zone, code="slow", name="By boat")

    shown = preview(user_api, paid, {"shippingOption": "slow"})

    # 5.00 + 10 % was paid; 1.50 + 10 % of it comes back
    assert shown["shipping"]["refund"] == shown["difference"]["toRefund"] == "1.65"
    assert (shown["shipping"]["priceBefore"], shown["shipping"]["priceAfter"]) == ("5.00", "3.50")
    assert {way["id"] for way in shown["shipping"]["options"]} == {"standard", "express", "slow"}
    done = apply(user_api, paid, {"shippingOption": "slow"}, reason="no hurry")
    assert (done["order"]["shippingOption"], done["order"]["shippingName"]) == ("slow", "By boat")
    assert {edit.field for edit in OrderEdit.objects.all()} == {"shipping_option", "shipping_name"}
    assert refunds(paid) == [Decimal("1.65")]

    orders.cancel(actor=staff, order_id=paid.id, now=now)  # and all the rest comes back later
    assert refunds(paid) == [Decimal("58.82")]
    assert reload(paid).refunded_total == Decimal("60.47")
    sound()


def test_a_dearer_way_is_not_charged_afterwards_and_staff_may_pay_for_it(
    paid: Any, user_api: Api, staff_api: Api, express: Any
) -> None:
    refused = preview(user_api, paid, {"shippingOption": "express"}, 409)
    assert (refused["code"], refused["extra"]["shipping"]) == ("ORDER_EDIT_COSTS_MORE", "7.00")
    assert preview(staff_api, paid, {"shippingOption": "express"}, 409)["code"] == refused["code"]
    untouched(paid)

    body = {"shippingOption": "express", "waiveShipping": True}
    shown = preview(staff_api, paid, body)
    assert (shown["shipping"]["waived"], shown["difference"]["kind"]) == ("7.00", "none")
    apply(staff_api, paid, body, reason="we were late")

    assert reload(paid).shipping_option == "express"
    assert reload(paid).grand_total == paid.grand_total
    waived = OrderEdit.objects.get(field="shipping_waived")
    assert (waived.new, waived.reason) == ("7.00", "we were late")
    assert not RefundRequest.objects.exists()


def test_another_place_at_the_same_price_and_tax(paid: Any, user_api: Api) -> None:
    shown = preview(user_api, paid, {"shippingAddress": BOSTON})
    assert shown["difference"]["kind"] == "none"
    done = apply(user_api, paid, {"shippingAddress": BOSTON, "billingAddress": NEARBY}, reason="moved")  # fmt: skip

    assert done["order"]["shippingAddress"]["city"] == "Boston"
    assert done["order"]["billingAddress"]["line1"] == "2 Harbour Street"
    edits = {edit.field: edit for edit in OrderEdit.objects.all()}
    assert edits["shipping_address"].old["city"] == "Portland"
    assert done["order"]["totals"] == user_api.get(f"/orders/{paid.id}").json()["totals"]


def test_where_another_tax_is_due_it_does_not_go(paid: Any, user_api: Api, staff_api: Api) -> None:
    factories.make_tax_rate("0.05", country="US", state="MA", name="MA tax", type="SALES_TAX")

    for caller in (user_api, staff_api):
        refused = preview(caller, paid, {"shippingAddress": BOSTON}, 409)
        assert (refused["code"], refused["extra"]["code"]) == ("ORDER_ADDRESS_FIXED", "TAX_DIFFERS")
    untouched(paid)


def test_customers_do_not_send_it_abroad(paid: Any, user_api: Api, staff_api: Api) -> None:
    abroad = {**ADDRESS, "country": "DE", "state": "", "city": "Bremen", "postalCode": "28195"}
    assert preview(user_api, paid, {"shippingAddress": abroad}, 409)["code"] == "ORDER_ADDRESS_FIXED"  # fmt: skip
    assert preview(staff_api, paid, {"shippingAddress": abroad}, 409)["code"] == "NO_SHIPPING_ZONE"
    Order.objects.update(review="pending")
    assert preview(user_api, paid, {"shippingAddress": BOSTON}, 409)["code"] == "ORDER_ADDRESS_FIXED"  # fmt: skip
    untouched(paid)


# --- adding ---------------------------------------------------------------------------------------------


def test_what_is_added_is_an_order_of_its_own_at_todays_price(
    paid: Any, user_api: Api, variant: Any
) -> None:
    first, _second = paid.lines.all()
    Price.objects.filter(variant=variant).update(amount=Decimal("12.00"))
    tea = factories.make_priced_variant("4.00", available=2)
    body = {"items": [{"itemId": str(first.id), "quantity": 5}], "add": [{"sku": tea.sku, "quantity": 1}]}  # fmt: skip

    shown = preview(user_api, paid, body)

    untouched(paid)
    # 2 x 12.00 + 4.00 and 10 % tax, in the parcel that is paid
    assert shown["difference"] == {"kind": "payment", "toPay": "30.80", "toRefund": "0.00"}
    assert [(row["quantity"], row["unitPrice"]) for row in shown["added"]] == [(2, "12.00"), (1, "4.00")]  # fmt: skip
    done = apply(user_api, paid, body, reason="more tea")

    added = Order.objects.get(adds_to=paid)
    assert done["addition"] == {
        "orderId": str(added.id),
        "orderNumber": added.number,
        "status": "draft",
        "paymentStatus": "pending",
        "grandTotal": "30.80",
    }
    assert (added.user_id, added.email) == (paid.user_id, paid.email)
    assert (added.shipping_total, added.shipping_address) == (Decimal(0), paid.shipping_address)
    assert [line.quantity for line in reload(paid).lines.all()] == [3, 1]  # what was bought stays
    assert reload(paid).grand_total == paid.grand_total
    assert on_shelf(variant) == (5, 2)
    assert Reservation.objects.filter(order_id=added.id, status="ACTIVE").count() == 2
    assert user_api.get(f"/orders/{added.number}").json()["status"] == "draft"
    assert OrderEdit.objects.get().field == "addition"
    sound()


def test_what_a_heavier_parcel_costs_more_is_paid_with_what_is_added(
    paid: Any, user_api: Api, express: Any
) -> None:
    tea = factories.make_priced_variant("4.00", available=2)
    body = {"add": [{"sku": tea.sku, "quantity": 1}], "shippingOption": "express"}

    shown = preview(user_api, paid, body)

    # 4.00 and the 7.00 that express costs more, each with 10 % tax
    assert shown["difference"]["toPay"] == "12.10"
    assert shown["shipping"]["difference"] == "7.00"
    apply(user_api, paid, body)
    added = Order.objects.get(adds_to=paid)
    assert (added.shipping_total, added.grand_total) == (Decimal("7.00"), Decimal("12.10"))
    assert (added.shipping_option, reload(paid).shipping_option) == ("express", "express")
    sound()


def test_nothing_is_added_that_is_not_there(paid: Any, user_api: Api, variant: Any) -> None:
    first, _second = paid.lines.all()
    rare = factories.make_priced_variant("4.00", available=2)
    body = {"items": [{"itemId": str(first.id), "quantity": 1}], "add": [{"sku": rare.sku, "quantity": 2}]}  # fmt: skip
    shown = preview(user_api, paid, body)
    StockLevel.objects.filter(variant=rare).update(available=1, total=1)  # somebody was quicker

    answer = apply(user_api, paid, body, status=409, quoteId=shown["quoteId"])

    assert answer["code"] == "INVENTORY_HOLD_FAILED"
    untouched(paid)
    assert on_shelf(variant) == (7, 0)
    assert on_shelf(rare) == (1, 0)


def test_one_goes_and_another_comes_at_once(
    paid: Any, staff_api: Api, variant: Any, staff: Any
) -> None:
    first, _second = paid.lines.all()
    tea = factories.make_priced_variant("4.00", available=2)
    body = {"items": [{"itemId": str(first.id), "quantity": 2}], "add": [{"sku": tea.sku, "quantity": 1}]}  # fmt: skip

    done = apply(staff_api, paid, body, reason="on the phone")

    assert (done["toRefund"], done["toPay"]) == ("10.99", "4.40")
    added = Order.objects.get(adds_to=paid)
    assert added.user_id == paid.user_id != staff.user_id
    assert (on_shelf(variant), on_shelf(tea)) == ((8, 0), (1, 1))
    assert {edit.actor for edit in OrderEdit.objects.all()} == {staff.label}
    sound()


def test_an_engraving_goes_along(shop: Any, actor_user: Any, user_api: Api, system: Any, now: Any) -> None:  # fmt: skip
    ring = factories.make_priced_variant("10.00", available=5)
    order = orders.place_direct(actor=actor_user, items=[DirectItem(ring.sku, 1)], email="a@example.com", shipping_address=ADDRESS, now=now)  # fmt: skip
    order.lines.update(customization={"text": "Ada"}, note="wrapped")
    orders.set_payment_status(actor=system, order_id=order.id, status="captured", now=now)
    orders.confirm(actor=system, order_id=order.id, now=now)

    apply(user_api, order, {"items": [{"itemId": str(order.lines.get().id), "quantity": 2}]})

    line = Order.objects.get(adds_to=order).lines.get()
    assert (line.customization, line.note) == ({"text": "Ada"}, "wrapped")


def test_what_was_added_ends_with_the_order_unless_it_is_paid(
    paid: Any, user_api: Api, system: Any, now: Any
) -> None:
    tea = factories.make_priced_variant("4.00", available=2)
    body = {"add": [{"sku": tea.sku, "quantity": 1}]}
    unpaid = apply(user_api, paid, body)["addition"]["orderId"]
    bought = apply(user_api, paid, body)["addition"]["orderId"]
    orders.set_payment_status(actor=system, order_id=bought, status="captured", now=now)
    orders.confirm(actor=system, order_id=bought, now=now)
    orders.cancel(actor=system, order_id=paid.id, now=now)

    relay.relay_due(now=now)
    orders.end_additions(order_id=paid.id, now=now)

    assert Order.objects.get(pk=unpaid).status == "cancelled"
    left = Order.objects.get(pk=bought)
    assert (left.status, left.needs_attention[:31]) == (
        "confirmed",
        "The order that it adds to was c",
    )
    assert on_shelf(tea) == (1, 0)
    sound()
