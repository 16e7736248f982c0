"""The gateway of PayPal: one verb of ours, the calls it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

import httpx
import structlog
from django.conf import settings

from checkout.gateway.interface import (
    MadeRefund,
    ProviderEvent,
    ProviderGone,
    ProviderRefused,
    ProviderUnavailable,
    Remote,
    RemoteRefund,
    State,
)
from checkout.gateway.paypal.client import NotPermitted, Object, PayPalApi
from checkout.gateway.paypal.reading import (
    bind,
    captures_between,
    event_of,
    order_of_capture,
    read_order,
)
from checkout.gateway.paypal.wire import (
    CARRIED_OUT,
    GOOD_CAPTURES,
    amount_of,
    is_paypal,
    is_plain,
    moment,
    money,
    order_body,
    payments_of,
    state_of,
    sum_of,
    unit_of,
    way_to_approve,
)
from config.platform.errors import DependencyUnavailable, WebhookSignatureInvalid

logger = structlog.get_logger(__name__)

# The headers of a webhook, in the order in which the door hands them on, divided by bars.
SIGNATURE_HEADERS = (
    "PayPal-Transmission-Id",
    "PayPal-Transmission-Time",
    "PayPal-Auth-Algo",
    "PayPal-Cert-Url",
    "PayPal-Transmission-Sig",
)
_TAKEN_ALREADY = {"ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED"}
_NOT_APPROVED = {"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"}


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
        at_once: bool = False,
    ) -> Remote:
        """
        Make the order of a payment, or let the one that was approved in the cart (`metadata["approved"]`) be it.

        An order that nobody was told of takes no money, so making it twice is harmless.
        """
        payment_id = metadata["payment_id"]
        with self._api() as api:
            if approved := metadata.get("approved"):
                return self._remote(bind(api, approved, payment_id, amount, currency))
            page = f"{settings.STOREFRONT_URL}/checkout/pay/{payment_id}/"
            order = api.post(
                "/v2/checkout/orders",
                order_body(
                    amount=amount,
                    currency=currency,
                    custom_id=payment_id,
                    ship_to=ship_to,
                    is_final=True,
                    at_once=at_once,
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
                order_body(
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
            order = read_order(api, provider_id)
        unit = unit_of(order)
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
            return self._told(api, read_order(api, provider_id))

    def payments_since(self, *, since: datetime, until: datetime | None = None) -> list[Remote]:
        """
        Return the orders behind every payment that PayPal's reports show in a period.

        Reports lag up to three hours, and an account may lack the right to them: then there are none, and what
        we know of ourselves is asked for one by one (`checkout.books`).
        """
        with self._api() as api:
            try:
                captures = list(captures_between(api, since, until or datetime.now(tz=UTC)))
            except NotPermitted:
                logger.warning("paypal shows no reports to this account")
                return []
            orders = []
            for capture_id in captures:
                try:
                    order_id = order_of_capture(api, capture_id)
                    orders.append(read_order(api, order_id) if order_id else None)
                except ProviderGone:
                    logger.warning("a payment at paypal is of no order", capture=capture_id)
            return [self._remote(order) for order in orders if order is not None]

    def accept(self, *, provider_id: str, key: str) -> Remote:
        """
        Take what its customer has approved, or with manual capture have it promised.

        What is not approved stays as it is. A refusal of PayPal's is an outcome: the payment failed, nothing was taken.
        """
        with self._api() as api:
            order = read_order(api, provider_id)
            if (remote := self._remote(order)).state is not State.APPROVED:
                return remote
            verb = "authorize" if order.get("intent") == "AUTHORIZE" else "capture"
            try:
                api.post(f"/v2/checkout/orders/{provider_id}/{verb}", {}, key=key)
            except ProviderRefused as refusal:
                issue = str(refusal)
                known = self._remote(read_order(api, provider_id))
                if issue in _TAKEN_ALREADY or known.state is not State.APPROVED:
                    return known
                if issue in _NOT_APPROVED:
                    return replace(
                        known, state=State.REQUIRES_PAYMENT, next_action=way_to_approve(order)
                    )
                return replace(known, state=State.FAILED, failure=issue)
            return self._remote(read_order(api, provider_id))

    def capture(self, *, provider_id: str, amount: Decimal, key: str) -> Remote:
        """Collect what is authorised; once, whatever the key."""
        with self._api() as api:
            order = read_order(api, provider_id)
            remote = self._remote(order)
            if remote.state is not State.AUTHORIZED:
                return remote
            promise = payments_of(order, "authorizations")[0]
            body = {"amount": money(amount, remote.currency), "final_capture": True}
            api.post(f"/v2/payments/authorizations/{promise['id']}/capture", body, key=key)
            return self._remote(read_order(api, provider_id))

    def cancel(self, *, provider_id: str, key: str) -> Remote:
        """Let go of what is promised. What was not taken needs nothing: only we could take it, and never will."""
        with self._api() as api:
            order = read_order(api, provider_id)
            remote = self._remote(order)
            if remote.state is State.AUTHORIZED:
                promise = payments_of(order, "authorizations")[0]
                api.post(f"/v2/payments/authorizations/{promise['id']}/void", {}, key=key)
                remote = self._remote(read_order(api, provider_id))
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
            order = read_order(api, provider_id)
            done = [each for each in payments_of(order, "refunds") if each.get("custom_id") == key]
            taken = [
                each for each in payments_of(order, "captures") if each["status"] in GOOD_CAPTURES
            ]
            if done:
                refund = done[0]
            elif taken:
                refund = api.post(
                    f"/v2/payments/captures/{taken[0]['id']}/refund",
                    {"amount": money(amount, currency), "custom_id": key},
                    key=key,
                )
            else:
                raise ProviderRefused("nothing was taken")
        return RemoteRefund(
            provider_id=refund["id"],
            succeeded=refund.get("status") in CARRIED_OUT,
            failure="" if refund.get("status") in CARRIED_OUT else str(refund.get("status")),
        )

    def refunds_of(self, *, provider_id: str) -> list[MadeRefund]:
        with self._api() as api:
            made = payments_of(read_order(api, provider_id), "refunds")
        try:
            return [
                MadeRefund(
                    provider_id=str(each["id"]),
                    amount=amount_of(each["amount"])[0],
                    key=str(each.get("custom_id") or ""),
                    failure="" if each["status"] in CARRIED_OUT else str(each["status"]),
                )
                for each in made
            ]
        except (KeyError, TypeError, InvalidOperation) as strange:
            raise ProviderUnavailable("not a refund") from strange

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
        if len(parts) != len(SIGNATURE_HEADERS) or not all(map(is_plain, parts)):
            raise WebhookSignatureInvalid
        sent_id, sent_at, algorithm, certificate, made = parts
        if not is_paypal(certificate):
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
                return event_of(api, event)
        except ProviderRefused:
            raise WebhookSignatureInvalid from None
        except ProviderUnavailable:
            raise DependencyUnavailable(
                "PayPal does not answer whether it sent this.", retry_after=30
            ) from None

    def _told(self, api: PayPalApi, order: Object) -> Remote:
        """Return an order as it stands, and whether its customer claims the money back, which PayPal tells elsewhere."""
        remote = self._remote(order)
        if remote.state is not State.SUCCEEDED:
            return remote
        [capture, *_] = payments_of(order, "captures")
        try:
            found = api.get(f"/v1/customer/disputes?disputed_transaction_id={quote(capture['id'])}")
        except (NotPermitted, ProviderRefused):
            return remote
        return replace(remote, is_disputed=bool(found.get("items")))

    def _remote(self, order: Object) -> Remote:
        try:
            unit = unit_of(order)
            amount, currency = amount_of(unit["amount"])
            captures, promises = (
                payments_of(order, "captures"),
                payments_of(order, "authorizations"),
            )
            state, failure = state_of(order, captures, promises)
            given = [
                each for each in payments_of(order, "refunds") if each["status"] in CARRIED_OUT
            ]
            ends = [each.get("expiration_time") for each in promises]
            return Remote(
                provider_id=order["id"],
                state=state,
                amount=amount,
                currency=currency,
                captured=sum_of(each for each in captures if each["status"] in GOOD_CAPTURES),
                refunded=sum_of(given),
                made_at=moment(order.get("create_time")),
                payee=str((unit.get("payee") or {}).get("merchant_id") or ""),
                next_action=way_to_approve(order) if state is State.REQUIRES_PAYMENT else None,
                failure=failure,
                capture_before=moment(ends[0]) if state is State.AUTHORIZED else None,
                metadata={"payment_id": str(unit.get("custom_id") or "")},
            )
        except (KeyError, IndexError, TypeError, ValueError, InvalidOperation) as strange:
            raise ProviderUnavailable("not an order") from strange

    @contextmanager
    def _api(self) -> Iterator[PayPalApi]:
        # Proxies of the environment are not used: they would be told the secret.
        with httpx.Client(base_url=settings.PAYPAL_API_HOST, trust_env=False) as client:
            yield PayPalApi(client)
