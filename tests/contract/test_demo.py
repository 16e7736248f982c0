"""api.md §6, §7: the demo shop, its codes and log-ins, pages and documents."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.contract.client import Api
from tests.contract.conftest import (
    Shop,
    buy,
    demo_products,
    eventually,
    log_in,
    new_guest,
    new_user,
)
from tests.contract.test_auth import _signed_in

PAGES = [
    "/", "/products/", "/search/", "/search/?q=lamp", "/cart/", "/orders/lookup/", "/account/login/", "/account/signup/",
    "/checkout/", "/dev/mail/", "/admin/login/", "/compare/",
]  # fmt: skip


PLENTY = 10  # as many as customers are told of: enough for a test while others buy of it too


def _some(api: Api) -> dict[str, Any]:
    """A demo product that is in stock."""
    for one in demo_products(api.base):
        whole: dict[str, Any] = api.get(f"/products/{one['id']}")
        if any(variant["available"] >= PLENTY for variant in whole["variants"]):
            return whole
    raise AssertionError(f"no demo product has {PLENTY} in stock")


def _sku(product: dict[str, Any]) -> str:
    return str(next(one["sku"] for one in product["variants"] if one["available"] >= PLENTY))


# --- codes ------------------------------------------------------------------------------------
def test_the_codes_work(api: Api) -> None:
    sku = _sku(_some(api))

    for code, kind in (("SAVE10", "PERCENTAGE"), ("WELCOME5", "FIXED_AMOUNT"), ("ONCE5", None)):
        guest = new_guest(api.base)
        guest.add(sku, 2)
        cart = guest.post("/cart/discount", {"code": code})
        assert [one["code"] for one in cart["discounts"]] == [code]
        if kind:
            assert cart["discounts"][0]["kind"] == kind
        if code == "WELCOME5":
            assert cart["totals"]["discountTotal"] == "5.00"


def test_free_shipping_is_free(api: Api) -> None:
    guest = new_guest(api.base)
    guest.add(_sku(_some(api)), 1)
    guest.post("/cart/discount", {"code": "FREESHIP"})
    checkout = guest.post("/checkout/initialize", {"email": "a@example.com"}, expect=201)

    found = guest.patch(
        f"/checkout/{checkout['id']}",
        {
            "shippingAddress": {
                "name": "A", "line1": "1 Main St", "city": "Los Angeles", "state": "CA", "postalCode": "90012", "country": "US",
            }
        },
    )  # fmt: skip

    assert found["totals"]["shippingDiscount"] == found["totals"]["shippingTotal"]


def test_the_code_that_is_over_is_over(guest: Api, api: Api) -> None:
    guest.add(_sku(_some(api)))

    guest.refused("DISCOUNT_EXPIRED", "POST", "/cart/discount", {"code": "EXPIRED10"})


@pytest.mark.slow
def test_three_may_use_limited3(api: Api) -> None:
    sku = _sku(_some(api))
    ends = []

    for _ in range(4):
        guest = new_guest(api.base)
        guest.add(sku)
        response = guest.send("POST", "/cart/discount", {"code": "LIMITED3"})
        ends.append(response.status_code)
        if response.status_code == 200:
            buy(guest, {})
        else:
            assert response.json()["code"] == "DISCOUNT_LIMIT_REACHED"

    assert ends == [200, 200, 200, 400]


def test_once5_is_for_once(api: Api) -> None:
    user, sku = new_user(api.base), _sku(_some(api))
    user.add(sku)
    user.post("/cart/discount", {"code": "ONCE5"})
    buy(user, {})

    user.add(sku)

    user.refused("DISCOUNT_LIMIT_REACHED", "POST", "/cart/discount", {"code": "ONCE5"})


# --- products ---------------------------------------------------------------------------------
def test_the_shop_has_about_forty_products_in_six_categories(api: Api) -> None:
    found = demo_products(api.base)

    assert 35 <= len(found) <= 60
    assert len({one["category"]["slug"] for one in found}) == 6
    for one in found:
        assert one["images"], one["slug"]
    assert any(len(one["variants"]) > 1 for one in found)


def test_the_pictures_are_there(api: Api) -> None:
    for one in demo_products(api.base)[:60]:
        for image in one["images"]:
            url = image if isinstance(image, str) else image["url"]
            response = api.http.get(url)
            assert response.status_code == 200, url
            assert response.headers["content-type"].startswith("image/"), url


def test_the_special_products_are_there(api: Api, staff: Api) -> None:
    found = demo_products(api.base)
    stock = [
        record for page in _pages(staff, "/inventory?limit=100") for record in page
        if not record["sku"].startswith("T-")
    ]  # fmt: skip

    assert any(not any(variant["inStock"] for variant in one["variants"]) for one in found), "none is out of stock"  # fmt: skip
    assert any(record["inventoryPolicy"] == "continue" for record in stock), "none on backorder"
    assert len({str(record["warehouse"]) for record in stock}) >= 2
    assert api.get("/products/bundles")["results"]


def _pages(caller: Api, url: str | None) -> Any:
    while url:
        page = caller.get(url)
        yield page["results"]
        url = page["next"]


def test_one_sells_on_backorder_and_one_not_at_all(api: Api, staff: Api) -> None:
    sku = next(
        record["sku"]
        for page in _pages(staff, "/inventory?limit=100")
        for record in page
        if record["inventoryPolicy"] == "continue" and not record["sku"].startswith("T-")
    )
    guest = new_guest(api.base)

    assert guest.add(sku, 30)["items"][0]["problems"] == []


# --- what stands around -----------------------------------------------------------------------
def test_health_is_told(api: Api) -> None:
    for path in ("/api/health", "/api/v1/health"):
        found = api.get(path)
        assert found["status"]
        assert "1.0.0" in str(found)
    ready = eventually(
        lambda: answer if (answer := api.send("GET", "/health/ready")).status_code == 200 else None
    )
    assert "database" in ready.text.lower()
    assert "redis" in ready.text.lower()


def test_the_document_is_openapi_3_1(api: Api) -> None:
    response = api.send("GET", "/api/schema", headers={"Accept": "application/json"})
    found = response.json()

    assert found["openapi"].startswith("3.1")
    assert found["info"]["title"]
    assert all(path.startswith("/api/v1/") for path in found["paths"])
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"], f"{method} {path}"
            assert not path.endswith("/"), path
    plain = api.http.get("/api/schema")
    assert plain.status_code == 200


def test_the_documents_can_be_read(api: Api) -> None:
    docs = api.http.get("/api/docs")

    assert docs.status_code == 200
    assert "text/html" in docs.headers["content-type"]
    for url in re.findall(r'(?:src|href)="(/[^"]+)"', docs.text):
        assert api.http.get(url).status_code == 200, url
    for path in ("/api/docs", "/api/schema"):
        assert api.http.get(path, headers={"Accept": "image/png"}).status_code == 200, path


def test_errors_are_explained_where_their_type_points(api: Api) -> None:
    problem = api.refused("AUTH_REQUIRED", "GET", "/cart")

    page = api.http.get(problem["type"].split("#")[0], follow_redirects=True)

    assert page.status_code == 200
    assert "AUTH_REQUIRED" in page.text


def test_metrics_are_exposed(api: Api) -> None:
    response = api.http.get("/metrics")

    assert response.status_code == 200
    assert re.search(r"^[a-z_]+\{.*\} [0-9.]+$", response.text, re.MULTILINE)


# --- pages ------------------------------------------------------------------------------------
def _good(answer: httpx.Response) -> str:
    assert answer.status_code == 200, f"{answer.url}: {answer.status_code}"
    text = answer.text
    assert "<html" in text
    assert re.search(r"<title>\s*\S", text), answer.url
    assert 'lang="' in text
    for wrong in ("{{ ", "{% ", "None</", "Traceback", ">None<", ">undefined<", "Decimal("):
        assert wrong not in text, f"{answer.url}: {wrong}"
    return text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_answers(pages: httpx.Client, path: str) -> None:
    _good(pages.get(path))


def test_products_and_categories_have_pages(pages: httpx.Client, api: Api) -> None:
    for one in demo_products(api.base)[:60]:
        text = _good(pages.get(f"/products/{one['slug']}/"))
        assert one["name"].split("&")[0].split("'")[0][:12] in text
    slugs = {one["category"]["slug"] for one in demo_products(api.base) if one["category"]}
    for slug in slugs:
        _good(pages.get(f"/category/{slug}/"))


@pytest.mark.parametrize(
    "path",
    ["/products/nothing/", "/category/nothing/", "/orders/ORD-20200101-000001/", "/nothing/", "/products/%00/",
     "/cart/recover/nothing/", "/unsubscribe/nothing/", "/category/%ff/", "/products/" + "x" * 3000 + "/"],
)  # fmt: skip
def test_a_page_of_nothing_is_kind(pages: httpx.Client, path: str) -> None:
    answer = pages.get(path)

    assert answer.status_code in (200, 400, 403, 404, 410)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/account/", "/orders/", "/account/notifications/",
        "/account/devices/", "/wishlist/",
    ],
)  # fmt: skip
def test_a_page_of_ones_own_asks_to_sign_in(pages: httpx.Client, path: str) -> None:
    answer = pages.get(path)

    assert answer.status_code == 200
    if path.startswith("/account"):
        assert "/account/login/" in str(answer.url)


@pytest.mark.parametrize("email", ["customer@example.com", "admin@example.com"])
def test_signed_in_pages_answer(pages: httpx.Client, email: str) -> None:
    _signed_in(pages, email)

    for path in ("/account/", "/orders/", "/cart/", "/"):
        _good(pages.get(path))


@pytest.mark.slow
def test_the_admin_shows_every_list(pages: httpx.Client) -> None:
    _signed_in(pages, "admin@example.com")
    index = _good(pages.get("/admin/"))
    lists = sorted(set(re.findall(r'href="(/admin/[a-z_]+/[a-z_]+/)"', index)))

    assert len(lists) >= 15
    wrong = []
    for path in lists:
        answer = pages.get(path)
        if answer.status_code != 200:
            wrong.append(f"{path}: {answer.status_code}")
            continue
        rows = re.findall(rf'href="({re.escape(path)}[^"?#]+/change/)', answer.text)
        for row in rows[:1]:
            if pages.get(row).status_code != 200:
                wrong.append(row)
        for query in ("?q=a", "?q='%22%5C&p=9999"):
            if pages.get(path + query).status_code >= 500:
                wrong.append(path + query)
    assert wrong == []


def test_a_stranger_buys_over_the_pages(pages: httpx.Client, api: Api) -> None:
    """The first step of the journey without JavaScript: the form of the product page fills the cart."""
    some = _some(api)
    text = _good(pages.get(f"/products/{some['slug']}/"))
    form = next(
        form
        for form in re.findall(
            r"<form[^>]*method=\"post\"[^>]*>.*?</form>", text, re.DOTALL | re.IGNORECASE
        )
        if "add" in form.lower()
    )
    action = re.search(r'action="([^"]*)"', form)
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        kind = re.search(r'type="([^"]*)"', tag)
        if name and (not kind or kind[1] != "radio" or "checked" in tag or name[1] not in fields):
            fields[name[1]] = value[1] if value else "1"
    for name, options in re.findall(
        r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        fields[name] = re.findall(r'value="([^"]+)"', options)[0]

    answer = pages.post(
        action[1] if action and action[1] else f"/products/{some['slug']}/",
        data=fields,
        headers={"Referer": f"{pages.base_url}/products/{some['slug']}/"},
    )

    assert answer.status_code == 200, answer.text[:300]
    assert some["name"].split("'")[0][:12] in _good(pages.get("/cart/"))


def test_a_confirmation_is_mailed(shop: Shop, api: Api) -> None:
    guest = new_guest(shop.url)
    email = f"mail-{guest.token[:10]}@example.com"
    order = buy(guest, {_sku(_some(api)): 1}, email=email)

    eventually(
        lambda: order["number"] in (text := api.http.get("/dev/mail/").text) or email in text,
        what="the confirmation in /dev/mail/",
    )


def test_the_demo_customer_has_a_past(shop: Shop) -> None:
    customer = log_in(shop.url, "customer@example.com", "customer")
    statuses = {order["status"] for order in customer.get("/orders?limit=100")["results"]}

    assert len(statuses & {"draft", "confirmed", "processing", "shipped", "delivered", "cancelled"}) >= 3  # fmt: skip
