"""api.md §4 and requirements §5: from a cart to a paid order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.contract import rules
from tests.contract.client import Api, line_of, new_key
from tests.contract.conftest import (
    CALIFORNIA,
    LONDON,
    NOWHERE,
    Maker,
    Shop,
    buy,
    complete,
    eventually,
    new_guest,
    open_checkout,
    pay,
    simulate,
)

UNKNOWN = "0197a000-0000-7000-8000-000000000000"
CHECKOUT = {
    "id", "status", "cartId", "email", "shippingAddress", "billingAddress", "shippingOption", "shippingOptions", "totals",
    "quoteId", "requirements", "paymentMethods", "orderId", "orderNumber", "payment", "holdExpiresAt", "expiresAt",
}  # fmt: skip
ADDRESS = {"name", "line1", "line2", "city", "state", "postalCode", "country", "phone"}


# --- open -------------------------------------------------------------------------------------
def test_a_new_checkout_says_what_is_missing(buyer: Api, product: Maker) -> None:
    cart = buyer.add(product(price="20.00").sku, 2)

    checkout = buyer.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    assert set(checkout) >= CHECKOUT
    assert (checkout["status"], checkout["cartId"], checkout["email"]) == ("OPEN", cart["id"], "a@example.com")  # fmt: skip
    for name in ("billingAddress", "orderId", "orderNumber", "payment"):
        assert checkout[name] is None
    assert {"code": "SHIPPING_ADDRESS_MISSING", "field": "shippingAddress"} in checkout["requirements"]  # fmt: skip
    for one in checkout["requirements"]:
        assert set(one) >= {"code", "field"}
    assert "test" in [one["id"] for one in checkout["paymentMethods"]]
    for one in checkout["paymentMethods"]:
        assert one["name"]
    assert checkout["totals"]["subtotal"] == "40.00"
    assert checkout["totals"]["estimated"] is False
    assert set(checkout["totals"]) >= rules.TOTALS
    assert checkout["holdExpiresAt"]
    assert buyer.get(f"/checkout/{checkout['id']}")["id"] == checkout["id"]


def test_without_an_email_that_is_missing_too(guest: Api, product: Maker) -> None:
    guest.add(product().sku)

    checkout = guest.send("POST", "/checkout/initialize").json()

    assert "email" in [one["field"] for one in checkout["requirements"]]


def test_the_email_of_a_user_is_known(user: Api, product: Maker) -> None:
    user.add(product().sku)

    assert user.post("/checkout/initialize", {}, expect=201)["email"] == user.email


def test_an_empty_cart_is_not_checked_out(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku, list="saved")

    response = buyer.send("POST", "/checkout/initialize", {})

    assert response.status_code in (400, 409), response.text


def test_nobody_checks_out(api: Api) -> None:
    api.refused("AUTH_REQUIRED", "POST", "/checkout/initialize", {})
    api.refused("AUTH_REQUIRED", "GET", f"/checkout/{UNKNOWN}")


@pytest.mark.parametrize(
    "email", ["x", "a@", "@b.c", "a b@example.com", "a@example.com\r\nBcc: x@y.z", 5, [], "x" * 400 + "@example.com", "a@example.com\u0000"]
)  # fmt: skip
def test_a_malformed_email_is_refused(guest: Api, product: Maker, email: Any) -> None:
    guest.add(product().sku)

    problem = guest.send("POST", "/checkout/initialize", {"email": email}).json()
    assert problem["code"] in ("VALIDATION_ERROR", "MALFORMED_REQUEST")
    checkout = guest.post("/checkout/initialize", {}, expect=201)
    response = guest.send("PATCH", f"/checkout/{checkout['id']}", {"email": email})
    assert response.status_code == 400


def test_all_lines_are_held_or_none(guest: Api, other_guest: Api, product: Maker) -> None:
    one, two, three = product(quantity=5), product(quantity=5), product(quantity=5)
    for made in (one, two, three):
        cart = guest.add(made.sku, 5)
    guest.delete(f"/cart/{cart['id']}/hold")
    other_guest.add(two.sku, 1)
    other_guest.add(three.sku, 1)

    problem = guest.refused("INVENTORY_HOLD_FAILED", "POST", "/checkout/initialize", {})

    assert len(problem["errors"]) == 2
    assert two.sku in str(problem)
    assert three.sku in str(problem)
    assert guest.get(f"/cart/{cart['id']}/hold/status")["state"] == "none"


def test_a_second_checkout_of_one_cart_is_the_same_or_replaces_it(
    buyer: Api, product: Maker
) -> None:
    buyer.add(product().sku)
    first = buyer.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    again = buyer.send("POST", "/checkout/initialize", {"email": "a@example.com"})

    assert again.status_code in (200, 201), again.text
    second = again.json()
    if second["id"] != first["id"]:
        response = buyer.send("GET", f"/checkout/{first['id']}")
        assert response.status_code == 410 or response.json()["status"] in ("CANCELLED", "EXPIRED")


# --- fill in ----------------------------------------------------------------------------------
def test_requirements_end_as_fields_are_filled(buyer: Api, product: Maker) -> None:
    buyer.add(product(price="100.00").sku)
    checkout = buyer.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)
    path = f"/checkout/{checkout['id']}"

    part = buyer.patch(path, {"shippingAddress": {"country": "US", "name": "Ada"}})
    whole = buyer.patch(path, {"shippingAddress": CALIFORNIA})
    option = whole["shippingOptions"][-1]
    chosen = buyer.patch(path, {"shippingOption": option["id"], "notes": "Ring twice"})
    billed = buyer.patch(path, {"billingAddress": LONDON})

    assert any(one["field"].startswith("shippingAddress") for one in part["requirements"])
    assert set(whole["shippingAddress"]) == ADDRESS
    assert whole["shippingAddress"] == CALIFORNIA
    assert whole["shippingOptions"]
    for one in whole["shippingOptions"]:
        assert set(one) == {"id", "name", "price", "currency", "minDays", "maxDays"}
    assert chosen["shippingOption"] == option["id"]
    assert chosen["requirements"] == []
    assert chosen["totals"]["shippingTotal"] == option["price"]
    assert Decimal(chosen["totals"]["taxTotal"]) > 0
    assert billed["billingAddress"] == LONDON
    assert buyer.get(path)["billingAddress"] == LONDON


def test_the_totals_of_a_checkout_agree_with_its_cart(
    buyer: Api, product: Maker, promotion: Any
) -> None:
    buyer.add(product(price="19.99").sku, 3)
    buyer.add(product(price="0.01").sku, 7)
    buyer.post("/cart/discount", {"code": promotion(value="33.33")})

    for place in (CALIFORNIA, LONDON, {**LONDON, "country": "DE", "city": "Berlin", "postalCode": "10115"}):  # fmt: skip
        checkout = open_checkout(buyer, address=place)
        rules.check_shape(checkout["totals"] | {"currency": "USD"})
        totals = {key: Decimal(value) for key, value in checkout["totals"].items() if key in rules.MONEY}  # fmt: skip
        added = Decimal() if checkout["totals"]["pricesIncludeTax"] else totals["taxTotal"]
        assert totals["subtotal"] == Decimal("60.04")
        assert (
            totals["grandTotal"]
            == totals["subtotal"] - totals["discountTotal"] + totals["shippingTotal"] + added
        )
        option = next(
            one for one in checkout["shippingOptions"] if one["id"] == checkout["shippingOption"]
        )
        assert checkout["totals"]["shippingTotal"] == option["price"]


@pytest.mark.parametrize(
    "body",
    [
        {"shippingAddress": "x"}, {"shippingAddress": []}, {"shippingAddress": {"country": "XX"}},
        {"shippingAddress": {"country": 5}}, {"shippingAddress": {"planet": "Mars"}},
        {"shippingAddress": {"line1": "x" * 5000}}, {"shippingAddress": {"name": "a\r\nb"}},
        {"shippingAddress": {"name": ["x"]}}, {"shippingAddress": {**CALIFORNIA, "postalCode": "ABC"}},
        {"shippingAddress": {**CALIFORNIA, "state": "Nowhere"}}, {"shippingOption": "teleport"}, {"shippingOption": 5},
        {"notes": 5}, {"notes": "x" * 100_000}, {"nothing": 1}, {"status": "COMPLETED"}, {"totals": {"grandTotal": "0.01"}},
        {"email": "x"},
    ],
)  # fmt: skip
def test_a_malformed_change_is_refused(guest: Api, product: Maker, body: dict[str, Any]) -> None:
    guest.add(product().sku)
    checkout = open_checkout(guest)

    problem = guest.refused("VALIDATION_ERROR", "PATCH", f"/checkout/{checkout['id']}", body)

    assert problem["errors"]
    after = guest.get(f"/checkout/{checkout['id']}")
    assert after["shippingAddress"] == checkout["shippingAddress"]
    assert after["quoteId"] == checkout["quoteId"]


def test_other_names_in_an_address_are_known(guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = guest.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)
    address = {key: value for key, value in CALIFORNIA.items() if key != "postalCode"}

    found = guest.patch(
        f"/checkout/{checkout['id']}",
        {"shippingAddress": {**address, "zipCode": "90012", "country": "USA"}},
    )

    assert found["shippingAddress"]["postalCode"] == "90012"
    assert found["shippingAddress"]["country"] == "US"


def test_markup_in_an_address_stays_text(guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = guest.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    response = guest.send(
        "PATCH",
        f"/checkout/{checkout['id']}",
        {"shippingAddress": {**CALIFORNIA, "name": "<img src=x onerror=alert(1)> {{7*7}}"}},
    )

    assert response.status_code in (200, 400)
    assert "<img" not in response.json().get("shippingAddress", {}).get("name", "")


def test_status_validate_and_calculate_answer(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku)
    checkout = open_checkout(buyer)
    path = f"/checkout/{checkout['id']}"

    status = buyer.get(f"{path}/status")
    valid = buyer.post(f"{path}/validate", {})
    calculated = buyer.post(f"{path}/calculate", {})

    assert status["status"] in ("OPEN", "VALIDATED")
    assert valid["valid"] is True
    assert valid["problems"] == []
    totals = calculated.get("totals", calculated)
    assert totals["grandTotal"] == checkout["totals"]["grandTotal"]


# --- pay --------------------------------------------------------------------------------------
def test_paying_places_the_order_and_completing_confirms_it(buyer: Api, product: Maker) -> None:
    sku = product(price="20.00", quantity=5).sku
    cart = buyer.add(sku, 2)
    checkout = open_checkout(buyer)

    opened = pay(buyer, checkout)

    assert set(opened) == {"order", "payment"}
    assert set(opened["order"]) >= {"id", "number", "status"}
    assert opened["order"]["status"] == "draft"
    assert set(opened["payment"]) >= {
        "id", "status", "amount", "currency", "provider", "clientSecret", "nextAction",
    }  # fmt: skip
    assert opened["payment"]["amount"] == checkout["totals"]["grandTotal"]
    assert (opened["payment"]["currency"], opened["payment"]["provider"]) == ("USD", "test")
    between = buyer.get(f"/checkout/{checkout['id']}")
    assert (between["orderId"], between["orderNumber"]) == (
        opened["order"]["id"],
        opened["order"]["number"],
    )
    assert between["payment"]["id"] == opened["payment"]["id"]
    assert buyer.cart()["id"] != cart["id"]
    unpaid = buyer.post(f"/checkout/{checkout['id']}/complete", {}, key=new_key(), expect=402)
    assert unpaid["code"] == "PAYMENT_REQUIRED"
    assert opened["payment"]["id"] in str(unpaid["extra"])
    simulate(buyer, opened["payment"]["id"])
    order = complete(buyer, checkout)
    assert order["id"] == opened["order"]["id"]
    assert (order["status"], order["paymentStatus"]) == ("confirmed", "captured")
    assert order["totals"]["grandTotal"] == checkout["totals"]["grandTotal"]
    assert complete(buyer, checkout)["id"] == order["id"]
    assert buyer.get(f"/checkout/{checkout['id']}")["status"] == "COMPLETED"
    assert buyer.get(f"/orders/{order['number']}")["id"] == order["id"]
    check = buyer.post("/products/inventory/check", {"items": [{"sku": sku, "quantity": 1}]})
    assert check["results"][0]["available"] == 3


def test_a_quote_id_is_required(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku)
    checkout = open_checkout(buyer)

    problem = buyer.refused(
        "VALIDATION_ERROR", "POST", f"/checkout/{checkout['id']}/payment", {"method": "test"}, key=new_key(),
    )  # fmt: skip

    assert [(one["field"], one["code"]) for one in problem["errors"]] == [("quoteId", "required")]
    for body in (
        {"method": "magic", "quoteId": checkout["quoteId"]},
        {"quoteId": checkout["quoteId"]},
        {"method": 5, "quoteId": checkout["quoteId"]},
        {"method": "test", "quoteId": checkout["quoteId"], "amount": "0.01"},
    ):
        buyer.refused("VALIDATION_ERROR", "POST", f"/checkout/{checkout['id']}/payment", body, key=new_key())  # fmt: skip
    assert buyer.get(f"/checkout/{checkout['id']}")["orderId"] is None


def test_a_changed_price_needs_a_new_yes(buyer: Api, staff: Api, product: Maker) -> None:
    made = product(price="20.00")
    buyer.add(made.sku)
    checkout = open_checkout(buyer)
    staff.patch(
        f"/products/{made.id}", {"variants": [{"sku": made.sku, "prices": {"USD": "18.00"}}]}
    )

    problem = buyer.refused(
        "PRICE_CHANGED", "POST", f"/checkout/{checkout['id']}/payment",
        {"method": "test", "quoteId": checkout["quoteId"]}, key=new_key(),
    )  # fmt: skip

    current = buyer.get(f"/checkout/{checkout['id']}")
    assert current["orderId"] is None
    assert set(problem["extra"]) >= {"oldTotal", "newTotal", "quoteId"}
    assert problem["extra"]["oldTotal"] == checkout["totals"]["grandTotal"]
    assert problem["extra"]["newTotal"] == current["totals"]["grandTotal"]
    assert problem["extra"]["quoteId"] == current["quoteId"] != checkout["quoteId"]
    assert line_of(buyer.cart(), made.sku)["quantity"] == 1
    assert pay(buyer, current)["payment"]["amount"] == current["totals"]["grandTotal"]


def test_an_unknown_quote_is_a_changed_price(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku)
    checkout = open_checkout(buyer)

    for quote in ("nothing", UNKNOWN, "x" * 64):
        problem = buyer.refused(
            "PRICE_CHANGED", "POST", f"/checkout/{checkout['id']}/payment", {"method": "test", "quoteId": quote}, key=new_key(),
        )  # fmt: skip
        assert problem["extra"]["oldTotal"] is None
        assert problem["extra"]["newTotal"] == checkout["totals"]["grandTotal"]


def test_a_changed_cart_is_a_changed_price(buyer: Api, product: Maker) -> None:
    sku = product(price="20.00").sku
    line = buyer.add(sku)["items"][0]["id"]
    checkout = open_checkout(buyer)
    buyer.patch(f"/cart/items/{line}", {"quantity": 2})

    buyer.refused(
        "PRICE_CHANGED", "POST", f"/checkout/{checkout['id']}/payment",
        {"method": "test", "quoteId": checkout["quoteId"]}, key=new_key(),
    )  # fmt: skip

    assert buyer.get(f"/checkout/{checkout['id']}")["totals"]["subtotal"] == "40.00"


def test_an_incomplete_checkout_is_not_paid(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku)
    checkout = buyer.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    problem = buyer.refused(
        "CHECKOUT_INCOMPLETE", "POST", f"/checkout/{checkout['id']}/payment",
        {"method": "test", "quoteId": checkout["quoteId"]}, key=new_key(),
    )  # fmt: skip

    assert problem["extra"]["requirements"] == checkout["requirements"]
    after = buyer.send("POST", f"/checkout/{checkout['id']}/complete", {}, key=new_key())
    assert after.status_code in (402, 409)
    assert len(buyer.cart()["items"]) == 1


def test_where_nobody_ships_nothing_is_sold(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku)
    checkout = buyer.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    changed = buyer.patch(f"/checkout/{checkout['id']}", {"shippingAddress": NOWHERE})

    assert changed["shippingOptions"] == []
    assert changed["requirements"]
    buyer.refused(
        "NO_SHIPPING_ZONE", "POST", f"/checkout/{checkout['id']}/payment",
        {"method": "test", "quoteId": changed["quoteId"]}, key=new_key(),
    )  # fmt: skip
    assert len(buyer.cart()["items"]) == 1


def test_a_double_click_pays_once(buyer: Api, product: Maker) -> None:
    buyer.add(product(quantity=3).sku, 1)
    checkout = open_checkout(buyer)
    body = {"method": "test", "quoteId": checkout["quoteId"]}

    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda _: buyer.send("POST", f"/checkout/{checkout['id']}/payment", body, key=new_key()),
                range(6),
            )
        )  # fmt: skip

    orders = {answer.json()["order"]["id"] for answer in answers if answer.status_code == 200}
    assert len(orders) == 1, [answer.text[:200] for answer in answers]
    assert {answer.status_code for answer in answers} <= {200, 409}
    payments = {answer.json()["payment"]["id"] for answer in answers if answer.status_code == 200}
    assert len(payments) == 1


def test_the_same_key_pays_once(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku, 1)
    checkout, key = open_checkout(buyer), new_key()

    first, second = (pay(buyer, checkout, key=key) for _ in range(2))

    assert first == second


def test_paying_again_is_the_same_order(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku, 1)
    checkout = open_checkout(buyer)

    first, second = pay(buyer, checkout), pay(buyer, checkout)
    simulate(buyer, second["payment"]["id"])
    order = complete(buyer, checkout)
    third = buyer.send(
        "POST", f"/checkout/{checkout['id']}/payment", {"method": "test", "quoteId": checkout["quoteId"]}, key=new_key(),
    )  # fmt: skip

    assert first["order"]["id"] == second["order"]["id"] == order["id"]
    assert first["payment"]["id"] == second["payment"]["id"]
    assert third.status_code in (200, 409)
    if third.status_code == 200:
        assert third.json()["order"]["id"] == order["id"]


def test_two_tabs_make_one_order(buyer: Api, product: Maker) -> None:
    buyer.add(product(quantity=1).sku, 1)
    one = open_checkout(buyer)
    two = open_checkout(buyer)

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda tab: buyer.send(
                    "POST", f"/checkout/{tab['id']}/payment", {"method": "test", "quoteId": tab["quoteId"]}, key=new_key(),
                ),
                (one, two),
            )
        )  # fmt: skip

    good = {answer.json()["order"]["id"] for answer in answers if answer.status_code == 200}
    assert len(good) == 1, [answer.text[:300] for answer in answers]


def test_completing_twice_at_once_is_one_order(buyer: Api, product: Maker) -> None:
    buyer.add(product().sku, 1)
    checkout = open_checkout(buyer)
    simulate(buyer, pay(buyer, checkout)["payment"]["id"])

    with ThreadPoolExecutor(5) as pool:
        answers = list(
            pool.map(
                lambda _: buyer.send("POST", f"/checkout/{checkout['id']}/complete", {}, key=new_key()),
                range(5),
            )
        )  # fmt: skip

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["number"] for answer in answers}) == 1


def test_nothing_to_pay_needs_no_payment(buyer: Api, product: Maker, promotion: Any) -> None:
    buyer.add(product(price="5.00").sku)
    buyer.post("/cart/discount", {"code": promotion(value="100", stackable=True)})
    buyer.post("/cart/discount", {"code": promotion(kind="FREE_SHIPPING", scope="SHIPPING", value="0", stackable=True)})  # fmt: skip
    checkout = open_checkout(buyer)
    assert checkout["totals"]["grandTotal"] == "0.00"

    order = complete(buyer, checkout)

    assert (order["status"], order["totals"]["grandTotal"]) == ("confirmed", "0.00")
    assert buyer.cart()["items"] == []


# --- cancel, expire ---------------------------------------------------------------------------
def test_a_cancelled_checkout_leaves_the_cart(buyer: Api, product: Maker) -> None:
    sku = product().sku
    buyer.add(sku, 2)
    checkout = open_checkout(buyer)

    cancelled = buyer.post(f"/checkout/{checkout['id']}/cancel", {})
    again = buyer.send("POST", f"/checkout/{checkout['id']}/cancel", {})
    refused = buyer.send(
        "POST", f"/checkout/{checkout['id']}/payment", {"method": "test", "quoteId": checkout["quoteId"]}, key=new_key(),
    )  # fmt: skip

    assert cancelled["status"] == "CANCELLED"
    assert again.status_code < 500
    assert refused.status_code in (409, 410), refused.text
    assert line_of(buyer.cart(), sku)["quantity"] == 2
    buy(buyer, {})


def test_cancelling_after_placement_frees_the_goods(buyer: Api, product: Maker) -> None:
    sku = product(quantity=1).sku
    buyer.add(sku, 1)
    checkout = open_checkout(buyer)
    opened = pay(buyer, checkout)

    response = buyer.send("POST", f"/checkout/{checkout['id']}/cancel", {})

    assert response.status_code in (200, 409), response.text
    if response.status_code == 200:
        assert buyer.get(f"/orders/{opened['order']['id']}")["status"] in ("cancelled", "draft")
        new_guest(buyer.base).send("POST", "/cart/items", {"sku": sku})


# --- the provider misbehaves ------------------------------------------------------------------
@pytest.mark.parametrize("delivery", ["normal", "duplicate", "before_redirect", "lost"])
@pytest.mark.parametrize("outcome", ["succeed", "decline", "requires_action", "succeed_late", "dispute"])  # fmt: skip
def test_the_shop_copes(guest: Api, product: Maker, outcome: str, delivery: str) -> None:
    sku = product(price="20.00", quantity=3).sku
    guest.add(sku, 2)
    checkout = open_checkout(guest)
    opened = pay(guest, checkout)

    simulate(guest, opened["payment"]["id"], outcome, delivery)
    answer = guest.send("POST", f"/checkout/{checkout['id']}/complete", {}, key=new_key())
    if delivery == "duplicate" and outcome == "succeed":
        simulate(guest, opened["payment"]["id"], outcome, delivery)
    order = guest.get(f"/orders/{opened['order']['id']}")

    if outcome in ("succeed", "succeed_late", "dispute"):
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "confirmed"
        order = eventually(
            lambda: _when(guest, opened, lambda found: found["status"] == "confirmed"),
            what=f"{outcome} {delivery}",
        )
        assert order["paymentStatus"] == "captured"
        if outcome == "dispute":
            order = eventually(lambda: _when(guest, opened, lambda found: found.get("disputed")), what="disputed")  # fmt: skip
    else:
        assert answer.status_code == 402, answer.text
        assert answer.json()["code"] in ("PAYMENT_REQUIRED", "PAYMENT_FAILED")
        assert order["status"] == "draft"
        assert order["paymentStatus"] in ("pending", "failed")


def _when(buyer: Api, opened: dict[str, Any], right: Any) -> Any:
    order = buyer.get(f"/orders/{opened['order']['id']}")
    return order if right(order) else None


@pytest.mark.parametrize("delivery", ["normal", "duplicate", "before_redirect"])
def test_the_webhook_alone_confirms(guest: Api, product: Maker, delivery: str) -> None:
    guest.add(product(price="20.00", quantity=3).sku, 2)
    opened = pay(guest, open_checkout(guest))

    simulate(guest, opened["payment"]["id"], "succeed", delivery)

    eventually(
        lambda: _when(guest, opened, lambda found: found["status"] == "confirmed"),
        what="the webhook is settled",
    )


def test_a_declined_payment_can_be_tried_again(buyer: Api, product: Maker) -> None:
    sku = product(price="20.00", quantity=2).sku
    buyer.add(sku, 2)
    checkout = open_checkout(buyer)
    opened = pay(buyer, checkout)
    simulate(buyer, opened["payment"]["id"], "decline")
    buyer.send("POST", f"/checkout/{checkout['id']}/complete", {}, key=new_key())

    again = pay(buyer, checkout)
    simulate(buyer, again["payment"]["id"], "succeed")
    order = complete(buyer, checkout)

    assert again["order"]["id"] == opened["order"]["id"] == order["id"]
    assert again["payment"]["id"] != opened["payment"]["id"]
    assert (order["status"], order["paymentStatus"]) == ("confirmed", "captured")


@pytest.mark.parametrize(
    "body",
    [{}, {"outcome": "explode"}, {"outcome": 5}, {"outcome": "succeed", "delivery": "pigeon"}, {"outcome": "succeed", "x": 1}],
)  # fmt: skip
def test_a_malformed_simulation_is_refused(
    guest: Api, product: Maker, body: dict[str, Any]
) -> None:
    guest.add(product().sku)
    opened = pay(guest, open_checkout(guest))

    guest.refused("VALIDATION_ERROR", "POST", f"/payments/{opened['payment']['id']}/simulate", body)


# --- payments as such -------------------------------------------------------------------------
def test_a_payment_is_its_owners(guest: Api, other_guest: Api, staff: Api, product: Maker) -> None:
    guest.add(product().sku)
    opened = pay(guest, open_checkout(guest))
    payment, order = opened["payment"]["id"], opened["order"]["id"]

    mine = guest.get(f"/payments/{payment}")
    listed = guest.get(f"/payments/order/{order}")

    assert mine["id"] == payment
    assert payment in str(listed)
    assert staff.get(f"/payments/{payment}")["id"] == payment
    assert other_guest.send("GET", f"/payments/{payment}").status_code == 404
    assert other_guest.send("GET", f"/payments/order/{order}").status_code == 404


def test_an_intent_is_for_exactly_the_order(guest: Api, product: Maker) -> None:
    guest.add(product(price="20.00").sku)
    opened = pay(guest, open_checkout(guest))
    order = guest.get(f"/orders/{opened['order']['id']}")
    right = {"orderId": order["id"], "amount": order["totals"]["grandTotal"], "currency": "USD", "method": "test"}  # fmt: skip

    for change in ({"amount": "0.01"}, {"amount": "9999.00"}, {"currency": "EUR"}):
        guest.refused("PAYMENT_AMOUNT_MISMATCH", "POST", "/payments/intent", {**right, **change}, key=new_key())  # fmt: skip
    for change in ({"amount": "abc"}, {"amount": "-1"}, {"currency": 5}, {"method": "magic"}, {"orderId": 5}):  # fmt: skip
        guest.refused("VALIDATION_ERROR", "POST", "/payments/intent", {**right, **change}, key=new_key())  # fmt: skip
    guest.refused("ORDER_NOT_FOUND", "POST", "/payments/intent", {**right, "orderId": UNKNOWN}, key=new_key())  # fmt: skip
    response = guest.send("POST", "/payments/intent", right, key=new_key())
    assert response.status_code in (200, 201), response.text
    assert response.json()["id"] == opened["payment"]["id"]


def test_capturing_and_refunding_is_staffs(guest: Api, user: Api, api: Api) -> None:
    for path, body in (
        ("/payments/capture", {"paymentId": UNKNOWN}),
        ("/payments/refund", {"paymentId": UNKNOWN, "reason": "x"}),
    ):
        user.refused("FORBIDDEN", "POST", path, body, key=new_key())
        api.refused("AUTH_REQUIRED", "POST", path, body, key=new_key())
        assert guest.send("POST", path, body, key=new_key()).status_code in (401, 403)


# --- the whole, many at once ------------------------------------------------------------------
@pytest.mark.slow
def test_no_unit_is_sold_twice(shop: Shop, product: Maker) -> None:
    sku = product(price="3.00", quantity=5).sku
    guests = [new_guest(shop.url) for _ in range(12)]

    def try_to_buy(guest: Api) -> str:
        if guest.send("POST", "/cart/items", {"sku": sku}).status_code != 201:
            return "short"
        checkout = open_checkout(guest)
        opened = pay(guest, checkout)
        simulate(guest, opened["payment"]["id"])
        return str(complete(guest, checkout)["status"])

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(try_to_buy, guests))

    assert sorted(ends) == ["confirmed"] * 5 + ["short"] * 7


def test_a_checkout_has_an_end(guest: Api, product: Maker) -> None:
    guest.add(product().sku)
    checkout = open_checkout(guest)

    assert checkout["expiresAt"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    assert checkout["holdExpiresAt"] is not None
