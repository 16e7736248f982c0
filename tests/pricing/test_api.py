from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform.models import AuditEntry, User
from inventory.models import (
    Bundle,
    BundleItem,
    Category,
    Company,
    Product,
    ProductRelation,
    StockLevel,
    Variant,
)
from pricing.models import BundlePrice, Price, Promotion, ShippingRule, ShippingZone, TaxRate
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def public(company: Company) -> Api:
    return Api()


@pytest.fixture
def staff_api(company: Company, staff_user: User) -> Api:
    return Api().as_user(staff_user)


def make_product(name: str = "Lantern", amount: str = "49.90", **fields: Any) -> Product:
    stock = fields.pop("available", 25)
    policy = fields.pop("inventory_policy", "deny")
    product = factories.make_product(name=name, **fields)
    variant = factories.make_variant(product=product, available=stock, inventory_policy=policy)
    product.search_terms = variant.sku
    product.save()
    factories.make_price(variant, amount)
    return product


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [product["name"] for product in answer.json()["results"]]


# --- reading ------------------------------------------------------------------------------------


def test_a_product_is_shown_by_id_and_by_slug(public: Api, company: Company) -> None:
    category = Category.objects.create(company=company, name="Light", slug="light")
    product = factories.make_product(
        name="Lantern",
        slug="lantern",
        category=category,
        description="<p>Bright</p>",
        option_names=["Colour"],
    )
    variant = factories.make_variant(
        product=product, sku="LAN-1", options={"Colour": "Red"}, available=25
    )
    factories.make_price(variant, "49.90", compare_at=Decimal("60.00"))
    image = product.images.create(url="https://elsewhere.example/a.jpg", alt="A lantern")

    answer = public.get("/products/lantern")

    assert answer.json() == {
        "id": str(product.id),
        "slug": "lantern",
        "url": "/products/lantern/",
        "name": "Lantern",
        "description": "<p>Bright</p>",
        "status": "active",
        "vendor": "",
        "tags": [],
        "category": {"slug": "light", "name": "Light"},
        "images": [
            {
                "id": str(image.id),
                "url": "https://elsewhere.example/a.jpg",
                "alt": "A lantern",
                "width": None,
                "height": None,
                "srcset": [],
            }
        ],
        "options": ["Colour"],
        "priceFrom": "49.90",
        "currency": "USD",
        "inStock": True,
        "variants": [
            {
                "id": str(variant.id),
                "sku": "LAN-1",
                "options": {"Colour": "Red"},
                "imageUrl": None,
                "price": "49.90",
                "compareAtPrice": "60.00",
                "available": 10,
                "inStock": True,
                "backorder": False,
            }
        ],
    }
    assert public.get(f"/products/{product.id}").json() == answer.json()


def test_staff_see_how_much_there_is_and_nobody_else_does(
    public: Api, staff_api: Api, user: User
) -> None:
    product = make_product(available=25)

    for api, shown in ((public, 10), (public.as_user(user), 10), (staff_api, 25)):
        assert api.get(f"/products/{product.slug}").json()["variants"][0]["available"] == shown


@pytest.mark.parametrize(
    ("status", "customer", "by_staff"),
    [("draft", 404, 200), ("discontinued", 200, 200), ("active", 200, 200)],
)
def test_who_sees_a_product_in_which_state(
    public: Api, staff_api: Api, status: str, customer: int, by_staff: int
) -> None:
    product = make_product(status=status)

    assert public.get(f"/products/{product.slug}").status_code == customer
    answer = staff_api.get(f"/products/{product.slug}")
    assert (answer.status_code, answer.json()["status"]) == (by_staff, status)
    assert names(public.get("/products")) == (["Lantern"] if status == "active" else [])
    assert names(staff_api.get(f"/products?status={status}")) == ["Lantern"]
    assert names(public.get(f"/products?status={status}")) == (
        ["Lantern"] if status == "active" else []
    )


