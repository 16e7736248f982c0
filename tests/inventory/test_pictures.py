"""Pictures: what is taken in, what is kept of it, and that nothing is left of what was refused or removed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image, ImageCms

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent, User, new_id
from inventory import pictures
from inventory import services as inventory
from inventory.errors import PictureNotFound, ProductNotFound
from inventory.models import Company, Product, ProductImage, Variant
from inventory.services import ImageDraft, PictureChange, ProductDraft
from tests.conftest import Api
from tests.factories import make_company, make_price, make_product, make_variant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_storage() -> None:
    for name in stored():
        default_storage.delete(name)


def stored() -> list[str]:
    """Return the names of all files there are."""
    if not default_storage.exists(pictures.FOLDER):
        return []
    return sorted(
        f"{pictures.FOLDER}/{folder}/{name}"
        for folder in default_storage.listdir(pictures.FOLDER)[0]
        for name in default_storage.listdir(f"{pictures.FOLDER}/{folder}")[1]
    )


def encoded(
    format: str = "JPEG", *, size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, options.pop("colour", 128)).save(out, format, **options)
    return out.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.fixture
def product(company: Company) -> Product:
    return make_product(slug="mug")


def add(staff: Actor, product: Product, now: datetime, **fields: Any) -> ProductImage:
    picture = pictures.prepare(encoded(size=fields.pop("size", (60, 40))))
    return inventory.add_picture(
        **{
            "actor": staff, "product_id": product.id, "picture": picture, "alt": "A mug", "now": now,
            **fields,
        }
    )  # fmt: skip


# --- what is taken in -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", pictures.FORMATS)
def test_each_known_type_becomes_webp(format: str) -> None:
    made = pictures.prepare(encoded(format))

    assert (made.width, made.height) == (60, 40)
    assert opened(made.content).format == opened(made.small).format == "WEBP"


@pytest.mark.parametrize(
    ("mode", "format", "expected"),
    [
        ("CMYK", "JPEG", "RGB"), ("L", "PNG", "RGB"), ("I;16", "PNG", "RGB"), ("1", "PNG", "RGB"),
        ("RGBA", "PNG", "RGBA"), ("LA", "PNG", "RGBA"), ("P", "PNG", "RGB"),
    ],
)  # fmt: skip
def test_each_kind_of_colour_is_shown(mode: str, format: str, expected: str) -> None:
    colour: Any = {"CMYK": (0, 0, 0, 127), "RGBA": (128, 128, 128, 0), "LA": (128, 0), "I;16": 32_768}.get(mode, 1)  # fmt: skip

    image = opened(pictures.prepare(encoded(format, mode=mode, colour=colour)).content)

    assert image.mode == expected
    if mode == "I;16":
        assert image.getpixel((5, 5)) == pytest.approx((128, 128, 128), abs=3)


def test_nothing_that_came_with_a_photograph_is_kept_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[2] = (54.0, 10.0, 8.0)  # where it was taken
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = encoded(exif=exif, icc_profile=profile, comment=b"SECRETCOMMENT")
    assert b"SECRETCAMERA" in source

    made = pictures.prepare(source)

    assert (made.width, made.height) == (40, 60)
    for content in (made.content, made.small):
        image = opened(content)
        assert image.size == (40, 60)
        assert not dict(image.getexif())
        assert image.info.keys().isdisjoint({"exif", "icc_profile", "xmp"})
        assert b"SECRET" not in content


def test_a_large_picture_is_kept_smaller() -> None:
    made = pictures.prepare(encoded(size=(3_200, 1_000)))

    assert (made.width, made.height) == (1_600, 500)
    assert opened(made.small).size == (320, 100)


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG that says to be huge and is a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00" * 99)) + chunk(b"IEND", b"")  # fmt: skip


JPEG = encoded(size=(600, 400), quality=95, colour="red")
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "blank"),
    "too many bytes": (lambda: JPEG + b"\x00" * pictures.MOST_BYTES, "too_large"),
    "an SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "invalid_type"),
    "a GIF": (lambda: encoded("GIF", mode="P"), "invalid_type"),
    "a page called a picture": (lambda: b"<!doctype html><script>1</script>", "invalid_type"),
    "cut off": (lambda: JPEG[: len(JPEG) // 2], "invalid"),
    "scrambled": (lambda: encoded("PNG")[:60] + b"\xff" * 40, "invalid"),
    "a bomb of pixels": (lambda: _bomb(60_000, 60_000), "too_many_pixels"),
    "more pixels than a PNG may have": (lambda: _bomb(5_000, 3_000), "too_many_pixels"),
    "a bomb of layers": (lambda: JPEG[:2] + b"\xff\xda" * 99 + JPEG[2:], "too_large"),
    "a dot": (lambda: encoded(size=(1, 1)), "too_small"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_good_picture_is_refused_by_name(case: str) -> None:
    make, code = REFUSED[case]

    with pytest.raises(ValidationFailed) as refused:
        pictures.prepare(make(), field="upload")

    assert [(error.field, error.code) for error in refused.value.errors] == [("upload", code)]


# --- adding, changing, removing -------------------------------------------------------------------


def test_a_picture_is_kept_under_a_name_of_its_own_and_announced(
    staff: Actor, product: Product, now: datetime
) -> None:
    image = add(staff, product, now, size=(1_000, 500))

    assert stored() == sorted([image.file, pictures.rendition_name(image.file, 320)])
    assert image.url == f"/media/{image.file}"
    assert pictures.NAME.fullmatch(image.file)
    assert (image.width, image.height, image.widths, image.due_at) == (1_000, 500, [320], now)
    assert list(OutboxEvent.objects.values_list("name", "aggregate_id")) == [
        ("product.updated", product.id)
    ]
    assert AuditEntry.objects.get().action == "product.picture_added"


def test_pictures_come_in_the_order_staff_give_them(
    staff: Actor, product: Product, now: datetime
) -> None:
    first, second = add(staff, product, now), add(staff, product, now)
    assert (first.position, second.position) == (0, 1)

    changed = inventory.change_pictures(
        actor=staff,
        product_id=product.id,
        changes={
            first.id: PictureChange(position=5),
            second.id: PictureChange(alt=" Seen from above "),
        },
        now=now,
    )

    assert [image.id for image in changed] == [second.id, first.id]
    assert list(product.images.values_list("id", "alt")) == [
        (second.id, "Seen from above"),
        (first.id, "A mug"),
    ]


@pytest.mark.parametrize("alt", ["", "  ", "x" * 501, "a\x00b"])
def test_a_picture_needs_words_and_leaves_nothing_without(
    staff: Actor, product: Product, now: datetime, alt: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        add(staff, product, now, alt=alt)

    assert [error.field for error in refused.value.errors] == ["alt"]
    assert stored() == []
    assert not ProductImage.objects.exists()
    assert not OutboxEvent.objects.exists()
    kept = add(staff, product, now)
    with pytest.raises(ValidationFailed):
        inventory.change_pictures(
            actor=staff, product_id=product.id, changes={kept.id: PictureChange(alt=alt)}, now=now
        )
    kept.refresh_from_db()
    assert kept.alt == "A mug"


def test_a_product_has_a_bounded_number_of_pictures(
    staff: Actor, product: Product, now: datetime, monkeypatch: Any
) -> None:
    monkeypatch.setattr("inventory.services.pictures.MOST_PICTURES", 1)
    add(staff, product, now)
    before = stored()

    with pytest.raises(ValidationFailed):
        add(staff, product, now)

    assert stored() == before


def test_a_row_that_cannot_be_written_leaves_no_file(
    staff: Actor, product: Product, now: datetime, monkeypatch: Any
) -> None:
    def fail(self: Any, **_options: Any) -> None:
        assert len(stored()) == 2  # they were there
        raise RuntimeError

    monkeypatch.setattr(ProductImage, "save", fail)

    with pytest.raises(RuntimeError):
        add(staff, product, now)

    assert stored() == []


def test_pictures_of_another_company_or_product_are_not_there(
    staff: Actor, product: Product, now: datetime
) -> None:
    image = add(staff, product, now)
    foreign = make_product(company=make_company())
    other = make_product()
    before = stored()

    with pytest.raises(ProductNotFound):
        add(staff, foreign, now)
    with pytest.raises(PictureNotFound):
        inventory.remove_pictures(actor=staff, product_id=other.id, image_ids=[image.id], now=now)
    with pytest.raises(PictureNotFound):
        inventory.change_pictures(
            actor=staff, product_id=other.id, changes={image.id: PictureChange(alt="x")}, now=now
        )
    assert stored() == before
    assert ProductImage.objects.get().alt == "A mug"


def test_files_go_after_the_commit_and_only_then(
    staff: Actor, product: Product, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    variant = make_variant(product=product, sku="MUG")
    image = add(staff, product, now, sku="MUG")
    variant.refresh_from_db()
    assert variant.image == image.url
    files = stored()

    with django_capture_on_commit_callbacks() as after_commit:
        inventory.remove_pictures(actor=staff, product_id=product.id, image_ids=[image.id], now=now)

    assert not ProductImage.objects.exists()
    variant.refresh_from_db()
    assert variant.image == ""
    assert stored() == files
    for run in after_commit:
        run()
    assert stored() == []


def test_a_draft_that_names_an_uploaded_picture_keeps_it(
    staff: Actor, product: Product, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    kept, dropped = add(staff, product, now), add(staff, product, now, size=(61, 40))
    draft = ProductDraft(
        slug="mug", images=[ImageDraft("demo/mug.svg", "Drawn"), ImageDraft(kept.url, "Kept")]
    )

    with django_capture_on_commit_callbacks(execute=True):
        inventory.upsert_product(actor=staff, draft=draft, now=now)
        again = inventory.upsert_product(actor=staff, draft=draft, now=now)

    assert not again.is_changed
    rows = list(product.images.values_list("url", "alt", "file", "width"))
    assert rows == [("demo/mug.svg", "Drawn", "", None), (kept.url, "Kept", kept.file, 60)]
    assert not any(name.startswith(dropped.file[:-5]) for name in stored())
    assert len(stored()) == 2


# --- the worker -----------------------------------------------------------------------------------


def test_renditions_are_made_once_and_announced(
    staff: Actor, product: Product, now: datetime
) -> None:
    image = add(staff, product, now, size=(800, 400))
    small = add(staff, product, now)
    assert small.due_at is None
    OutboxEvent.objects.all().delete()

    assert inventory.make_renditions(now=now) == 1
    assert inventory.make_renditions(now=now + timedelta(days=1)) == 0

    image.refresh_from_db()
    assert (image.widths, image.due_at) == ([320, 640], None)
    assert [one.width for one in image.picture.srcset] == [320, 640, 800]
    with default_storage.open(pictures.rendition_name(image.file, 640)) as file:
        assert opened(file.read()).size == (640, 320)
    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["product.updated"]


def test_a_picture_whose_worker_died_is_due_again_and_one_that_cannot_be_made_is_left(
    staff: Actor, product: Product, now: datetime, monkeypatch: Any
) -> None:
    image = add(staff, product, now, size=(800, 400))
    tries = []

    def die(content: bytes) -> dict[int, bytes]:
        tries.append(len(content))
        raise MemoryError

    monkeypatch.setattr(pictures, "renditions", die)
    assert inventory.make_renditions(now=now) == 0
    assert inventory.make_renditions(now=now + timedelta(minutes=4)) == 0
    assert len(tries) == 1  # claimed meanwhile
    for _ in range(9):
        now += timedelta(minutes=6)
        assert inventory.make_renditions(now=now) == 0

    image.refresh_from_db()
    assert (len(tries), image.attempts, image.due_at, image.widths) == (5, 5, None, [320])


def test_renditions_of_a_picture_that_was_removed_meanwhile_leave_no_file(
    staff: Actor, product: Product, now: datetime, monkeypatch: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    image = add(staff, product, now, size=(800, 400))
    make = pictures.renditions

    def remove_first(content: bytes) -> dict[int, bytes]:
        made = make(content)
        inventory.remove_pictures(actor=staff, product_id=product.id, image_ids=[image.id], now=now)
        return made

    monkeypatch.setattr(pictures, "renditions", remove_first)
    with django_capture_on_commit_callbacks(execute=True):
        assert inventory.make_renditions(now=now) == 0

    assert stored() == []


def test_the_sweep_deletes_old_files_that_nobody_has(
    staff: Actor, product: Product, now: datetime
) -> None:
    mine = add(staff, product, now)
    orphan = pictures.file_name(image_id=new_id(), content=b"x")
    for name in (orphan, pictures.rendition_name(orphan, 640)):
        default_storage.save(name, ContentFile(b"x"))
    before = stored()

    assert inventory.sweep_files(now=now + timedelta(hours=23)) == 0
    assert stored() == before
    assert inventory.sweep_files(now=now + timedelta(hours=25)) == 2

    assert stored() == sorted([mine.file, pictures.rendition_name(mine.file, 320)])


# --- over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def upload(staff_user: User, api: Api) -> Callable[..., Any]:
    """Return a function that posts a form to the pictures of a product."""
    credentials = api.as_user(staff_user).headers

    def post(path: str = "/products/mug/images", *, headers: Any = None, **form: Any) -> Any:
        return Client(raise_request_exception=False).post(
            f"/api/v1{path}", form, headers=credentials if headers is None else headers
        )

    return post


def sent(content: bytes, name: str = "x.jpg", type: str = "image/jpeg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type=type)


def test_staff_upload_change_and_remove_a_picture(
    upload: Any, staff_api: Api, api: Api, product: Product,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    make_variant(product=product, sku="MUG-RED")

    made = upload(
        image=sent(encoded("PNG", size=(500, 250)), "anything.exe", "text/html"),
        alt="A red mug", position="3", sku="MUG-RED",
    )  # fmt: skip

    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["alt"], body["width"], body["height"]) == ("A red mug", 500, 250)
    assert [one["width"] for one in body["srcset"]] == [320, 500]
    shown = api.get("/products/mug").json()
    assert shown["images"] == [body]
    assert shown["variants"][0]["imageUrl"] == body["url"]
    for one in body["srcset"]:
        file = api.client.get(one["url"])
        assert file.status_code == 200
        assert file.headers["Content-Type"] == "image/webp"
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "sandbox" in file.headers["Content-Security-Policy"]
        assert opened(b"".join(file.streaming_content)).width == one["width"]

    path = f"/products/mug/images/{body['id']}"
    assert staff_api.patch(path, {"alt": "Red", "position": 0}).json()["alt"] == "Red"
    assert staff_api.patch(path, {"url": "x"}).status_code == 400
    with django_capture_on_commit_callbacks(execute=True):
        assert staff_api.delete(path).status_code == 204
    assert staff_api.delete(path).json()["code"] == "PICTURE_NOT_FOUND"
    assert api.get("/products/mug").json()["images"] == []
    assert api.client.get(body["url"]).status_code == 404
    assert stored() == []


@pytest.mark.parametrize(
    ("form", "field", "code"),
    [
        ({"alt": "x"}, "image", "required"),
        ({"image": "not a file", "alt": "x"}, "image", "invalid"),
        ({"image": JPEG[:400], "alt": "x"}, "image", "invalid"),
        ({"image": b"<svg/>", "alt": "x"}, "image", "invalid_type"),
        ({"image": JPEG + b"\x00" * pictures.MOST_BYTES, "alt": "x"}, "image", "too_large"),
        ({"image": JPEG}, "alt", "required"),
        ({"image": JPEG, "alt": " "}, "alt", "blank"),
        ({"image": JPEG, "alt": "x", "position": "-1"}, "position", "min_value"),
        ({"image": JPEG, "alt": "x", "position": "first"}, "position", "invalid"),
        ({"image": JPEG, "alt": "x", "sku": "NONE"}, "sku", "invalid"),
        ({"image": JPEG, "alt": "x", "url": "x"}, "url", "unknown_field"),
    ],
)
def test_a_bad_upload_is_refused_by_its_field_and_leaves_nothing(
    upload: Any, product: Product, form: dict[str, Any], field: str, code: str
) -> None:
    if isinstance(form.get("image"), bytes):
        form = {**form, "image": sent(form["image"])}

    answer = upload(**form)

    assert answer.status_code == 400
    assert answer.json()["code"] == "VALIDATION_ERROR"
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert stored() == []
    assert not ProductImage.objects.exists()
    assert not OutboxEvent.objects.exists()


def test_who_may_not_upload_leaves_nothing(
    upload: Any, user: User, api: Api, product: Product
) -> None:
    form = {"image": sent(JPEG), "alt": "x"}

    assert upload(headers=api.as_user(user).headers, **form).status_code == 403
    assert upload(headers={}, **{**form, "image": sent(JPEG)}).status_code == 401
    assert upload("/products/nothing/images", image=sent(JPEG), alt="x").status_code == 404
    assert stored() == []


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    upload: Any, staff_api: Api, product: Product, settings: Any
) -> None:
    settings.UPLOAD_MAX_BYTES = 5_000

    assert upload(image=sent(b"x" * 6_000), alt="x").status_code == 413
    assert upload("/products/mug/images", image=sent(JPEG[:2_000]), alt="x").status_code == 400
    assert stored() == []


def test_a_form_is_needed_and_each_field_once(
    upload: Any, staff_api: Api, product: Product
) -> None:
    refused = staff_api.post("/products/mug/images", {"alt": "x"})

    assert (refused.status_code, refused.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "multipart" in refused.json()["detail"]
    assert upload(image=[sent(JPEG), sent(JPEG)], alt="x").json()["code"] == "MALFORMED_REQUEST"
    assert stored() == []


def test_a_repeated_upload_is_the_same_picture_and_another_file_is_another_request(
    upload: Any, staff_user: User, api: Api, product: Product
) -> None:
    headers = {**api.as_user(staff_user).headers, "Idempotency-Key": "one"}

    first = upload(headers=headers, image=sent(JPEG), alt="x")
    again = upload(headers=headers, image=sent(JPEG), alt="x")
    other = upload(headers=headers, image=sent(encoded("PNG")), alt="x")

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert ProductImage.objects.count() == 1


@pytest.mark.parametrize(
    "name",
    [
        "secret.txt", "products/../secret.txt", "products/ab/x.webp", "products/ab/../../x.webp",
        "products/00/01990000-0000-7000-8000-000000000001-9f86d081884c7d65.webp",
        "products/00/01990000-0000-7000-8000-000000000001-9f86d081884c7d65.html",
    ],
)  # fmt: skip
def test_only_pictures_are_served(client: Client, company: Company, name: str) -> None:
    default_storage.save("secret.txt", ContentFile(b"x"))

    assert client.get(f"/media/{name}").status_code == 404


def test_pages_say_how_large_pictures_are_and_offer_smaller_ones(
    staff: Actor, client: Client, product: Product, now: datetime
) -> None:
    red = make_variant(product=product, sku="RED", options={"Colour": "Red"})
    ink = make_variant(product=product, sku="INK", options={"Colour": "Ink"})
    for variant in (red, ink):
        make_price(variant)
    Product.objects.update(option_names=["Colour"])
    first = add(staff, product, now, size=(800, 600))
    second = add(staff, product, now, size=(700, 700), sku="INK", alt="In ink")
    inventory.make_renditions(now=now)

    page = client.get("/products/mug/?sku=INK").content.decode()
    listed = client.get("/products/").content.decode()

    assert page.index(second.file[:-5]) < page.index(first.file[:-5])  # the chosen one first
    assert 'alt="In ink"' in page
    second.refresh_from_db()
    assert f'srcset="{second.picture.srcset_text}"' in page
    assert 'width="700" height="700"' in page
    assert 'width="800" height="600"' in listed
    assert f"{pictures.rendition_name(first.url, 640)} 640w" in listed
    assert Variant.objects.get(sku="INK").image == second.url


def test_drawings_of_our_own_keep_working(
    client: Client, product: Product, company: Company
) -> None:
    ProductImage.objects.create(product=product, url="demo/enamel-mug.svg", alt="Drawn")

    body = Api().get("/products/mug").json()

    assert body["images"][0]["url"].startswith("/static/demo/enamel-mug")
    assert (body["images"][0]["width"], body["images"][0]["srcset"]) == (None, [])
    assert "srcset" not in client.get("/products/mug/").content.decode().split("</main>")[0].split('class="product"')[1]  # fmt: skip
