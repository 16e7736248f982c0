"""
Pictures of products: what is taken in, how it is made safe, and under which names it is kept.

Bytes in, bytes out; nothing here knows of tables. What a picture is, is read from its bytes: names and declared types
are the sender's word. What is kept is always a new WebP of our own making, so nothing that came with the file (place
and time of a photograph, thumbnails, programs behind the last pixel) is kept with it.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.templatetags.static import static
from PIL import Image, ImageCms, UnidentifiedImageError, features

from config.platform.errors import FieldError, ValidationFailed

FORMATS = ("JPEG", "PNG", "WEBP", *(("AVIF",) if features.check("avif") else ()))
WORDS = ", ".join(FORMATS[:-1]) + " or " + FORMATS[-1]
MOST_BYTES = 10 * 1024 * 1024
# A JPEG is decoded at the size it is needed in; the others only as a whole, which takes time and memory by the pixel.
MOST_PIXELS = {"JPEG": 50_000_000, "MPO": 50_000_000}
MOST_PIXELS_ELSE = 12_500_000
MOST_SCANS = (
    64  # of a progressive JPEG: a small file may ask for the whole picture thousands of times
)
SMALLEST_SIDE = 16

LONGEST_SIDE = 1_600  # of what is kept
SMALL = 320
WIDTHS = (640, 960)  # made by a worker; the small one is there at once
FOLDER = "products"
NAME = re.compile(rf"{FOLDER}/[0-9a-f]{{2}}/[0-9a-f-]{{36}}-[0-9a-f]{{16}}(-[0-9]{{1,4}})?\.webp")
_RENDITION = re.compile(r"(-[0-9a-f]{16})-[0-9]{1,4}\.webp\Z")
_KEPT = re.compile(r"/[0-9a-f-]{36}-[0-9a-f]{16}\.webp\Z")

# What the orientation of a photograph says must be done to it.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Decoding is what costs memory: one picture at a time in each process.
_decoding = threading.BoundedSemaphore(1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture that was looked at and found good: upright, in sRGB, without metadata, as WebP."""

    content: bytes
    small: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Rendition:
    url: str
    width: int


@dataclass(frozen=True, slots=True)
class Picture:
    """
    A picture as pages and the API show it. `url` is a path under static or media, or an address elsewhere.

    `srcset` is empty, and width and height are unknown, where the file is not ours.
    """

    id: UUID
    url: str
    alt: str
    width: int | None = None
    height: int | None = None
    srcset: Sequence[Rendition] = ()

    @property
    def srcset_text(self) -> str:
        """The attribute of an `img`."""
        return ", ".join(f"{one.url} {one.width}w" for one in self.srcset)


# --- names ----------------------------------------------------------------------------------------


def file_name(*, image_id: UUID, content: bytes) -> str:
    """
    Return where the content is kept. It names the row, whose file it is alone, and the content, so it never changes.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{FOLDER}/{image_id.hex[-2:]}/{image_id}-{digest}.webp"


def rendition_name(name: str, width: int) -> str:
    """Return where the rendition of a file, or of its address, lies."""
    return f"{name.removesuffix('.webp')}-{width}.webp"


def original_name(name: str) -> str:
    """Return the file that a rendition is of; a file that is none is its own."""
    return _RENDITION.sub(r"\1.webp", name)


def address(path: str) -> str:
    """Return where a picture is: an address as it is, a path of our own under static."""
    if not path or "://" in path or path.startswith("/"):
        return path
    try:
        return static(path)
    except ValueError:  # not among the collected files
        return path


def picture_json(picture: Picture) -> dict[str, Any]:
    """Return a picture as the API shows it."""
    return {
        "id": picture.id,
        "url": address(picture.url),
        "alt": picture.alt,
        "width": picture.width,
        "height": picture.height,
        "srcset": [{"url": one.url, "width": one.width} for one in picture.srcset],
    }


def small_address(url: str) -> str:
    """Return the address of the small rendition of an uploaded picture; any other address as it is."""
    return rendition_name(url, SMALL) if _KEPT.search(url) else url


# --- in -------------------------------------------------------------------------------------------


def check_size(size: int, *, field: str = "image") -> None:
    """:raises ValidationFailed: naming `field`, if a file of so many bytes is not even looked at"""
    if size > MOST_BYTES:
        raise _refused(field, "too_large", f"At most {MOST_BYTES // 1024 // 1024} MB are possible.")
    if not size:
        raise _refused(field, "blank", "The file is empty.")


def prepare(content: bytes, *, field: str = "image") -> Prepared:
    """
    Return what may be kept of an uploaded file. Takes well under a second, and at most about two.

    :raises ValidationFailed: naming `field`, if it is too large, no picture of a known type, or broken
    """
    check_size(len(content), field=field)
    if content.count(b"\xff\xda") > MOST_SCANS and content.startswith(b"\xff\xd8"):
        raise _refused(field, "too_large", "The JPEG has too many layers. Save it as a plain one.")
    try:
        with _decoding, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata; none of it is kept
            return _made(content, field)
    except ValidationFailed:
        raise
    except Image.DecompressionBombError:
        raise _refused(field, "too_many_pixels", "The picture has far too many pixels.") from None
    except UnidentifiedImageError:
        raise _refused(field, "invalid_type", f"{WORDS} is needed.") from None
    except Exception:  # noqa: BLE001 - whatever a decoder stumbles over, the file is no picture
        raise _refused(field, "invalid", "The file is broken and cannot be read.") from None


def _made(content: bytes, field: str) -> Prepared:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        # The header alone has been read so far: what would not fit is never unpacked.
        width, height = image.size
        most = MOST_PIXELS.get(image.format or "", MOST_PIXELS_ELSE)
        if width * height > most:
            raise _refused(
                field,
                "too_many_pixels",
                f"{width} × {height} pixels are too many; {most // 1_000_000} million are possible.",
            )
        if min(width, height) < SMALLEST_SIDE:
            raise _refused(field, "too_small", f"At least {SMALLEST_SIDE} pixels each way.")
        profile = image.info.get("icc_profile")
        if image.format in MOST_PIXELS:
            image.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
        image.load()
        turn = image.getexif().get(0x0112, 1)
        shown = _plain(image)
        shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        shown = _in_srgb(_upright(shown, turn), profile)
        return Prepared(
            content=_webp(shown, quality=86, method=2),
            small=_webp(_narrowed(shown, SMALL)),
            width=shown.width,
            height=shown.height,
        )


def _plain(image: Image.Image) -> Image.Image:
    """Return 8-bit colours, with transparency where there is any."""
    if image.mode in {"RGB", "RGBA"}:
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel: a cast would cut them off, not scale them
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the colours as every browser takes them; a profile that cannot be read is left aside."""
    if not profile:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def _narrowed(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _webp(image: Image.Image, *, quality: int = 80, method: int = 4) -> bytes:
    out = io.BytesIO()
    # Nothing of `info` is passed on, and WebP writes none of it by itself.
    image.save(out, "WEBP", quality=quality, method=method, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


# --- renditions -----------------------------------------------------------------------------------


def renditions(content: bytes) -> dict[int, bytes]:
    """Return a kept picture in the widths it is wider than."""
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
        image.load()
        return {width: _webp(_narrowed(image, width)) for width in WIDTHS if width < image.width}


def _refused(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])
