"""Carts: three lists of lines, who owns them, and what happened to them."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from config.platform.actor import Actor
from config.platform.models import LockingQuerySet, new_id
from inventory.models import Bundle, Company, Product, Variant
from pricing.models import money_field

# What the environment says holds for a company that has set nothing itself (CFG-14, 52, 58).


def start_of_holds() -> str:
    return "add" if settings.HOLD_START == "cart" else "checkout"


def minutes_of_holds() -> int:
    return int(settings.HOLD_DURATION.total_seconds()) // 60


def most_minutes_of_holds() -> int:
    return max(int(settings.HOLD_MAX_DURATION.total_seconds()) // 60, minutes_of_holds())


def units_of_a_customer() -> int:
    return int(settings.HOLD_MAX_UNITS_PER_CUSTOMER)


def units_of_an_address() -> int:
    return int(settings.HOLD_MAX_UNITS_PER_ADDRESS)


class CartPolicy(models.Model):
    """The knobs of one company's carts. Read on every write, so a change takes effect at once."""

    class Merge(models.TextChoices):
        SUM = "sum", _("add quantities")
        MAX = "max", _("keep the larger quantity")
        KEEP_USER = "keep_user", _("keep the account's cart")

    class HoldStart(models.TextChoices):
        ADD = "add", _("when added to the cart")
        CHECKOUT = "checkout", _("at checkout")

    company = models.OneToOneField(
        Company, models.CASCADE, primary_key=True, related_name="cart_policy"
    )
    auto_activate_next_purchase_enabled = models.BooleanField(
        _("bring next-purchase items along"), default=True
    )
    abandonment_threshold_minutes = models.PositiveIntegerField(
        _("minutes until a cart counts as abandoned"), null=True, blank=True
    )  # else CFG-07
    abandonment_move_to_next_purchase_days = models.PositiveIntegerField(
        _("days until abandoned items wait for the next purchase"), default=7
    )
    abandonment_email_enabled = models.BooleanField(_("remind by mail"), default=True)
    abandonment_sms_enabled = models.BooleanField(_("remind by SMS"), default=True)
    max_abandonment_notifications = models.PositiveIntegerField(_("reminders at most"), default=3)
    abandonment_notification_interval_hours = models.PositiveIntegerField(
        _("hours between reminders"), default=24
    )
    minimum_order_value_for_abandonment = money_field(
        _("value from which a cart is worth a reminder"), default=10
    )
    max_cart_items_per_user = models.PositiveIntegerField(_("lines a cart may have"), default=100)
    cart_expiration_days = models.PositiveIntegerField(_("days a cart lives"), default=30)
    guest_cart_merge_enabled = models.BooleanField(_("merge guest carts at sign-in"), default=True)
    real_time_stock_validation_enabled = models.BooleanField(
        _("look at stock on each read"), default=True
    )
    real_time_price_validation_enabled = models.BooleanField(
        _("tell of changed prices"), default=True
    )
    merge_policy = models.CharField(
        _("quantities of a merge"), max_length=9, choices=Merge.choices, default=Merge.SUM
    )
    hold_start = models.CharField(
        _("holds begin"), max_length=8, choices=HoldStart.choices, default=start_of_holds
    )
    hold_minutes = models.PositiveIntegerField(_("minutes a hold lasts"), default=minutes_of_holds)
    hold_max_minutes = models.PositiveIntegerField(
        _("minutes a hold lasts at most, renewals included"), default=most_minutes_of_holds
    )
    max_held_units_per_customer = models.PositiveIntegerField(
        _("units one customer may hold"), default=units_of_a_customer
    )
    max_held_units_per_address = models.PositiveIntegerField(
        _("units one address may hold"), default=units_of_an_address
    )

    class Meta:
        db_table = "cart_policies"
        verbose_name = _("cart settings")
        verbose_name_plural = _("cart settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def hold_life(self) -> timedelta:
        return timedelta(minutes=self.hold_minutes)

    @property
    def hold_cap(self) -> timedelta:
        return timedelta(minutes=self.hold_max_minutes)


class CartSession(models.Model):
    """A guest's key to a cart: the token is shown once and only its SHA-256 is stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    user_id = models.UUIDField(null=True)
    token_hash = models.BinaryField(max_length=32, unique=True)
    device = models.CharField(max_length=200, blank=True)
    user_agent = models.CharField(max_length=400, blank=True)
    status = models.CharField(
        max_length=7,
        choices=[("active", _("active")), ("merged", _("merged")), ("ended", _("ended"))],
        default="active",
    )
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "cart_sessions"
        constraints = [
            models.CheckConstraint(
                condition=Exact(
                    Func("token_hash", function="octet_length", output_field=models.IntegerField()),
                    32,
                ),
                name="session_token_is_digest",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], name="session_expiry", condition=Q(status="active")
            ),
        ]


class CartQuerySet(LockingQuerySet):
    def for_actor(self, actor: Actor) -> CartQuerySet:
        """Return the carts this caller may touch: their own, or any of the company for staff."""
        carts = self.filter(company_id=actor.company_id)
        if actor.sees_everything:
            return carts
        if actor.user_id is not None:
            return carts.filter(user_id=actor.user_id)
        if actor.session_hash is not None:
            return carts.filter(session__token_hash=actor.session_hash)
        return carts.none()


class Cart(models.Model):
    """
    One customer's cart. `version` rises with every change a client can see.

    `quote` is the priced content as of `quote_key`; reads use it while the key still holds, so
    promotions are computed when the cart changes and not when it is read.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        ABANDONED = "ABANDONED", _("abandoned")
        CONVERTED = "CONVERTED", _("bought")
        EXPIRED = "EXPIRED", _("expired")
        MERGED = "MERGED", _("merged")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.ACTIVE: {Status.ABANDONED, Status.CONVERTED, Status.EXPIRED, Status.MERGED},
        Status.ABANDONED: {Status.ACTIVE, Status.CONVERTED, Status.MERGED},
        Status.CONVERTED: set(),
        Status.EXPIRED: set(),
        Status.MERGED: {Status.ACTIVE},  # undo of a merge
    }
    OPEN: ClassVar[tuple[str, ...]] = (Status.ACTIVE, Status.ABANDONED)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="carts")
    user_id = models.UUIDField(null=True)
    session = models.ForeignKey(
        CartSession, models.SET_NULL, null=True, blank=True, related_name="carts"
    )
    status = models.CharField(
        _("status"), max_length=9, choices=Status.choices, default=Status.ACTIVE
    )
    currency = models.CharField(_("currency"), max_length=3)
    version = models.PositiveIntegerField(_("version"), default=1)
    codes = models.JSONField(default=list)  # coupon codes in the order they were applied
    points = models.PositiveIntegerField(
        default=0, db_default=0
    )  # that the customer wants to spend
    destination = models.JSONField(default=dict)  # {"country","state","postalCode"} for estimates
    email = models.CharField(
        _("e-mail"), max_length=254, blank=True
    )  # left by a guest, for recovery
    metadata = models.JSONField(default=dict)
    quote = models.JSONField(null=True)
    quote_key = models.CharField(max_length=200, blank=True)
    item_count = models.PositiveIntegerField(default=0)
    grand_total = money_field(default=0)
    merged_into = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    order_id = models.UUIDField(null=True)  # set on conversion
    checkout_id = models.UUIDField(null=True)  # a payment is under way: lines are locked
    last_activity_at = models.DateTimeField(_("last change"))
    abandoned_at = models.DateTimeField(_("abandoned"), null=True)
    dismissed_at = models.DateTimeField(_("dismissed"), null=True)
    converted_at = models.DateTimeField(_("bought"), null=True)
    recovered_at = models.DateTimeField(_("recovered"), null=True)
    abandonment_cycle = models.PositiveIntegerField(default=0)
    notifications_sent = models.PositiveSmallIntegerField(default=0)
    next_notification_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(_("expires"))
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[CartQuerySet] = CartQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "carts"
        verbose_name = _("cart")
        verbose_name_plural = _("carts")
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "company"],
                condition=Q(status__in=["ACTIVE", "ABANDONED"], user_id__isnull=False),
                name="one_open_cart_per_user",
            ),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(
                    status__in=["ACTIVE", "ABANDONED"], user_id__isnull=True, session__isnull=False
                ),
                name="one_open_cart_per_session",
            ),
            models.CheckConstraint(
                condition=~Q(status="CONVERTED") | Q(order_id__isnull=False),
                name="converted_cart_has_order",
            ),
            models.CheckConstraint(
                condition=~Q(status="MERGED") | Q(merged_into__isnull=False),
                name="merged_cart_has_target",
            ),
        ]
        indexes = [
            # the abandonment sweep
            models.Index(
                fields=["last_activity_at"], name="cart_idle", condition=Q(status="ACTIVE")
            ),
            # the recovery queue and its mails
            models.Index(
                fields=["company", "abandoned_at", "notifications_sent"],
                name="cart_abandoned",
                condition=Q(status="ABANDONED"),
            ),
            models.Index(
                fields=["next_notification_at"],
                name="cart_reminder_due",
                condition=Q(status="ABANDONED", next_notification_at__isnull=False),
            ),
            # the expiry sweep
            models.Index(fields=["expires_at"], name="cart_expiry", condition=Q(status="ACTIVE")),
            models.Index(fields=["company", "status", "-last_activity_at"], name="cart_list"),
            models.Index(fields=["user_id", "-created_at"], name="cart_user"),
        ]

    def __str__(self) -> str:
        return self.email or f"…{str(self.id)[-8:]}"


