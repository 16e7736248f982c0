"""The door for outside systems: signed messages about stock and products (INV-23)."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.errors import BodyTooLarge, MalformedRequest
from config.platform.http import Anyone, ApiView, Input, Output, actor_of
from config.platform.http.parsing import MAX_BYTES, StrictJSONParser, loads
from config.platform.http.problems import field_errors
from inventory import services
from inventory.models import Product
from inventory.services import MOST_CHANGES, Change, Outcome

MOST_UNITS = 1_000_000_000
SIGNATURE = "Holdfast-Signature"


class SignedParser(StrictJSONParser):
    """Hands the bytes on as they came: they are signed, so they are looked at before they are read."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> str:
        content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BodyTooLarge(extra={"maximumBytes": MAX_BYTES})
        return content.decode(
            "latin-1"
        )  # one character a byte, so that a digest of it can be taken


class ChangeInput(Input):
    """One change; which fields it needs depends on its kind."""

    kind = serializers.ChoiceField(choices=["set", "adjust", "product"])
    sku = serializers.CharField(max_length=255)
    quantity = serializers.IntegerField(min_value=-MOST_UNITS, max_value=MOST_UNITS, required=False)
    warehouse = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    type = serializers.ChoiceField(
        choices=["PURCHASE", "RETURN", "DAMAGE", "ADJUSTMENT"], required=False
    )
    name = serializers.CharField(max_length=500, required=False)
    status = serializers.ChoiceField(choices=Product.Status.values, required=False)
    occurred_at = serializers.DateTimeField(required=False)

    _FIELDS = {
        "set": {"quantity", "warehouse"},
        "adjust": {"quantity", "warehouse", "type"},
        "product": {"name", "status"},
    }
    _SIGNS = {"PURCHASE": 1, "RETURN": 1, "DAMAGE": -1}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        allowed = self._FIELDS[attrs["kind"]] | {"kind", "sku", "occurred_at"}
        errors: dict[str, Any] = {
            name: [ErrorDetail("This kind of change has no such field.", "unknown_field")]
            for name in attrs
            if name not in allowed and not (name == "warehouse" and not attrs[name])
        }
        if attrs["kind"] == "product":
            if "name" not in attrs and "status" not in attrs:
                errors["name"] = [ErrorDetail("Send name or status.", "required")]
        elif "quantity" not in attrs:
            errors["quantity"] = [ErrorDetail("This field is required.", "required")]
        elif attrs["kind"] == "set" and attrs["quantity"] < 0:
            errors["quantity"] = [ErrorDetail("A count is not negative.", "min_value")]
        elif attrs["quantity"] * self._SIGNS.get(attrs.get("type", ""), attrs["quantity"]) < 0:
            text = "The sign does not go with the type."
            errors["quantity"] = [ErrorDetail(text, "invalid")]
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


class MessageInput(Input):
    """A message: its id, unique for its source, when it was true, and what changed."""

    id = serializers.CharField(max_length=200)
    occurred_at = serializers.DateTimeField()
    changes = serializers.ListField(
        child=serializers.JSONField(allow_null=True), allow_empty=False, max_length=MOST_CHANGES
    )


class MessageDocument(MessageInput):
    """What `MessageInput` reads, as it is documented: each change on its own is taken or refused."""

    changes = ChangeInput(many=True)  # type: ignore[assignment]


class OutcomeOutput(Output):
    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["applied", "unchanged", "stale", "refused"])
    code = serializers.CharField(allow_blank=True)
    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)


class MessageOutput(Output):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["done", "pending"])
    replayed = serializers.BooleanField()
    applied = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = OutcomeOutput(many=True)


