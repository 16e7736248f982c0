"""What can be measured about the pages: accessibility, weight, stillness."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Tab]

AXE = Path(__file__).parent / "axe.min.js"
PAGES = ["/", "/products/", "/products/harbour-mug/", "/search/?q=nothing-like-it", "/cart/", "/checkout/",
         "/orders/lookup/", "/account/login/", "/nowhere/"]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing(tab: Open, size: str, scheme: str) -> None:
    # The policy would keep the checker itself out.
    visit = tab(size=size, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    page = visit.page
    visit.go("/products/harbour-mug/")
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_text("In your cart.")).to_be_visible()
    visit.go("/cart/")
    page.get_by_role("button", name="Check out").last.click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()

    found: dict[str, list[str]] = {}
    for path in PAGES:
        visit.go(path)
        page.add_script_tag(path=str(AXE))
        result = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
        for violation in result["violations"]:
            where = [str(node["target"]) for node in violation["nodes"]]
            found.setdefault(f"{path}: {violation['id']}: {violation['help']}", []).extend(
                where[:5]
            )

    assert found == {}


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_list_is_light_and_still(tab: Open, size: str) -> None:
    visit = tab(size=size, bypass_csp=True)
    page = visit.page
    weights: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        body = answer.body()
        packed = answer.headers.get("content-type", "").startswith(
            ("text/", "image/svg", "application/j")
        )
        weights[answer.url] = len(gzip.compress(body)) if packed else len(body)

    page.on("response", weigh)
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) window.shifts += e.value })"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    visit.go("/products/")
    page.wait_for_load_state("networkidle")

    assert sum(weights.values()) < 150_000, weights
    assert page.evaluate("window.shifts") == 0
    scripts = sum(size for url, size in weights.items() if url.endswith(".js"))
    assert scripts < 40_000


def test_nothing_is_wider_than_a_small_phone(tab: Open) -> None:
    visit = tab(size="phone", bypass_csp=True)
    visit.page.set_viewport_size({"width": 320, "height": 640})
    visit.go("/products/harbour-mug/")
    visit.page.get_by_role("button", name="Add to cart").click()
    visit.page.get_by_role("button", name="Check out").click()
    visit.page.get_by_label("E-mail").fill(f"{'a' * 60}@example.com")
    visit.page.get_by_label("Name").fill("W" * 80)
    visit.page.get_by_label("Street and number").fill("Donau" + "dampfschifffahrt" * 6)
    visit.page.get_by_label("City").fill(
        "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"
    )
    visit.page.get_by_label("Postal code").fill("04841")
    visit.page.get_by_label("State or region").fill("ME")
    visit.page.get_by_role("button", name="Go on to delivery").click()
    expect(visit.page.get_by_role("button", name="Pay").first).to_be_visible()

    for path in PAGES:
        visit.go(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_targets_are_large_enough_for_a_thumb(tab: Open) -> None:
    visit = tab(size="phone", bypass_csp=True)
    visit.go("/products/manila-rope/")
    visit.page.get_by_role("button", name="Add to cart").click()
    expect(visit.page.get_by_text("In your cart.")).to_be_visible()

    small = []
    for path in ("/", "/products/", "/products/harbour-mug/", "/cart/"):
        visit.go(path)
        small += visit.page.evaluate(
            """() => [...document.querySelectorAll('button, input:not([type=hidden]), select, summary, nav a, .link, .button, .chip')]
                 .filter(e => e.checkVisibility() && !e.closest('.visually-hidden') && !e.matches('.visually-hidden'))
                 .map(e => [e.closest('label') || e, e]).map(([box, e]) => [box.getBoundingClientRect(), e])
                 .filter(([r]) => r.width && (r.height < 43.5 || r.width < 24))
                 .map(([r, e]) => `${location.pathname} ${e.outerHTML.slice(0, 90)} ${r.width}x${r.height}`)"""
        )

    assert small == []