class AbandonedCart(Cart):
    """The recovery queue's view of carts: the same rows, for a page of its own in the admin."""

    class Meta:
        proxy = True
        verbose_name = _("abandoned cart")
        verbose_name_plural = _("abandoned carts")


class CartLine(models.Model):
    """A variant in one of the cart's three lists. `copy` keeps deliberate duplicates apart."""

    class List(models.TextChoices):
        ACTIVE = "active", _("cart")
        NEXT = "next", _("next purchase")
        SAVED = "saved", _("saved for later")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="lines")
    list = models.CharField(max_length=6, choices=List.choices, default=List.ACTIVE)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    variant = models.ForeignKey(Variant, models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField()
    price_when_added = money_field()
    promised_price = money_field(null=True)  # the ceiling while the hold lives
    accepted_price = money_field(
        null=True
    )  # another than when it was added, and the customer knows
    note = models.CharField(max_length=500, blank=True)
    customization = models.JSONField(default=dict)
    customization_hash = models.CharField(max_length=32, blank=True)
    metadata = models.JSONField(default=dict)
    bundle = models.ForeignKey(Bundle, models.PROTECT, null=True, blank=True, related_name="+")
    group_id = models.UUIDField(null=True)
    copy = models.PositiveSmallIntegerField(default=0)
    changed_version = models.PositiveIntegerField(default=1)  # cart version of the last change
    expires_at = models.DateTimeField(null=True)
    added_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "cart_items"
        verbose_name = _("cart line")
        verbose_name_plural = _("cart lines")
        ordering = ["added_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["cart", "list", "variant", "customization_hash", "group_id", "copy"],
                nulls_distinct=False,
                name="one_line_per_thing",
            ),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="line_quantity_positive"),
        ]
        indexes = [models.Index(fields=["variant"], name="line_variant")]


