"""What every page promises: nothing inline, nothing from elsewhere, small, translatable, whole without a database."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.utils import translation

from tests.pages.conftest import Visitor

PAGES = [
    "/",
    "/products/",
    "/products/harbour-mug/",
    "/category/galley/",
    "/search/?q=mug",
    "/cart/",
    "/cart/clear/",
    "/cart/recover/x/",
    "/orders/",
    "/orders/lookup/",
    "/account/login/",
    "/account/signup/",
    "/account/password/reset/",
    "/nowhere/",
]
INLINE = re.compile(
    rb"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE
)
ELSEWHERE = re.compile(rb'(?:src|href|action)="(?:https?:)?//', re.IGNORECASE)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_the_strict_policy(visitor: Visitor, path: str) -> None:
    visitor.add("MUG-KELP")

    page = visitor.get(path)

    assert INLINE.findall(page.content) == []
    assert ELSEWHERE.findall(page.content) == []
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/api/v1/promotions/active", "default-src 'none'; frame-ancestors 'none'"),
        ("/api/v1/nowhere", "default-src 'none'; frame-ancestors 'none'"),
        ("/api/v1/orders", "default-src 'none'; frame-ancestors 'none'"),  # refused
    ],
)
def test_data_may_run_and_frame_nothing(visitor: Visitor, path: str, policy: str) -> None:
    assert visitor.get(path)["Content-Security-Policy"] == policy


def test_the_api_browser_is_a_page_and_keeps_its_own_policy(visitor: Visitor) -> None:
    policy = visitor.get("/api/docs")["Content-Security-Policy"]

    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_one_heading_a_title_and_landmarks(visitor: Visitor, path: str) -> None:
    content = visitor.get(path).content.decode()

    assert len(re.findall(r"<h1[ >]", content)) == 1
    title = re.search(r"<title>(.*?)</title>", content, re.DOTALL)
    assert title
    assert len(title.group(1).strip()) > 3
    for mark in ("<main", "<header", "<footer", 'class="skip"', 'lang="en"'):
        assert mark in content


def test_images_have_their_size_so_that_nothing_jumps(visitor: Visitor) -> None:
    for path in ("/", "/products/", "/products/harbour-mug/"):
        for image in re.findall(r"<img [^>]*>", visitor.get(path).content.decode()):
            assert "width=" in image
            assert "height=" in image
            assert "alt=" in image


def test_scripts_fit_into_forty_kilobytes() -> None:
    names = ["django_htmx/htmx-2.min.js", "js/shop.js", "js/live.js"]
    sizes = [len(gzip.compress(Path(str(finders.find(name))).read_bytes())) for name in names]

    assert sum(sizes) < 40_000


def test_every_statement_of_a_list_is_counted(
    visitor: Visitor, django_assert_max_num_queries: Any
) -> None:
    visitor.get("/products/")
    with django_assert_max_num_queries(8):
        visitor.get("/products/")


def test_the_page_of_a_failure_needs_no_database(visitor: Visitor, monkeypatch: Any) -> None:
    from django.db import OperationalError

    def down(**_: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("pricing.views.storefront", down)
    monkeypatch.setattr("pricing.context.storefront", down)
    monkeypatch.setattr("cart.context.read_badge", down)

    page = visitor.get("/")

    assert page.status_code == 503
    assert b"We are below deck for a moment" in page.content
    assert b"the connection is lost" not in page.content


def test_a_right_to_left_language_turns_the_page(visitor: Visitor) -> None:
    with translation.override("en"):  # what a request activates would stay for the tests after this
        page = visitor.get("/", **{"Accept-Language": "fa"})

    assert b'dir="rtl"' in page.content
    assert settings.USE_I18N