@pytest.mark.parametrize(
    ("lived", "by_patch", "customer", "refusal"),
    [
        (["draft"], False, 404, "PRODUCT_NOT_FOUND"),
        (["draft"], True, 404, "PRODUCT_NOT_FOUND"),
        (["draft", "discontinued", "draft"], False, 404, "PRODUCT_NOT_FOUND"),
        (["draft", "active", "draft"], False, 200, "PRODUCT_DISCONTINUED"),
        (["active", "draft"], True, 200, "PRODUCT_DISCONTINUED"),
    ],
)
def test_what_never_was_public_stays_unknown_after_its_end(
    public: Api, staff_api: Api, lived: list[str], by_patch: bool, customer: int, refusal: str
) -> None:
    product = make_product(status=lived[0])
    path = f"/products/{product.slug}"
    for status in lived[1:]:
        assert staff_api.request("PATCH", path, {"status": status}).status_code == 200

    if by_patch:
        ended = staff_api.request("PATCH", path, {"status": "discontinued"})
    else:
        ended = staff_api.request("DELETE", path)

    assert ended.status_code in (200, 204)
    for known in (path, f"/products/{product.id}", f"{path}/pricing", f"{path}/inventory"):
        assert public.get(known).status_code == customer, known
    assert public.client.get(f"{path}/").status_code == customer
    assert names(public.get("/products/search?q=Lantern")) == []
    guest = public.as_guest(public.post("/public/cart").json()["sessionToken"])
    [sku] = product.variants.values_list("sku", flat=True)
    for ref in ({"sku": sku}, {"productId": str(product.id)}):
        refused = guest.post("/cart/items", ref)
        assert refused.json()["code"] == refusal
        assert ("Lantern" in refused.json()["detail"]) is (customer == 200)
    assert staff_api.get(path).json()["status"] == "discontinued"

    assert staff_api.request("PATCH", path, {"status": "active"}).status_code == 200
    assert public.get(path).json()["status"] == "active"
    assert staff_api.request("DELETE", path).status_code == 204
    assert public.get(path).json()["status"] == "discontinued"


@pytest.mark.parametrize(
    "ref", ["nothing", "01900000-0000-7000-8000-00000000dead", "%00", "a" * 400, "%F0%9F%92%A9"]
)
def test_what_is_not_there_is_404(public: Api, ref: str) -> None:
    answer = public.get(f"/products/{ref}")

    assert answer.status_code == 404
    assert answer.json()["code"] in {"PRODUCT_NOT_FOUND", "NOT_FOUND"}


def test_products_of_another_company_are_not_there(public: Api) -> None:
    product = make_product(company=factories.make_company())

    assert public.get(f"/products/{product.id}").status_code == 404
    assert names(public.get("/products")) == []


def test_a_variant_without_a_price_in_the_currency_shows_none(public: Api) -> None:
    product = make_product()

    shown = public.get(f"/products/{product.slug}?currency=EUR").json()

    assert (shown["priceFrom"], shown["currency"], shown["inStock"]) == (None, "EUR", False)
    assert shown["variants"][0]["price"] is None
    assert public.get(f"/products/{product.slug}?currency=XXX").status_code == 400


def test_amounts_have_the_places_of_their_currency(public: Api) -> None:
    product = make_product()
    variant = product.variants.get()
    factories.make_price(variant, "4990", "JPY")
    factories.make_price(variant, "1.25", "KWD")

    assert public.get(f"/products/{product.slug}?currency=JPY").json()["priceFrom"] == "4990"
    assert public.get(f"/products/{product.slug}?currency=KWD").json()["priceFrom"] == "1.250"


