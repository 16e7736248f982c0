"""A guest's cart joins the account's: previewed, done once, reported line by line, undone for a day."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from cart import selectors
from cart.errors import CartExpired, CartMerged, CartNotFound, NothingToUndo
from cart.events import CartMergedInto, ItemsChanged
from cart.models import Cart, CartPolicy, MergeReport
from cart.selectors.state import ACTIVE, Head, Line, find_head, load_lines
from cart.selectors.views import CartView
from cart.services import texts
from cart.services.carts import ensure
from cart.services.change import Change, changing, new_line, open_cart, snapshot
from cart.services.transfer import Row, has_room, settle_short, unbuyable
from config.platform.actor import Actor, ActorKind
from config.platform.errors import AuthRequired, FeatureDisabled
from config.platform.models import new_id
from inventory import services as inventory
from pricing.outside import asking

UNDO_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Merged:
    """The account's cart after a merge, and what became of each guest line."""

    view: CartView
    report: list[dict[str, Any]]


@changing
def merge(
    *, actor: Actor, session_hash: bytes, now: datetime, expected: int | None = None
) -> Merged:
    """
    Move a guest's lines, codes and metadata into the signed-in caller's cart.

    Quantities of the same item are joined by the policy (`sum`, `max`, `keep_user`), within the line limit and stock;
    holds move with their lines; today's prices count and the old ones are reported. The guest's cart is closed, so a
    repeat changes nothing and answers the same report. Locks both carts, in the order of their ids.

    :raises AuthRequired: if the caller is not signed in
    :raises FeatureDisabled: if merging is switched off
    :raises CartNotFound: if no cart belongs to the token
    :raises CartExpired: if the guest's cart is over
    :raises CartMerged: if it was merged into another account's cart
    """
    if actor.user_id is None:
        raise AuthRequired("Sign in first.")
    guest = _guest(actor, session_hash)
    source = _find_source(guest, now)
    if source.status == Cart.Status.MERGED:
        return _again(actor, source, now)
    own_id = ensure(actor=actor, now=now).view.id
    _lock_both(source.id, own_id)
    source = _find_source(guest, now)
    if source.status == Cart.Status.MERGED:
        return _again(actor, source, now)
    change = open_cart(actor=actor, now=now, cart_id=own_id, expected=expected)
    if not change.head.policy.guest_cart_merge_enabled:
        raise FeatureDisabled(extra={"feature": "guestCartMergeEnabled"})
    return _merge(change, source)


@asking
def preview_merge(*, actor: Actor, session_hash: bytes, now: datetime) -> Merged:
    """
    Return what `merge` would do, and the cart as it would be; nothing is written.

    Raises what `merge` raises.
    """
    with transaction.atomic():
        merged = merge(actor=actor, session_hash=session_hash, now=now)
        transaction.set_rollback(True)
    return merged


@changing
def undo_merge(*, actor: Actor, now: datetime) -> CartView:
    """
    Take the latest merge of the last day back: what it brought leaves the account's cart and is in the guest's again.

    Changes made to the account's cart since then stay.

    :raises NothingToUndo: if there was no merge within a day
    """
    if actor.user_id is None:
        raise AuthRequired("Sign in first.")
    head = find_head(actor=actor, now=now)
    report: MergeReport | None = (
        MergeReport.objects.filter(
            target_id=head.id, undone_at=None, merged_at__gt=now - UNDO_WITHIN
        )
        .order_by("-merged_at", "-id")
        .first()
    )
    if report is None:
        raise NothingToUndo
    _lock_both(report.source_id, head.id)
    closed = MergeReport.objects.filter(id=report.id, undone_at=None).update(undone_at=now)
    if not closed:
        raise NothingToUndo
    change = open_cart(actor=actor, now=now, cart_id=head.id)
    _give_back(change, report)
    _revive(actor, report, now)
    return change.commit("cart.merge_undone")