class CartMetadata(models.Model):
    """Server-written facts about a cart, one per key, with their time."""

    cart = models.ForeignKey(Cart, models.CASCADE, related_name="facts")
    key = models.CharField(max_length=80)
    value = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "cart_metadata"
        constraints = [models.UniqueConstraint(fields=["cart", "key"], name="cart_metadata_once")]


class CartEvent(models.Model):
    """The cart's log, one row per version: what changed, who did it, what it looked like then."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="events")
    version = models.PositiveIntegerField()
    event = models.CharField(max_length=60)
    actor = models.CharField(max_length=80)
    summary = models.CharField(max_length=300, blank=True)
    changes = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        db_table = "cart_events"
        verbose_name = _("cart event")
        verbose_name_plural = _("cart events")
        indexes = [models.Index(fields=["cart", "-version", "-id"], name="cart_event_log")]


class MergeReport(models.Model):
    """What a merge did with each guest line, kept so that it can be shown once and undone for a day."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.OneToOneField(Cart, models.CASCADE, related_name="merge_report")
    target = models.ForeignKey(Cart, models.CASCADE, related_name="merge_reports")
    report = models.JSONField(default=list)
    before = models.JSONField(default=list)  # the target's lines before, for undo
    merged_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "cart_merge_reports"


class RecoveryAttempt(models.Model):
    """
    One reminder about one abandonment. Unique per (cart, cycle, stage), so none is sent twice.

    The link's token is stored as a digest; it restores items, once, until it expires.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="recovery_attempts")
    cycle = models.PositiveIntegerField()
    stage = models.PositiveSmallIntegerField()
    email = models.CharField(max_length=254)
    token_hash = models.BinaryField(max_length=32, unique=True)
    sent_by = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    clicked_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    order_id = models.UUIDField(null=True)

    class Meta:
        db_table = "cart_recovery_attempts"
        constraints = [
            models.UniqueConstraint(
                fields=["cart", "cycle", "stage"], name="one_reminder_per_stage"
            ),
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(used_at__lte=models.F("expires_at")),
                name="recovery_used_in_time",
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="recovery_expiry")]


# --- lists a customer keeps -------------------------------------------------------------------------

MOST_DISMISSED = 200
MOST_COMPARED = 4


class KeptQuerySet(LockingQuerySet):
    def for_owner(
        self, *, company_id: UUID, user_id: UUID | None, session_hash: bytes | None
    ) -> Self:
        """Return the list of this account, or else of the guest with this token; never of both."""
        kept = self.filter(company_id=company_id)
        if user_id is not None:
            return kept.filter(user_id=user_id)
        if session_hash is not None:
            return kept.filter(
                user_id=None, session__token_hash=session_hash, session__status="active"
            )
        return kept.none()


class Kept(models.Model):
    """What a list has in common: one per account and company, or one per guest, who may sign in later."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    user_id = models.UUIDField(null=True)
    session = models.ForeignKey(CartSession, models.CASCADE, null=True, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[KeptQuerySet] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "company"],
                condition=Q(user_id__isnull=False),
                name="%(class)s_once_per_user",
            ),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(session__isnull=False),
                name="%(class)s_once_per_guest",
            ),
            models.CheckConstraint(
                condition=Q(user_id__isnull=True, session__isnull=False)
                | Q(user_id__isnull=False, session__isnull=True),
                name="%(class)s_has_one_owner",
            ),
        ]