def test_public_answers_may_be_cached_and_those_for_staff_may_not(
    public: Api, staff_api: Api
) -> None:
    product = make_product()
    path = f"/products/{product.slug}"

    answer = public.get(path)

    assert answer["Cache-Control"].startswith("public, max-age=")
    assert {"Authorization", "Cookie", "X-Company-Id"} <= {
        v.strip() for v in answer["Vary"].split(",")
    }
    again = public.get(path, **{"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Price.objects.update(amount=Decimal("1.00"))
    changed = public.get(path, **{"If-None-Match": answer["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != answer["ETag"]
    assert "public" not in staff_api.get(path)["Cache-Control"]


# --- lists and search ---------------------------------------------------------------------------


@pytest.fixture
def shelf(company: Company) -> None:
    light = Category.objects.create(company=company, name="Light", slug="light")
    brass = Category.objects.create(company=company, name="Brass", slug="brass", parent=light)
    make_product("Storm Lantern", "50.00", category=light, description="<p>For rough nights</p>")
    make_product("Brass Lamp", "80.00", category=brass, tags=["gift"], available=0)
    make_product("Wool Blanket", "120.00", vendor="Ebb & Daughters")
    make_product("Café Cup", "12.00", available=0, inventory_policy="continue")
    make_product("Old Rope", "5.00", status="discontinued")
    make_product("New Rope", "6.00", status="draft")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Café Cup", "Wool Blanket", "Brass Lamp", "Storm Lantern"]),
        ("?q=lantern", ["Storm Lantern"]),
        ("?q=LANTERNS", ["Storm Lantern"]),
        ("?q=lan", ["Storm Lantern"]),
        ("?q=brass lam", ["Brass Lamp"]),
        ("?q=cafe", ["Café Cup"]),
        ("?q=café", ["Café Cup"]),
        ("?q=gift", ["Brass Lamp"]),
        ("?q=daughters", ["Wool Blanket"]),
        ("?q=rough", ["Storm Lantern"]),
        ("?q=anket", ["Wool Blanket"]),  # inside a word
        ("?q=rope", []),
        ("?q=' | & ! ( ) : *", []),
        ("?category=light", ["Brass Lamp", "Storm Lantern"]),
        ("?category=brass", ["Brass Lamp"]),
        ("?category=nowhere", []),
        ("?minPrice=50&maxPrice=80", ["Brass Lamp", "Storm Lantern"]),
        ("?minPrice=80.01", ["Wool Blanket"]),
        ("?inStock=true", ["Café Cup", "Wool Blanket", "Storm Lantern"]),
        ("?inStock=false", ["Brass Lamp"]),
        ("?sort=price", ["Café Cup", "Storm Lantern", "Brass Lamp", "Wool Blanket"]),
        ("?sort=-price", ["Wool Blanket", "Brass Lamp", "Storm Lantern", "Café Cup"]),
        ("?sort=name", ["Brass Lamp", "Café Cup", "Storm Lantern", "Wool Blanket"]),
        ("?q=l&sort=price&inStock=true", ["Storm Lantern"]),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_search_finds(public: Api, query: str, expected: list[str]) -> None:
    assert names(public.get(f"/products/search{query}")) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?minPrice=abc", "minPrice"),
        ("?minPrice=-1", "minPrice"),
        ("?inStock=maybe", "inStock"),
        ("?sort=cheapest", "sort"),
        ("?limit=0", "limit"),
        ("?cursor=abc", "cursor"),
        ("?currency=XXX", "currency"),
        (f"?q={'a' * 201}", "q"),
    ],
)
def test_search_refuses_what_it_cannot_mean(public: Api, query: str, field: str) -> None:
    answer = public.get(f"/products/search{query}")

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("query", ["?q=%00", "?q=%ff", "?category=%00"])
def test_search_refuses_bytes_that_are_no_text(public: Api, query: str) -> None:
    assert public.get(f"/products/search{query}").status_code in {200, 400}


def test_a_sku_is_found_as_it_is_written(public: Api) -> None:
    product = make_product("Mug")
    sku = product.variants.get().sku

    assert names(public.get(f"/products/search?q={sku.lower()}")) == ["Mug"]


@pytest.mark.parametrize("sort", ["relevance", "newest", "price", "-price", "name"])
def test_pages_neither_skip_nor_repeat(public: Api, sort: str) -> None:
    for number in range(11):
        make_product(f"Lamp {number % 3}", f"{10 + number % 4}.00")
    whole = [p["id"] for p in public.get(f"/products/search?q=lamp&sort={sort}").json()["results"]]

    seen: list[str] = []
    url = f"/api/v1/products/search?q=lamp&sort={sort}&limit=4"
    while url:
        answer = public.get(url.replace("http://testserver", "")).json()
        seen += [product["id"] for product in answer["results"]]
        url = answer["next"]

    assert seen == whole
    assert len(set(seen)) == 11


@pytest.mark.parametrize(
    "path", ["/products?", "/products/search?q=lamp&sort=price&inStock=true&minPrice=1&"]
)
def test_a_page_takes_as_many_statements_whatever_its_size(public: Api, path: str) -> None:
    def statements(limit: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(public.get(f"{path}limit={limit}").json()["results"]) == limit
        return len(captured)

    for number in range(30):
        product = make_product(f"Lamp {number}")
        product.images.create(url="a.svg")
        factories.make_priced_variant(product=product)
    public.get("/products")

    assert statements(2) == statements(30) <= 5


def test_bundles_show_what_they_save(public: Api, company: Company) -> None:
    variants = [factories.make_priced_variant("10.00"), factories.make_priced_variant("20.00")]
    bundle = Bundle.objects.create(company=company, slug="pair", name="Pair")
    for variant in variants:
        BundleItem.objects.create(bundle=bundle, variant=variant, quantity=2)
    BundlePrice.objects.create(bundle=bundle, currency="USD", amount=Decimal(50))
    incomplete = Bundle.objects.create(company=company, slug="none", name="None")
    BundleItem.objects.create(bundle=incomplete, variant=factories.make_variant())

    [shown] = public.get("/products/bundles").json()["results"]

    assert (shown["slug"], shown["price"], shown["partsPrice"]) == ("pair", "50.00", "60.00")
    assert [(item["quantity"], item["price"]) for item in shown["items"]] == [
        (2, "10.00"),
        (2, "20.00"),
    ]


def test_related_products_come_by_kind_and_weight_and_only_what_is_sold(public: Api) -> None:
    product = make_product("Mug")
    kinds = ProductRelation.Kind
    for name, kind, weight, status in (
        ("Kettle", kinds.CROSS_SELL, 1, "active"),
        ("Tea", kinds.CROSS_SELL, 5, "active"),
        ("Better Mug", kinds.UP_SELL, 3, "active"),
        ("Other Mug", kinds.ALTERNATIVE, 9, "active"),
        ("Gone", kinds.ALTERNATIVE, 10, "discontinued"),
    ):
        related = make_product(name, status=status)
        ProductRelation.objects.create(product=product, related=related, kind=kind, weight=weight)
    path = f"/products/{product.slug}"

    assert names(public.get(f"{path}/recommendations")) == [
        "Other Mug",
        "Tea",
        "Better Mug",
        "Kettle",
    ]
    assert names(public.get(f"{path}/alternatives")) == ["Other Mug"]
    assert names(public.get(f"{path}/upsells")) == ["Tea", "Better Mug", "Kettle"]
    assert public.get("/products/nothing/alternatives").status_code == 404


def test_what_staff_named_is_followed_by_what_the_category_has_in_stock(public: Api) -> None:
    company = factories.default_company()
    kitchen = Category.objects.create(company=company, slug="kitchen", name="Kitchen")
    cups = Category.objects.create(company=company, slug="cups", name="Cups", parent=kitchen)
    elsewhere = Category.objects.create(company=company, slug="light", name="Light")

    mug = make_product("Mug", "20.00", category=kitchen, available=0)
    make_product("Cheap", "5.00", category=kitchen)
    make_product("Near", "18.00", category=cups)
    make_product("Dear", "21.00", category=kitchen)
    make_product("Dearest", "90.00", category=cups)
    make_product("Same", "20.00", category=kitchen)
    make_product("Sold out", "19.00", category=kitchen, available=0)
    make_product("Lamp", "20.00", category=elsewhere)
    kinds = ProductRelation.Kind
    for kind in (kinds.ALTERNATIVE, kinds.UP_SELL):
        named = make_product(f"Named {kind.label}", "70.00", category=elsewhere, available=0)
        ProductRelation.objects.create(product=mug, related=named, kind=kind)

    path = f"/products/{mug.slug}"

    first, *rest = names(public.get(f"{path}/alternatives"))
    assert first == f"Named {kinds.ALTERNATIVE.label}"
    assert rest == ["Same", "Dear", "Near", "Cheap", "Dearest"]
    first, *rest = names(public.get(f"{path}/upsells"))
    assert first == f"Named {kinds.UP_SELL.label}"
    assert rest == ["Dear", "Dearest"]


def test_the_pricing_of_a_product_lists_what_customers_are_told(public: Api, now: datetime) -> None:
    product = make_product()
    factories.make_promotion("SAVE10", is_advertised=True)
    factories.make_promotion("SECRET")
    elsewhere = factories.make_promotion("HATS", is_advertised=True)
    elsewhere.products.add(factories.make_product())

    shown = public.get(f"/products/{product.id}/pricing").json()

    assert (shown["priceFrom"], shown["currency"]) == ("49.90", "USD")
    assert [promotion["code"] for promotion in shown["promotions"]] == ["SAVE10"]


# --- staff write the catalogue --------------------------------------------------------------------


def test_staff_create_change_and_discontinue_a_product(
    staff_api: Api, public: Api, company: Company
) -> None:
    Category.objects.create(company=company, name="Light", slug="light")
    factories.default_warehouse()
    made = staff_api.post(
        "/products",
        {
            "name": "Harbour Lamp",
            "category": "light",
            "description": '<p onclick="x()">Bright<script>alert(1)</script></p>',
            "variants": [
                {
                    "sku": "HL-1",
                    "options": {"Colour": "Red"},
                    "prices": {"USD": "10.00", "EUR": "9"},
                    "quantity": 7,
                },
                {
                    "sku": "HL-2",
                    "options": {"Colour": "Blue"},
                    "prices": {"USD": "11.5"},
                    "inventoryPolicy": "continue",
                },
            ],
        },
    )

    assert made.status_code == 201, made.content
    shown = made.json()
    assert (shown["slug"], shown["category"], shown["options"]) == (
        "harbour-lamp", {"slug": "light", "name": "Light"}, ["Colour"],
    )  # fmt: skip
    assert shown["description"] == "<p>Bright</p>"
    assert [(v["sku"], v["price"], v["available"]) for v in shown["variants"]] == [
        ("HL-1", "10.00", 7),
        ("HL-2", "11.50", 0),
    ]
    assert names(public.get("/products/search?q=HL-1")) == ["Harbour Lamp"]

    changed = staff_api.request(
        "PATCH",
        f"/products/{shown['id']}",
        {"name": "Quay Lamp", "variants": [{"sku": "HL-1", "prices": {"USD": "12.00"}}]},
    )
    assert changed.status_code == 200, changed.content
    assert (changed.json()["name"], changed.json()["slug"]) == ("Quay Lamp", "harbour-lamp")
    assert [(v["sku"], v["price"], v["available"]) for v in changed.json()["variants"]] == [
        ("HL-1", "12.00", 7),
        ("HL-2", "11.50", 0),
    ]

    assert staff_api.request("DELETE", f"/products/{shown['id']}").status_code == 204
    assert public.get("/products/harbour-lamp").json()["status"] == "discontinued"
    assert names(public.get("/products")) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"variants": []}, "variants"),
        ({"variants": [{}]}, "variants.0.sku"),
        ({"variants": [{"sku": "A", "prices": {"USD": "abc"}}]}, "variants.0.prices.USD"),
        ({"variants": [{"sku": "A", "prices": {"USD": "1.005"}}]}, "variants.0.prices.USD"),
        ({"variants": [{"sku": "A", "prices": {"USD": "-1"}}]}, "variants.0.prices.USD"),
        ({"variants": [{"sku": "A", "prices": {"XXX": "1"}}]}, "variants.0.prices.XXX"),
        ({"variants": [{"sku": "A", "quantity": -1}]}, "variants.0.quantity"),
        ({"variants": [{"sku": "A", "quantity": "1"}]}, "variants.0.quantity"),
        ({"variants": [{"sku": "A", "inventoryPolicy": "maybe"}]}, "variants.0.inventoryPolicy"),
        ({"variants": [{"sku": "A\x00"}]}, "variants.0.sku"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_product_that_makes_no_sense_is_refused_and_nothing_is_written(
    staff_api: Api, change: dict[str, Any], field: str
) -> None:
    body = {"name": "Lamp", "variants": [{"sku": "A", "prices": {"USD": "1.00"}}], **change}
    body = {key: value for key, value in body.items() if value is not None}

    answer = staff_api.post("/products", body)

    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}
    if answer.json()["code"] == "VALIDATION_ERROR":
        assert field in [error["field"] for error in answer.json()["errors"]]
    assert not Product.objects.exists()
    assert not Variant.objects.exists()


def test_only_staff_write_the_catalogue_and_the_rules(
    public: Api, user: User, guest_token: str
) -> None:
    product = make_product()
    for api, status in (
        (public, 401),
        (public.as_guest(guest_token), 401),
        (public.as_user(user), 403),
    ):
        for method, path in (
            ("POST", "/products"),
            ("PATCH", f"/products/{product.id}"),
            ("DELETE", f"/products/{product.id}"),
            ("GET", "/promotions"),
            ("POST", "/promotions"),
            ("GET", "/tax-rates"),
            ("POST", "/tax-rates"),
            ("GET", "/shipping-zones"),
            ("POST", "/shipping-rules"),
        ):
            assert (
                api.request(method, path, {} if method != "GET" else None).status_code == status
            ), (method, path)
    product.refresh_from_db()
    assert product.status == "active"


# --- questions ------------------------------------------------------------------------------------


def test_validate_says_what_may_go_into_a_cart(public: Api) -> None:
    variant = factories.make_priced_variant("10.00", available=3)

    answer = public.post("/products/validate", {"sku": variant.sku, "quantity": 3}).json()

    assert answer == {
        "valid": True,
        "sku": variant.sku,
        "variantId": str(variant.id),
        "problems": [],
        "available": 3,
        "unitPrice": "10.00",
        "currency": "USD",
    }


def test_validate_names_every_problem(public: Api) -> None:
    scarce = factories.make_priced_variant(available=3)
    unpriced = factories.make_variant(available=0)
    gone = factories.make_priced_variant(product=factories.make_product(status="discontinued"))
    draft = factories.make_priced_variant(product=factories.make_product(status="draft"))
    on_order = factories.make_priced_variant(available=0, inventory_policy="continue")

    answer = public.post(
        "/products/validate/bulk",
        {
            "items": [
                {"sku": scarce.sku, "quantity": 4, "price": "0.01"},
                {"variantId": str(unpriced.id)},
                {"sku": gone.sku},
                {"sku": draft.sku},
                {"sku": "NOTHING"},
                {"productId": str(on_order.product_id), "quantity": 100},
            ]
        },
    )

    assert answer.json()["valid"] is False
    assert [
        [problem["code"] for problem in result["problems"]] for result in answer.json()["results"]
    ] == [
        ["ITEM_OUT_OF_STOCK"],
        ["PRICE_MISSING", "ITEM_OUT_OF_STOCK"],
        ["PRODUCT_DISCONTINUED"],
        ["PRODUCT_NOT_FOUND"],
        ["PRODUCT_NOT_FOUND"],
        [],
    ]
    assert answer.json()["results"][0]["problems"][0]["extra"] == {
        "sku": scarce.sku,
        "requested": 4,
        "available": 3,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sku": "A", "quantity": 0}, "quantity"),
        ({"sku": "A", "quantity": 101}, "quantity"),
        ({"sku": "A", "quantity": "2"}, "quantity"),
        ({"sku": "A", "quantity": 1.5}, "quantity"),
        ({"quantity": 1}, "sku"),
        ({"sku": 5}, "sku"),
        ({"variantId": "x"}, "variantId"),
    ],
)
def test_validate_refuses_what_it_cannot_read(
    public: Api, body: dict[str, Any], field: str
) -> None:
    answer = public.post("/products/validate", body)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_value_of_a_cart_is_its_quote(public: Api) -> None:
    variant = factories.make_priced_variant("10.00")
    factories.make_promotion()

    answer = public.post(
        "/products/pricing/calculate-cart-value", {"items": [{"sku": variant.sku, "quantity": 2}]}
    )

    assert answer.json()["totals"] == {
        "subtotal": "20.00",
        "discountTotal": "2.00",
        "shippingTotal": "0.00",
        "shippingDiscount": "0.00",
        "shippingTax": "0.00",
        "taxTotal": "0.00",
        "grandTotal": "18.00",
        "pricesIncludeTax": False,
        "estimated": True,
    }


def test_a_code_is_checked_without_applying_it(public: Api, now: datetime) -> None:
    variant = factories.make_priced_variant("100.00")
    items = [{"sku": variant.sku, "quantity": 1}]
    factories.make_promotion("SAVE10")
    factories.make_promotion("EXPIRED10", ends_at=now - timedelta(days=1))
    factories.make_promotion("BIG", minimum_order=Decimal(500))
    factories.make_promotion("LIMITED3", usage_limit=3, used_count=3)

    def check(code: str, **body: Any) -> tuple[Any, ...]:
        answer = public.post("/checkout/discount/validate", {"code": code, **body})
        assert answer.status_code == 200, answer.content
        shown = answer.json()
        return shown["valid"], shown["code"], shown["reason"], shown["errorCode"], shown["amount"]

    assert check(" save10 ", items=items) == (True, "SAVE10", None, None, "10.00")
    assert check("SAVE10") == (True, "SAVE10", None, None, None)
    assert check("EXPIRED10") == (False, "EXPIRED10", "expired", "DISCOUNT_EXPIRED", None)
    assert check("LIMITED3") == (False, "LIMITED3", "used_up", "DISCOUNT_LIMIT_REACHED", None)
    assert check("NOPE", items=items) == (False, "NOPE", "unknown", "DISCOUNT_INVALID", None)
    for no_code in ("NO PE", "", "X" * 10_000):
        assert check(no_code) == (False, no_code, "unknown", "DISCOUNT_INVALID", None)
    assert check("BIG") == (True, "BIG", None, None, None)
    assert check("BIG", items=items) == (False, "BIG", "minimum_not_met", "DISCOUNT_INVALID", None)
    assert (
        public.post("/checkout/discount/validate", {"code": 5}).json()["code"] == "VALIDATION_ERROR"
    )


# --- rules ------------------------------------------------------------------------------------------


def test_staff_create_read_change_and_delete_a_promotion(staff_api: Api, public: Api) -> None:
    body = {
        "code": "summer-5",
        "name": "Five off",
        "kind": "FIXED_AMOUNT",
        "scope": "CART",
        "value": "5.00",
        "startsAt": "2026-01-01T00:00:00Z",
        "usageLimit": 3,
        "perCustomerLimit": 1,
        "minimumOrder": "20.00",
        "stackable": False,
        "priority": 2,
        "advertised": True,
    }

    made = staff_api.post("/promotions", body)

    assert made.status_code == 201, made.content
    shown = made.json()
    assert {
        key: shown[key]
        for key in (
            "code",
            "codes",
            "value",
            "currency",
            "minimumOrder",
            "usageLimit",
            "stackable",
            "used",
            "isAutomatic",
        )
    } == {
        "code": "SUMMER-5",
        "codes": ["SUMMER-5"],
        "value": "5.00",
        "currency": "USD",
        "minimumOrder": "20.00",
        "usageLimit": 3,
        "stackable": False,
        "used": 0,
        "isAutomatic": False,
    }
    path = f"/promotions/{shown['id']}"
    assert staff_api.get(path).json() == shown
    assert [p["code"] for p in public.get("/promotions/active").json()["results"]] == ["SUMMER-5"]

    changed = staff_api.request("PATCH", path, {"value": "7.50", "minimum_order": None})
    assert changed.status_code == 200, changed.content
    assert changed.json() == {**shown, "value": "7.50", "minimumOrder": None}
    assert [p["id"] for p in staff_api.get("/promotions").json()["results"]] == [shown["id"]]

    assert staff_api.request("DELETE", path).status_code == 204
    assert staff_api.get(path).status_code == 404
    assert Promotion.objects.get().deleted_at is not None
    assert public.get("/promotions/active").json()["results"] == []
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "promotion.created", "promotion.changed", "promotion.deleted",
    ]  # fmt: skip