def merge_at_sign_in(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """
    React to a sign-in: where a guest cart came along and merging is on, merge it and say what happened.
    """
    if actor.session_hash is None or actor.user_id is None:
        return {}
    try:
        merged = merge(actor=actor, session_hash=actor.session_hash, now=now)
    except (CartNotFound, CartExpired, CartMerged, FeatureDisabled):
        return {}
    return {"merge": {"report": merged.report}}


# --- the parts ------------------------------------------------------------------------------------


def _guest(actor: Actor, session_hash: bytes) -> Actor:
    return Actor(
        kind=ActorKind.GUEST,
        company_id=actor.company_id,
        session_hash=session_hash,
        request_id=actor.request_id,
        source=actor.source,
        address=actor.address,
    )


def _find_source(guest: Actor, now: datetime) -> Head:
    """Return the guest's cart, also one that was merged already."""
    try:
        return find_head(actor=guest, now=now)
    except CartMerged:
        return selectors.latest_head(actor=guest)


def _again(actor: Actor, source: Head, now: datetime) -> Merged:
    report = MergeReport.objects.select_related("target").filter(source_id=source.id).first()
    if report is None or report.target.user_id != actor.user_id:
        raise CartMerged
    return Merged(selectors.view(actor=actor, now=now), report.report)


def _lock_both(first: UUID, second: UUID) -> None:
    list(Cart.objects.filter(id__in=[first, second]).for_update().values_list("id", flat=True))


def _merge(change: Change, source: Head) -> Merged:
    now, head = change.now, change.head
    own_is_empty = not change.lines
    if own_is_empty and source.currency != head.currency:
        head.currency = source.currency
    lines, _facts = load_lines(head=dataclasses.replace(source, currency=head.currency), now=now)
    alive = [line for line in lines if line.expires_at is None or line.expires_at > now]
    kept_before = [{**snapshot(line), "id": str(line.id)} for line in alive]
    contributions: dict[str, int] = {}
    rows: list[Row] = []
    placed: dict[UUID, Row] = {}
    before: dict[UUID, int] = {}
    moving: dict[UUID, tuple[UUID, UUID]] = {}
    leaving: list[UUID] = []
    for line in alive:
        row = Row(
            sku=line.facts.sku,
            name=line.facts.name,
            action="kept",
            quantity=line.quantity,
            requested=line.quantity,
            old_price=line.price_when_added,
            unit_price=line.facts.price,
        )
        rows.append(row)
        target = _join(change, line, row, before)
        has_hold = line.hold is not None and line.hold.quantity > 0
        if target is None:
            if has_hold:
                leaving.append(line.id)
            continue
        row.item_id = target.id
        if has_hold and target.list == ACTIVE and target.quantity > before.get(target.id, 0):
            moving[line.id] = (target.id, head.id)
        elif has_hold:
            leaving.append(line.id)
        if target.list == ACTIVE:
            placed[target.id] = row
    if leaving:
        inventory.release(actor=change.actor, line_ids=leaving, now=now)
    inventory.move_holds(actor=change.actor, line_map=moving, now=now)
    _count_moved(change, alive, moving)
    settle_short(change, placed, before)
    for row in rows:
        if row.item_id is not None:
            line = change.line(row.item_id)
            contributions[str(line.id)] = line.quantity - before.get(line.id, 0)
    head.codes = [*head.codes, *(code for code in source.codes if code not in head.codes)]
    head.metadata = {**source.metadata, **head.metadata}
    head.destination = head.destination or source.destination
    report = [row.to_json(head.currency) for row in rows]
    change.announce(CartMergedInto, source_cart_id=str(source.id))
    view = change.commit("cart.merged", summary=f"{len(rows)}")
    _close(
        change,
        source,
        report,
        {"lines": kept_before, "codes": source.codes, "contributions": contributions},
    )
    return Merged(view, report)


def _join(change: Change, line: Line, row: Row, before: dict[UUID, int]) -> Line | None:
    """Give a guest line its place in the account's cart, in memory; None where there is none."""
    reason = unbuyable(change, line.facts)
    if reason is not None:
        row.action, row.quantity, row.reason = "dropped", 0, reason
        return None
    twins = [other for other in change.lines if other.key == line.key]
    if not twins:
        if not has_room(change):
            row.action, row.quantity, row.reason = "dropped", 0, "CART_LIMIT_EXCEEDED"
            return None
        change.adopt(line)
        return line
    twin = twins[0]
    before.setdefault(twin.id, twin.quantity)
    row.own_price = twin.price_when_added
    policy = change.head.policy.merge_policy
    if policy == CartPolicy.Merge.SUM:
        wanted = twin.quantity + line.quantity
    elif policy == CartPolicy.Merge.MAX:
        wanted = max(twin.quantity, line.quantity)
    else:
        wanted = twin.quantity
    most = settings.CART_MAX_QUANTITY_PER_LINE
    allowed = max(min(wanted, most), twin.quantity)
    row.action, row.requested = "combined", wanted
    if policy == CartPolicy.Merge.KEEP_USER:
        row.action, row.reason = "kept", "keep_user"
    if allowed < wanted:
        row.action, row.reason = "capped", "CART_LIMIT_EXCEEDED"
    row.quantity = allowed
    change.edit(twin, hold=allowed != twin.quantity)
    twin.quantity = allowed
    twin.note = twin.note or line.note
    twin.metadata = {**line.metadata, **twin.metadata}
    return twin


def _count_moved(change: Change, lines: list[Line], moving: dict[UUID, tuple[UUID, UUID]]) -> None:
    """Note in memory what the lines hold now that the guest's holds are theirs."""
    for line in lines:
        if line.id not in moving or line.hold is None:
            continue
        target = change.line(moving[line.id][0])
        if target.id == line.id:
            continue
        own = target.hold if target.held(change.now) else None
        target.hold = dataclasses.replace(
            line.hold,
            line_id=target.id,
            quantity=line.hold.quantity + (own.quantity if own else 0),
            backordered=line.hold.backordered + (own.backordered if own else 0),
        )


def _close(
    change: Change, source: Head, report: list[dict[str, Any]], before: dict[str, Any]
) -> None:
    """Close the guest's cart: emptied, pointing at the one that took its lines; its token says so from now on."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH gone AS (DELETE FROM cart_items WHERE cart_id = %(source)s),
            session AS (UPDATE cart_sessions SET status = 'merged' WHERE id = %(session)s),
            noted AS (
                INSERT INTO cart_events (id, cart_id, version, event, actor, summary, changes, at)
                VALUES (%(event)s, %(source)s, %(version)s, 'cart.merged', %(actor)s, '',
                        jsonb_build_object('target', %(target)s::text), %(now)s)
            ), reported AS (
                INSERT INTO cart_merge_reports (id, source_id, target_id, report, before, merged_at)
                VALUES (%(id)s, %(source)s, %(target)s, %(report)s, %(before)s, %(now)s)
                ON CONFLICT (source_id) DO UPDATE
                   SET target_id = excluded.target_id, report = excluded.report, before = excluded.before,
                       merged_at = excluded.merged_at, undone_at = NULL
            )
            UPDATE carts SET status = 'MERGED', merged_into_id = %(target)s, version = %(version)s, codes = '[]',
                   quote = NULL, quote_key = '', item_count = 0, grand_total = 0, abandoned_at = NULL,
                   next_notification_at = NULL, updated_at = %(now)s
             WHERE id = %(source)s
            """,
            {
                "source": source.id,
                "session": source.session_id,
                "event": new_id(),
                "version": source.version + 1,
                "actor": change.actor.label[:80],
                "target": change.head.id,
                "now": change.now,
                "id": new_id(),
                "report": json.dumps(report),
                "before": json.dumps(before),
            },
        )


