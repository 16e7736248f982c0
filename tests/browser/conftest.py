"""Chromium, and a served shop on this test's database: HTTP and `/ws` on one port, as `make up` serves them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from django.db import connection

from config.environment import BASE_DIR, required
from inventory.models import Company
from tests.bench.serve import MORTAL, free_port
from tests.pages.conftest import Market, stock_market

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
RESULTS = BASE_DIR / "test-results"
START_SECONDS = 60
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """
    Start one Chromium for the tests of a module, or skip them where there is none.

    Not for the session: Playwright's event loop would go on running under the tests that follow in this process.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM} (set CHROMIUM to its path)")
    from playwright.sync_api import sync_playwright

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


@pytest.fixture
def address(
    transactional_db: None, company: Company, tmp_path: Path
) -> Iterator[tuple[str, Market]]:
    """Serve a stocked shop; yield where, and what is in it."""
    market = stock_market(company)
    port = free_port()
    parts = urlsplit(required("DATABASE_URL"))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DATABASE_URL": urlunsplit(
            parts._replace(path=f"/{quote(connection.settings_dict['NAME'])}")
        ),
        "STOREFRONT_URL": f"http://127.0.0.1:{port}",
        "PYTEST_XDIST_WORKER": "gw0",  # this process has its Redis databases already
        "DB_POOL": "on",
    }
    command = [
        *(
            sys.executable,
            "-c",
            MORTAL,
            sys.executable,
            "-m",
            "uvicorn",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ),
        *("--log-level", "warning", "tests.browser.serve:application"),
    ]
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(process, port, log)
        yield f"http://127.0.0.1:{port}", market
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
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


@pytest.fixture
def tab(chromium: Any, address: tuple[str, Market]) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens a page of a new visitor."""
    contexts = []

    def open_(name: str = "page", *, size: str = "desktop", **options: Any) -> Tab:
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        return Tab(context.new_page(), address[0], name)

    yield open_
    for context in contexts:
        context.close()