def test_a_promotion_without_a_code_applies_by_itself(staff_api: Api, public: Api) -> None:
    variant = factories.make_priced_variant("100.00")
    staff_api.post(
        "/promotions", {"name": "Ten", "kind": "PERCENTAGE", "scope": "CART", "value": "10"}
    )

    answer = public.post(
        "/products/pricing/calculate-cart-value", {"items": [{"sku": variant.sku}]}
    )

    assert answer.json()["totals"]["discountTotal"] == "10.00"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "NOPE"}, "kind"),
        ({"value": "101"}, "value"),
        ({"value": "-1"}, "value"),
        ({"value": True}, "value"),
        ({"usageLimit": 0}, "usageLimit"),
        ({"code": "NOT A CODE"}, "code"),
        ({"endsAt": "2020-01-01T00:00:00Z", "startsAt": "2021-01-01T00:00:00Z"}, "endsAt"),
        ({"startsAt": "yesterday"}, "startsAt"),
        ({"settings": []}, "settings"),
        ({"settings": {"note": 1}}, "settings.note"),
        ({"settings": {"percent": "50"}}, "settings.percent"),
        ({"kind": "FIXED_AMOUNT", "settings": {"perUnit": "yes"}}, "settings.perUnit"),
        (
            {"kind": "FIXED_AMOUNT", "scope": "SHIPPING", "settings": {"perUnit": True}},
            "settings.perUnit",
        ),
        ({"kind": "BUY_X_GET_Y", "scope": "SHIPPING", "settings": {"buy": 1, "get": 1}}, "scope"),
        (
            {
                "kind": "TIERED_QUANTITY",
                "settings": {"tiers": [{"from": 2, "percent": "5"}, {"from": 2, "percent": "9"}]},
            },
            "settings.tiers.1",
        ),
        ({"kind": "FIXED_AMOUNT", "value": "5.005"}, "value"),
        ({"kind": "FIXED_AMOUNT", "value": "5.5", "currency": "JPY"}, "value"),
        ({"minimumOrder": "50.005"}, "minimumOrder"),
        ({"maximumDiscount": "0.5", "currency": "JPY"}, "maximumDiscount"),
        ({"minimumOrder": "-1"}, "minimumOrder"),
        ({"maximumDiscount": "-0.01"}, "maximumDiscount"),
        ({"perCustomerLimit": 0}, "perCustomerLimit"),
        ({"minimumQuantity": 0}, "minimumQuantity"),
        ({"newCustomerDays": 0}, "newCustomerDays"),
        ({"weekdays": [0]}, "weekdays.0"),
        ({"weekdays": [1, "Friday"]}, "weekdays.1"),
        ({"userIds": ["nobody"]}, "userIds.0"),
        ({"opensAt": "25:00", "closesAt": "26:00"}, "opensAt"),
        ({"opensAt": "09:00"}, "closesAt"),
        ({"groupIds": ["00000000-0000-0000-0000-000000000001"]}, "groupIds"),
        ({"excludedProductIds": ["00000000-0000-0000-0000-000000000001"]}, "excludedProductIds"),
        ({"excludedCategoryIds": ["x"]}, "excludedCategoryIds.0"),
        ({"firstOrderOnly": "perhaps"}, "firstOrderOnly"),
    ],
)
def test_a_promotion_that_makes_no_sense_is_refused(
    staff_api: Api, change: dict[str, Any], field: str
) -> None:
    body = {
        "code": "A",
        "name": "A",
        "kind": "PERCENTAGE",
        "scope": "CART",
        "value": "10",
        **change,
    }

    answer = staff_api.post("/promotions", body)

    assert answer.status_code == 400, answer.content
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not Promotion.objects.exists()


