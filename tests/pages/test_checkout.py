"""From the cart to a paid order, by plain forms; and the order's own pages."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from checkout.models import Checkout, Payment
from inventory.models import Reservation
from orders import services as orders
from orders.models import Order
from pricing.models import Price, ShippingZone
from tests import factories
from tests.pages.conftest import Market, Visitor, text_of

ADDRESS = {
    "email": "ada@example.com",
    "name": "Ada Marsh",
    "line1": "14 Tillson Wharf",
    "city": "Rockland",
    "state": "ME",
    "postal_code": "04841",
    "country": "US",
}


def hidden(page: Any, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.content.decode())
    assert found, f"there is no {name} on the page"
    return found.group(1)


def fill_in(visitor: Visitor, sku: str = "MUG-KELP", quantity: int = 2) -> Any:
    """Take a cart to the button that pays; return the page with it."""
    visitor.add(sku, quantity)
    visitor.post("/checkout/")
    return visitor.post("/checkout/part/address/", ADDRESS)


def pay(visitor: Visitor, page: Any) -> Any:
    form = {"method": "test", "quote": hidden(page, "quote"), "key": "k" * 32}
    return visitor.post("/checkout/pay/", form)


def test_a_guest_buys(visitor: Visitor) -> None:
    page = fill_in(visitor)
    assert "Pay $42.90" in text_of(page)

    bank = pay(visitor, page)
    assert "You are the bank now" in text_of(bank)
    order = Order.objects.get()
    assert order.status == Order.Status.DRAFT

    done = visitor.post(
        f"/checkout/pay/{Payment.objects.get().id}/simulate/", {"outcome": "succeed"}
    )
    assert done.redirect_chain[-1] == (f"/orders/{order.number}/", 302)
    assert "Thank you. It is yours." in text_of(done)
    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert "Nothing in it yet" in text_of(visitor.get("/cart/"))
    assert order.number in text_of(visitor.get("/orders/"))


def test_pressing_pay_twice_is_one_order(visitor: Visitor) -> None:
    page = fill_in(visitor)

    first, second = pay(visitor, page), pay(visitor, page)

    assert Order.objects.count() == Payment.objects.count() == 1
    assert first.redirect_chain == second.redirect_chain


def test_parts_open_one_after_the_other_and_errors_stand_beside_their_field(
    visitor: Visitor,
) -> None:
    visitor.add("MUG-KELP")
    page = visitor.post("/checkout/")
    assert "Where does it go?" in text_of(page)
    assert b'id="email"' in page.content
    assert b'name="shipping_option"' not in page.content
    assert b'id="pay-form"' not in page.content

    page = visitor.post(
        "/checkout/part/address/",
        {"email": "nonsense", "country": "US", "name": "Ada", "postal_code": "nope"},
    )
    assert b'id="email-error"' in page.content
    assert b'value="nonsense"' in page.content
    assert b'id="postal-code-error"' in page.content

    page = visitor.post("/checkout/part/address/", {**ADDRESS, "email": ""})
    assert "We need an address to send the confirmation to." in text_of(page)
    assert b'id="pay-form"' not in page.content
    page = visitor.post("/checkout/part/address/", {**ADDRESS, "line1": ""})
    assert "Street and number, please." in text_of(page)
    assert b'value="Ada Marsh"' in page.content  # what was typed stays

    page = visitor.post("/checkout/part/address/", ADDRESS)
    assert "Standard" in text_of(page)
    assert "$6.90" in text_of(page)
    assert "ada@example.com" in text_of(page)
    assert Order.objects.count() == 0


def test_the_cheapest_way_is_chosen_until_the_customer_chooses_another(visitor: Visitor) -> None:
    zone = ShippingZone.objects.get()
    factories.make_shipping_rule("19.00", zone=zone, code="express", name="Express")

    page = fill_in(visitor)
    assert "Pay $42.90" in text_of(page)
    page = visitor.post("/checkout/part/delivery/", {"shipping_option": "express"})
    assert "Pay $55.00" in text_of(page)
    assert re.search(rb'value="express" checked', page.content)

    refused = visitor.post("/checkout/part/delivery/", {"shipping_option": "rocket"})
    assert "This option is not offered there." in text_of(refused)
    assert "Pay $55.00" in text_of(visitor.post("/checkout/part/address/", ADDRESS))


def test_goods_that_are_not_sent_need_an_address_to_write_to_and_no_other(
    visitor: Visitor, market: Market
) -> None:
    market.mug.variants.update(requires_shipping=False)
    visitor.add("MUG-KELP")

    page = visitor.post("/checkout/")
    assert "Who is it for?" in text_of(page)
    assert "How does it get there?" not in text_of(page)
    assert b'id="line1"' not in page.content

    page = visitor.post("/checkout/part/address/", {"email": "ada@example.com"})
    assert "Pay $18.00" in text_of(page)


def test_where_we_do_not_ship_says_so(visitor: Visitor) -> None:
    visitor.add("MUG-KELP")
    visitor.post("/checkout/")

    page = visitor.post(
        "/checkout/part/address/",
        {**ADDRESS, "country": "JP", "state": "", "postal_code": "100-0001"},
    )

    assert "We do not ship there yet." in text_of(page)


def test_a_total_that_moved_is_shown_before_anything_is_placed(visitor: Visitor) -> None:
    page = fill_in(visitor)

    answer = visitor.post("/checkout/pay/", {"method": "test", "quote": "0" * 64, "key": "k" * 32})

    assert "The total" in text_of(answer)
    assert "press again" in text_of(answer)
    assert Order.objects.count() == 0
    assert "You are the bank now" in text_of(
        visitor.post(
            "/checkout/pay/", {"method": "test", "quote": hidden(page, "quote"), "key": "l" * 32}
        )
    )


@pytest.mark.parametrize(
    ("outcome", "says", "status"),
    [
        ("decline", "The bank said no.", "draft"),
        ("action", "Your bank wants you to confirm.", "draft"),
        ("duplicate", "Thank you. It is yours.", "confirmed"),
        ("before", "Thank you. It is yours.", "confirmed"),
        ("lost", "Thank you. It is yours.", "confirmed"),
        ("late", "Thank you. It is yours.", "confirmed"),
        ("nonsense", "Choose what the bank should do.", "draft"),
    ],
)
def test_whatever_the_bank_does_the_page_knows_what_to_say(
    visitor: Visitor, outcome: str, says: str, status: str
) -> None:
    arrived = pay(visitor, fill_in(visitor))
    assert "Your bank wants you to confirm." not in text_of(arrived)  # not before it does

    page = visitor.post(f"/checkout/pay/{Payment.objects.get().id}/simulate/", {"outcome": outcome})

    assert says in text_of(page)
    assert Order.objects.get().status == status


def test_after_a_decline_one_press_tries_again(visitor: Visitor) -> None:
    pay(visitor, fill_in(visitor))
    page = visitor.post(
        f"/checkout/pay/{Payment.objects.get().id}/simulate/", {"outcome": "decline"}
    )

    page = visitor.post(
        "/checkout/pay/", {"method": "test", "quote": hidden(page, "quote"), "key": "n" * 32}
    )

    assert "You are the bank now" in text_of(page)
    assert (Order.objects.count(), Payment.objects.count()) == (1, 2)


def test_giving_up_puts_everything_back(visitor: Visitor) -> None:
    pay(visitor, fill_in(visitor))

    page = visitor.post(f"/checkout/pay/{Payment.objects.get().id}/cancel/")

    assert "Everything is back in your cart." in text_of(page)
    assert "Harbour Mug" in text_of(page)
    assert Order.objects.get().status == "cancelled"


def test_checkout_without_a_cart_goes_to_the_cart(visitor: Visitor) -> None:
    assert visitor.get("/checkout/")["Location"] == "/cart/"
    page = visitor.post("/checkout/")
    assert b"note--bad" in page.content


def test_coming_back_while_paying_finds_the_payment(visitor: Visitor) -> None:
    pay(visitor, fill_in(visitor))

    assert visitor.get("/checkout/")["Location"] == f"/checkout/pay/{Payment.objects.get().id}/"


# --- orders ----------------------------------------------------------------------------------------


@pytest.fixture
def bought(visitor: Visitor) -> Order:
    pay(visitor, fill_in(visitor))
    visitor.post(f"/checkout/pay/{Payment.objects.get().id}/simulate/", {"outcome": "succeed"})
    return Order.objects.get()


def test_an_order_is_its_owners_alone(bought: Order, market: Market) -> None:
    stranger = Visitor()
    stranger.add("ROPE")

    assert stranger.get(f"/orders/{bought.number}/").status_code == 404
    assert stranger.get("/orders/ORD-20200101-000001/").status_code == 404
    assert stranger.post(f"/orders/{bought.number}/cancel/").status_code == 404
    assert stranger.get(f"/checkout/pay/{Payment.objects.get().id}/").status_code == 404
    bought.refresh_from_db()
    assert bought.status == "confirmed"


def test_look_up_opens_the_order_and_a_wrong_pair_says_nothing(bought: Order) -> None:
    stranger = Visitor()

    page = stranger.post("/orders/lookup/", {"number": bought.number, "email": "ADA@example.com"})
    assert "Thank you. It is yours." in text_of(page)
    assert "Cancel this order" not in text_of(page)  # the link shows, it does not change

    wrong = stranger.post("/orders/lookup/", {"number": bought.number, "email": "eve@example.com"})
    unknown = stranger.post("/orders/lookup/", {"number": "ORD-1", "email": "ada@example.com"})
    assert wrong.status_code == unknown.status_code == 404
    assert "We know no order" in text_of(wrong)
    assert "We know no order" in text_of(unknown)


def test_an_open_page_of_an_order_reads_its_story_again(visitor: Visitor, bought: Order) -> None:
    address = f"/orders/{bought.number}/"
    page = visitor.get(address).content.decode()
    again = visitor.get(address, **{"HX-Request": "true"}).content.decode()
    link = Visitor().get(f"{address}?token={orders.access_token(bought)}").content.decode()

    assert f'data-order="{bought.number}">' in page
    assert f'data-order="{bought.number}" data-order-asks>' in link  # no push comes to a mere link
    assert "Where it is" in again
    assert "<html" not in again
    assert Visitor().get(address, **{"HX-Request": "true"}).status_code == 404


def test_an_order_can_be_cancelled_while_it_is_not_sent(visitor: Visitor, bought: Order) -> None:
    assert "Cancel this order?" in text_of(visitor.get(f"/orders/{bought.number}/cancel/"))

    page = visitor.post(f"/orders/{bought.number}/cancel/", {"key": "c" * 32})

    assert "This order is cancelled." in text_of(page)
    bought.refresh_from_db()
    assert bought.status == "cancelled"


def test_account_is_for_who_signed_in(visitor: Visitor) -> None:
    assert visitor.get("/account/")["Location"].startswith("/account/login/")

    user = factories.make_user(email="kim@example.com")
    visitor.client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = visitor.get("/account/")
    assert page.status_code == 200
    assert "kim@example.com" in text_of(page)


def test_signing_in_by_the_page_works(visitor: Visitor) -> None:
    factories.make_user(email="kim@example.com")

    page = visitor.post(
        "/account/login/", {"login": "kim@example.com", "password": factories.PASSWORD}
    )

    assert page.redirect_chain[-1][0] == "/account/"


def test_what_a_guest_chose_is_there_after_signing_in(visitor: Visitor) -> None:
    factories.make_user(email="kim@example.com")
    visitor.add("ROPE", 2)

    visitor.post("/account/login/", {"login": "kim@example.com", "password": factories.PASSWORD})

    assert "Manila Rope" in text_of(visitor.get("/cart/"))


# --- a price that moved ---------------------------------------------------------------------------


def costs_now(market: Market, amount: str) -> None:
    """Let the price of the mug move, and whatever is held for anybody run out."""
    Price.objects.filter(variant=market.kelp).update(amount=Decimal(amount))
    Reservation.objects.update(expires_at=timezone.now() - timedelta(minutes=1))


def test_the_cart_asks_to_accept_a_price_that_moved(visitor: Visitor, market: Market) -> None:
    visitor.add("MUG-KELP")
    assert b"/cart/accept-prices/" not in visitor.get("/cart/").content
    costs_now(market, "21.00")

    page = visitor.get("/cart/")
    stale = visitor.post("/cart/accept-prices/", {"quote": "0" * 32})
    accepted = visitor.post("/cart/accept-prices/", {"quote": hidden(page, "quote")})

    assert "One price has changed since you put it in." in text_of(page)
    assert "Up from $18.00 to $21.00" in text_of(page)
    assert "Prices have changed since they were shown." in text_of(stale)
    assert b"/cart/accept-prices/" in stale.content
    assert b"/cart/accept-prices/" not in accepted.content
    assert "Up from" not in text_of(accepted)
    part = visitor.part("/cart/accept-prices/", {"quote": hidden(page, "quote")})
    assert part.status_code == 200


def test_who_checks_out_accepts_a_price_that_moved_before_paying(
    visitor: Visitor, market: Market
) -> None:
    page = fill_in(visitor)
    costs_now(market, "21.00")

    refused = pay(visitor, page)
    looked = visitor.get("/checkout/")
    accepted = visitor.part(
        "/checkout/accept-prices/", {"cart_quote": hidden(looked, "cart_quote")}
    )

    for shown in (refused, looked):
        assert "Harbour Mug: was $18.00, is now $21.00" in text_of(shown)
        assert b'id="pay-form"' not in shown.content
    assert "Accept the new price" in text_of(looked)
    assert Order.objects.count() == 0
    assert "Pay $48.90" in text_of(accepted)
    form = {"method": "test", "quote": hidden(accepted, "quote"), "key": "l" * 32}
    assert "You are the bank now" in text_of(visitor.post("/checkout/pay/", form))
    assert Order.objects.get().grand_total == Decimal("48.90")


def test_a_price_that_moves_again_while_it_is_being_accepted_is_asked_about_again(
    visitor: Visitor, market: Market
) -> None:
    fill_in(visitor)
    costs_now(market, "21.00")
    looked = visitor.get("/checkout/")
    costs_now(market, "30.00")

    answer = visitor.post("/checkout/accept-prices/", {"cart_quote": hidden(looked, "cart_quote")})

    assert "is now $30.00" in text_of(answer)
    assert b'id="pay-form"' not in answer.content


def test_a_checkout_that_ran_out_leads_back_to_the_cart(visitor: Visitor) -> None:
    page = fill_in(visitor)
    Checkout.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    for path, form in (
        ("/checkout/part/address/", {"email": "x@example.com"}),
        ("/checkout/pay/", {"method": "test", "quote": hidden(page, "quote")}),
    ):
        assert "What you have not bought is still in your cart." in text_of(
            visitor.post(path, form)
        )
    assert not Order.objects.exists()
