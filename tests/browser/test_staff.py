"""A morning in the back office, in a real browser: send an order, count a shelf, bring somebody back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from cart import services as carts
from cart.models import Cart
from inventory.models import Company, StockLevel, StockMovement
from notifications import services as notifications
from notifications.models import StoredMail
from orders.models import Order, Shipment
from tests.browser.conftest import Tab
from tests.checkout.conftest import Buyer
from tests.conftest import actor_for
from tests.factories import PASSWORD, make_staff, make_user, make_warehouse
from tests.pages.conftest import Market

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Tab]


@pytest.fixture
def paid(address: tuple[str, Market], company: Company) -> Order:
    """Return a paid order of two mugs."""
    buyer = Buyer.arrive(company, timezone.now()).add(address[1].ink, 2).begin().fill()
    order, payment = buyer.pay()
    buyer.simulate(payment)
    found: Order = Order.objects.get(pk=order.pk)
    return found


@pytest.fixture
def left_behind(address: tuple[str, Market], company: Company) -> Cart:
    """Return a cart whose owner went away three hours ago."""
    now = timezone.now()
    owner = actor_for(make_user(email="isla@example.com"), company)
    carts.create(actor=owner, now=now - timedelta(hours=3))
    carts.add_line(
        actor=owner, variant_id=address[1].lamp.id, quantity=1, now=now - timedelta(hours=3)
    )
    carts.mark_abandoned(now=now)
    return Cart.objects.get(user_id=owner.user_id)


def sign_in(visit: Tab, **rights: Any) -> Page:
    staff = make_staff(**{"name": "Mara Quill", "is_superuser": False, **rights})
    page: Page = visit.page
    visit.go("/admin/")
    page.get_by_label("E-mail").fill(staff.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    return page


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_staff_send_an_order_and_see_it_arrive(tab: Open, paid: Order, size: str) -> None:
    visit = tab(f"staff-order-{size}", size=size)
    page = sign_in(visit, is_superuser=True)
    expect(page.get_by_role("heading", name="Send next")).to_be_visible()
    expect(page.get_by_role("link", name="1 order to send")).to_be_visible()
    visit.shot("today")

    page.get_by_role("link", name="1 order to send").click()
    page.get_by_role("link", name=paid.number).click()
    expect(page.get_by_text("2 units have to be packed and sent.")).to_be_visible()
    expect(page.locator(".office__sum--total td")).to_have_text("$44.90")
    visit.shot("order")

    step(page, "ship")
    page.get_by_label("Carrier").fill("Coastal Post")
    page.get_by_label("Tracking number").fill("CP-1")
    page.get_by_label("Tracking link").fill("javascript:alert(1)")
    page.get_by_role("button", name="Ship", exact=True).click()
    expect(page.get_by_text("Enter a valid URL.")).to_be_visible()
    assert not Shipment.objects.exists()
    page.get_by_label("Tracking link").fill("https://post.example/CP-1")
    visit.shot("ship")
    page.get_by_role("button", name="Ship", exact=True).click()
    expect(page.get_by_text(f"{paid.number} is on its way.")).to_be_visible()
    expect(page.get_by_role("link", name="CP-1")).to_have_attribute(
        "href", "https://post.example/CP-1"
    )
    expect(page.locator("a[href$='/cancel/']")).to_have_count(0)  # too late for that
    visit.shot("shipped")

    step(page, "deliver")
    page.get_by_role("button", name="Mark as delivered").click()
    expect(page.get_by_text(f"{paid.number} has arrived.")).to_be_visible()
    expect(page.locator(".office__timeline li").first).to_contain_text("Delivered")
    expect(page.locator(".office__timeline li").first).to_contain_text("Mara Quill")
    visit.shot("delivered")

    shipment = Shipment.objects.get()
    paid.refresh_from_db()
    assert (paid.status, shipment.carrier, shipment.status) == (
        "delivered",
        "Coastal Post",
        "delivered",
    )
    assert visit.complaints == []


def step(page: Page, name: str) -> None:
    """Go to the page of a step: its button stands at the top of a wide page, and above the goods on a phone."""
    page.locator(f"a[href$='/{name}/']:visible").click()


def test_staff_adjust_a_shelf_with_a_reason(tab: Open, address: tuple[str, Market]) -> None:
    visit = tab("staff-stock")
    page = sign_in(visit, is_superuser=True)
    level = StockLevel.objects.get(variant=address[1].rope)

    visit.go("/admin/inventory/stocklevel/?q=ROPE")
    page.get_by_role("link", name="ROPE").click()
    page.get_by_role("link", name="Adjust stock").click()
    change = page.get_by_label("Change, signed, ROPE, MAIN")
    see, apply = (page.get_by_role("button", name=name) for name in ("See the effect", "Adjust"))
    change.fill("-2")
    see.click()
    expect(page.get_by_text("This field is required.")).to_be_visible()  # the reason
    change.fill("-9")
    page.get_by_label("Kind").select_option(label="damage")
    page.get_by_label("Paper").fill("R-7")
    page.get_by_label("Reason").fill("chewed by a seal")
    see.click()
    expect(page.locator(".office__error")).to_have_text("3 of ROPE are free, 0 are promised.")
    level.refresh_from_db()
    assert level.total == 3

    change.fill("-2")
    see.click()
    expect(page.get_by_text("3 → 1")).to_be_visible()
    visit.shot("adjust")
    level.refresh_from_db()
    assert level.total == 3
    apply.click()
    expect(page.get_by_text("1 shelf was adjusted.")).to_be_visible()
    expect(page.get_by_text("chewed by a seal")).to_be_visible()
    visit.shot("shelf")
    visit.go("/admin/inventory/stockmovement/?q=ROPE")
    row = page.get_by_role("row").filter(has_text="chewed by a seal")
    expect(row).to_contain_text("−2")
    expect(row).to_contain_text("Mara Quill")
    visit.shot("movements")

    movement = StockMovement.objects.get(type="DAMAGE")
    assert (movement.quantity, movement.balance, movement.reference) == (-2, 1, "R-7")
    assert visit.complaints == []


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_counting_day_by_keyboard(tab: Open, address: tuple[str, Market], size: str) -> None:
    visit = tab(f"staff-count-{size}", size=size)
    page = sign_in(visit, is_superuser=True)
    rope = StockLevel.objects.get(variant=address[1].rope)
    visit.go("/admin/inventory/stocklevel/count/")
    page.get_by_label("Warehouse").select_option(index=1)
    page.get_by_role("button", name="Show the sheet").click()
    numbers = page.locator("tbody input:not([type=hidden])")
    numbers.first.focus()
    page.keyboard.press("Enter")  # the next number, not half a count
    expect(numbers.nth(1)).to_be_focused()
    page.get_by_label("Counted, ROPE, MAIN").fill(str(rope.total - 1))
    page.get_by_role("button", name="See the effect").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_text(f"{rope.total} → {rope.total - 1}")).to_be_visible()
    visit.shot("difference")
    page.get_by_role("button", name="Apply the count").click()
    expect(page.get_by_text("1 shelf was counted.")).to_be_visible()

    movement = StockMovement.objects.get(stock_level=rope, type="ADJUSTMENT")
    assert (movement.quantity, movement.notes) == (-1, "counted")
    assert visit.complaints == []


def test_goods_move_to_another_warehouse(tab: Open, address: tuple[str, Market]) -> None:
    make_warehouse(code="EAST", name="East quay")
    rope = StockLevel.objects.get(variant=address[1].rope)
    visit = tab("staff-transfer")
    page = sign_in(visit, is_superuser=True)
    visit.go(f"/admin/inventory/stocklevel/transfer/?shelf={rope.pk}")
    page.get_by_label("Units to move, ROPE, MAIN").fill("2")
    page.get_by_label("To the warehouse").select_option("EAST")
    page.get_by_role("button", name="See the effect").click()
    expect(page.get_by_text("3 → 1")).to_be_visible()
    expect(page.get_by_text("0 → 2")).to_be_visible()
    page.get_by_role("button", name="Change it").click()
    page.get_by_label("Units to move, ROPE, MAIN").fill("1")
    page.get_by_role("button", name="See the effect").click()
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.get_by_text("2 shelves changed.")).to_be_visible()
    visit.go(f"/admin/inventory/stocklevel/sku/{rope.variant_id}/")
    expect(page.get_by_role("row").filter(has_text="MAIN → EAST")).to_have_count(2)
    visit.shot("timeline")

    assert sorted(StockLevel.objects.filter(variant=address[1].rope).values_list("total")) == [
        (1,),
        (2,),
    ]
    assert visit.complaints == []


def test_staff_bring_a_customer_back(
    tab: Open, left_behind: Cart, deliver: Callable[..., int], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "notifications.mailbox.MailboxBackend"
    visit = tab("staff-recovery")
    page = sign_in(visit, is_superuser=True)

    page.get_by_role("link", name="Abandoned carts").first.click()
    expect(page.locator(".office__figure").first).to_contain_text("$90.00")
    visit.shot("queue")
    page.get_by_role("row").filter(has_text="isla@example.com").get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Send recovery mail")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("1 reminder is on its way.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="isla@example.com")).to_contain_text("1")
    visit.shot("sent")

    deliver()
    notifications.send_due(now=timezone.now())
    mail = StoredMail.objects.get()
    assert mail.recipients == "isla@example.com"
    visit.go("/dev/mail/")
    page.get_by_role("link", name=mail.subject).click()
    expect(page.frame_locator("iframe").get_by_text("Bulkhead Lamp")).to_be_visible()
    visit.shot("mail")

    visit.go("/admin/cart/abandonedcart/")
    page.get_by_role("link", name="isla@example.com").click()
    expect(page.get_by_text("No. 1,")).to_be_visible()
    visit.shot("cart")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("This cart is out of the queue.")).to_be_visible()
    left_behind.refresh_from_db()
    assert left_behind.dismissed_at is not None
    assert visit.complaints == []


def test_the_keyboard_goes_past_the_side_bar_and_opens_an_order(tab: Open, paid: Order) -> None:
    visit = tab("staff-keyboard")
    page = sign_in(visit, is_superuser=True)
    visit.go("/admin/orders/order/")

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    order = page.get_by_role("link", name=paid.number)
    for _ in range(80):
        page.keyboard.press("Tab")
        if order.evaluate("link => link === document.activeElement"):
            break
    expect(order).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 units have to be packed and sent.")).to_be_visible()
    assert visit.complaints == []


def test_staff_without_rights_find_an_empty_desk(tab: Open, paid: Order) -> None:
    visit = tab("staff-nobody")
    page = sign_in(visit)

    expect(page.get_by_text("Nothing. Have a walk on the beach.")).to_be_visible()
    expect(page.get_by_role("link", name="Orders")).to_have_count(0)
    assert paid.number not in page.content()
    assert visit.complaints == []