@pytest.mark.parametrize("kind", ["PERCENTAGE", "FIXED_AMOUNT"])
def test_how_much_a_promotion_takes_off_must_be_said(staff_api: Api, kind: str) -> None:
    answer = staff_api.post("/promotions", {"name": "Nothing", "kind": kind, "scope": "CART"})

    assert answer.status_code == 400, answer.content
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("value", "required")]
    assert not Promotion.objects.exists()


def test_amounts_of_a_promotion_without_a_currency_are_the_shops_own(
    staff_api: Api, public: Api
) -> None:
    made = staff_api.post(
        "/promotions",
        {
            "code": "TEN",
            "name": "Ten",
            "kind": "PERCENTAGE",
            "scope": "CART",
            "value": "10",
            "minimumOrder": "50",
            "maximumDiscount": "7.5",
            "advertised": True,
        },
    ).json()

    assert (made["value"], made["currency"]) == ("10", None)
    assert (made["minimumOrder"], made["maximumDiscount"]) == ("50.00", "7.50")
    told = public.get("/promotions/active").json()["results"]
    assert [promotion["minimumOrder"] for promotion in told] == ["50.00"]


@pytest.mark.parametrize("spelling", ["perUnit", "per_unit"])
def test_details_of_a_promotion_are_named_like_all_fields(staff_api: Api, spelling: str) -> None:
    made = staff_api.post(
        "/promotions",
        {"name": "Each", "kind": "FIXED_AMOUNT", "value": "1", "settings": {spelling: True}},
    )

    assert made.status_code == 201, made.content
    assert made.json()["settings"] == {"perUnit": True}
    assert Promotion.objects.get().settings == {"per_unit": True}
    path = f"/promotions/{made.json()['id']}"
    again = staff_api.request("PATCH", path, {"settings": made.json()["settings"]})
    assert again.json() == made.json()


