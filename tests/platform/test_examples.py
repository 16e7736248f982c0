"""The OpenAPI document's examples: they fit their schemas, and no operation of the catalogue and of stock is without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator

AREAS = (
    "/api/v1/products",
    "/api/v1/inventory",
    "/api/v1/categories",
    "/api/v1/back-in-stock",
    "/api/v1/promotions",
    "/api/v1/coupon-batches",
    "/api/v1/exchange-rates",
    "/api/v1/tax-rates",
    "/api/v1/price-changes",
    "/api/v1/cart/upsells",
    "/api/v1/wishlist",
    "/api/v1/compare",
    "/api/v1/webhooks/inventory",
    "/api/v1/checkout/shipping",
    "/api/v1/checkout/tax",
)
VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator(api_version="v1").get_schema(public=True)
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in document["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                yield f"{verb.upper()} {path}", verbs[verb]


def _bodies(name: str, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each body of an operation with what it is: its request, or an answer by its status."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield f"{name} request", media
    for status, answer in operation["responses"].items():
        for media in answer.get("content", {}).values():
            yield f"{name} {status}", media


def _closed(schema: Any) -> Any:
    """Return the schema with every object closed that names its properties: a misspelt key is then found."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def test_every_example_fits_the_schema_that_it_stands_by(document: dict[str, Any]) -> None:
    components = _closed(document["components"])
    wrong, seen = [], 0

    for name, operation in _operations(document):
        for what, media in _bodies(name, operation):
            schema = {**_closed(media["schema"]), "components": components}
            check = jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
            )
            for title, example in media.get("examples", {}).items():
                seen += 1
                wrong += [
                    f"{what} {title!r} {error.json_path}: {error.message}"
                    for error in check.iter_errors(example["value"])
                ]

    assert wrong == []
    assert seen >= 75


def test_every_operation_of_the_catalogue_and_of_stock_shows_an_example(
    document: dict[str, Any],
) -> None:
    without = [
        what
        for name, operation in _operations(document)
        if name.split(" ")[1].startswith(AREAS)
        for what, media in _bodies(name, operation)
        if not what.endswith("default") and not media.get("examples")
    ]

    assert without == []


def test_no_example_is_kept_for_an_operation_that_is_gone(document: dict[str, Any]) -> None:
    from cart.api import examples as cart
    from checkout.api import examples as checkout
    from inventory.api import examples as inventory
    from orders.api import examples as orders
    from pricing.api import examples as pricing

    ids = {operation["operationId"] for _, operation in _operations(document)}

    for kept in (cart, checkout, inventory, orders, pricing):
        assert kept.EXAMPLES.keys() - ids == set()


def test_lists_are_documented_as_pages(document: dict[str, Any]) -> None:
    arrays = [
        what
        for name, operation in _operations(document)
        for what, media in _bodies(name, operation)
        if media["schema"].get("type") == "array"
    ]

    assert arrays == []


def test_a_wrong_example_would_be_found(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/inventory/{stock_level_id}"]["get"]
    media = operation["responses"]["200"]["content"]["application/json"]
    schema = {**_closed(media["schema"]), "components": _closed(document["components"])}
    [example] = media["examples"].values()
    check = jsonschema.Draft202012Validator(schema)

    assert check.is_valid(example["value"])
    assert not check.is_valid({**example["value"], "available": "37"})
    assert not check.is_valid({**example["value"], "avialable": 37})
    assert not check.is_valid({k: v for k, v in example["value"].items() if k != "sku"})
