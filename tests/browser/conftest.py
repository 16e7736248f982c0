"""Chromium, and a served shop on this test's database: HTTP and `/ws` on one port, as `make up` serves them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.db import connection

from config.environment import BASE_DIR, required
from inventory.models import Company
from tests.bench.serve import MORTAL
from tests.pages.conftest import Market, stock_market
from tests.ports import free_port

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
RESULTS = BASE_DIR / "test-results"
FAILED = pytest.StashKey[bool]()
START_SECONDS = 300
PATIENCE = 60_000  # milliseconds; only a page that never comes makes a test wait so long
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """
    Start one Chromium for the tests of a module, or skip them where there is none.

    Not for the session: Playwright's event loop would go on running under the tests that follow in this process.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM} (set CHROMIUM to its path)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)

    # Playwright keeps an event loop in this thread, which Django would take for asynchronous code.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Server:
    """The process that serves the shop, seen from a test."""

    def __init__(self, database: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        parts = urlsplit(required("DATABASE_URL"))
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
            "DATABASE_URL": urlunsplit(parts._replace(path=f"/{quote(database)}")),
            "STOREFRONT_URL": self.url,
            "PYTEST_XDIST_WORKER": "gw0",  # this process has its Redis databases already
            "DB_POOL": "on",
        }
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", MORTAL),
                *(sys.executable, "-m", "tests.browser.serve", str(self.port)),
            ],
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process that serves the shop has died; the run's output says why"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[Server]:
    found = Server(connection.settings_dict["NAME"])
    yield found
    found.close()


@pytest.fixture
def address(
    request: pytest.FixtureRequest,
    transactional_db: None,
    company: Company,
    server: Server,
    tmp_path: Path,
) -> Iterator[tuple[str, Market]]:
    """Serve a stocked shop; yield where, and what is in it."""
    market = stock_market(company)
    log = tmp_path / "web.log"
    server.ask(f"start {log}")
    try:
        _wait_for(server.url, log)
        yield server.url, market
    finally:
        server.ask("stop")
        if FAILED in request.node.stash:
            shutil.copy(log, _evidence(request, "-web.log"))


def _wait_for(url: str, log: Path) -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/api/health", timeout=60):  # noqa: S310 - loopback
                return
        except (URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"the shop does not answer:\n{log.read_text(errors='replace')[-3000:]}")


class Tab:
    """A page, and everything it complained about."""

    def __init__(self, page: Any, base: str, name: str) -> None:
        self.page = page
        self.base = base
        self.name = name
        self.complaints: list[str] = []
        self._shots = 0
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda failure: self.complaints.append(str(failure)))

    def _note(self, kind: str, text: str) -> None:
        # What a form refuses is answered 422, which Chromium reports like a missing picture.
        if kind == "error" and "422" not in text:
            self.complaints.append(text)

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def shot(self, title: str) -> None:
        """Keep what the page looks like, as output of the test run."""
        RESULTS.mkdir(exist_ok=True)
        self._shots += 1
        path = RESULTS / f"{self.name}-{self._shots:02}-{title}.png"
        # Hiding the caret would write inline styles, which the policy forbids and the page would be blamed for.
        self.page.screenshot(path=path, full_page=True, caret="initial", animations="allow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def _evidence(request: pytest.FixtureRequest, name: str) -> Path:
    """Return where something of a test that failed is kept, beside the report of the run."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"failed-{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}{name}"


@pytest.fixture
def tab(
    request: pytest.FixtureRequest, chromium: Any, address: tuple[str, Market]
) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens a page of a new visitor; what a test saw last is kept if it fails."""
    contexts = []

    def open_(name: str = "page", *, size: str = "desktop", **options: Any) -> Tab:
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return Tab(context.new_page(), address[0], name)

    yield open_
    for number, context in enumerate(contexts):
        if FAILED in request.node.stash:
            for page in context.pages:
                page.screenshot(path=_evidence(request, f"-{number}.png"), full_page=True)
        context.close()