_EXAMPLE = {
    "id": "erp-2026-000123",
    "occurredAt": "2026-11-21T09:30:00Z",
    "changes": [
        {"kind": "set", "sku": "BIKE-RED-54", "warehouse": "MAIN", "quantity": 12},
        {"kind": "adjust", "sku": "BELL-01", "quantity": -2, "type": "DAMAGE"},
        {"kind": "product", "sku": "BIKE-RED-54", "name": "Road bike", "status": "active"},
    ],
}


@extend_schema(tags=["webhooks"])
class InventoryWebhookView(ApiView):
    permission_classes = [Anyone]
    parser_classes = [SignedParser]
    limits = {"post": "inbound"}

    @extend_schema(
        request=MessageDocument,
        responses={200: MessageOutput, 202: MessageOutput},
        auth=[],
        parameters=[
            OpenApiParameter(
                SIGNATURE,
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="`t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body; see docs/integrations.md.",
            )
        ],
        examples=[
            OpenApiExample("A message", _EXAMPLE, request_only=True),
            OpenApiExample(
                "Worked off",
                {
                    "id": "erp-2026-000123",
                    "status": "done",
                    "replayed": False,
                    "applied": 2,
                    "refused": 1,
                    "results": [
                        {"index": 0, "status": "applied", "code": "", "field": "", "message": ""},
                        {
                            "index": 1,
                            "status": "refused",
                            "code": "PRODUCT_NOT_FOUND",
                            "field": "changes.1.sku",
                            "message": "There is no such product.",
                        },
                        {"index": 2, "status": "applied", "code": "", "field": "", "message": ""},
                    ],
                },
                response_only=True,
                status_codes=["200"],
            ),
            OpenApiExample(
                "Kept, and worked off soon",
                {
                    "id": "erp-2026-000123",
                    "status": "pending",
                    "replayed": False,
                    "applied": 0,
                    "refused": 0,
                    "results": [],
                },
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request, source: str) -> Response:
        """
        Take a signed message of an outside system about stock and products.

        Each product is changed in a transaction of its own: a refused one stops no other. The same id again changes
        nothing; a large message is answered 202 and worked off soon: send it again to see its results.
        """
        now = timezone.now()
        actor = actor_of(request)
        data = request.data
        body = data.encode("latin-1") if isinstance(data, str) else b""
        opened = services.open_source(
            slug=source,
            body=body,
            signature=request.headers.get(SIGNATURE, ""),
            address=actor.address,
            request_id=actor.request_id,
            now=now,
        )
        content = loads(body)
        if not isinstance(content, dict):
            raise MalformedRequest("The body must be a JSON object.")
        message = MessageInput(data=content, context={"request": request})
        message.is_valid(raise_exception=True)
        given = message.validated_data
        taken = services.take_message(
            source=opened,
            event_id=given["id"],
            content=content,
            occurred_at=given["occurred_at"],
            said=[
                _read(index, change, given["occurred_at"], request)
                for index, change in enumerate(given["changes"])
            ],
            now=now,
        )
        row = taken.message
        done = row.processed_at is not None
        results = [row.results[key] for key in sorted(row.results, key=int)]
        shown = MessageOutput(
            {
                "id": row.event_id,
                "status": "done" if done else "pending",
                "replayed": taken.is_replay,
                "applied": row.applied,
                "refused": row.refused,
                "results": [
                    {**result, "field": _place(result["index"], result["field"])}
                    for result in results
                ],
            }
        )
        return Response(shown.data, status=200 if done else 202)


def _place(index: int, field: str) -> str:
    return f"changes.{index}.{field}" if field else ""


def _read(index: int, values: Any, occurred_at: Any, request: Request) -> Change | Outcome:
    """Return an entry as a change, or why it is none."""
    shape = ChangeInput(data=values, context={"request": request})
    try:
        shape.is_valid(raise_exception=True)
    except ValidationError as failure:
        first = field_errors(failure.detail)[0]
        return Outcome(index, "refused", first.code, first.field, first.message)
    given = shape.validated_data
    given.setdefault("occurred_at", occurred_at)
    return Change(**given)
