"""
PayPal's Orders: a customer approves an order over there, and then we take it.

Only we can take the money, so an order that we leave alone costs nobody anything; it lapses by itself. An order
is captured once, whatever the key.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import structlog
from django.conf import settings

from checkout.providers import (
    ProviderEvent,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    RemoteRefund,
    State,
)
from config.platform.breaker import Breaker
from config.platform.errors import (
    DependencyUnavailable,
    MalformedRequest,
    WebhookSignatureInvalid,
)
from pricing.money import format_amount

logger = structlog.get_logger(__name__)

Object = dict[str, Any]

# The headers of a webhook, in the order in which the door hands them on, divided by bars.
SIGNATURE_HEADERS = (
    "PayPal-Transmission-Id",
    "PayPal-Transmission-Time",
    "PayPal-Auth-Algo",
    "PayPal-Cert-Url",
    "PayPal-Transmission-Sig",
)
ID = re.compile(r"[A-Za-z0-9-]{1,64}")
ATTEMPTS = 2
LEAST_SECONDS = 0.3  # less is not worth another try
SEARCH_RANGE = timedelta(days=31)  # what one search of transactions may span

_ISSUE = re.compile(r"[A-Z][A-Z0-9_]{2,79}")
_TAKEN_ALREADY = {"ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED"}
_NOT_APPROVED = {"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"}
_ON_ITS_WAY = {"ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"}
_GOOD_CAPTURES = {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
_CARRIED_OUT = {"COMPLETED", "PENDING"}

breaker = Breaker("paypal", rest=5.0)
_tokens: dict[tuple[str, str], tuple[str, float]] = {}  # by host and client id, with their end


class _NotPermitted(ProviderUnavailable):
    """Our account may not ask this; some of what PayPal offers has to be switched on there first."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """What a customer let us know by approving an order: who they are and where it goes."""

    remote: Remote
    email: str
    address: Mapping[str, str]


class PayPalGateway:
    """PayPal's Orders v2. One order per payment; `custom_id` carries our payment's id there."""

    name = "paypal"

    def create(
        self,
        *,
        key: str,
        amount: Decimal,
        currency: str,
        metadata: dict[str, str],
        ship_to: Mapping[str, str] | None = None,
    ) -> Remote:
        """
        Make the order of a payment, or let the one that was approved in the cart (`metadata["approved"]`) be it.

        An order that nobody was told of takes no money, so making it twice is harmless.
        """
        payment_id = metadata["payment_id"]
        with self._api() as api:
            if approved := metadata.get("approved"):
                return self._remote(_bind(api, approved, payment_id, amount, currency))
            page = f"{settings.STOREFRONT_URL}/checkout/pay/{payment_id}/"
            order = api.post(
                "/v2/checkout/orders",
                _order(
                    amount=amount,
                    currency=currency,
                    custom_id=payment_id,
                    ship_to=ship_to,
                    is_final=True,
                    back=page,
                    cancelled=f"{page}?left=1",
                ),
                key=key,
            )
            return self._remote(order)

    def open_in_cart(
        self, *, key: str, amount: Decimal, currency: str, checkout_id: str, back: str, left: str
    ) -> Remote:
        """Make an order for what is in a cart. Its customer chooses the address there and sees the total here again."""
        with self._api() as api:
            order = api.post(
                "/v2/checkout/orders",
                _order(
                    amount=amount,
                    currency=currency,
                    custom_id=checkout_id,
                    ship_to=None,
                    is_final=False,
                    back=back,
                    cancelled=left,
                ),
                key=key,
            )
            return self._remote(order)

    def read_approval(self, *, provider_id: str) -> Approval:
        """
        Return where an order stands, with what its customer told PayPal.

        :raises ProviderGone: if there is no such order of ours
        """
        with self._api() as api:
            order = _read(api, provider_id)
        unit = _unit(order)
        payer = (order.get("payment_source") or {}).get("paypal") or order.get("payer") or {}
        shipping = unit.get("shipping") or {}
        there = shipping.get("address") or {}
        name = (shipping.get("name") or {}).get("full_name") or " ".join(
            str(part)
            for part in map((payer.get("name") or {}).get, ("given_name", "surname"))
            if part
        )
        address = {
            "name": name,
            "line1": there.get("address_line_1"),
            "line2": there.get("address_line_2"),
            "city": there.get("admin_area_2"),
            "state": there.get("admin_area_1"),
            "postal_code": there.get("postal_code"),
            "country": there.get("country_code"),
        }
        return Approval(
            remote=self._remote(order),
            email=str(payer.get("email_address") or ""),
            address={key: str(value) for key, value in address.items() if value} if there else {},
        )

    def retrieve(self, *, provider_id: str) -> Remote:
        with self._api() as api:
            return self._told(api, _read(api, provider_id))

    def payments_since(self, *, since: datetime, until: datetime | None = None) -> list[Remote]:
        """
        Return the orders behind every payment that PayPal's reports show in a period.

        Reports lag up to three hours, and an account may lack the right to them: then there are none, and what
        we know of ourselves is asked for one by one (`checkout.books`).
        """
        with self._api() as api:
            try:
                captures = list(_captures(api, since, until or datetime.now(tz=UTC)))
            except _NotPermitted:
                logger.warning("paypal shows no reports to this account")
                return []
            orders = []
            for capture_id in captures:
                try:
                    order_id = _order_of_capture(api, capture_id)
                    orders.append(_read(api, order_id) if order_id else None)
                except ProviderGone:
                    logger.warning("a payment at paypal is of no order", capture=capture_id)
            return [self._remote(order) for order in orders if order is not None]

    def accept(self, *, provider_id: str, key: str) -> Remote:
        """
        Take what its customer has approved, or with manual capture have it promised.

        What is not approved stays as it is. A refusal of PayPal's is an outcome: the payment failed, nothing was taken.
        """
        with self._api() as api:
            order = _read(api, provider_id)
            if (remote := self._remote(order)).state is not State.APPROVED:
                return remote
            verb = "authorize" if order.get("intent") == "AUTHORIZE" else "capture"
            try:
                api.post(f"/v2/checkout/orders/{provider_id}/{verb}", {}, key=key)
            except ProviderRefused as refusal:
                issue = str(refusal)
                known = self._remote(_read(api, provider_id))
                if issue in _TAKEN_ALREADY or known.state is not State.APPROVED:
                    return known
                if issue in _NOT_APPROVED:
                    return replace(known, state=State.REQUIRES_PAYMENT, next_action=_way(order))
                return replace(known, state=State.FAILED, failure=issue)
            return self._remote(_read(api, provider_id))

    def capture(self, *, provider_id: str, amount: Decimal, key: str) -> Remote:
        """Collect what is authorised; once, whatever the key."""
        with self._api() as api:
            order = _read(api, provider_id)
            remote = self._remote(order)
            if remote.state is not State.AUTHORIZED:
                return remote
            promise = _payments(order, "authorizations")[0]
            body = {"amount": _money(amount, remote.currency), "final_capture": True}
            api.post(f"/v2/payments/authorizations/{promise['id']}/capture", body, key=key)
            return self._remote(_read(api, provider_id))

    def cancel(self, *, provider_id: str, key: str) -> Remote:
        """Let go of what is promised. What was not taken needs nothing: only we could take it, and never will."""
        with self._api() as api:
            order = _read(api, provider_id)
            remote = self._remote(order)
            if remote.state is State.AUTHORIZED:
                promise = _payments(order, "authorizations")[0]
                api.post(f"/v2/payments/authorizations/{promise['id']}/void", {}, key=key)
                remote = self._remote(_read(api, provider_id))
        if remote.state in {State.REQUIRES_PAYMENT, State.APPROVED}:
            return replace(remote, state=State.CANCELED, next_action=None)
        return remote

    def refund(
        self, *, provider_id: str, amount: Decimal, currency: str, key: str, reason: str
    ) -> RemoteRefund:
        """
        Give money back by our key. Looks first whether it was done, because PayPal forgets keys after 45 days.

        The reason stays here: PayPal would show it to the customer.
        """
        with self._api() as api:
            order = _read(api, provider_id)
            done = [each for each in _payments(order, "refunds") if each.get("custom_id") == key]
            taken = [
                each for each in _payments(order, "captures") if each["status"] in _GOOD_CAPTURES
            ]
            if done:
                refund = done[0]
            elif taken:
                refund = api.post(
                    f"/v2/payments/captures/{taken[0]['id']}/refund",
                    {"amount": _money(amount, currency), "custom_id": key},
                    key=key,
                )
            else:
                raise ProviderRefused("nothing was taken")
        return RemoteRefund(
            provider_id=refund["id"],
            succeeded=refund.get("status") in _CARRIED_OUT,
            failure="" if refund.get("status") in _CARRIED_OUT else str(refund.get("status")),
        )

    def read_event(self, *, body: bytes, signature: str, now: datetime) -> ProviderEvent:
        """
        Return what a webhook says, once PayPal has confirmed that it sent it.

        What it says is only where to look. PayPal repeats its messages for three days with their first date, so age is no
        reason to refuse one.

        :raises WebhookSignatureInvalid: if it did not, or we do not know our webhook's id
        :raises DependencyUnavailable: if PayPal cannot be asked; it will send the message again
        :raises MalformedRequest: if it did, but this is no event
        """
        if not settings.PAYPAL_WEBHOOK_ID:
            raise WebhookSignatureInvalid
        parts = signature.split("|")
        if len(parts) != len(SIGNATURE_HEADERS) or not all(map(_is_plain, parts)):
            raise WebhookSignatureInvalid
        sent_id, sent_at, algorithm, certificate, made = parts
        if not _is_paypal(certificate):
            raise WebhookSignatureInvalid
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            raise WebhookSignatureInvalid from None
        if not isinstance(event, dict):
            raise WebhookSignatureInvalid
        claim = {
            "transmission_id": sent_id,
            "transmission_time": sent_at,
            "auth_algo": algorithm,
            "cert_url": certificate,
            "transmission_sig": made,
            "webhook_id": settings.PAYPAL_WEBHOOK_ID,
        }
        # Byte for byte as it came: the signature is over these bytes, and writing the JSON anew may change them.
        question = json.dumps(claim)[:-1].encode() + b', "webhook_event": ' + body + b"}"
        try:
            with self._api() as api:
                answer = api.post_raw("/v1/notifications/verify-webhook-signature", question)
                if answer.get("verification_status") != "SUCCESS":
                    raise WebhookSignatureInvalid
                return _event(api, event)
        except ProviderRefused:
            raise WebhookSignatureInvalid from None
        except ProviderUnavailable:
            raise DependencyUnavailable(
                "PayPal does not answer whether it sent this.", retry_after=30
            ) from None

    def _told(self, api: _Api, order: Object) -> Remote:
        """Return an order as it stands, and whether its customer claims the money back, which PayPal tells elsewhere."""
        remote = self._remote(order)
        if remote.state is not State.SUCCEEDED:
            return remote
        [capture, *_] = _payments(order, "captures")
        try:
            found = api.get(f"/v1/customer/disputes?disputed_transaction_id={quote(capture['id'])}")
        except (_NotPermitted, ProviderRefused):
            return remote
        return replace(remote, is_disputed=bool(found.get("items")))

    def _remote(self, order: Object) -> Remote:
        try:
            unit = _unit(order)
            amount, currency = _amount(unit["amount"])
            captures, promises = _payments(order, "captures"), _payments(order, "authorizations")
            state, failure = _state(order, captures, promises)
            given = [each for each in _payments(order, "refunds") if each["status"] in _CARRIED_OUT]
            ends = [each.get("expiration_time") for each in promises]
            return Remote(
                provider_id=order["id"],
                state=state,
                amount=amount,
                currency=currency,
                captured=_sum(each for each in captures if each["status"] in _GOOD_CAPTURES),
                refunded=_sum(given),
                made_at=_moment(order.get("create_time")),
                payee=str((unit.get("payee") or {}).get("merchant_id") or ""),
                next_action=_way(order) if state is State.REQUIRES_PAYMENT else None,
                failure=failure,
                capture_before=_moment(ends[0]) if state is State.AUTHORIZED else None,
                metadata={"payment_id": str(unit.get("custom_id") or "")},
            )
        except (KeyError, IndexError, TypeError, ValueError, InvalidOperation) as strange:
            raise ProviderUnavailable("not an order") from strange

    @contextmanager
    def _api(self) -> Iterator[_Api]:
        # Proxies of the environment are not used: they would be told the secret.
        with httpx.Client(base_url=settings.PAYPAL_API_HOST, trust_env=False) as client:
            yield _Api(client)


# --- what orders say ------------------------------------------------------------------------------


def _order(
    *,
    amount: Decimal,
    currency: str,
    custom_id: str,
    ship_to: Mapping[str, str] | None,
    is_final: bool,
    back: str,
    cancelled: str,
) -> Object:
    """Return a new order. `is_final`: the customer pays there; else they come back to a total that may be another."""
    unit: Object = {"custom_id": custom_id, "amount": _money(amount, currency)}
    preference = "NO_SHIPPING" if is_final else "GET_FROM_FILE"
    if ship_to and ship_to.get("country"):
        preference = "SET_PROVIDED_ADDRESS"
        address = {
            "address_line_1": ship_to.get("line1", ""),
            "address_line_2": ship_to.get("line2", ""),
            "admin_area_2": ship_to.get("city", ""),
            "admin_area_1": ship_to.get("state", ""),
            "postal_code": ship_to.get("postalCode", ""),
            "country_code": ship_to["country"],
        }
        unit["shipping"] = {
            "name": {"full_name": ship_to.get("name", "")},
            "address": {key: value for key, value in address.items() if value},
        }
    return {
        "intent": "AUTHORIZE" if settings.PAYMENT_CAPTURE_MODE == "manual" else "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {
            "paypal": {
                "experience_context": {
                    "shipping_preference": preference,
                    "user_action": "PAY_NOW" if is_final else "CONTINUE",
                    "return_url": back,
                    "cancel_url": cancelled,
                }
            }
        },
    }


def _bind(api: _Api, order_id: str, payment_id: str, amount: Decimal, currency: str) -> Object:
    """Make an order that was approved in the cart the one of a payment, for exactly its amount; repeating changes nothing."""
    order = _read(api, order_id)
    unit = _unit(order)
    if unit.get("custom_id") == payment_id and _amount(unit["amount"]) == (amount, currency):
        return order
    at = "/purchase_units/@reference_id=='default'"
    api.patch(
        f"/v2/checkout/orders/{order_id}",
        [
            {"op": "replace", "path": f"{at}/amount", "value": _money(amount, currency)},
            {"op": "replace", "path": f"{at}/custom_id", "value": payment_id},
        ],
    )
    return _read(api, order_id)


def _state(
    order: Object, captures: Sequence[Object], promises: Sequence[Object]
) -> tuple[State, str]:
    """Return where the money of an order stands; of several captures the one that went furthest counts."""
    statuses = {each["status"] for each in captures}
    if statuses & _GOOD_CAPTURES:
        return State.SUCCEEDED, ""
    if "PENDING" in statuses:
        return State.PROCESSING, ""
    if captures:
        return State.FAILED, _reason(captures[0])
    if promises:
        match promises[0]["status"]:
            case "CREATED":
                return State.AUTHORIZED, ""
            case "PENDING" | "CAPTURED" | "PARTIALLY_CAPTURED":
                return State.PROCESSING, ""
            case "DENIED":
                return State.FAILED, _reason(promises[0])
            case _:
                return State.CANCELED, ""
    match order["status"]:
        case "APPROVED":
            return State.APPROVED, ""
        case "VOIDED":
            return State.CANCELED, ""
        case "COMPLETED":
            return State.PROCESSING, ""
        case _:
            return State.REQUIRES_PAYMENT, ""


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _reason(movement: Object) -> str:
    return str((movement.get("status_details") or {}).get("reason") or movement["status"])[:100]


def _way(order: Object) -> Object | None:
    """Return where its customer approves an order, if that is PayPal's own address."""
    for link in order.get("links") or []:
        if link.get("rel") in {"approve", "payer-action"} and _is_paypal(str(link.get("href"))):
            return {"type": "redirect", "url": link["href"]}
    return None


