"""The timeline on the bench: all of it or one kind, the newest first, and folded where it is long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from orders.selectors.timeline import Entry, Kind

SHOWN = 12
KINDS = {
    Kind.STATUS: _("steps"),
    Kind.MONEY: _("money"),
    Kind.PARCEL: _("parcels"),
    Kind.RETURN: _("returns"),
    Kind.PRICE: _("prices"),
    Kind.CHANGE: _("changes"),
    Kind.POINTS: _("points"),
    Kind.MESSAGE: _("messages"),
    Kind.NOTE: _("notes"),
}


def story(
    request: HttpRequest, entries: Sequence[Entry], *, names: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the template shows of a timeline; `?show=` names the one kind that is wanted."""
    counts = Counter(entry.kind for entry in entries)
    wanted = request.GET.get("show", "")
    shown = [entry for entry in entries if entry.kind == wanted] if wanted in counts else entries
    rows = [_row(request, entry, names) for entry in shown]
    return {
        "chips": [
            (_("all"), len(entries), "?show=#happened", shown is entries),
            *(
                (words, counts[kind], f"?show={kind}#happened", kind == wanted)
                for kind, words in KINDS.items()
                if kind in counts
            ),
        ],
        "rows": rows[:SHOWN],
        "earlier": rows[SHOWN:],
    }


def _row(request: HttpRequest, entry: Entry, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "entry": entry,
        "kind": KINDS[entry.kind],
        "by": names[entry.actor] if entry.actor else "",
        "url": _page(request, entry),
    }


def _page(request: HttpRequest, entry: Entry) -> str:
    """Return the page with more about it, for whoever may see that page."""
    if entry.page is None:
        return ""
    name, pk = entry.page
    app, _bar, model = name.partition("_")
    if not request.user.has_perm(f"{app}.view_{model}"):
        return ""
    return reverse(f"admin:{name}_change", args=[pk])
