"""Orders: a frozen copy of what was bought, and the record of everything done to it since."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from config.platform.actor import Actor
from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.models import Company, Product, Variant, Warehouse
from pricing.models import money_field
from pricing.money import format_amount


class OrderQuerySet(LockingQuerySet):
    def for_actor(self, actor: Actor) -> OrderQuerySet:
        """Return the orders this caller may see: their own, or any of the company for staff."""
        orders = self.filter(company_id=actor.company_id)
        if actor.sees_everything:
            return orders
        if actor.user_id is not None:
            return orders.filter(user_id=actor.user_id)
        if actor.session_hash is not None:
            return orders.filter(session_hash=actor.session_hash)
        return orders.none()


class Order(models.Model):
    """A placed order. Amounts are frozen at placement and always add up."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("waiting for payment")
        CONFIRMED = "confirmed", _("confirmed")
        PROCESSING = "processing", _("being packed")
        SHIPPED = "shipped", _("shipped")
        DELIVERED = "delivered", _("delivered")
        CANCELLED = "cancelled", _("cancelled")
        REFUNDED = "refunded", _("refunded")
        FAILED = "failed", _("failed")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.DRAFT: {Status.CONFIRMED, Status.CANCELLED, Status.FAILED},
        Status.CONFIRMED: {Status.PROCESSING, Status.CANCELLED},
        Status.PROCESSING: {Status.SHIPPED, Status.CANCELLED},
        Status.SHIPPED: {Status.DELIVERED},
        Status.DELIVERED: {Status.REFUNDED},
        Status.CANCELLED: set(),
        Status.REFUNDED: set(),
        Status.FAILED: set(),
    }

    class Review(models.TextChoices):
        NONE = "", _("not needed")
        PENDING = "pending", _("waits for a look")
        APPROVED = "approved", _("looked at, fine")
        REJECTED = "rejected", _("refused")

    class PaymentStatus(models.TextChoices):
        PENDING = "pending", _("not paid")
        AUTHORIZED = "authorized", _("authorised")
        CAPTURED = "captured", _("paid")
        PARTIALLY_REFUNDED = "partially_refunded", _("partly refunded")
        REFUNDED = "refunded", _("refunded")
        FAILED = "failed", _("payment failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="orders")
    # goods that were added to an order later are an order of their own, with a payment of their own
    adds_to = models.ForeignKey(
        "self", models.PROTECT, null=True, editable=False, related_name="additions"
    )
    number = models.CharField(_("number"), max_length=50, unique=True)
    checkout_id = models.UUIDField(null=True, unique=True)
    user_id = models.UUIDField(null=True)
    session_hash = models.BinaryField(max_length=32, null=True)  # the guest token that placed it
    access_token_hash = models.BinaryField(max_length=32, null=True, unique=True)  # the mail's link
    email = models.CharField(_("e-mail"), max_length=254)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.DRAFT
    )
    payment_status = models.CharField(
        _("payment"), max_length=18, choices=PaymentStatus.choices, default=PaymentStatus.PENDING
    )
    payment_method = models.CharField(_("payment method"), max_length=20, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    subtotal = money_field(_("subtotal"))
    discount_total = money_field(_("discount"))
    shipping_total = money_field(_("shipping"))
    shipping_discount = money_field(_("shipping discount"), default=Decimal(0))
    shipping_tax = money_field(_("tax on shipping"), default=Decimal(0))
    tax_total = money_field(_("tax"))
    included_tax = money_field(_("of which in the prices"), default=Decimal(0))
    grand_total = money_field(_("total"))
    refunded_total = money_field(_("refunded"), default=Decimal(0))
    shipping_claimed = money_field(
        default=0
    )  # the part of the shipping price that refunds have asked back
    # An exchange: the part of this order that goods sent back pay for, and what of this order's money went that way.
    credit_total = money_field(_("paid by an exchange"), default=Decimal(0), db_default=Decimal(0))
    moved_total = money_field(_("moved into exchanges"), default=Decimal(0), db_default=Decimal(0))
    prices_include_tax = models.BooleanField(default=False)
    quote_id = models.CharField(max_length=64)
    # what the totals are made of, and under `basis` the rules that made them (`pricing.engine.basis_of`)
    quote = models.JSONField(default=dict)
    shipping_option = models.CharField(max_length=40, blank=True)
    shipping_name = models.CharField(max_length=100, blank=True)
    shipping_address = models.JSONField(default=dict)
    billing_address = models.JSONField(null=True)
    notes = models.CharField(_("customer's note"), max_length=1000, blank=True)
    staff_notes = models.TextField(_("note for staff"), blank=True)
    metadata = models.JSONField(default=dict)
    is_disputed = models.BooleanField(_("disputed"), default=False)
    review = models.CharField(
        _("review"), max_length=8, choices=Review.choices, blank=True, default=Review.NONE
    )
    review_reason = models.CharField(_("why it was held"), max_length=300, blank=True)
    needs_attention = models.CharField(_("needs attention"), max_length=200, blank=True)
    placed_at = models.DateTimeField(_("placed"))
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    shipped_at = models.DateTimeField(_("shipped"), null=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True)
    expires_at = models.DateTimeField(null=True)  # an unpaid draft is cancelled then
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[OrderQuerySet] = OrderQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "orders"
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    grand_total=F("subtotal")
                    - F("discount_total")
                    + F("shipping_total")
                    + F("tax_total")
                    - F("included_tax")
                ),
                name="order_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(
                    subtotal__gte=0,
                    discount_total__gte=0,
                    shipping_total__gte=0,
                    tax_total__gte=0,
                    grand_total__gte=0,
                ),
                name="order_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(included_tax__gte=0, included_tax__lte=F("tax_total")),
                name="order_included_tax",
            ),
            models.CheckConstraint(
                condition=Q(refunded_total__gte=0, refunded_total__lte=F("grand_total")),
                name="order_refund_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(shipping_claimed__gte=0, shipping_claimed__lte=F("shipping_total")),
                name="order_shipping_claim_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(credit_total__gte=0, credit_total__lte=F("grand_total")),
                name="order_credit_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(moved_total__gte=0, moved_total__lte=F("refunded_total")),
                name="order_moved_ceiling",
            ),
        ]
        indexes = [
            models.Index(fields=["company", "-placed_at"], name="order_newest"),
            models.Index(fields=["company", "status", "-placed_at"], name="order_status"),
            models.Index(fields=["user_id", "status", "-placed_at"], name="order_user"),
            models.Index(fields=["session_hash"], name="order_session"),
            models.Index(
                fields=["expires_at"], name="order_draft_due", condition=Q(status="draft")
            ),
            models.Index(
                fields=["company", "placed_at"],
                name="order_review_queue",
                condition=Q(review="pending"),
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def to_pay(self) -> Decimal:
        """What is asked of the customer: the total, less what goods sent back pay for."""
        left: Decimal = self.grand_total - self.credit_total
        return left

    @property
    def was_never_paid(self) -> bool:
        """It ended without money: none was taken, or what came after its end went back as no part of it."""
        nothing = (self.PaymentStatus.CANCELLED, self.PaymentStatus.REFUNDED)
        return (
            self.status == self.Status.CANCELLED
            and not self.refunded_total
            and self.payment_status in nothing
        )


class OrderLine(models.Model):
    """
    A snapshot of one line. Later catalogue changes never alter it.

    The share of one unit in discount, tax and total is a fixed function of the frozen line
    amounts (`pricing.money.unit_shares`), so any sequence of refunds adds up to what was paid.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    variant = models.ForeignKey(Variant, models.PROTECT, related_name="+")
    warehouse = models.ForeignKey(
        Warehouse, models.PROTECT, null=True, blank=True, related_name="+"
    )
    sku = models.CharField(_("SKU"), max_length=255)
    name = models.CharField(_("name"), max_length=500)
    options = models.JSONField(default=dict)
    image_url = models.CharField(max_length=1000, blank=True)
    quantity = models.PositiveIntegerField(_("quantity"))
    unit_price = money_field(_("unit price"))
    subtotal = money_field(_("subtotal"))
    discount = money_field(_("discount"))
    tax = money_field(_("tax"))
    included_tax = money_field(_("of which in the price"), default=Decimal(0))
    total = money_field(_("total"))
    taxes = models.JSONField(default=list)  # [{"name","type","rate","base","amount","included"}]
    tax_class = models.CharField(max_length=40, default="standard")
    weight_grams = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=500, blank=True)
    customization = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    cancelled_quantity = models.PositiveIntegerField(_("cancelled"), default=0)
    shipped_quantity = models.PositiveIntegerField(_("sent"), default=0)
    returned_quantity = models.PositiveIntegerField(_("returned"), default=0)
    claimed_quantity = models.PositiveIntegerField(
        default=0
    )  # units whose money refunds have asked back
    refunded_amount = money_field(_("refunded"), default=Decimal(0))
    points = models.PositiveIntegerField(_("points spent"), default=0, db_default=0)
    # given back of the price of units whose money was not asked back
    adjusted_amount = money_field(default=Decimal(0), db_default=Decimal(0))

    class Meta:
        db_table = "order_items"
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="order_line_position"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_line_quantity"),
            models.CheckConstraint(
                condition=Q(subtotal=F("unit_price") * F("quantity")), name="order_line_subtotal"
            ),
            models.CheckConstraint(
                condition=Q(total=F("subtotal") - F("discount") + F("tax") - F("included_tax")),
                name="order_line_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(discount__gte=0, discount__lte=F("subtotal"), tax__gte=0),
                name="order_line_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=F("cancelled_quantity") + F("returned_quantity")),
                name="order_line_not_overreturned",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=F("cancelled_quantity") + F("shipped_quantity")),
                name="order_line_not_oversent",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=F("claimed_quantity")), name="order_line_not_overclaimed"
            ),
            models.CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("total")),
                name="order_line_refund_ceiling",
            ),
            models.CheckConstraint(
                condition=Q(adjusted_amount__gte=0, adjusted_amount__lte=F("total")),
                name="order_line_adjusted_ceiling",
            ),
        ]
        indexes = [models.Index(fields=["variant"], name="order_line_variant")]

    @property
    def unsent(self) -> int:
        """Units that were neither cancelled nor sent."""
        return self.quantity - self.cancelled_quantity - self.shipped_quantity


class OrderDay(models.Model):
    """The counter that a day's order numbers are drawn from, and its value where they begin; see `orders.services.numbers`."""

    date = models.DateField(primary_key=True)
    counter = models.CharField(max_length=63, default="order_number", db_default="order_number")
    base = models.BigIntegerField()

    class Meta:
        db_table = "order_days"


class StatusChange(models.Model):
    """One step of an order's status; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="status_changes")
    from_status = models.CharField(max_length=10, blank=True)
    to_status = models.CharField(max_length=10)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "order_status_history"
        ordering = ["id"]
        indexes = [models.Index(fields=["order", "id"], name="order_status_log")]
        triggers = [append_only("order_status_history_append_only")]


class OrderEdit(models.Model):
    """One changed field of an order; append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="edits")
    field = models.CharField(max_length=80)
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "order_edit_history"
        ordering = ["id"]
        triggers = [append_only("order_edit_history_append_only")]


class Shipment(models.Model):
    class Status(models.TextChoices):
        SHIPPED = "shipped", _("on its way")
        DELIVERED = "delivered", _("delivered")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.SHIPPED: {Status.DELIVERED},
        Status.DELIVERED: set(),
    }

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="shipments")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.SHIPPED)
    carrier = models.CharField(_("carrier"), max_length=100, blank=True)
    tracking_number = models.CharField(_("tracking number"), max_length=100, blank=True)
    tracking_url = models.CharField(_("tracking link"), max_length=500, blank=True)
    lines = models.JSONField(default=list)  # [{"itemId","quantity"}]
    shipped_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "shipments"
        ordering = ["id"]