def _is_paypal(address: str) -> bool:
    """Return whether an address is PayPal's, or of the stand-in on this machine that is asked in its place."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    here = urlsplit(settings.PAYPAL_API_HOST)
    if here.hostname in {"127.0.0.1", "localhost", "::1"}:
        return (parts.scheme, host, port) == (here.scheme, here.hostname, here.port)
    return parts.scheme == "https" and host.endswith(".paypal.com") and port in {None, 443}


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= 500 and text.isascii() and text.isprintable()


def _unit(order: Object) -> Object:
    unit: Object = order["purchase_units"][0]
    return unit


def _payments(order: Object, kind: str) -> list[Object]:
    return list((_unit(order).get("payments") or {}).get(kind) or [])


def _money(amount: Decimal, currency: str) -> Object:
    return {"currency_code": currency, "value": format_amount(amount, currency)}


def _amount(money: Object) -> tuple[Decimal, str]:
    return Decimal(money["value"]), str(money["currency_code"])


def _sum(movements: Iterator[Object] | Sequence[Object]) -> Decimal:
    return sum((_amount(each["amount"])[0] for each in movements), Decimal(0))


def _read(api: _Api, order_id: str) -> Object:
    """:raises ProviderGone: if PayPal does not know it, or it can be none of its ids"""
    if not ID.fullmatch(order_id):
        raise ProviderGone("no such order")
    return api.get(f"/v2/checkout/orders/{order_id}")


# --- what messages and reports say ----------------------------------------------------------------


def _event(api: _Api, event: Object) -> ProviderEvent:
    """Return the parts of an event that we use; which order a capture, a refund or a dispute is about, PayPal is asked."""
    try:
        subject = event["resource"]
        kind = str(event["event_type"])
        related = (subject.get("supplementary_data") or {}).get("related_ids") or {}
        units = subject.get("purchase_units") or [{}]
        payment_id = str(subject.get("custom_id") or units[0].get("custom_id") or "")
        order_id = subject["id"] if kind.startswith("CHECKOUT.ORDER.") else related.get("order_id")
        captures = [
            each["seller_transaction_id"] for each in subject.get("disputed_transactions") or []
        ] + [
            urlsplit(str(link.get("href"))).path.rpartition("/")[2]
            for link in subject.get("links") or []
            if link.get("rel") == "up" and "/payments/captures/" in str(link.get("href"))
        ]
        event_id = event["id"]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise MalformedRequest("This is no event.") from None
    if not order_id and captures:
        try:
            order_id = _order_of_capture(api, str(captures[0]))
        except ProviderRefused:
            order_id = ""
    texts = ((event_id, 255), (kind, 100), (order_id or "-", 255), (payment_id or "-", 127))
    if not all(
        isinstance(text, str) and 0 < len(text) <= most and text.isascii() and text.isprintable()
        for text, most in texts
    ):
        raise MalformedRequest("This is no event.")
    return ProviderEvent(
        id=event_id, type=kind, object_id=order_id or "", payment_id=payment_id, is_live=False
    )


def _order_of_capture(api: _Api, capture_id: str) -> str:
    """:raises ProviderGone: if there is no such capture"""
    if not ID.fullmatch(capture_id):
        raise ProviderGone("no such capture")
    found = api.get(f"/v2/payments/captures/{capture_id}")
    return str(
        ((found.get("supplementary_data") or {}).get("related_ids") or {}).get("order_id") or ""
    )


def _captures(api: _Api, since: datetime, until: datetime) -> Iterator[str]:
    """Yield the ids of what was paid to us through an order in a period, range by range, page by page."""
    while since < until:
        ends = min(since + SEARCH_RANGE, until)
        page, pages = 1, 1
        while page <= pages:
            found = api.get(
                "/v1/reporting/transactions?fields=transaction_info&page_size=500"
                f"&start_date={quote(since.isoformat(timespec='seconds'))}"
                f"&end_date={quote(ends.isoformat(timespec='seconds'))}&page={page}"
            )
            pages = int(found.get("total_pages") or 1)
            page += 1
            for each in found.get("transaction_details") or []:
                told = each.get("transaction_info") or {}
                # T00…: payments, and only what came in; refunds, fees and withdrawals have codes of their own.
                if (
                    str(told.get("transaction_event_code", "")).startswith("T00")
                    and Decimal(told["transaction_amount"]["value"]) > 0
                ):
                    yield told["transaction_id"]
        since = ends


# --- the wire -------------------------------------------------------------------------------------


class _Api:
    """
    PayPal over HTTP: each request within eight seconds, tried twice with the same key.

    After two failures nobody in this process asks for five seconds. What the answer is about is never written to the log.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str) -> Object:
        return self._call("GET", path)

    def post(self, path: str, body: Object, *, key: str) -> Object:
        return self.post_raw(path, json.dumps(body).encode(), key=key)

    def post_raw(self, path: str, body: bytes, *, key: str = "") -> Object:
        headers = {"Prefer": "return=representation"}
        return self._call(
            "POST",
            path,
            content=body,
            headers=headers | ({"PayPal-Request-Id": key} if key else {}),
        )

    def patch(self, path: str, changes: list[Object]) -> None:
        self._call("PATCH", path, content=json.dumps(changes).encode())

    def _call(self, method: str, path: str, *, content: bytes = b"", **options: Any) -> Object:
        headers = {"Content-Type": "application/json"} | options.pop("headers", {})
        for is_again in (False, True):
            token = self._token()
            answer = self._send(
                method,
                path,
                content=content,
                headers=headers | {"Authorization": f"Bearer {token}"},
            )
            if answer.status_code != 401 or is_again:
                break
            _tokens.pop(self._account, None)  # taken back before its end
        return _judged(answer)

    @property
    def _account(self) -> tuple[str, str]:
        return settings.PAYPAL_API_HOST, settings.PAYPAL_CLIENT_ID

    def _token(self) -> str:
        """Return an access token, kept in this process until a minute before its end."""
        token, ends = _tokens.get(self._account, ("", 0.0))
        if token and time.monotonic() < ends:
            return token
        answer = self._send(
            "POST",
            "/v1/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(settings.PAYPAL_CLIENT_ID, settings.PAYPAL_CLIENT_SECRET),
        )
        if answer.status_code in {400, 401, 403}:
            raise ProviderUnavailable("PayPal does not accept our credentials")
        found = _judged(answer)
        try:
            token, seconds = str(found["access_token"]), int(found["expires_in"])
        except (KeyError, TypeError, ValueError) as strange:
            raise ProviderUnavailable("not a token") from strange
        _tokens[self._account] = token, time.monotonic() + seconds - 60
        return token

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        if breaker.is_open:
            raise ProviderUnavailable("PayPal is left alone for a moment")
        started = time.monotonic()
        ends = started + settings.PAYPAL_TIMEOUT_SECONDS
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.request(
                    method, path, timeout=max(ends - time.monotonic(), 0.05), **options
                )
            except httpx.HTTPError as failure:
                problem = type(failure).__name__
            else:
                problem = f"status {answer.status_code}"
                if answer.status_code < 500 and answer.status_code != 429:
                    breaker.reset()
                    _note(method, path, started, problem)
                    return answer
                if answer.status_code == 429:
                    break
            pause = random.uniform(0.05, 0.2)  # noqa: S311 - no secret
            if attempt < ATTEMPTS and ends - time.monotonic() - pause > LEAST_SECONDS:
                time.sleep(pause)
            else:
                break
        _note(method, path, started, problem)
        silence = ProviderUnavailable(problem)
        breaker.trip(silence)
        raise silence


