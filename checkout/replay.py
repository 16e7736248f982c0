"""
Buys real baskets through the public API, as a stranger would: over HTTP, as guests, one request at a time each.

The file is the UCI *Online Retail* set's form: one row per line of an invoice. The same code is sold at several
prices there, so each (code, price) is a variant of its own and revenue can be compared with the file to the cent.
"""

from __future__ import annotations

import csv
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self

import httpx

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
MAX_BULK = 100
MAX_QUANTITY = 100
# Where the set's country names are not ISO's; a name that is not here is reported, not guessed.
COUNTRIES = {
    "Australia": ("AU", "Sydney", "NSW", "2000"),
    "Austria": ("AT", "Wien", "", "1010"),
    "Bahrain": ("BH", "Manama", "", ""),
    "Belgium": ("BE", "Bruxelles", "", "1000"),
    "Channel Islands": ("JE", "Saint Helier", "", "JE2 3AB"),
    "Cyprus": ("CY", "Nicosia", "", "1010"),
    "Denmark": ("DK", "København", "", "1050"),
    "EIRE": ("IE", "Dublin", "", "D01 F5P2"),
    "Finland": ("FI", "Helsinki", "", "00100"),
    "France": ("FR", "Paris", "", "75001"),
    "Germany": ("DE", "Berlin", "", "10115"),
    "Iceland": ("IS", "Reykjavík", "", "101"),
    "Israel": ("IL", "Tel Aviv", "", "6100000"),
    "Italy": ("IT", "Roma", "", "00118"),
    "Japan": ("JP", "Tokyo", "", "100-0001"),
    "Lithuania": ("LT", "Vilnius", "", "01100"),
    "Netherlands": ("NL", "Amsterdam", "", "1011 AB"),
    "Norway": ("NO", "Oslo", "", "0150"),
    "Poland": ("PL", "Warszawa", "", "00-001"),
    "Portugal": ("PT", "Lisboa", "", "1000-001"),
    "Spain": ("ES", "Madrid", "", "28001"),
    "Sweden": ("SE", "Stockholm", "", "111 20"),
    "Switzerland": ("CH", "Zürich", "", "8001"),
    "United Kingdom": ("GB", "London", "", "SW1A 1AA"),
    "USA": ("US", "Portland", "ME", "04101"),
}


@dataclass(frozen=True, slots=True)
class Row:
    number: int  # line in the file
    code: str
    name: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.price * self.quantity


@dataclass(slots=True)
class Basket:
    invoice: str
    country: str
    rows: list[Row] = field(default_factory=list)

    @property
    def amount(self) -> Decimal:
        return sum((row.amount for row in self.rows), Decimal(0))


@dataclass(slots=True)
class File:
    """What a file holds: baskets to buy, and rows that are no sale, each with the reason."""

    baskets: list[Basket] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    sold: Decimal = Decimal(0)


class ReplayError(Exception):
    """The replay cannot go on: the sentence says what to do."""


