"""Pictures of products, for staff: multipart in, the pictures of `/products/{id}` out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import exceptions as rest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.platform.errors import UnsupportedMediaType
from config.platform.http import ApiView, Input, Staff, actor_of
from config.platform.http.uploads import MultipartParser, Sent
from inventory import pictures, selectors, services

MOST_PLACES = 10_000
EXAMPLE = OpenApiExample(
    "a picture whose renditions are made",
    value={
        "id": "01990000-0000-7000-8000-000000000001",
        "url": "/media/products/01/01990000-0000-7000-8000-000000000001-9f86d081884c7d65.webp",
        "alt": "An enamel mug on a windowsill",
        "width": 1600,
        "height": 1200,
        "srcset": [
            {
                "url": "/media/products/01/01990000-0000-7000-8000-000000000001-9f86d081884c7d65-320.webp",
                "width": 320,
            },
            {
                "url": "/media/products/01/01990000-0000-7000-8000-000000000001-9f86d081884c7d65.webp",
                "width": 1600,
            },
        ],
    },
    response_only=True,
)


class SentField(serializers.FileField):
    """A file of a form; what it holds is looked at where pictures are made."""

    def to_internal_value(self, data: Any) -> Sent:
        if not isinstance(data, Sent):
            self.fail("invalid")
        return data


class PictureInput(Input):
    image = SentField(help_text="JPEG, PNG, WebP or AVIF, up to 10 MB.")
    alt = serializers.CharField(
        max_length=500, help_text="What it shows, for those who cannot see it."
    )
    position = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_PLACES,
        help_text="Its place; the end, if left out.",
    )
    sku = serializers.CharField(
        required=False, max_length=255, help_text="The variant that it shows, if only one."
    )


class PictureChangeInput(Input):
    alt = serializers.CharField(max_length=500, required=False)
    position = serializers.IntegerField(min_value=0, max_value=MOST_PLACES, required=False)


class SourceOutput(serializers.Serializer):
    url = serializers.CharField()
    width = serializers.IntegerField()


class PictureOutput(serializers.Serializer):
    id = serializers.UUIDField()
    url = serializers.CharField()
    alt = serializers.CharField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    srcset = SourceOutput(many=True)


class PicturesView(ApiView):
    permission_classes = [Staff]
    rights = dict.fromkeys(("post", "patch", "delete"), "inventory.change_product")
    parser_classes = [MultipartParser]

    def handle_exception(self, failure: Exception) -> Response:
        if isinstance(failure, rest.UnsupportedMediaType):
            failure = UnsupportedMediaType("Send the picture as multipart/form-data.")
        return super().handle_exception(failure)

    @extend_schema(
        tags=["products"],
        request={"multipart/form-data": PictureInput},
        responses={201: PictureOutput},
        examples=[EXAMPLE],
    )
    def post(self, request: Request, ref: str) -> Response:
        """
        Add a picture to a product. Staff only.

        What the file is, is read from its bytes. It is kept as WebP without its metadata; wider renditions appear
        in `srcset` within a minute.
        """
        actor = actor_of(request)
        product = selectors.find_product(actor=actor, ref=ref)
        given = PictureInput.read(request, from_query=True)  # numbers of a form are texts too
        sent: Sent = given["image"]
        pictures.check_size(sent.size)
        image = services.add_picture(
            actor=actor,
            product_id=product.id,
            picture=pictures.prepare(sent.read()),
            alt=given["alt"],
            position=given.get("position"),
            sku=given.get("sku", ""),
            now=timezone.now(),
        )
        return Response(pictures.picture_json(image.picture), status=201)


class PictureView(ApiView):
    permission_classes = [Staff]
    rights = dict.fromkeys(("post", "patch", "delete"), "inventory.change_product")

    @extend_schema(tags=["products"], responses=PictureOutput, examples=[EXAMPLE])
    def patch(self, request: Request, ref: str, image_id: UUID) -> Response:
        """Change the text or the place of a picture. Staff only."""
        actor = actor_of(request)
        product = selectors.find_product(actor=actor, ref=ref)
        change = services.PictureChange(**PictureChangeInput.read(request))
        [image] = services.change_pictures(
            actor=actor, product_id=product.id, changes={image_id: change}, now=timezone.now()
        )
        return Response(pictures.picture_json(image.picture))

    @extend_schema(tags=["products"], responses={204: None})
    def delete(self, request: Request, ref: str, image_id: UUID) -> Response:
        """Take a picture off a product and its variants; its files go with it. Staff only."""
        actor = actor_of(request)
        product = selectors.find_product(actor=actor, ref=ref)
        services.remove_pictures(
            actor=actor, product_id=product.id, image_ids=[image_id], now=timezone.now()
        )
        return Response(status=204)