class ReturnRequest(models.Model):
    class Status(models.TextChoices):
        REQUESTED = "REQUESTED", _("requested")
        APPROVED = "APPROVED", _("approved")
        REJECTED = "REJECTED", _("rejected")
        RECEIVED = "RECEIVED", _("received")
        REFUNDED = "REFUNDED", _("refunded")
        WITHDRAWN = "WITHDRAWN", _("withdrawn")
        CLOSED = "CLOSED", _("never arrived")

    TRANSITIONS: ClassVar[dict[str, set[str]]] = {
        Status.REQUESTED: {Status.APPROVED, Status.REJECTED, Status.WITHDRAWN},
        Status.APPROVED: {Status.RECEIVED, Status.CLOSED},
        Status.REJECTED: set(),
        Status.RECEIVED: {Status.REFUNDED},
        Status.REFUNDED: set(),
        Status.WITHDRAWN: set(),
        Status.CLOSED: set(),
    }
    # While it has one of these, its units are spoken for.
    UNDECIDED: ClassVar[tuple[str, ...]] = (Status.REQUESTED, Status.APPROVED)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="return_requests")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.REQUESTED)
    refund_amount = money_field(default=Decimal(0))
    notes = models.CharField(max_length=500, blank=True)
    requested_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    # the order of what goes out instead; and why there is none where one was asked for
    replacement = models.OneToOneField(
        Order, models.PROTECT, null=True, related_name="replacement_of"
    )
    exchange_failure = models.CharField(max_length=300, blank=True, db_default="")
    staff_notes = models.CharField(_("note for staff"), max_length=1000, blank=True, db_default="")

    class Meta:
        db_table = "return_requests"
        verbose_name = _("return")
        verbose_name_plural = _("returns")
        indexes = [
            models.Index(
                fields=["requested_at"],
                name="return_desk",
                condition=Q(status__in=["REQUESTED", "APPROVED", "RECEIVED"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.requested_at:%Y-%m-%d} {self.get_status_display()}"


class ReturnLine(models.Model):
    request = models.ForeignKey(ReturnRequest, models.CASCADE, related_name="lines")
    order_line = models.ForeignKey(OrderLine, models.PROTECT, related_name="return_lines")
    quantity = models.PositiveIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    is_damaged = models.BooleanField(default=False)
    exchange_variant = models.ForeignKey(
        Variant, models.PROTECT, null=True, related_name="+"
    )  # wanted in its place, as many as come back
    received_quantity = models.PositiveIntegerField(null=True)  # what came, once something did
    damaged_quantity = models.PositiveIntegerField(default=0, db_default=0)  # of which spoilt

    class Meta:
        db_table = "return_lines"
        constraints = [
            models.UniqueConstraint(fields=["request", "order_line"], name="return_line_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="return_line_quantity"),
            models.CheckConstraint(
                condition=Q(received_quantity=None, damaged_quantity=0)
                | Q(
                    received_quantity__lte=F("quantity"),
                    damaged_quantity__lte=F("received_quantity"),
                ),
                name="return_line_received",
            ),
        ]


class RefundRequest(models.Model):
    """Money owed back: written with the cancellation or return, executed by `checkout`."""

    class Status(models.TextChoices):
        DUE = "due", _("due")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="refund_requests")
    amount = money_field()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=200, blank=True)
    lines = models.JSONField(default=list)  # [{"itemId","quantity","amount"}]
    shipping_amount = money_field(default=Decimal(0))  # its part of the shipping price, before tax
    payment_id = models.UUIDField(
        null=True
    )  # a payment too many: goes back whole and is no part of the order
    return_request = models.ForeignKey(
        ReturnRequest, models.PROTECT, null=True, blank=True, related_name="refund_requests"
    )
    # An exchange: so much of it pays for another order instead of going back to the customer, ...
    moved_amount = money_field(default=Decimal(0), db_default=Decimal(0))
    moved_to = models.ForeignKey(Order, models.PROTECT, null=True, related_name="paid_by_refunds")
    # ... and of that order, what such money paid for goes back the way the money once came.
    is_of_credit = models.BooleanField(default=False, db_default=False)
    failure = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.DUE)
    requested_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refund_requests"
        verbose_name = _("refund request")
        verbose_name_plural = _("refund requests")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_request_positive"),
            models.CheckConstraint(
                condition=Q(moved_amount=0, moved_to=None)
                | Q(moved_amount__gt=0, moved_amount__lte=F("amount"), moved_to__isnull=False),
                name="refund_request_moved",
            ),
            models.UniqueConstraint(
                fields=["moved_to"],
                condition=Q(moved_to__isnull=False),
                name="one_credit_per_order",
            ),
            models.UniqueConstraint(
                fields=["payment_id"],
                condition=Q(payment_id__isnull=False),
                name="one_refund_per_payment_too_many",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], name="refund_request_due", condition=Q(status="due")
            )
        ]

    def __str__(self) -> str:
        return f"{format_amount(self.amount, self.currency)} {self.currency}"

    @property
    def to_pay_out(self) -> Decimal:
        """What the provider is asked to give back; the rest pays for an exchange."""
        left: Decimal = self.amount - self.moved_amount
        return left