def read(paths: Iterable[Path]) -> File:
    """
    Read baskets from files; cancellations, free and unreadable rows are counted, never guessed at.

    :raises ReplayError: if a file is missing or has other columns
    """
    result = File()
    for path in paths:
        baskets: dict[str, Basket] = {}
        try:
            handle = path.open(newline="", encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise ReplayError(f"{path}: {error.strerror}. Name a readable CSV file.") from error
        with handle:
            reader = csv.DictReader(handle)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise ReplayError(f"{path}: the columns {', '.join(missing)} are missing.")
            for raw in reader:
                result.rows += 1
                row, reason = _row(raw, reader.line_num)
                if row is None:
                    result.skipped[reason] += 1
                    continue
                invoice = raw["InvoiceNo"].strip()
                basket = baskets.setdefault(
                    invoice, Basket(invoice, (raw["Country"] or "").strip())
                )
                basket.rows.append(row)
                result.sold += row.amount
        result.baskets.extend(baskets.values())
    return result


def _row(raw: dict[str, str | None], number: int) -> tuple[Row | None, str]:
    invoice, code = (raw["InvoiceNo"] or "").strip(), (raw["StockCode"] or "").strip()
    try:
        quantity = int(raw["Quantity"] or "")
        price = Decimal(raw["UnitPrice"] or "")
    except (ValueError, InvalidOperation):
        return None, "unreadable quantity or price"
    if not invoice or not code:
        return None, "no invoice or no code"
    if invoice.upper().startswith("C"):
        return None, "cancellation"
    if quantity <= 0:
        return None, "quantity not above zero"
    if price <= 0:
        return None, "price not above zero"
    if price != price.quantize(Decimal("0.01")):
        return None, "price finer than a cent"
    return Row(number, code, (raw["Description"] or "").strip() or code, quantity, price), ""


def split(basket: Basket) -> list[Basket]:
    """
    Return a wholesale basket as orders that a shop for people takes: at most 100 lines of at most 100 units each.

    Units beyond a hundred of one thing go into the next order; no unit is lost and none is bought twice.
    """
    rounds: list[list[Row]] = []
    units: dict[str, list[Row]] = defaultdict(list)
    for row in basket.rows:
        units[sku_of(row.code, row.price)].append(row)
    for rows in units.values():
        left = sum(row.quantity for row in rows)
        for number in range(-(-left // MAX_QUANTITY)):
            if number == len(rounds):
                rounds.append([])
            taken = min(left, MAX_QUANTITY)
            rounds[number].append(replace(rows[0], quantity=taken))
            left -= taken
    parts = [
        chunk[start : start + MAX_BULK]
        for chunk in rounds
        for start in range(0, len(chunk), MAX_BULK)
    ]
    if len(parts) == 1:
        return [basket]
    return [
        Basket(f"{basket.invoice}/{number}", basket.country, rows)
        for number, rows in enumerate(parts, start=1)
    ]


@dataclass(slots=True)
class Outcome:
    basket: Basket
    order_id: str = ""
    number: str = ""
    subtotal: Decimal = Decimal(0)
    refusal: str = ""


@dataclass(slots=True)
class Report:
    """What a replay did. Durations are seconds, by kind of request."""

    outcomes: list[Outcome] = field(default_factory=list)
    durations: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    products_made: int = 0
    units_stocked: int = 0
    seconds: float = 0.0

    @property
    def orders(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.order_id]

    @property
    def refused(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.order_id]

    @property
    def revenue(self) -> Decimal:
        return sum((outcome.subtotal for outcome in self.orders), Decimal(0))


class Refused(Exception):
    """The shop said no; the text is its code and detail."""


class Client:
    """One caller of the API; every request is timed under its kind."""

    def __init__(
        self,
        base_url: str,
        report: Report,
        lock: threading.Lock,
        headers: dict[str, str] | None = None,
    ):
        self._http = httpx.Client(base_url=base_url, timeout=60, headers=headers)
        self._report, self._lock = report, lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def header(self, name: str, value: str) -> None:
        self._http.headers[name] = value

    def call(
        self, kind: str, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> Any:
        """
        Send one request and return the answer's body; a 429 is waited out.

        :raises Refused: for any other 4xx
        :raises ReplayError: if the shop does not answer or answers 5xx
        """
        headers = {"Idempotency-Key": key} if key else {}
        for _attempt in range(20):
            started = time.perf_counter()
            try:
                answer = self._http.request(method, f"/api/v1{path}", json=body, headers=headers)
            except httpx.HTTPError as error:
                raise ReplayError(
                    f"{method} {path}: {error}. Is the shop running there?"
                ) from error
            with self._lock:
                self._report.durations[kind].append(time.perf_counter() - started)
            if answer.status_code != 429:
                break
            time.sleep(min(float(answer.headers.get("Retry-After", "1")), 60))
        if answer.status_code >= 500:
            raise ReplayError(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        if answer.status_code >= 400:
            problem = answer.json()
            errors = problem.get("errors") or [{}]
            code = errors[0].get("code", "")
            detail = f" ({code})" if code and code != problem.get("code") else ""
            raise Refused(f"{problem.get('code')}{detail}")
        return answer.json() if answer.content else None


def sku_of(code: str, price: Decimal) -> str:
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', code).strip('-').upper() or 'X'}@{price.normalize():f}"


def slug_of(code: str) -> str:
    return "retail-" + (re.sub(r"[^a-z0-9]+", "-", code.lower()).strip("-") or "x")


def stock_up(
    client: Client,
    file: File,
    report: Report,
    currency: str,
    progress: Callable[[str, int, int], None],
) -> None:
    """Create what the shop lacks and buy in what it is short of, so that a refusal is never about the set-up."""
    wanted: dict[str, dict[Decimal, int]] = defaultdict(lambda: defaultdict(int))
    names: dict[str, str] = {}
    for basket in file.baskets:
        for row in basket.rows:
            wanted[row.code.upper()][row.price] += row.quantity
            names.setdefault(row.code.upper(), row.name)
    for done, (code, prices) in enumerate(wanted.items(), start=1):
        variants = [
            {
                "sku": sku_of(code, price),
                "options": {"Price": f"{price:f}"},
                "prices": {currency: f"{price:.2f}"},
                "quantity": units,
            }
            for price, units in sorted(prices.items())
        ]
        try:
            found = client.call("set up", "GET", f"/products/{slug_of(code)}")
        except Refused:
            client.call(
                "set up",
                "POST",
                "/products",
                {"name": names[code], "slug": slug_of(code), "variants": variants},
            )
            report.products_made += 1
            report.units_stocked += sum(prices.values())
        else:
            _top_up(client, found, variants, report)
        progress("stocking up", done, len(wanted))


def _top_up(
    client: Client, product: dict[str, Any], variants: list[dict[str, Any]], report: Report
) -> None:
    known = {variant["sku"] for variant in product["variants"]}
    missing = [variant for variant in variants if variant["sku"] not in known]
    if missing:
        client.call("set up", "PATCH", f"/products/{product['id']}", {"variants": missing})
        report.units_stocked += sum(variant["quantity"] for variant in missing)
    short = {variant["sku"]: variant["quantity"] for variant in variants if variant["sku"] in known}
    if not short:
        return
    for level in client.call("set up", "GET", f"/inventory/product/{product['id']}")["results"]:
        lacking = short.get(level["sku"], 0) - level["available"]
        if lacking > 0:
            client.call(
                "set up",
                "POST",
                f"/inventory/{level['id']}/adjust",
                {"quantity": lacking, "type": "PURCHASE", "reference": "basket replay"},
            )
            report.units_stocked += lacking
            short[level["sku"]] = 0


def replay(
    file: File,
    *,
    base_url: str,
    staff_email: str,
    staff_password: str,
    currency: str,
    clients: int,
    progress: Callable[[str, int, int], None],
) -> Report:
    """
    Stock the shop up as staff, then buy every basket as a guest, `clients` at a time.

    :raises ReplayError: if the shop cannot be reached, refuses the staff log-in, or fails with a 5xx
    """
    report, lock = Report(), threading.Lock()
    with Client(base_url, report, lock) as staff:
        try:
            tokens = staff.call(
                "set up", "POST", "/auth/login", {"email": staff_email, "password": staff_password}
            )
        except Refused as refusal:
            raise ReplayError(
                f"The shop refused the staff log-in of {staff_email}: {refusal}."
            ) from refusal
        staff.header("Authorization", f"Bearer {tokens['accessToken']}")
        stock_up(staff, file, report, currency, progress)
    started = time.perf_counter()

    def buy(basket: Basket) -> Outcome:
        with Client(base_url, report, lock) as guest:
            return _buy(guest, basket, currency)

    with ThreadPoolExecutor(max_workers=clients) as pool:
        for done, outcome in enumerate(pool.map(buy, file.baskets), start=1):
            report.outcomes.append(outcome)
            progress("buying", done, len(file.baskets))
    report.seconds = time.perf_counter() - started
    return report


def _buy(guest: Client, basket: Basket, currency: str) -> Outcome:
    """Take one basket from an empty cart to a paid order, or say why the shop refused it."""
    outcome = Outcome(basket)
    try:
        place = COUNTRIES.get(basket.country)
        if place is None:
            raise Refused(f"country unknown to the replay: {basket.country}")
        cart = guest.call("create cart", "POST", "/public/cart", {"currency": currency})
        guest.header("X-Session-Token", cart["sessionToken"])
        for chunk in _chunks(_items(basket), MAX_BULK):
            guest.call("add in bulk", "POST", "/cart/bulk/items", {"items": chunk, "atomic": True})
        checkout = guest.call(
            "start checkout", "POST", "/checkout/initialize", {"email": "replay@example.com"}
        )
        path = f"/checkout/{checkout['id']}"
        country, city, state, postal_code = place
        address = {
            "name": "Basket Replay",
            "line1": "1 Harbour Street",
            "city": city,
            "state": state,
            "postalCode": postal_code,
            "country": country,
        }
        checkout = guest.call("set address", "PATCH", path, {"shippingAddress": address})
        if checkout["shippingOptions"]:
            option = checkout["shippingOptions"][0]["id"]
            checkout = guest.call("choose shipping", "PATCH", path, {"shippingOption": option})
        placed = guest.call(
            "place and pay",
            "POST",
            f"{path}/payment",
            {"method": "test", "quoteId": checkout["quoteId"]},
            key=f"replay-pay-{checkout['id']}",
        )
        if placed["payment"] is not None:
            guest.call(
                "provider succeeds",
                "POST",
                f"/payments/{placed['payment']['id']}/simulate",
                {"outcome": "succeed", "delivery": "normal"},
            )
        order = guest.call(
            "complete", "POST", f"{path}/complete", key=f"replay-done-{checkout['id']}"
        )
    except Refused as refusal:
        outcome.refusal = str(refusal)
        return outcome
    outcome.order_id, outcome.number = order["id"], order["number"]
    outcome.subtotal = Decimal(order["totals"]["subtotal"])
    return outcome


def _items(basket: Basket) -> list[dict[str, Any]]:
    """Return one row per variant: an invoice may name the same thing twice."""
    units: dict[str, int] = defaultdict(int)
    for row in basket.rows:
        units[sku_of(row.code, row.price)] += row.quantity
    return [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]


def _chunks(items: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
