"""Small pieces of markup that several pages share."""

from __future__ import annotations

from django import template
from django.templatetags.static import static

from inventory.pictures import small_address

register = template.Library()

PLACEHOLDER = "img/placeholder.svg"
SOON_SECONDS = 180


@register.filter
def picture(path: str | None) -> str:
    """
    Return the address of a product's picture.

    Pictures of our own are paths under static or addresses on this host. One that lies on another host is not
    shown (the page's policy allows no other hosts), nor is one that has gone missing: a quiet stand-in is.
    """
    if path and path.startswith("/") and not path.startswith("//"):
        return path
    if path and "://" not in path and not path.startswith("//"):
        try:
            return static(path)
        except ValueError:  # a path that is not in the manifest of collected files
            pass
    return static(PLACEHOLDER)


@register.filter
def thumbnail(path: str | None) -> str:
    """Return the address of a product's picture where it is shown no wider than 160 pixels."""
    return small_address(picture(path))


@register.inclusion_tag("cart/partials/ring.html")
def ring(seconds_left: int, total_seconds: int = 900) -> dict[str, object]:
    """Render what is left of a hold as a thin ring; the script makes it run, the text says it without one."""
    seconds = max(0, int(seconds_left or 0))
    total = max(seconds, int(total_seconds or 1), 1)
    return {
        "seconds": seconds,
        "total": total,
        "minutes": -(-seconds // 60),
        "gone": 100 - round(100 * seconds / total),
        "soon": seconds <= SOON_SECONDS,
    }