class InvoiceCounter(models.Model):
    """The last number of a company's invoices or credit notes. Locked while one is written, so that none is missing."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=11)
    last = models.PositiveIntegerField(default=0)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "invoice_counters"
        constraints = [
            models.UniqueConstraint(fields=["company", "kind"], name="invoice_counter_once")
        ]


class Invoice(models.Model):
    """What an order or a refund comes to, on paper: numbered without gaps, frozen, append-only."""

    class Kind(models.TextChoices):
        INVOICE = "invoice", _("invoice")
        CREDIT_NOTE = "credit_note", _("credit note")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.PROTECT, related_name="+")
    order = models.ForeignKey(Order, models.PROTECT, related_name="invoices")
    kind = models.CharField(_("kind"), max_length=11, choices=Kind.choices)
    sequence = models.PositiveIntegerField()
    number = models.CharField(_("number"), max_length=30)
    # of a credit note; none where it takes back an invoice of which nothing was paid
    refund_request = models.OneToOneField(
        RefundRequest, models.PROTECT, null=True, related_name="credit_note"
    )
    amount = money_field(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    content = models.JSONField()  # all that the paper says
    issued_at = models.DateTimeField(_("issued"))

    class Meta:
        db_table = "invoices"
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        constraints = [
            models.UniqueConstraint(
                fields=["company", "kind", "sequence"], name="invoice_sequence_once"
            ),
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind="invoice"), name="invoice_once_per_order"
            ),
            models.CheckConstraint(
                condition=Q(kind="credit_note") | Q(refund_request__isnull=True),
                name="invoice_is_of_no_refund",
            ),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(kind="credit_note", refund_request__isnull=True),
                name="invoice_taken_back_once",
            ),
        ]
        triggers = [append_only("invoices_append_only")]

    def __str__(self) -> str:
        return self.number