class Wishlist(Kept):
    class Meta(Kept.Meta):
        db_table = "wishlists"
        verbose_name = _("wishlist")
        verbose_name_plural = _("wishlists")


class Wish(models.Model):
    """A variant somebody would like to have, and what it cost when they said so; no price where it had none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    wishlist = models.ForeignKey(Wishlist, models.CASCADE, related_name="wishes")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="+")
    price_when_added = money_field(null=True)
    currency = models.CharField(max_length=3)
    is_gone = models.BooleanField(
        default=False
    )  # out of stock when last heard of: its return is news
    told_price = money_field(null=True)  # the lowest price the customer was told of
    added_at = models.DateTimeField()

    class Meta:
        db_table = "wishlist_items"
        constraints = [models.UniqueConstraint(fields=["wishlist", "variant"], name="wish_once")]


class Comparison(Kept):
    """
    Products to see side by side, in the order in which they were chosen.

    The ids are looked up within the company each time, so one that is gone, or never was the company's, is not shown.
    """

    product_ids = ArrayField(models.UUIDField(), default=list)

    class Meta(Kept.Meta):
        db_table = "comparisons"
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        constraints = [
            *Kept.Meta.constraints,
            models.CheckConstraint(
                condition=Q(product_ids__len__lte=MOST_COMPARED), name="comparison_of_a_few"
            ),
        ]


class DismissedUpsell(Kept):
    """
    Products a customer does not want to be shown beside the cart; the latest ones, in the order they were sent away.

    Ids, like those of a comparison: one of a product that is gone, or of another company, matches nothing.
    """

    product_ids = ArrayField(models.UUIDField(), default=list)

    class Meta(Kept.Meta):
        db_table = "dismissed_upsells"
        verbose_name = _("suggestions sent away")
        verbose_name_plural = _("suggestions sent away")
        constraints = [
            *Kept.Meta.constraints,
            models.CheckConstraint(
                condition=Q(product_ids__len__lte=MOST_DISMISSED), name="dismissed_upsells_latest"
            ),
        ]