def test_staff_keep_tax_rates(staff_api: Api) -> None:
    made = staff_api.post(
        "/tax-rates",
        {"name": "VAT", "type": "VAT", "country": "DE", "rate": "0.19", "included": True},
    )
    assert made.status_code == 201, made.content
    path = f"/tax-rates/{made.json()['id']}"
    assert (made.json()["rate"], made.json()["included"]) == ("0.19", True)
    assert staff_api.request("PATCH", path, {"rate": "0.2"}).json() == {
        **made.json(),
        "rate": "0.2",
    }
    assert [r["rate"] for r in staff_api.get("/tax-rates").json()["results"]] == ["0.2"]
    assert (
        staff_api.post(
            "/tax-rates", {"name": "X", "type": "VAT", "country": "DE", "rate": "19"}
        ).status_code
        == 400
    )
    assert staff_api.request("DELETE", path).status_code == 204
    assert staff_api.get(path).status_code == 404
    assert not TaxRate.objects.exists()


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ({"country": "uk"}, ("GB", "")),
        ({"country": "us", "state": "california"}, ("US", "CA")),
        ({"country": "US", "state": " tx "}, ("US", "TX")),
        ({"country": "DE", "state": "Bayern"}, ("DE", "Bayern")),
        ({"country": "*"}, ("*", "")),
        ({"country": "XX"}, "country"),
        ({"country": "-0"}, "country"),
        ({"country": "US", "state": "ZZ"}, "state"),
    ],
)
def test_a_rule_is_kept_for_a_place_that_destinations_can_be(
    staff_api: Api, place: dict[str, str], kept: Any
) -> None:
    rate = staff_api.post("/tax-rates", {"name": "T", "type": "VAT", "rate": "0.1", **place})
    zone = staff_api.post(
        "/shipping-zones",
        {
            "name": "Z",
            "countries": [place["country"]],
            "states": [place["state"]] if "state" in place else [],
        },
    )

    if isinstance(kept, tuple):
        assert (rate.json()["country"], rate.json()["state"]) == kept
        assert (zone.json()["countries"], zone.json()["states"]) == (
            [kept[0]],
            [kept[1]] if kept[1] else [],
        )
    else:
        assert [error["field"] for error in rate.json()["errors"]] == [kept]
        plural = {"country": "countries", "state": "states"}[kept]
        assert [error["field"] for error in zone.json()["errors"]] == [plural]
        assert not TaxRate.objects.exists()
        assert not ShippingZone.objects.exists()


