"""The way from a cart to a paid order: checkout sessions, payments, refunds, and what providers told us."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from cart.models import Cart
from config.platform.actor import Actor
from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models import Company
from orders.models import Order
from pricing.models import money_field
from pricing.money import format_amount


class CheckoutQuerySet(LockingQuerySet):
    def for_actor(self, actor: Actor) -> CheckoutQuerySet:
        """Return the checkouts this caller may see: their own, or any of the company for staff."""
        checkouts = self.filter(company_id=actor.company_id)
        if actor.sees_everything:
            return checkouts
        if actor.user_id is not None:
            return checkouts.filter(user_id=actor.user_id)
        if actor.session_hash is not None:
            return checkouts.filter(session_hash=actor.session_hash)
        return checkouts.none()


class Checkout(models.Model):
    """One attempt to buy a cart. Its quote is what the customer agreed to pay."""

    class Status(models.TextChoices):
        OPEN = "OPEN", _("open")
        PAYMENT_PENDING = "PAYMENT_PENDING", _("waiting for payment")
        COMPLETED = "COMPLETED", _("completed")
        CANCELLED = "CANCELLED", _("cancelled")
        EXPIRED = "EXPIRED", _("expired")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.OPEN: {Status.PAYMENT_PENDING, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED},
        Status.PAYMENT_PENDING: {Status.COMPLETED, Status.CANCELLED, Status.EXPIRED},
        Status.COMPLETED: set(),
        Status.CANCELLED: set(),
        Status.EXPIRED: set(),
    }

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    cart = models.ForeignKey(Cart, models.PROTECT, related_name="checkouts")
    user_id = models.UUIDField(null=True)
    session_hash = models.BinaryField(max_length=32, null=True)
    status = models.CharField(max_length=15, choices=Status.choices, default=Status.OPEN)
    email = models.CharField(max_length=254, blank=True)
    shipping_address = models.JSONField(null=True)
    billing_address = models.JSONField(null=True)
    shipping_option = models.CharField(max_length=40, blank=True)
    notes = models.CharField(max_length=1000, blank=True)
    currency = models.CharField(max_length=3)
    quote = models.JSONField(null=True)
    quote_id = models.CharField(max_length=64, blank=True)
    # The PayPal order that its customer has approved, to pay with.
    approved = models.CharField(max_length=64, blank=True, default="")
    quotes_shown = models.JSONField(default=dict)  # {quote_id: grand total}, for PRICE_CHANGED
    order = models.OneToOneField(Order, models.PROTECT, null=True, related_name="checkout")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[CheckoutQuerySet] = CheckoutQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "checkouts"
        verbose_name = _("checkout")
        verbose_name_plural = _("checkouts")
        constraints = [
            models.UniqueConstraint(
                fields=["cart"],
                condition=Q(status__in=["OPEN", "PAYMENT_PENDING"]),
                name="one_open_checkout",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["PAYMENT_PENDING", "COMPLETED"]) | Q(order__isnull=False),
                name="paid_checkout_has_order",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="checkout_due",
                condition=Q(status__in=["OPEN", "PAYMENT_PENDING"]),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def status_at(self, now: datetime) -> str:
        """Return the status at a moment: expiry is a predicate, the sweep only writes down what is so already."""
        if self.status == self.Status.OPEN and self.expires_at <= now:
            return str(self.Status.EXPIRED)
        return self.status

    @property
    def is_waiting(self) -> bool:
        """True while the customer still has something to do."""
        return self.status in {self.Status.OPEN, self.Status.PAYMENT_PENDING}


class PaymentQuerySet(LockingQuerySet):
    def for_actor(self, actor: Actor) -> PaymentQuerySet:
        return self.filter(order__in=Order.objects.for_actor(actor))


class Payment(models.Model):
    """
    One attempt to collect an order's total from a provider. Ours is the truth, theirs a mirror.

    `idempotency_key` is stored before the provider is called, so a retry cannot charge twice.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", _("pending")
        PROCESSING = "PROCESSING", _("processing")
        AUTHORIZED = "AUTHORIZED", _("authorised")
        CAPTURED = "CAPTURED", _("captured")
        FAILED = "FAILED", _("failed")
        CANCELLED = "CANCELLED", _("cancelled")
        PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED", _("partly refunded")
        REFUNDED = "REFUNDED", _("refunded")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.PENDING: {Status.PROCESSING, Status.AUTHORIZED, Status.FAILED, Status.CANCELLED},
        Status.PROCESSING: {Status.AUTHORIZED, Status.FAILED, Status.CANCELLED},
        Status.AUTHORIZED: {Status.CAPTURED, Status.CANCELLED, Status.FAILED},
        Status.CAPTURED: {Status.PARTIALLY_REFUNDED, Status.REFUNDED},
        Status.PARTIALLY_REFUNDED: {Status.PARTIALLY_REFUNDED, Status.REFUNDED},
        Status.REFUNDED: set(),
        # a provider may report success after a decline on the same intent: the money is real
        Status.FAILED: {Status.AUTHORIZED},
        Status.CANCELLED: {Status.AUTHORIZED},
    }
    OPEN: ClassVar[tuple[str, ...]] = (Status.PENDING, Status.PROCESSING, Status.AUTHORIZED)

    class GoesBack(models.TextChoices):
        """Why money that came is not kept. Who paid is told once, by one message, and of nothing else about it."""

        SOLD_OUT = "sold_out", _("the goods were gone")
        PAID_TWICE = "paid_twice", _("one payment too many")
        ORDER_OVER = "order_over", _("the order had ended")

    UNPAID: ClassVar[tuple[str, ...]] = (
        Status.PENDING,
        Status.PROCESSING,
        Status.FAILED,
        Status.CANCELLED,
    )

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="payments")
    provider = models.CharField(_("provider"), max_length=20)
    method = models.CharField(_("method"), max_length=20)
    status = models.CharField(
        _("status"), max_length=18, choices=Status.choices, default=Status.PENDING
    )
    amount = money_field(_("amount"))
    captured_amount = money_field(_("captured"), default=Decimal(0))
    refunded_amount = money_field(_("refunded"), default=Decimal(0))
    # given back by other means than the provider, whose books know nothing of it
    outside_amount = money_field(
        _("paid back by other means"), default=Decimal(0), db_default=Decimal(0)
    )
    currency = models.CharField(_("currency"), max_length=3)
    provider_id = models.CharField(_("provider's id"), max_length=255, null=True, unique=True)
    idempotency_key = models.CharField(max_length=255, unique=True)
    client_secret = models.CharField(max_length=255, blank=True)
    next_action = models.JSONField(null=True)
    failure = models.CharField(_("failure"), max_length=300, blank=True)
    goes_back = models.CharField(
        _("goes back"),
        max_length=10,
        choices=GoesBack.choices,
        blank=True,
        default="",
        db_default="",
    )
    is_disputed = models.BooleanField(default=False)
    # Of the latest dispute, as the provider calls them: `needs_response`, `won`, `lost` …
    dispute_status = models.CharField(_("dispute"), max_length=40, blank=True, default="")
    dispute_reason = models.CharField(_("reason"), max_length=60, blank=True, default="")
    evidence_due_at = models.DateTimeField(_("evidence due"), null=True)
    capture_before = models.DateTimeField(_("collect before"), null=True)
    client = models.CharField(max_length=64, blank=True, default="")  # digest of the address
    card = models.CharField(max_length=64, blank=True, default="")  # the provider's name for it
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[PaymentQuerySet] = PaymentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "payments"
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status__in=["PENDING", "PROCESSING", "AUTHORIZED"]),
                name="one_open_payment_per_order",
            ),
            models.CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("captured_amount")),
                name="payment_refund_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(
                    outside_amount__gte=0,
                    outside_amount__lte=F("captured_amount") - F("refunded_amount"),
                ),
                name="payment_outside_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(captured_amount__gte=0, captured_amount__lte=F("amount")),
                name="payment_capture_ceiling",
            ),
        ]
        indexes = [
            models.Index(
                fields=["updated_at"],
                name="payment_open",
                condition=Q(status__in=["PENDING", "PROCESSING", "AUTHORIZED"]),
            ),
            models.Index(
                fields=["capture_before"],
                name="payment_to_collect",
                condition=Q(status="AUTHORIZED"),
            ),
            # Who tries out cards: what came to nothing lately, and what else a card was used for.
            models.Index(
                fields=["created_at"],
                name="payment_unpaid",
                condition=Q(status__in=["PENDING", "PROCESSING", "FAILED", "CANCELLED"]),
            ),
            models.Index(fields=["card", "created_at"], name="payment_card", condition=~Q(card="")),
        ]

    def __str__(self) -> str:
        return f"{format_amount(self.amount, self.currency)} {self.currency}, {self.get_status_display()}"

    @property
    def kept(self) -> Decimal:
        """What is left of the money: taken, and given back neither by the provider nor by other means."""
        left: Decimal = self.captured_amount - self.refunded_amount - self.outside_amount
        return left

    @property
    def goes_back_alone(self) -> bool:
        """Whether a refund of its own gives it back; then none of its order's comes from it."""
        return self.goes_back in {self.GoesBack.PAID_TWICE, self.GoesBack.ORDER_OVER}

    @property
    def status_by_money(self) -> str:
        """The status of a payment that was taken, by what is left of it."""
        if not self.kept:
            return self.Status.REFUNDED
        if self.refunded_amount or self.outside_amount:
            return self.Status.PARTIALLY_REFUNDED
        return self.Status.CAPTURED


