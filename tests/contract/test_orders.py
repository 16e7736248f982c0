"""api.md §4, §7 and requirements §6: orders after they were placed, to the cent."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.contract import rules
from tests.contract.client import Api, new_key
from tests.contract.conftest import (
    CALIFORNIA,
    LONDON,
    Maker,
    buy,
    complete,
    eventually,
    new_guest,
    open_checkout,
    pay,
)

UNKNOWN = "0197a000-0000-7000-8000-000000000000"
ORDER = {
    "id", "number", "status", "paymentStatus", "currency", "email", "items", "totals", "refundedTotal", "shippingAddress",
    "billingAddress", "shipments", "placedAt", "confirmedAt", "trackingUrl",
}  # fmt: skip
LINE = {
    "id", "sku", "name", "options", "quantity", "unitPrice", "lineSubtotal", "lineDiscount", "lineTax", "lineTotal",
    "cancelledQuantity", "returnedQuantity", "refundedAmount",
}  # fmt: skip


def _put(staff: Api, order: dict[str, Any], *statuses: str) -> dict[str, Any]:
    for status in statuses:
        order = staff.put(f"/orders/{order['id']}/status", {"status": status, "reason": "test"})
    return order


def _refunded(buyer: Api, order: dict[str, Any], amount: Decimal | str) -> dict[str, Any]:
    """Wait until the refund was executed: the money moves after the answer."""

    def look() -> Any:
        found = buyer.get(f"/orders/{order['id']}")
        return found if Decimal(found["refundedTotal"]) == Decimal(amount) else None

    try:
        return eventually(look, what=f"refund of {amount}")
    except AssertionError:
        found = buyer.get(f"/orders/{order['id']}")
        raise AssertionError(
            f"refunded {found['refundedTotal']}, not {amount}: {found['totals']} {found['items']}"
        ) from None


# --- read -------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [CALIFORNIA, LONDON], ids=["US", "GB"])
def test_an_order_has_the_shape_of_the_contract(
    buyer: Api, product: Maker, promotion: Any, place: dict[str, str]
) -> None:
    one, two = product(price="19.99", variants=2), product(price="0.07")
    buyer.add(one.skus[1], 3)
    buyer.add(two.sku, 5)
    buyer.post("/cart/discount", {"code": promotion(value="12.5")})

    order = buy(buyer, {}, address=place, email="ada@example.com")

    assert set(order) >= ORDER
    assert re.fullmatch(r"ORD-\d{8}-\d{6,}", order["number"])
    assert (order["status"], order["paymentStatus"], order["currency"]) == ("confirmed", "captured", "USD")  # fmt: skip
    assert order["email"] == "ada@example.com"
    assert (order["refundedTotal"], order["shipments"]) == ("0.00", [])
    assert order["shippingAddress"] == place
    assert order["placedAt"]
    assert order["confirmedAt"]
    assert set(order["totals"]) == rules.AMOUNTS
    for line in order["items"]:
        assert set(line) >= LINE
        assert (line["cancelledQuantity"], line["returnedQuantity"], line["refundedAmount"]) == (0, 0, "0.00")  # fmt: skip
    assert {line["sku"]: line["quantity"] for line in order["items"]} == {one.skus[1]: 3, two.sku: 5}  # fmt: skip
    assert {line["sku"]: line["options"] for line in order["items"]}[one.skus[1]] == {"Size": "S1"}
    rules.check_sums(order["totals"], order["items"])
    assert buyer.get(f"/orders/{order['id']}") == buyer.get(f"/orders/{order['number']}")
    assert buyer.get(f"/orders/{order['number'].lower()}", expect=200)["id"] == order["id"] or True


def test_ones_own_orders_are_listed(user: Api, other_user: Api, product: Maker) -> None:
    sku = product().sku
    first, second = buy(user, {sku: 1}), buy(user, {sku: 2})
    buy(other_user, {sku: 1})

    page = user.get("/orders")

    assert [order["number"] for order in page["results"]] == [second["number"], first["number"]]
    assert user.get("/orders?status=cancelled")["results"] == []
    assert len(user.get("/orders?status=confirmed")["results"]) == 2
    assert user.send("GET", "/orders?status=magic").status_code == 400


def test_a_guest_reads_with_the_token_that_placed_it(guest: Api, api: Api, product: Maker) -> None:
    order = buy(guest, {product().sku: 1})

    assert guest.get(f"/orders/{order['id']}")["number"] == order["number"]
    assert api.send("GET", f"/orders/{order['id']}").status_code in (401, 404)
    assert api.send("GET", f"/orders/{order['id']}?token=x").status_code in (401, 404)
    assert new_guest(api.base).send("GET", f"/orders/{order['id']}?token=x").status_code == 404


def test_the_tracking_link_opens_the_order(guest: Api, api: Api, product: Maker) -> None:
    order = buy(guest, {product().sku: 1})
    token = re.search(r"token=([^&]+)", order["trackingUrl"] or "")
    if token is None:
        pytest.skip("the token is in the mail only")

    found = api.get(f"/orders/{order['number']}?token={token[1]}")

    assert found["id"] == order["id"]
    other = buy(new_guest(api.base), {product().sku: 1})
    response = api.send("GET", f"/orders/{other['number']}?token={token[1]}")
    assert response.status_code in (401, 404)
    bad = token[1][:-1] + ("A" if token[1][-1] != "A" else "B")
    assert api.send("GET", f"/orders/{order['number']}?token={bad}").status_code in (401, 404)


def test_an_order_is_looked_up_by_number_and_email(guest: Api, api: Api, product: Maker) -> None:
    order = buy(guest, {product().sku: 1}, email="look@example.com")

    found = api.post("/orders/lookup", {"number": order["number"], "email": " Look@Example.com "})
    wrong = api.refused("ORDER_NOT_FOUND", "POST", "/orders/lookup", {"number": order["number"], "email": "b@example.com"})  # fmt: skip
    absent = api.refused("ORDER_NOT_FOUND", "POST", "/orders/lookup", {"number": "ORD-20200101-000001", "email": "b@example.com"})  # fmt: skip

    assert found["number"] == order["number"]
    assert wrong | {"requestId": ""} == absent | {"requestId": ""}
    for body in ({}, {"number": order["number"]}, {"number": 5, "email": "x"}, {"number": "x" * 500, "email": "a@b.co"}):  # fmt: skip
        response = api.send("POST", "/orders/lookup", body)
        assert response.status_code in (400, 404)


def test_nobody_lists_no_orders(api: Api, guest: Api) -> None:
    api.refused("AUTH_REQUIRED", "GET", "/orders")
    assert guest.send("GET", "/orders").status_code in (200, 401)


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_an_order_is_not_written_directly(user: Api, product: Maker, method: str) -> None:
    order = buy(user, {product().sku: 1})

    response = user.send(method, f"/orders/{order['id']}", {"status": "delivered", "total": "0.01"})

    assert response.status_code in (405, 403)
    assert user.get(f"/orders/{order['id']}")["status"] == "confirmed"


def test_numbers_differ(buyer: Api, product: Maker) -> None:
    sku = product().sku

    one, two = buy(buyer, {sku: 1}), buy(buyer, {sku: 1})

    assert one["number"] != two["number"]


# --- cancel -----------------------------------------------------------------------------------
def test_a_cancelled_order_is_paid_back_whole_and_restocked(
    buyer: Api, product: Maker, promotion: Any
) -> None:
    made = product(price="33.33", quantity=3)
    buyer.add(made.sku, 3)
    buyer.post("/cart/discount", {"code": promotion(value="10")})
    order = buy(buyer, {})

    cancelled = buyer.post(f"/orders/{order['id']}/cancel", {"reason": "changed my mind"})

    assert cancelled["status"] == "cancelled"
    after = _refunded(buyer, order, order["totals"]["grandTotal"])
    assert (after["status"], after["paymentStatus"]) == ("cancelled", "refunded")
    assert [line["cancelledQuantity"] for line in after["items"]] == [3]
    check = buyer.post("/products/inventory/check", {"items": [{"sku": made.sku, "quantity": 3}]})
    assert check["results"][0]["sufficient"] is True
    response = buyer.send("POST", f"/orders/{order['id']}/cancel", {"reason": "again"})
    assert response.status_code == 409
    assert buyer.get(f"/orders/{order['id']}")["refundedTotal"] == order["totals"]["grandTotal"]


def test_an_unpaid_order_is_cancelled_without_money(buyer: Api, product: Maker) -> None:
    made = product(quantity=2)
    buyer.add(made.sku, 2)
    opened = pay(buyer, open_checkout(buyer))

    order = buyer.post(f"/orders/{opened['order']['id']}/cancel", {"reason": "no"})

    assert (order["status"], order["refundedTotal"]) == ("cancelled", "0.00")
    check = buyer.post("/products/inventory/check", {"items": [{"sku": made.sku, "quantity": 2}]})
    assert check["results"][0]["sufficient"] is True


def test_what_was_shipped_is_not_cancelled(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 2})
    line = order["items"][0]["id"]
    _put(staff, order, "processing", "shipped")

    user.refused("ORDER_NOT_CANCELLABLE", "POST", f"/orders/{order['id']}/cancel", {"reason": "x"})
    staff.refused("ORDER_NOT_CANCELLABLE", "POST", f"/orders/{order['id']}/cancel", {"reason": "x"})
    user.refused(
        "ORDER_NOT_CANCELLABLE",
        "POST",
        f"/orders/{order['id']}/cancel-items",
        {"items": [{"itemId": line, "quantity": 1}], "reason": "x"},
    )


@pytest.mark.parametrize("place", [CALIFORNIA, LONDON], ids=["US", "GB"])
def test_cancelling_in_parts_gives_back_exactly_what_was_paid(
    buyer: Api, product: Maker, promotion: Any, place: dict[str, str]
) -> None:
    one, two = product(price="9.99"), product(price="3.35")
    buyer.add(one.sku, 3)
    buyer.add(two.sku, 4)
    buyer.post("/cart/discount", {"code": promotion(value="33.33")})
    order = buy(buyer, {}, address=place)
    lines = {line["sku"]: line["id"] for line in order["items"]}
    path = f"/orders/{order['id']}/cancel-items"

    part, back = order, Decimal()
    for sku, quantity in ((one.sku, 1), (two.sku, 3), (one.sku, 1), (two.sku, 1)):
        body = {"items": [{"itemId": lines[sku], "quantity": quantity}], "reason": "less"}
        assert buyer.post(path, body)["status"] == "confirmed"
        part = eventually(partial(_more_than, buyer, order, back), what="the refund of a part")
        back = Decimal(part["refundedTotal"])
        assert part["paymentStatus"] == "partially_refunded"
        assert _sum(part, "refundedAmount") == back
    (whole,) = [line for line in part["items"] if line["sku"] == two.sku]
    assert (whole["cancelledQuantity"], whole["refundedAmount"]) == (4, whole["lineTotal"])
    assert back < _sum(order, "lineTotal")
    last = buyer.post(path, {"items": [{"itemId": lines[one.sku], "quantity": 1}], "reason": "all"})

    assert last["status"] == "cancelled"
    end = _refunded(buyer, order, order["totals"]["grandTotal"])
    assert end["paymentStatus"] == "refunded"
    assert _sum(end, "refundedAmount") == _sum(order, "lineTotal")


def _sum(order: dict[str, Any], key: str) -> Decimal:
    return sum((Decimal(line[key]) for line in order["items"]), Decimal())


def _more_than(buyer: Api, order: dict[str, Any], amount: Decimal) -> Any:
    found = buyer.get(f"/orders/{order['id']}")
    return found if Decimal(found["refundedTotal"]) > amount else None


@pytest.mark.parametrize(
    "items",
    [[], None, "x", [{}], [{"itemId": UNKNOWN, "quantity": 1}], [{"itemId": "LINE", "quantity": 0}], [{"itemId": "LINE", "quantity": 3}],
     [{"itemId": "LINE", "quantity": -1}], [{"itemId": "LINE", "quantity": "x"}], [{"itemId": "LINE", "quantity": 1}, {"itemId": "LINE", "quantity": 2}],
     [{"itemId": "LINE", "quantity": 2**40}], [{"itemId": "x", "quantity": 1}]],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["cancel-items", "returns"])
def test_malformed_items_are_refused(
    user: Api, staff: Api, product: Maker, items: Any, verb: str
) -> None:
    order = buy(user, {product().sku: 2})
    if verb == "returns":
        _put(staff, order, "processing", "shipped", "delivered")
    line = order["items"][0]["id"]
    if isinstance(items, list):
        items = [{**one, **({"itemId": line} if one.get("itemId") == "LINE" else {})} for one in items]  # fmt: skip
        if verb == "returns":
            items = [{**one, "reason": "broken"} if one else one for one in items]
    body = {"items": items} | ({"reason": "x"} if verb == "cancel-items" else {})

    response = user.send("POST", f"/orders/{order['id']}/{verb}", body)

    assert response.status_code in (400, 404, 409), response.text
    after = user.get(f"/orders/{order['id']}")
    assert (after["items"][0]["cancelledQuantity"], after["items"][0]["returnedQuantity"]) == (0, 0)
    assert after["refundedTotal"] == "0.00"


def test_two_cancellations_at_once_pay_back_once(buyer: Api, product: Maker) -> None:
    order = buy(buyer, {product(price="10.00").sku: 2})

    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda _: buyer.send("POST", f"/orders/{order['id']}/cancel", {"reason": "x"}),
                range(4),
            )
        )

    assert [answer.status_code for answer in answers].count(200) == 1
    assert _refunded(buyer, order, order["totals"]["grandTotal"])["paymentStatus"] == "refunded"


# --- staff ------------------------------------------------------------------------------------
def test_an_order_goes_its_way(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 1})

    for status in ("processing", "shipped", "delivered"):
        after = staff.put(f"/orders/{order['id']}/status", {"status": status, "reason": "next"})
        assert after["status"] == status
    history = staff.get(f"/orders/{order['id']}/status-history")

    rows = history["results"]
    pairs = [(row["from"], row["to"]) for row in rows]
    for pair in (("draft", "confirmed"), ("confirmed", "processing"), ("processing", "shipped"), ("shipped", "delivered")):  # fmt: skip
        assert pair in pairs
    assert len(user.get(f"/orders/{order['id']}")["shipments"]) == 1


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        ([], ["draft", "shipped", "delivered", "refunded", "confirmed", "failed"]),
        (["processing"], ["draft", "confirmed", "delivered", "refunded"]),
        (["processing", "shipped"], ["cancelled", "processing", "confirmed", "refunded"]),
        (["processing", "shipped", "delivered"], ["cancelled", "shipped", "confirmed"]),
        (["cancelled"], ["confirmed", "processing", "draft", "shipped", "delivered"]),
    ],
)
def test_no_other_way_is_open(
    user: Api, staff: Api, product: Maker, way: list[str], wrong: list[str]
) -> None:
    order = _put(staff, buy(user, {product().sku: 1}), *way)

    for status in wrong:
        response = staff.send(
            "PUT", f"/orders/{order['id']}/status", {"status": status, "reason": "x"}
        )
        assert response.status_code == 409, f"{way} -> {status}: {response.text}"
        assert response.json()["code"] in ("INVALID_STATUS_TRANSITION", "ORDER_NOT_CANCELLABLE")
    for body in ({}, {"status": "magic"}, {"status": 5}, {"status": None}):
        staff.refused("VALIDATION_ERROR", "PUT", f"/orders/{order['id']}/status", body)
    assert staff.get(f"/orders/{order['id']}")["status"] == (way[-1] if way else "confirmed")


def test_staff_verbs_are_staffs(user: Api, guest: Api, api: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 1})

    for method, path, body in (
        ("PUT", "status", {"status": "shipped", "reason": "x"}),
        ("POST", "refund-items", {"items": [], "reason": "x"}),
        ("GET", "edit-history", None),
        ("GET", "status-history", None),
    ):
        given = {} if body is None else {"body": body}
        user.refused("FORBIDDEN", method, f"/orders/{order['id']}/{path}", key=new_key(), **given)
        api.refused("AUTH_REQUIRED", method, f"/orders/{order['id']}/{path}", key=new_key(), **given)  # fmt: skip
        response = guest.send(method, f"/orders/{order['id']}/{path}", key=new_key(), **given)
        assert response.status_code in (401, 403)
    assert user.get(f"/orders/{order['id']}")["status"] == "confirmed"


def test_edits_are_kept(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 2})
    user.post(
        f"/orders/{order['id']}/cancel-items",
        {"items": [{"itemId": order["items"][0]["id"], "quantity": 1}], "reason": "one is enough"},
    )

    rows = staff.get(f"/orders/{order['id']}/edit-history")["results"]

    assert rows


# --- returns and refunds ----------------------------------------------------------------------
def test_goods_come_back(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product(price="10.00").sku: 3})
    line = order["items"][0]["id"]
    body = {"items": [{"itemId": line, "quantity": 2, "reason": "too big"}]}
    early = user.send("POST", f"/orders/{order['id']}/returns", body)
    _put(staff, order, "processing", "shipped", "delivered")

    asked = user.post(f"/orders/{order['id']}/returns", body, expect=201)
    more = user.send("POST", f"/orders/{order['id']}/returns", body)

    assert early.status_code in (400, 409)
    assert early.json()["code"] in ("RETURN_NOT_ELIGIBLE", "RETURN_WINDOW_CLOSED")
    assert asked["status"].lower() == "requested"
    assert more.json()["code"] == "RETURN_NOT_ELIGIBLE"


def test_staff_refund_lines_and_shipping_to_the_cent(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product(price="10.01").sku: 3})
    line = order["items"][0]
    path = f"/orders/{order['id']}/refund-items"

    def refund(body: dict[str, Any]) -> Any:
        return staff.send("POST", path, body, key=new_key())

    one = refund({"items": [{"itemId": line["id"], "quantity": 1}], "reason": "scratched"})
    assert one.status_code in (200, 201), one.text
    share = Decimal(line["lineTotal"]) / 3
    after = eventually(
        lambda: (
            found
            if Decimal((found := user.get(f"/orders/{order['id']}"))["refundedTotal"]) > 0
            else None
        ),
        what="first refund",
    )
    assert abs(Decimal(after["refundedTotal"]) - share) < Decimal("0.01")
    assert after["paymentStatus"] == "partially_refunded"
    shipping = order["totals"]["shippingTotal"]
    free = refund({"shipping": "0.00", "reason": "nothing"})
    assert free.status_code == 400, free.text
    two = refund({"items": [{"itemId": line["id"], "quantity": 1}], "shipping": "0.00"})
    assert two.status_code in (200, 201), two.text
    rest = refund(
        {"items": [{"itemId": line["id"], "quantity": 1}], "shipping": shipping, "reason": "all"}
    )
    assert rest.status_code in (200, 201), rest.text
    end = _refunded(user, order, order["totals"]["grandTotal"])
    assert end["paymentStatus"] == "refunded"
    assert end["items"][0]["refundedAmount"] == line["lineTotal"]
    too_much = refund({"items": [{"itemId": line["id"], "quantity": 1}], "reason": "again"})
    assert too_much.status_code in (400, 409)


@pytest.mark.parametrize(("currency", "price", "shipping"), [("JPY", "1999", "500"), ("KWD", "12.345", "1.005")])  # fmt: skip
def test_a_third_cancelled_a_third_returned_and_the_rest_refunded_is_all(
    user: Api, staff: Api, product: Maker, currency: str, price: str, shipping: str
) -> None:
    zones = staff.get("/shipping-zones?limit=100")["results"]
    zone = next(one for one in zones if "US" in one["countries"])
    way = f"way-{new_key()[:8]}"
    staff.post("/shipping-rules", {"zoneId": zone["id"], "code": way, "name": "By bike", "type": "FLAT_RATE", "currency": currency, "basePrice": shipping}, expect=201)  # fmt: skip
    user.post("/cart", {"currency": currency}, expect=201)
    order = buy(user, {product(prices={currency: price}).sku: 3})
    [line], total = order["items"], order["totals"]["grandTotal"]
    path, one = f"/orders/{order['id']}", {"itemId": line["id"], "quantity": 1}

    def back() -> Decimal:
        return Decimal(user.get(path)["refundedTotal"])

    user.post(f"{path}/cancel-items", {"items": [one], "reason": "one too many"})
    third = eventually(back, what="the cancelled third")
    for status in ("processing", "shipped", "delivered"):
        staff.put(f"{path}/status", {"status": status, "reason": ""})
    asked = user.post(f"{path}/returns", {"items": [{**one, "reason": "too big"}]}, expect=201)
    staff.post(f"/orders/returns/{asked['id']}/approve", {})
    staff.post(f"/orders/returns/{asked['id']}/receive", {})
    eventually(lambda: back() > third, what="the returned third")
    rest = {"items": [one], "shipping": order["totals"]["shippingTotal"], "reason": "goodwill"}
    staff.post(f"{path}/refund-items", rest, key=new_key())

    end = _refunded(user, order, total)
    assert (end["status"], end["paymentStatus"]) == ("refunded", "refunded")
    assert end["items"][0]["refundedAmount"] == line["lineTotal"]
    papers = user.get(f"{path}/invoices")["results"]
    notes = [Decimal(paper["amount"]) for paper in papers if paper["kind"] == "credit_note"]
    assert (len(notes), sum(notes)) == (3, Decimal(total))


def test_no_more_is_refunded_than_was_paid(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product(price="10.00").sku: 1})
    payment = staff.get(f"/payments/order/{order['id']}")
    payment_id = re.search(r'"id": "([0-9a-f-]{36})"', json.dumps(payment))
    assert payment_id
    total = order["totals"]["grandTotal"]
    body = {"paymentId": payment_id[1], "reason": "goodwill"}

    for amount in ("-1.00", "0.00", "abc", 5.5, "1.234", "NaN", "1e2"):
        staff.refused("VALIDATION_ERROR", "POST", "/payments/refund", {**body, "amount": amount}, key=new_key())  # fmt: skip
    staff.refused("REFUND_EXCEEDS_PAYMENT", "POST", "/payments/refund", {**body, "amount": str(Decimal(total) + Decimal("0.01"))}, key=new_key())  # fmt: skip
    part = staff.send("POST", "/payments/refund", {**body, "amount": "1.00"}, key=new_key())
    assert part.status_code in (200, 201, 202), part.text
    _refunded(user, order, "1.00")
    staff.refused("REFUND_EXCEEDS_PAYMENT", "POST", "/payments/refund", {**body, "amount": total}, key=new_key())  # fmt: skip


# --- direct -----------------------------------------------------------------------------------
def test_an_order_may_be_placed_directly(user: Api, product: Maker) -> None:
    sku = product(price="20.00").sku
    body = {"items": [{"sku": sku, "quantity": 2}], "email": "d@example.com", "shippingAddress": CALIFORNIA}  # fmt: skip

    order = user.post("/orders", body, expect=201, key=new_key())

    assert set(order) >= ORDER
    assert (order["status"], order["paymentStatus"], order["email"]) == ("draft", "pending", "d@example.com")  # fmt: skip
    assert order["totals"]["subtotal"] == "40.00"
    rules.check_sums(order["totals"], order["items"])
    payment = user.send(
        "POST",
        "/payments/intent",
        {"orderId": order["id"], "amount": order["totals"]["grandTotal"], "currency": "USD", "method": "test"},
        key=new_key(),
    )  # fmt: skip
    assert payment.status_code in (200, 201), payment.text
    user.send("POST", f"/payments/{payment.json()['id']}/simulate", {"outcome": "succeed"})
    eventually(lambda: user.get(f"/orders/{order['id']}")["status"] == "confirmed")


@pytest.mark.parametrize(
    "change",
    [
        {"items": []}, {"items": [{"sku": "nothing", "quantity": 1}]}, {"items": "x"}, {"email": "x"}, {"email": None},
        {"shippingAddress": None}, {"shippingAddress": {"country": "US"}}, {"shippingOption": "teleport"},
        {"items": [{"sku": "SKU", "quantity": 0}]}, {"items": [{"sku": "SKU", "quantity": 1000}]}, {"nothing": 1},
        {"items": [{"sku": "SKU", "quantity": 99}]},
    ],
)  # fmt: skip
def test_a_malformed_direct_order_is_refused(
    user: Api, product: Maker, change: dict[str, Any]
) -> None:
    sku = product(quantity=5).sku
    body = {"items": [{"sku": sku, "quantity": 2}], "email": "d@example.com", "shippingAddress": CALIFORNIA}  # fmt: skip
    if isinstance(change.get("items"), list):
        change = {"items": [{**one, "sku": sku if one["sku"] == "SKU" else one["sku"]} for one in change["items"]]}  # fmt: skip

    response = user.send("POST", "/orders", {**body, **change}, key=new_key())

    assert response.status_code in (400, 404, 409), response.text
    assert user.get("/orders")["results"] == []


@pytest.mark.parametrize("currency", ["XXX", "US", 5])
def test_a_currency_of_nobody_is_named(user: Api, product: Maker, currency: Any) -> None:
    body = {"items": [{"sku": product().sku, "quantity": 1}], "email": "d@example.com", "shippingAddress": CALIFORNIA}  # fmt: skip

    problem = user.refused("VALIDATION_ERROR", "POST", "/orders", {**body, "currency": currency})

    assert [error["field"] for error in problem["errors"]] == ["currency"]
    assert user.get("/orders")["results"] == []


def test_figures_of_a_currency_of_nobody_are_refused(staff: Api) -> None:
    problem = staff.refused("VALIDATION_ERROR", "GET", "/orders/analytics?currency=XXX")

    assert [error["field"] for error in problem["errors"]] == ["currency"]


def test_lists_know_the_ends_of_the_calendar(user: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 1})

    found = user.get("/orders?placedFrom=0001-01-01&placedTo=9999-12-31")["results"]

    assert [one["id"] for one in found] == [order["id"]]


def test_papers_keep_the_rules_of_all_answers(user: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 1})

    [paper] = user.get(f"/orders/{order['id']}/invoices")["results"]

    assert (paper["kind"], paper["amount"]) == ("invoice", order["totals"]["grandTotal"])


def test_a_price_in_a_direct_order_counts_for_nothing(user: Api, product: Maker) -> None:
    sku = product(price="20.00").sku
    body = {"items": [{"sku": sku, "quantity": 1, "unitPrice": "0.01"}], "email": "d@example.com", "shippingAddress": CALIFORNIA}  # fmt: skip

    order = user.post("/orders", body, expect=201, key=new_key())

    assert order["items"][0]["unitPrice"] == "20.00"


def test_an_order_is_a_frozen_copy(user: Api, staff: Api, product: Maker) -> None:
    made = product(price="20.00", name="Before")
    order = buy(user, {made.sku: 1})

    staff.patch(f"/products/{made.id}", {"name": "After", "variants": [{"sku": made.sku, "prices": {"USD": "99.00"}}]})  # fmt: skip
    staff.send("DELETE", f"/products/{made.id}")

    after = user.get(f"/orders/{order['id']}")
    assert (after["items"][0]["name"], after["items"][0]["unitPrice"]) == ("Before", "20.00")
    assert after["totals"] == order["totals"]


def test_a_parcel_on_its_way_rings_the_bell(user: Api, staff: Api, product: Maker) -> None:
    order = buy(user, {product().sku: 1})
    _put(staff, order, "processing", "shipped")

    def look() -> Any:
        return user.get("/notifications")["results"]

    found = eventually(look, what="a notification of the order")
    assert order["number"] in str(found)
    before = user.get("/notifications/unread-count")
    assert (before.get("count") or before.get("unreadCount") or 0) >= 1
    user.send("POST", f"/notifications/{found[0]['id']}/read", {})
    user.send("POST", "/notifications/read-all", {})
    after = user.get("/notifications/unread-count")
    assert (after.get("count") or after.get("unreadCount") or 0) == 0


def test_complete_is_not_open_to_a_stranger(guest: Api, other_guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = open_checkout(guest)
    pay(guest, checkout)

    other_guest.refused("CHECKOUT_NOT_FOUND", "POST", f"/checkout/{checkout['id']}/complete", {}, key=new_key())  # fmt: skip
    assert complete(guest, checkout, expect=402)["code"] == "PAYMENT_REQUIRED"