def test_staff_keep_zones_and_ways_to_ship(staff_api: Api) -> None:
    zone = staff_api.post("/shipping-zones", {"name": "Home", "countries": ["us"]})
    assert zone.status_code == 201, zone.content
    rule = staff_api.post(
        "/shipping-rules",
        {
            "zoneId": zone.json()["id"],
            "code": "standard",
            "name": "Standard",
            "currency": "USD",
            "basePrice": "4.90",
            "freeOver": "50",
        },
    )
    assert rule.status_code == 201, rule.content
    assert (rule.json()["basePrice"], rule.json()["freeOver"], rule.json()["zone"]) == (
        "4.90",
        "50.00",
        "Home",
    )
    path = f"/shipping-rules/{rule.json()['id']}"
    assert staff_api.request("PATCH", path, {"freeOver": None}).json()["freeOver"] is None
    again = staff_api.post(
        "/shipping-rules",
        {"zoneId": zone.json()["id"], "code": "standard", "name": "S", "currency": "USD"},
    )
    assert again.status_code == 400
    finer = staff_api.request("PATCH", path, {"basePrice": "4.905", "perKilogram": "0.001"})
    assert [error["field"] for error in finer.json()["errors"]] == ["basePrice", "perKilogram"]
    assert staff_api.get(path).json()["basePrice"] == "4.90"
    zone_path = f"/shipping-zones/{zone.json()['id']}"
    assert staff_api.request("PATCH", zone_path, {"name": "Here"}).json()["name"] == "Here"
    assert staff_api.request("DELETE", zone_path).status_code == 204
    assert not ShippingZone.objects.exists()
    assert not ShippingRule.objects.exists()


@pytest.mark.parametrize("path", ["promotions", "tax-rates", "shipping-zones", "shipping-rules"])
@pytest.mark.parametrize("id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_rules_that_are_not_there_are_404(staff_api: Api, path: str, id: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        body = {} if method == "PATCH" else None
        assert staff_api.request(method, f"/{path}/{id}", body).status_code == 404


def test_stock_that_staff_count_is_a_movement(staff_api: Api) -> None:
    factories.default_warehouse()
    staff_api.post(
        "/products",
        {"name": "A", "variants": [{"sku": "A", "prices": {"USD": "1"}, "quantity": 5}]},
    )

    level = StockLevel.objects.get()
    assert (level.available, level.movements.get().quantity) == (5, 5)