class PaymentStatusChange(models.Model):
    """One step of a payment's status, with the money it moved; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="status_changes")
    from_status = models.CharField(max_length=18, blank=True)
    to_status = models.CharField(max_length=18)
    captured = money_field(default=Decimal(0))
    refunded = money_field(default=Decimal(0))
    notes = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "payment_status_history"
        ordering = ["id"]
        indexes = [models.Index(fields=["payment", "id"], name="payment_status_log")]
        triggers = [append_only("payment_status_history_append_only")]


class Refund(models.Model):
    """One refund at a provider; its key is stored before the call."""

    class Status(models.TextChoices):
        PENDING = "PENDING", _("pending")
        SUCCEEDED = "SUCCEEDED", _("succeeded")
        FAILED = "FAILED", _("failed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds")
    request_id = models.UUIDField(null=True, unique=True)  # orders.RefundRequest it carries out
    amount = money_field()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    provider_id = models.CharField(max_length=255, null=True, unique=True)
    idempotency_key = models.CharField(max_length=255, unique=True)
    reason = models.CharField(max_length=200, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "refunds"
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive")]


class OutsideRefund(models.Model):
    """
    Money of a failed refund that staff gave back by other means than its provider: a bank transfer, cash. Append-only.

    It stands for one request of `orders`, and counts against the payment that the money once came with.
    """

    class Means(models.TextChoices):
        BANK_TRANSFER = "bank_transfer", _("bank transfer")
        CASH = "cash", _("cash")
        CHEQUE = "cheque", _("cheque")
        OTHER = "other", _("another way")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="outside_refunds")
    request_id = models.UUIDField(unique=True)  # orders.RefundRequest that it settles
    amount = money_field(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    means = models.CharField(_("by"), max_length=13, choices=Means.choices)
    reference = models.CharField(_("reference"), max_length=100)
    reason = models.CharField(_("reason"), max_length=200)
    paid_on_date = models.DateField(_("paid on"))
    actor = models.CharField(max_length=80)
    created_at = models.DateTimeField(_("noted"))

    class Meta:
        db_table = "outside_refunds"
        verbose_name = _("refund by other means")
        verbose_name_plural = _("refunds by other means")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="outside_refund_positive"),
            models.CheckConstraint(
                condition=~Q(reference="") & ~Q(reason=""), name="outside_refund_told"
            ),
        ]
        indexes = [models.Index(fields=["-created_at"], name="outside_refund_newest")]
        triggers = [append_only("outside_refunds_append_only")]

    def __str__(self) -> str:
        return f"{format_amount(self.amount, self.currency)} {self.currency}, {self.get_means_display()}"


class WebhookInbox(models.Model):
    """One provider event, stored before anything is done about it; taken once."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True)
    payload = models.JSONField(default=dict)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=300, blank=True)
    dead_at = models.DateTimeField(null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "webhook_inbox"
        verbose_name = _("provider event")
        verbose_name_plural = _("provider events")
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="webhook_once")
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="webhook_due",
                condition=Q(processed_at__isnull=True, dead_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Address(models.Model):
    """An entry of a customer's address book."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    user_id = models.UUIDField()
    name = models.CharField(max_length=200)
    line1 = models.CharField(max_length=200)
    line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=120)
    state = models.CharField(max_length=80, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2)
    phone = models.CharField(max_length=40, blank=True)
    is_default_shipping = models.BooleanField(default=False)
    is_default_billing = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "addresses"
        constraints = [
            models.UniqueConstraint(
                fields=["company", "user_id"],
                condition=Q(is_default_shipping=True),
                name="one_default_address",
            ),
            models.UniqueConstraint(
                fields=["company", "user_id"],
                condition=Q(is_default_billing=True),
                name="one_default_billing_address",
            ),
        ]
        indexes = [models.Index(fields=["user_id", "company"], name="address_user")]

    def as_fields(self) -> dict[str, str]:
        """Return the address as checkouts and orders keep it."""
        return {
            "name": self.name,
            "line1": self.line1,
            "line2": self.line2,
            "city": self.city,
            "state": self.state,
            "postalCode": self.postal_code,
            "country": self.country,
            "phone": self.phone,
        }


class TestCharge(models.Model):
    """The books of the `test` provider: what it would answer. Exists only for demos and tests."""

    __test__ = False

    id = models.CharField(primary_key=True, max_length=255)  # tpi_…
    key = models.CharField(max_length=255, unique=True)  # the idempotency key it was created with
    amount = money_field()
    currency = models.CharField(max_length=3)
    is_manual = models.BooleanField(default=False)  # authorise first, capture later
    status = models.CharField(max_length=20, default="requires_payment")
    failure = models.CharField(max_length=300, blank=True)
    captured_amount = money_field(default=Decimal(0))
    refunded_amount = money_field(default=Decimal(0))
    is_disputed = models.BooleanField(default=False)
    capture_before = models.DateTimeField(null=True)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "test_provider_charges"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    captured_amount__lte=F("amount"), refunded_amount__lte=F("captured_amount")
                ),
                name="test_charge_refund_ceiling",
            )
        ]


class TestChargeRefund(models.Model):
    __test__ = False

    id = models.CharField(primary_key=True, max_length=255)
    charge = models.ForeignKey(TestCharge, models.CASCADE, related_name="refunds")
    key = models.CharField(max_length=255, unique=True)
    amount = money_field()

    class Meta:
        db_table = "test_provider_refunds"


class ReconciliationRun(models.Model):
    """One comparison of a provider's books with a company's, asked for by staff or by the night. Drained by a job."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        FAILED = "FAILED", _("failed")

    LIVE: ClassVar[tuple[str, ...]] = (State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    mends = models.BooleanField(_("mends what is safe"), default=False)
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.WAITING)
    compared_until = models.DateTimeField()  # how far it is; a run that broke off goes on from here
    counts = models.JSONField(default=dict)  # how many differences of each class were found
    mended = models.PositiveIntegerField(_("mended"), default=0)
    left = models.PositiveIntegerField(_("left"), default=0)
    actor = models.CharField(max_length=80)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    error = models.CharField(_("error"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("asked for"))
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "reconciliation_runs"
        verbose_name = _("comparison of books")
        verbose_name_plural = _("comparisons of books")
        constraints = [
            models.UniqueConstraint(
                fields=["company"],
                condition=Q(state__in=["WAITING", "RUNNING"]),
                name="one_live_reconciliation",
            ),
            models.CheckConstraint(
                condition=Q(since__lt=F("until")), name="reconciliation_period_runs_forward"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, state__in=["WAITING", "RUNNING"])
                | Q(ended_at__isnull=False, state__in=["DONE", "FAILED"]),
                name="reconciliation_ended_at",
            ),
        ]
        indexes = [
            models.Index(fields=["company", "-created_at"], name="reconciliation_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"

    @property
    def percent(self) -> int:
        done = (self.compared_until - self.since) / (self.until - self.since)
        return 100 if self.state == self.State.DONE else min(int(100 * done), 99)


class ReconciliationFinding(models.Model):
    """One difference between the books, from when it was first seen until it is gone or explained."""

    class State(models.TextChoices):
        OPEN = "OPEN", _("open")
        FIXED = "FIXED", _("fixed")
        EXPLAINED = "EXPLAINED", _("explained")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, null=True, related_name="+")
    key = models.CharField(max_length=400)  # what makes it the same when it is found again
    kind = models.CharField(_("class"), max_length=20)
    reason = models.CharField(max_length=20, blank=True)  # how it is stuck
    provider = models.CharField(_("provider"), max_length=20, blank=True)
    provider_id = models.CharField(_("provider's id"), max_length=255, blank=True)
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="+")
    order = models.ForeignKey(Order, models.PROTECT, null=True, related_name="+")
    row_id = models.UUIDField(null=True)  # the refund, or the message, that does not get on
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    theirs = money_field(_("there"))
    ours = money_field(_("here"))
    about_at = models.DateTimeField(_("of"), null=True)
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.OPEN)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    closed_at = models.DateTimeField(_("closed"), null=True)
    closed_by = models.CharField(max_length=80, blank=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "reconciliation_findings"
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            # What was explained stays so when it is found again; what was fixed is new when it comes back.
            models.UniqueConstraint(
                fields=["key"],
                condition=Q(state__in=["OPEN", "EXPLAINED"]),
                name="one_finding_per_difference",
            ),
            models.CheckConstraint(
                condition=Q(state="OPEN", closed_at__isnull=True)
                | Q(state__in=["FIXED", "EXPLAINED"], closed_at__isnull=False),
                name="finding_closed_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="EXPLAINED", outcome=""), name="finding_explained_why"
            ),
        ]
        indexes = [
            models.Index(fields=["first_seen_at"], name="finding_open", condition=Q(state="OPEN")),
        ]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.provider} {self.provider_id}".strip()

    @property
    def fingerprint(self) -> str:
        """Return what somebody looked at: a deed is refused once it is no longer so."""
        return f"{self.state}:{self.theirs}:{self.ours}"
