"""The address book and buying again, over HTTP."""

from __future__ import annotations

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import selectors, services
from checkout.api.serializers import Nothing, Text
from checkout.rendering import render_address, render_reordered
from config.platform.http.authentication import SignedIn
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.paging import page
from config.platform.http.views import ApiView, ApiViewSet
from orders import selectors as orders

DEFAULTS = ("is_default_shipping", "is_default_billing")


class AddressInput(Input):
    """
    The fields of an address; which of them a country needs is the service's to say.

    `zipCode` stands for `postalCode`, and three letters such as "USA" for the country.
    """

    name = Text(required=False, max_length=400)
    line1 = Text(required=False, max_length=400)
    line2 = Text(required=False, max_length=400)
    city = Text(required=False, max_length=400)
    state = Text(required=False, max_length=400)
    postal_code = Text(required=False, max_length=400)
    zip_code = Text(required=False, max_length=400)
    country = Text(required=False, max_length=400)
    phone = Text(required=False, max_length=400)
    is_default_shipping = serializers.BooleanField(required=False)
    is_default_billing = serializers.BooleanField(required=False)

    def validate(self, attrs: dict) -> dict:
        if "postal_code" in attrs and "zip_code" in attrs:
            raise serializers.ValidationError(
                {"zip_code": ["This is another name of postalCode; send one of them."]},
                code="invalid",
            )
        return attrs


class AddressViewSet(ApiViewSet):
    """The addresses a signed-in customer keeps."""

    permission_classes = [SignedIn]

    def list(self, request: Request) -> Response:
        """List the caller's addresses, the default first."""
        found = list(selectors.addresses_of(actor=actor_of(request)))
        return Response(page(found, request, render=render_address, limit=100))

    def create(self, request: Request) -> Response:
        """Keep an address; the first one is the default for parcels and bills."""
        address, defaults = _read(request)
        entry = services.add_address(
            actor=actor_of(request), address=address, now=timezone.now(), **defaults
        )
        return Response(render_address(entry), status=201)

    def retrieve(self, request: Request, address_id) -> Response:
        """Return one address."""
        return Response(
            render_address(selectors.find_address(actor=actor_of(request), address_id=address_id))
        )

    def update(self, request: Request, address_id) -> Response:
        """Change fields of an address, or make it a default."""
        changes, defaults = _read(request)
        entry = services.change_address(
            actor=actor_of(request),
            address_id=address_id,
            changes=changes,
            now=timezone.now(),
            **defaults,
        )
        return Response(render_address(entry))

    def destroy(self, request: Request, address_id) -> Response:
        """Forget an address; orders keep their own copy."""
        services.remove_address(actor=actor_of(request), address_id=address_id)
        return Response(status=204)


class ReorderView(ApiView):
    limits = {"post": "bulk"}

    def post(self, request: Request, reference: str) -> Response:
        """Put the lines of an earlier order into the cart, at today's prices; the report tells what became of each."""
        Nothing.read(request)
        actor = actor_of(request)
        brought = services.reorder(
            actor=actor,
            order_id=orders.find_id(actor=actor, reference=reference),
            now=timezone.now(),
        )
        return Response(render_reordered(brought), headers={"ETag": f'"{brought.view.etag}"'})


class EditInCartView(ApiView):
    limits = {"post": "checkout"}

    def post(self, request: Request, reference: str) -> Response:
        """
        Cancel an order that is not paid and put what it was for back into the caller's cart, to be changed there.

        What is held for it stays held. The report tells what became of each line.
        """
        Nothing.read(request)
        actor = actor_of(request)
        brought = services.edit_in_cart(
            actor=actor,
            order_id=orders.find_id(actor=actor, reference=reference),
            now=timezone.now(),
        )
        return Response(render_reordered(brought), headers={"ETag": f'"{brought.view.etag}"'})


def _read(request: Request) -> tuple[dict[str, str], dict[str, bool]]:
    body = AddressInput.read(request)
    defaults = {name: body.pop(name) for name in DEFAULTS if name in body}
    return body, defaults