def _note(method: str, path: str, started: float, outcome: str) -> None:
    logger.info(
        "paypal was asked",
        call=f"{method} {path.partition('?')[0]}",
        outcome=outcome,
        seconds=round(time.monotonic() - started, 3),
    )


def _judged(answer: httpx.Response) -> Object:
    """
    Return the object that was answered.

    :raises ProviderGone: if what was asked for is not there
    :raises ProviderRefused: if PayPal says no; only its code is kept, as its text may repeat what was sent
    :raises ProviderUnavailable: if the answer tells nothing
    """
    status = answer.status_code
    try:
        found = json.loads(answer.content) if answer.content else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderUnavailable("not an answer")
    if status < 300:
        return found
    issue = _issue(found)
    if status == 404:
        raise ProviderGone(issue)
    if status == 403:
        raise _NotPermitted(issue)
    if status in {401, 409} or issue in _ON_ITS_WAY or status not in {400, 422}:
        raise ProviderUnavailable(issue)
    raise ProviderRefused(issue)


def _issue(found: Object) -> str:
    details = found.get("details") or [{}]
    first = details[0] if isinstance(details, list) and isinstance(details[0], dict) else {}
    for said in (first.get("issue"), found.get("name")):
        if isinstance(said, str) and _ISSUE.fullmatch(said):
            return said
    return "REFUSED"