def _give_back(change: Change, report: MergeReport) -> None:
    """Take out of the account's cart what the merge had put in, as far as it is still there."""
    before = dict(report.before)  # type: ignore[arg-type]
    lines = {str(line.id): line for line in change.lines}
    for line_id, units in before["contributions"].items():
        line = lines.get(line_id)
        if line is None or units <= 0:
            continue
        if line.quantity <= units:
            change.remove(line)
        else:
            change.edit(line)
            line.quantity -= units
    change.head.codes = [code for code in change.head.codes if code not in before["codes"]]
    change.settle(refuse=False)
    change.announce(ItemsChanged, line_ids=list(before["contributions"]))


def _revive(actor: Actor, report: MergeReport, now: datetime) -> None:
    """Open the guest's cart again, with the lines it had; what is sold out by now shows as a problem."""
    source = Cart.objects.select_related("session").get(id=report.source_id)
    before = dict(report.before)  # type: ignore[arg-type]
    Cart.objects.filter(id=source.id).update(
        status=Cart.Status.ACTIVE, merged_into=None, expires_at=now + UNDO_WITHIN
    )  # the commit below gives it its full life
    if source.session is None:
        return
    source.session.status = "active"
    source.session.save(update_fields=["status"])
    guest = _guest(actor, bytes(source.session.token_hash))
    kept = before["lines"]
    change = open_cart(
        actor=guest,
        now=now,
        cart_id=source.id,
        variant_ids={UUID(line["variantId"]) for line in kept},
    )
    facts = {known.variant_id: known for known in change.candidates}
    for saved in kept:
        known = facts.get(UUID(saved["variantId"]))
        if known is None:
            continue
        line = new_line(
            facts=known,
            list_=saved["list"],
            quantity=saved["quantity"],
            now=now,
            note=saved.get("note", ""),
            customization=saved.get("customization", {}),
            metadata=saved.get("metadata", {}),
            copy=saved.get("copy", 0),
            bundle_id=UUID(saved["bundleId"]) if saved.get("bundleId") else None,
            group_id=UUID(saved["groupId"]) if saved.get("groupId") else None,
        )
        line.customization_hash = texts.hash_of(line.customization)
        line.added_at = datetime.fromisoformat(saved["addedAt"])
        change.insert(line)
    change.head.codes = before["codes"]
    change.settle(refuse=False)
    change.announce(ItemsChanged, line_ids=[str(line.id) for line in change.lines])
    change.commit("cart.merge_undone")
