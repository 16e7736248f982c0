"""The whole way in a real browser: on a desk, on a phone, and with scripts switched off."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from cart.models import CartLine
from config.platform.actor import Actor
from orders import services as orders
from orders.models import Order
from tests.browser.conftest import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Tab]


def fill_in_address(page: Page) -> None:
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Name").fill("Ada Marsh")
    page.get_by_label("Street and number").fill("14 Tillson Wharf")
    page.get_by_label("City").fill("Rockland")
    page.get_by_label("Postal code").fill("04841")
    page.get_by_label("State or region").fill("ME")
    page.get_by_role("button", name="Go on to delivery").click()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_guest_buys_a_mug(tab: Open, size: str) -> None:
    visit = tab(f"purchase-{size}", size=size)
    page = visit.page

    visit.go("/")
    visit.shot("home")
    visit.go("/products/")
    visit.shot("list")
    page.get_by_role("link", name="Harbour Mug").click()
    page.get_by_role("radio", name="Ink").check()
    expect(page.get_by_text("$19.00")).to_be_visible()
    page.get_by_role("button", name="One more").click()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_text("In your cart.")).to_be_visible()
    expect(page.locator("#cart-badge")).to_have_attribute("data-count", "2")
    visit.shot("added")

    page.get_by_role("link", name="See cart").click()
    expect(page.get_by_text(re.compile(r"Held for you, 1\d min"))).to_be_visible()
    page.get_by_role("button", name="One more").click()
    expect(page.locator(".line__sum")).to_contain_text("$57.00")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Harbour Mug is out of your cart.")).to_be_visible()
    page.get_by_role("button", name="Put it back").click()
    expect(page.locator(".line__sum")).to_contain_text("$57.00")
    page.get_by_text("A code?").click()
    page.get_by_label("Code", exact=True).fill("SAVE10")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".summary__total")).to_contain_text("$51.30")
    visit.shot("cart")

    page.get_by_role("button", name="Check out").last.click()
    page.get_by_label("E-mail").fill("ada@example")
    page.get_by_role("button", name="Go on to delivery").click()
    expect(page.get_by_text("Enter a valid e-mail address.")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    visit.shot("address")
    fill_in_address(page)
    expect(page.get_by_role("radio", name="Standard")).to_be_focused()
    expect(page.get_by_role("button", name="Pay $58.20").first).to_be_visible()
    visit.shot("payment")
    page.get_by_role("button", name="Pay $58.20").last.dblclick()
    expect(page.get_by_role("heading", name="You are the bank now")).to_be_visible()
    visit.shot("bank")
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_text("The bank said no.")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name=re.compile("^Approve")).click()
    expect(page.get_by_role("heading", name="Thank you. It is yours.")).to_be_visible()
    visit.shot("order")

    order = Order.objects.get()
    assert (order.status, str(order.grand_total)) == ("confirmed", "58.200")
    watch_it_leave(visit, order)
    assert visit.complaints == []


def watch_it_leave(visit: Tab, order: Order) -> None:
    """What staff do to an order shows on its open page, folds stay as they are."""
    page = visit.page
    with page.expect_websocket() as socket:
        page.reload()
    socket.value.wait_for_event("framereceived")  # the snapshot: from here on it listens
    page.get_by_text("Everything that happened").click()

    orders.ship(
        actor=Actor.system(order.company_id),
        order_id=order.pk,
        carrier="Coastal Post",
        tracking_number="CP-7",
        now=timezone.now(),
    )

    expect(page.get_by_role("heading", name="It is on its way.")).to_be_visible()
    expect(page.get_by_text("Coastal Post CP-7").first).to_be_visible()
    expect(page.locator("details[open]")).to_have_count(1)
    expect(page.locator("#live-region")).to_have_text("It is on its way.")
    expect(page.get_by_role("link", name="Cancel this order")).to_have_count(0)
    visit.shot("on its way")


def test_everything_works_without_a_script(tab: Open) -> None:
    visit = tab("no-script", java_script_enabled=False)
    page = visit.page

    visit.go("/products/harbour-mug/")
    page.get_by_role("radio", name="Ink").check()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("heading", name="Your cart")).to_be_visible()
    expect(page.locator(".line__options")).to_have_text("Ink")
    page.get_by_role("button", name="One more").click()
    expect(page.locator(".line__sum")).to_contain_text("$38.00")
    page.get_by_role("link", name="Empty the cart").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("button", name="Check out").first.click()
    fill_in_address(page)
    page.get_by_role("button", name="Pay $44.90").first.click()
    page.get_by_role("button", name=re.compile("^Approve")).click()
    expect(page.get_by_role("heading", name="Thank you. It is yours.")).to_be_visible()

    assert Order.objects.get().status == "confirmed"


def test_two_browsers_show_the_same_cart_without_a_reload(tab: Open) -> None:
    desk = tab("desk")
    desk.go("/products/harbour-mug/")
    desk.page.get_by_role("button", name="Add to cart").click()
    expect(desk.page.get_by_text("In your cart.")).to_be_visible()

    phone = tab("phone", size="phone")
    phone.page.context.add_cookies(desk.page.context.cookies())
    with phone.page.expect_websocket() as socket:
        phone.go("/cart/")
    socket.value.wait_for_event("framereceived")  # the snapshot: from here on it listens

    desk.go("/products/bulkhead-lamp/")
    desk.page.get_by_role("button", name="Add to cart").click()
    expect(desk.page.get_by_text("In your cart.")).to_be_visible()
    # It takes a fraction of a second where nothing else runs; beside other tests that is no promise.
    expect(phone.page.get_by_role("link", name="Bulkhead Lamp")).to_be_visible()
    expect(phone.page.locator("#cart-badge")).to_have_attribute("data-count", "2")

    phone.page.get_by_role("button", name="Remove Bulkhead Lamp").click()
    expect(desk.page.locator("#cart-badge")).to_have_attribute("data-count", "1")
    assert desk.complaints == phone.complaints == []


def test_what_is_pressed_offline_is_sent_once_the_line_is_back(tab: Open) -> None:
    visit = tab("offline")
    page = visit.page
    visit.go("/products/harbour-mug/")
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()

    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("button", name="Add to cart")).to_be_enabled()
    assert not CartLine.objects.exists()
    visit.shot("waits")

    page.context.set_offline(False)
    expect(page.get_by_text("In your cart.")).to_be_visible()
    expect(page.get_by_text("You are offline.")).to_be_hidden()
    assert CartLine.objects.get().quantity == 1


def test_the_dialog_asks_and_the_keyboard_answers(tab: Open) -> None:
    visit = tab()
    page = visit.page
    visit.go("/products/manila-rope/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="See cart").click()

    page.get_by_role("link", name="Empty the cart").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    page.get_by_role("link", name="Empty the cart").press("Enter")
    dialog.get_by_role("button", name="Empty the cart").press("Enter")
    expect(page.get_by_text("Your cart is empty now.")).to_be_visible()
    assert visit.complaints == []
