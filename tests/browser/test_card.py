"""Paying by card in Chromium. Stripe's script is played by a few lines that press the stand-in's buttons; the rest is real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkout.models import Payment
from orders.models import Order
from tests.browser.conftest import RESULTS, SIZES
from tests.pages.conftest import Visitor, stock_market
from tests.pages.test_checkout import fill_in, hidden
from tests.stripe import StripeServer
from tests.stripe.books import StripeProblem

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# What of Stripe.js the page uses. The bank's answer comes from the stand-in, by way of the address that the policy allows.
SCRIPT = """
window.Stripe = (key) => ({
  elements: ({ clientSecret }) => ({
    secret: clientSecret,
    create: (kind) => ({
      on(name, run) { if (name === "ready") this.ready = run; return this; },
      mount(where) {
        document.querySelector(where).textContent = kind === "payment" ? "Card number" : "";
        if (this.ready) setTimeout(this.ready, 0);
      },
    }),
  }),
  async confirmPayment({ elements, confirmParams }) {
    const answer = await fetch("https://api.stripe.com/v1/confirm?" + elements.secret);
    const told = await answer.json();
    if (told.error) return { error: told.error };
    location.assign(confirmParams.return_url + "?payment_intent=" + told.id + "&redirect_status=succeeded");
    return new Promise(() => {});
  },
});
"""


@pytest.fixture(params=SIZES)
def page(
    request: pytest.FixtureRequest, chromium: Any, live_server: Any, stripe: StripeServer, company: Any, settings: Any
) -> Iterator[Any]:  # fmt: skip
    """Open the page of a card payment, on a desk and on a phone. `stripe.card` is what the customer types."""
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_x"
    settings.STOREFRONT_URL = live_server.url
    stock_market(company)
    visitor = Visitor()
    form = {"method": "card", "quote": hidden(fill_in(visitor), "quote"), "key": "k" * 32}
    visitor.post("/checkout/pay/", form)
    payment = Payment.objects.get()
    cards = iter(["pm_card_chargeDeclined", "pm_card_visa"])

    def bank(route: Any) -> None:
        try:
            told = stripe.books.confirm(str(payment.provider_id), next(cards))
        except StripeProblem as problem:
            told = problem.body
        route.fulfill(json=told, headers={"Access-Control-Allow-Origin": "*"})

    width, height = SIZES[request.param]
    context = chromium.new_context(viewport={"width": width, "height": height})
    context.add_cookies(
        [
            {"name": name, "value": cookie.value, "url": live_server.url}
            for name, cookie in visitor.client.cookies.items()
        ]
    )
    tab = context.new_page()
    tab.complaints = []  # but for the socket, which this server does not have
    tab.on("console", lambda said: tab.complaints.append(said.text) if said.type == "error" and "/ws/" not in said.text else None)  # fmt: skip
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.route("https://js.stripe.com/**", lambda route: route.fulfill(body=SCRIPT, content_type="text/javascript"))  # fmt: skip
    tab.route("https://api.stripe.com/**", bank)
    tab.goto(f"{live_server.url}/checkout/pay/{payment.id}/")
    tab.size = request.param
    yield tab
    context.close()


def test_a_declined_card_is_said_so_and_the_next_one_pays(page: Any) -> None:
    page.get_by_text("Card number", exact=True).wait_for()
    RESULTS.mkdir(exist_ok=True)
    page.screenshot(path=RESULTS / f"pay-card-{page.size}.png")
    button = page.get_by_role("button", name="Pay $42.90")

    button.click()
    page.get_by_text("Your card was declined.").wait_for()
    page.screenshot(path=RESULTS / f"pay-card-declined-{page.size}.png")
    button.click()

    page.wait_for_url("**/orders/ORD-*/")
    assert "redirect_status" not in page.url
    order = Order.objects.get()
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert page.complaints == []


def test_where_the_provider_s_script_does_not_load_the_page_says_so(page: Any) -> None:
    page.unroute("https://js.stripe.com/**")
    page.route("https://js.stripe.com/**", lambda route: route.abort())
    page.reload()

    page.get_by_text("The card fields could not be loaded.").wait_for()
    assert page.get_by_role("button", name="Pay $42.90").is_disabled()
    page.screenshot(path=RESULTS / f"pay-card-missing-{page.size}.png")
