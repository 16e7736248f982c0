"""What the shop sells, where it lies, and to whom it is promised."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import MD5, Cast
from django.utils.translation import gettext_lazy as _

from config.platform.models import LockingQuerySet, append_only, new_id
from inventory.pictures import Picture, Rendition, rendition_name


class Company(models.Model):
    """One shop. A single-shop install has the default row and never sees another."""

    # The default row always has this key, so that a process may remember it without asking.
    DEFAULT_ID: ClassVar[UUID] = UUID("01900000-0000-7000-8000-000000000001")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("slug"), max_length=80, unique=True)
    host = models.CharField(_("host name"), max_length=253, blank=True)
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    country = models.CharField(_("country"), max_length=2, default="US")
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        db_table = "companies"
        verbose_name = _("company")
        verbose_name_plural = _("companies")
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="company_one_default"
            ),
            models.UniqueConstraint(
                fields=["host"], condition=~Q(host=""), name="company_host_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="categories")
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("slug"), max_length=120)
    description = models.CharField(_("description"), max_length=500, blank=True)
    image = models.CharField(_("image"), max_length=1000, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    is_active = models.BooleanField(_("active"), default=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "categories"
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        constraints = [
            models.UniqueConstraint(fields=["company", "slug"], name="category_slug_unique"),
            models.CheckConstraint(condition=~Q(parent=F("id")), name="category_not_own_parent"),
        ]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(LockingQuerySet):
    def sellable(self) -> ProductQuerySet:
        return self.filter(status=Product.Status.ACTIVE)


class Product(models.Model):
    """Something we sell, in one or more variants. Text is sanitised HTML; options have an order."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("active")
        DISCONTINUED = "discontinued", _("discontinued")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="products")
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, related_name="products"
    )
    slug = models.SlugField(_("slug"), max_length=255)
    name = models.CharField(_("name"), max_length=500)
    description = models.TextField(_("description"), blank=True)
    vendor = models.CharField(_("vendor"), max_length=200, blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    option_names = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.ACTIVE
    )
    tax_class = models.CharField(_("tax class"), max_length=40, default="standard")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    search_terms = models.TextField(blank=True, editable=False)  # SKUs and options of its variants
    search = SearchVectorField(null=True, editable=False)  # kept by the trigger below
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects: ClassVar[ProductQuerySet] = ProductQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "products"
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            models.UniqueConstraint(fields=["company", "slug"], name="product_slug_unique")
        ]
        indexes = [
            models.Index(fields=["company", "status", "-created_at"], name="product_newest"),
            models.Index(fields=["category", "status"], name="product_category"),
            GinIndex(fields=["search"], name="product_search"),
            # parts of words and of SKUs, where whole words find nothing
            GinIndex(
                OpClass(F("name"), name="gin_trgm_ops"),
                OpClass(F("search_terms"), name="gin_trgm_ops"),
                name="product_parts",
            ),
        ]
        triggers = [
            # Words of a name weigh most; they are found as they are written too, so that what is typed so far finds
            # them. SKUs are found whole and by their parts, all else by its stem.
            pgtrigger.Trigger(
                name="keep_search",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert
                | pgtrigger.UpdateOf(  # type: ignore[no-untyped-call]
                    "name", "vendor", "tags", "description", "search_terms"
                ),
                func="""
                    NEW.search :=
                        setweight(to_tsvector('english', unaccent(NEW.name)), 'A')
                        || setweight(to_tsvector('simple', unaccent(NEW.name)), 'A')
                        || setweight(to_tsvector('simple', unaccent(NEW.search_terms)), 'A')
                        || setweight(to_tsvector('simple', regexp_replace(
                               unaccent(NEW.search_terms), '[^[:alnum:]]+', ' ', 'g')), 'A')
                        || setweight(to_tsvector('english', unaccent(
                               NEW.vendor || ' ' || array_to_string(NEW.tags, ' '))), 'B')
                        || setweight(to_tsvector('english', unaccent(
                               left(regexp_replace(NEW.description, '<[^>]*>', ' ', 'g'), 20000))), 'D');
                    RETURN NEW;
                """,
            ),
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
                    IF TG_OP = 'DELETE' THEN
                        PERFORM note_catalogue_change(OLD.company_id, OLD.id);
                    ELSIF TG_OP = 'INSERT' OR (OLD.name, OLD.status, OLD.category_id, OLD.created_at)
                            IS DISTINCT FROM (NEW.name, NEW.status, NEW.category_id, NEW.created_at) THEN
                        PERFORM note_catalogue_change(NEW.company_id, NEW.id);
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """The thing that is sold: one choice of a product's options, with its SKU."""

    class Policy(models.TextChoices):
        DENY = "deny", _("stop selling when stock is gone")
        CONTINUE = "continue", _("sell on backorder")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="variants")
    product = models.ForeignKey(Product, models.CASCADE, related_name="variants")
    sku = models.CharField(_("SKU"), max_length=255)
    options = models.JSONField(_("options"), default=dict, blank=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    barcode = models.CharField(_("barcode"), max_length=64, blank=True)
    weight_grams = models.PositiveIntegerField(_("weight in grams"), default=0)
    requires_shipping = models.BooleanField(_("is shipped"), default=True)
    is_taxable = models.BooleanField(_("is taxed"), default=True)
    inventory_policy = models.CharField(
        _("when stock is gone"), max_length=8, choices=Policy.choices, default=Policy.DENY
    )
    image = models.CharField(_("image"), max_length=1000, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "variants"
        verbose_name = _("variant")
        verbose_name_plural = _("variants")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["company", "sku"], name="variant_sku_unique"),
            models.CheckConstraint(condition=~Q(sku=""), name="variant_sku_present"),
            # By digest: ten long options would be more than an entry of an index can hold.
            models.UniqueConstraint(
                "product",
                MD5(Cast("options", models.TextField())),
                condition=Q(is_active=True) & ~Q(options={}),
                name="variant_combination_once",
                violation_error_message=_("Two variants are the same choice."),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
                    IF TG_OP <> 'INSERT' THEN
                        PERFORM note_catalogue_change(OLD.company_id, OLD.product_id);
                    END IF;
                    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.product_id <> OLD.product_id) THEN
                        PERFORM note_catalogue_change(NEW.company_id, NEW.product_id);
                    END IF;
                    RETURN NULL;
                """,
            )
        ]

    def __str__(self) -> str:
        return self.sku


class ProductImage(models.Model):
    """
    A picture: uploaded, or as given, a path under static or an address elsewhere (kept, not shown).

    An uploaded one has a `file` that is this row's alone, and `widths` of it that are there. Those still missing are
    made at `due_at`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    product = models.ForeignKey(Product, models.CASCADE, related_name="images")
    url = models.CharField(_("address"), max_length=1000)
    alt = models.CharField(_("text for those who cannot see it"), max_length=500, blank=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    file = models.CharField(max_length=200, blank=True, editable=False)
    width = models.PositiveIntegerField(null=True, editable=False)
    height = models.PositiveIntegerField(null=True, editable=False)
    widths = ArrayField(models.PositiveIntegerField(), default=list, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "product_images"
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["product", "url"], name="product_image_once"),
            models.CheckConstraint(
                condition=Q(file="") | Q(width__isnull=False, height__isnull=False),
                name="product_image_measured",
            ),
        ]
        indexes = [
            # the worker: what is due, oldest first
            models.Index(
                fields=["due_at"], name="product_image_due", condition=Q(due_at__isnull=False)
            ),
            # the sweep: is a file anybody's
            models.Index(fields=["file"], name="product_image_file", condition=~Q(file="")),
        ]

    def __str__(self) -> str:
        return self.alt or self.url

    @property
    def picture(self) -> Picture:
        """The picture as it is shown; asks the database nothing."""
        shown = [Rendition(rendition_name(self.url, width), width) for width in self.widths]
        if self.file and self.width:
            shown.append(Rendition(self.url, self.width))
        return Picture(self.id, self.url, self.alt, self.width, self.height, tuple(shown))


class ProductRelation(models.Model):
    class Kind(models.TextChoices):
        CROSS_SELL = "cross_sell", _("goes well with")
        UP_SELL = "up_sell", _("a better one")
        ALTERNATIVE = "alternative", _("instead of")

    product = models.ForeignKey(Product, models.CASCADE, related_name="relations")
    related = models.ForeignKey(Product, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    weight = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "product_relations"
        ordering = ["-weight", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["product", "related", "kind"], name="product_relation_once"
            ),
            models.CheckConstraint(
                condition=~Q(product=F("related")), name="product_relation_not_self"
            ),
        ]


class CoPurchase(models.Model):
    """In how many orders of late a product was bought together with another; counted where the orders are."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="co_purchases")
    other = models.ForeignKey(Product, models.CASCADE, related_name="+")
    count = models.PositiveIntegerField()
    computed_at = models.DateTimeField()

    class Meta:
        db_table = "product_co_purchases"
        constraints = [
            models.UniqueConstraint(fields=["product", "other"], name="co_purchase_once"),
            models.CheckConstraint(condition=~Q(product=F("other")), name="co_purchase_not_self"),
        ]
        indexes = [
            # a product's page: what was bought with it most often
            models.Index(fields=["product", "-count"], name="co_purchase_most"),
        ]


class Bundle(models.Model):
    """A named group of variants sold together; its price lives in `pricing`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="bundles")
    slug = models.SlugField(max_length=255)
    name = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    image = models.CharField(max_length=1000, blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        db_table = "bundles"
        constraints = [
            models.UniqueConstraint(fields=["company", "slug"], name="bundle_slug_unique")
        ]

    def __str__(self) -> str:
        return self.name


class BundleItem(models.Model):
    bundle = models.ForeignKey(Bundle, models.CASCADE, related_name="items")
    variant = models.ForeignKey(Variant, models.PROTECT, related_name="+")
    quantity = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        db_table = "bundle_items"
        constraints = [
            models.UniqueConstraint(fields=["bundle", "variant"], name="bundle_item_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="bundle_item_quantity"),
        ]


class Warehouse(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="warehouses")
    code = models.CharField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=200)
    address = models.JSONField(_("address"), default=dict, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=100)
    is_default = models.BooleanField(_("default"), default=False)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        db_table = "warehouses"
        verbose_name = _("warehouse")
        verbose_name_plural = _("warehouses")
        constraints = [
            models.UniqueConstraint(fields=["company", "code"], name="warehouse_code_unique"),
            models.UniqueConstraint(
                fields=["company"], condition=Q(is_default=True), name="warehouse_one_default"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("is_active", "is_default"),
                func="""
                    PERFORM note_catalogue_change(v.company_id, v.product_id)
                       FROM inventory s JOIN variants v ON v.id = s.variant_id WHERE s.warehouse_id = NEW.id;
                    RETURN NULL;
                """,
            )
        ]

    def __str__(self) -> str:
        return self.code


_NOTE_VARIANT = """
    PERFORM note_catalogue_change(v.company_id, v.product_id) FROM variants v WHERE v.id = {row}.variant_id;
    RETURN NULL;
"""


class StockLevel(models.Model):
    """
    How much of a variant lies in a warehouse: `total = available + reserved`.

    Written by `inventory.services` only, always with the row locked. Units sold beyond stock are
    counted in `backordered`, never as a negative number.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="stock_levels")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="stock_levels")
    warehouse = models.ForeignKey(Warehouse, models.PROTECT, related_name="stock_levels")
    available = models.PositiveIntegerField(_("available"), default=0)
    reserved = models.PositiveIntegerField(_("held"), default=0)
    total = models.PositiveIntegerField(_("total"), default=0)
    backordered = models.PositiveIntegerField(_("backordered"), default=0)
    backorder_limit = models.PositiveIntegerField(_("backorder limit"), null=True, blank=True)
    reorder_level = models.PositiveIntegerField(_("reorder level"), default=10)
    reorder_quantity = models.PositiveIntegerField(_("reorder quantity"), default=50)
    is_low = models.BooleanField(_("low stock announced"), default=False, editable=False)
    # Somebody may wait for this variant: units that come back are offered before they are sold. Never
    # false while a request is open; a sweep takes it back afterwards.
    is_awaited = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "inventory"
        verbose_name = _("stock level")
        verbose_name_plural = _("stock levels")
        permissions = [
            # apart from `change`, which is about reorder figures: somebody may count and edit nothing
            ("operate_stock", _("Can adjust, count, receive, move and write off stock")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["variant", "warehouse"], name="stock_once"),
            models.CheckConstraint(
                condition=Q(total=F("available") + F("reserved")), name="stock_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(available__gte=0), name="stock_available_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(reserved__gte=0), name="stock_reserved_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(backorder_limit__isnull=True)
                | Q(backordered__lte=F("backorder_limit")),
                name="stock_backorder_limit",
            ),
        ]
        indexes = [
            # how many are low, at every scrape; changes of units leave it alone
            models.Index(fields=["company"], name="stock_low", condition=Q(is_low=True)),
            # the sweep: variants whose free units belong to somebody already
            models.Index(
                fields=["variant"],
                name="stock_promised",
                condition=Q(is_awaited=True) | Q(backordered__gt=0),
            ),
        ]
        triggers = [
            # What is in stock or no longer; a sale that leaves some pays for a comparison.
            pgtrigger.Trigger(
                name="note_change",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "((OLD.available > 0) <> (NEW.available > 0) OR OLD.warehouse_id <> NEW.warehouse_id)"
                ),
                func=_NOTE_VARIANT.format(row="NEW"),
            ),
            pgtrigger.Trigger(
                name="note_new",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func=_NOTE_VARIANT.format(row="NEW"),
            ),
            pgtrigger.Trigger(
                name="note_gone",
                when=pgtrigger.After,
                operation=pgtrigger.Delete,
                func=_NOTE_VARIANT.format(row="OLD"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.variant} · {self.warehouse}"


class CatalogueChange(models.Model):
    """
    A note that a product, its variants, prices, or what is in stock of it, changed in a transaction.

    Written by triggers only, through the function `note_catalogue_change`. Whoever keeps a picture of the catalogue
    reads again what was noted by transactions that its last snapshot did not know to be over.
    """

    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    product = models.ForeignKey(
        Product, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    xact = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "catalogue_changes"
        constraints = [
            # One note a transaction: it never waits for another one's.
            models.UniqueConstraint(
                fields=["company", "xact", "product"], name="catalogue_change_once"
            )
        ]
        indexes = [models.Index(fields=["changed_at"], name="catalogue_change_age")]

    def __str__(self) -> str:
        return f"{self.product_id} in {self.xact}"


class SearchWord(models.Model):
    """A word that products on sale are called by, without accents and in lower case: what a typing error may mean."""

    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    word = models.CharField(max_length=40)
    products = models.PositiveIntegerField()

    class Meta:
        db_table = "search_words"
        constraints = [models.UniqueConstraint(fields=["company", "word"], name="search_word_once")]

    def __str__(self) -> str:
        return self.word


class Reservation(models.Model):
    """
    A hold: units of one stock level promised to one cart line, later to one order line.

    Written only while its stock level is locked. `quantity` counts units taken from stock,
    `backordered` units promised beyond it. Cart and order are links upwards, so plain UUIDs.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("active")
        EXPIRED = "EXPIRED", _("expired")
        COMPLETED = "COMPLETED", _("sold")
        CANCELLED = "CANCELLED", _("released")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Without constraints: the stock level proves both, and a key share lock on the one company row by
    # every sale would make that row the busiest of the shop.
    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    stock_level = models.ForeignKey(StockLevel, models.PROTECT, related_name="reservations")
    variant = models.ForeignKey(
        Variant, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    cart_id = models.UUIDField(null=True)
    line_id = models.UUIDField(null=True)
    order_id = models.UUIDField(null=True)
    order_line_id = models.UUIDField(null=True)
    holder = models.CharField(max_length=120)  # Actor.identity, for ceilings
    address = models.CharField(max_length=64, blank=True)  # client network, for ceilings
    quantity = models.PositiveIntegerField()
    backordered = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.ACTIVE)
    started_at = (
        models.DateTimeField()
    )  # of the first hold of this line: renewals are capped from here
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_reservations"
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(
                fields=["line_id", "stock_level"],
                condition=Q(status="ACTIVE", order_line_id__isnull=True),
                name="one_live_hold_per_line",
            ),
            models.UniqueConstraint(
                fields=["order_line_id", "stock_level"],
                condition=Q(status="ACTIVE", order_line_id__isnull=False),
                name="one_live_hold_per_order_line",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1) | Q(backordered__gte=1), name="hold_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(line_id__isnull=False) | Q(order_line_id__isnull=False),
                name="hold_has_owner",
            ),
        ]
        indexes = [
            # the sweep: what is overdue, oldest first
            models.Index(fields=["expires_at"], name="hold_due", condition=Q(status="ACTIVE")),
            # a sale reclaims what is overdue on the rows it locks; a delivery fills what is owed, oldest first
            models.Index(
                fields=["stock_level", "expires_at"],
                name="hold_stock",
                condition=Q(status="ACTIVE"),
            ),
            models.Index(
                fields=["stock_level", "id"], name="hold_owed", condition=Q(backordered__gt=0)
            ),
            # a cart's view: what is held, or was
            models.Index(fields=["line_id"], name="hold_line"),
            models.Index(fields=["cart_id"], name="hold_cart", condition=Q(status="ACTIVE")),
            # ceilings
            models.Index(fields=["holder"], name="hold_holder", condition=Q(status="ACTIVE")),
            models.Index(fields=["address"], name="hold_address", condition=Q(status="ACTIVE")),
            # partial, as most holds never come to an order: each change of a hold would write them
            models.Index(
                fields=["order_id"], name="hold_order", condition=Q(order_id__isnull=False)
            ),
            models.Index(
                fields=["order_line_id"],
                name="hold_order_line",
                condition=Q(order_line_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"


class HoldGate(models.Model):
    """
    What is locked while one customer's or one address' held units are counted and raised.

    Rows come into being when they are first passed, at most `inventory.services.holds.GATES` of them, and mean nothing
    besides: where one is missing it is made.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    passed_at = models.DateTimeField()

    class Meta:
        db_table = "hold_gates"
        verbose_name = _("hold gate")
        verbose_name_plural = _("hold gates")

    def __str__(self) -> str:
        return str(self.id)


class BackInStockRequest(models.Model):
    """
    A place in the line for a variant that is gone; the line is ordered by `queued_at`, then by id.

    Written only while the variant's stock is locked. What is offered is kept by holds whose `line_id` is the
    request's id. Guests are known by an address they have confirmed, customers by their account.
    """

    class Status(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        OFFERED = "OFFERED", _("kept for them")
        TAKEN = "TAKEN", _("taken")
        LAPSED = "LAPSED", _("not taken in time")
        CANCELLED = "CANCELLED", _("cancelled")

    OPEN: ClassVar[tuple[str, ...]] = (Status.WAITING.value, Status.OFFERED.value)
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    variant = models.ForeignKey(Variant, models.CASCADE, related_name="back_in_stock_requests")
    user_id = models.UUIDField(null=True)
    email = models.EmailField(_("e-mail"), blank=True)  # of guests only
    quantity = models.PositiveSmallIntegerField(_("wanted"))
    status = models.CharField(
        _("status"), max_length=9, choices=Status.choices, default=Status.WAITING
    )
    queued_at = models.DateTimeField(_("in line since"))
    offered_quantity = models.PositiveSmallIntegerField(_("kept"), default=0)
    offered_at = models.DateTimeField(null=True)
    offer_expires_at = models.DateTimeField(_("kept until"), null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "back_in_stock_requests"
        verbose_name = _("back-in-stock request")
        verbose_name_plural = _("back-in-stock requests")
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "user_id"],
                condition=Q(status__in=["WAITING", "OFFERED"], user_id__isnull=False),
                name="one_open_request_per_user",
            ),
            models.UniqueConstraint(
                fields=["variant", "email"],
                condition=Q(status__in=["WAITING", "OFFERED"], user_id__isnull=True),
                name="one_open_request_per_email",
            ),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="request_wants_something"),
            models.CheckConstraint(
                condition=Q(user_id__isnull=False, email="")
                | Q(user_id__isnull=True) & ~Q(email=""),
                name="request_has_one_owner",
            ),
            models.CheckConstraint(
                condition=~Q(status="OFFERED")
                | Q(offered_quantity__gte=1, offer_expires_at__isnull=False),
                name="request_offer_has_units",
            ),
        ]
        indexes = [
            # whose turn it is
            models.Index(
                fields=["variant", "queued_at", "id"],
                name="request_line",
                condition=Q(status="WAITING"),
            ),
            models.Index(fields=["user_id", "-queued_at"], name="request_user"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"


class StockMovement(models.Model):
    """One change of `StockLevel.total`; the sum of a level's movements is its total. Append-only."""

    class Type(models.TextChoices):
        PURCHASE = "PURCHASE", _("purchase")
        SALE = "SALE", _("sale")
        RETURN = "RETURN", _("return")
        DAMAGE = "DAMAGE", _("damage")
        ADJUSTMENT = "ADJUSTMENT", _("adjustment")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Without constraints: the stock level proves both, and a key share lock on the one company row by
    # every sale would make that row the busiest of the shop.
    company = models.ForeignKey(
        Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    stock_level = models.ForeignKey(StockLevel, models.PROTECT, related_name="movements")
    variant = models.ForeignKey(
        Variant, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    type = models.CharField(max_length=10, choices=Type.choices)
    quantity = models.IntegerField()  # signed
    balance = models.PositiveIntegerField()  # the level's total afterwards
    order_line_id = models.UUIDField(null=True)
    reference = models.CharField(max_length=200, blank=True)
    notes = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=80)
    source = models.CharField(max_length=20)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "stock_transactions"
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="movement_not_zero"),
        ]
        indexes = [
            models.Index(fields=["stock_level", "-created_at"], name="movement_level"),
            models.Index(
                fields=["order_line_id"],
                name="movement_order_line",
                condition=Q(order_line_id__isnull=False),
            ),
        ]
        triggers = [append_only("stock_transactions_append_only")]

    def __str__(self) -> str:
        return f"{self.type} {self.quantity}"


# --- outside systems --------------------------------------------------------------------------


class Source(models.Model):
    """
    An outside system that tells us about stock and products: by signed messages, by a feed we fetch, or both.

    Its signing secrets are in the environment, by its slug, which is therefore unique over all companies.
    """

    class Format(models.TextChoices):
        JSON = "json", "JSON"
        CSV = "csv", "CSV"

    class FeedState(models.TextChoices):
        NEVER = "", _("not fetched yet")
        APPLIED = "applied", _("applied")
        UNCHANGED = "unchanged", _("unchanged")
        REFUSED = "refused", _("refused")
        UNREACHABLE = "unreachable", _("not reachable")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    slug = models.SlugField(_("short name"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=200)
    warehouse = models.ForeignKey(
        Warehouse,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Where its stock lies when it names no warehouse; else the default one."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    feed_url = models.URLField(_("feed address"), max_length=1000, blank=True)
    feed_format = models.CharField(
        _("feed format"), max_length=4, choices=Format.choices, default=Format.JSON
    )
    feed_minutes = models.PositiveIntegerField(
        _("minutes between fetches"), default=15, validators=[MinValueValidator(1)]
    )
    feed_due_at = models.DateTimeField(_("next fetch"), null=True, editable=False)
    feed_tried_at = models.DateTimeField(_("last fetch"), null=True, editable=False)
    feed_good_at = models.DateTimeField(_("last good fetch"), null=True, editable=False)
    feed_state = models.CharField(
        _("feed"), max_length=11, choices=FeedState.choices, default="", blank=True, editable=False
    )
    feed_note = models.CharField(
        _("what happened"), max_length=1000, blank=True, default="", editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_sources"
        verbose_name = _("outside system")
        verbose_name_plural = _("outside systems")

    def __str__(self) -> str:
        return self.name


class SourceMessage(models.Model):
    """
    One signed message, stored before anything is done about it; taken once.

    `results` grows by one product at a time, in the transaction that changes the product, so a message that was
    interrupted goes on where it stopped.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+", db_index=False)
    source = models.ForeignKey(Source, models.PROTECT, related_name="messages")
    event_id = models.CharField(_("message"), max_length=200)
    fingerprint = models.BinaryField(max_length=32, editable=False)
    payload = models.JSONField(_("content"), default=dict)
    results = models.JSONField(_("results"), default=dict)
    occurred_at = models.DateTimeField(_("said at"))
    received_at = models.DateTimeField(_("received"))
    processed_at = models.DateTimeField(_("worked off"), null=True)
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    dead_at = models.DateTimeField(_("given up"), null=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "stock_source_messages"
        verbose_name = _("message from outside")
        verbose_name_plural = _("messages from outside")
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="source_message_once")
        ]
        indexes = [
            # the drain: what is due, oldest first
            models.Index(
                fields=["next_attempt_at"],
                name="source_message_due",
                condition=Q(processed_at__isnull=True, dead_at__isnull=True),
            ),
            models.Index(fields=["company", "-received_at"], name="source_message_newest"),
            models.Index(
                fields=["processed_at"],
                name="source_message_old",
                condition=Q(processed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.event_id


class SourceMark(models.Model):
    """How far a source's word about one shelf or product is known, so that what is older changes nothing."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    object_id = models.UUIDField()  # a stock level or a product
    set_at = models.DateTimeField(null=True)
    adjusted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "stock_source_marks"
        constraints = [
            models.UniqueConstraint(fields=["source", "object_id"], name="source_mark_once")
        ]


class FeedCopy(models.Model):
    """The last good copy of a source's feed: what it said of which SKU, and whether all of it was applied."""

    source = models.OneToOneField(
        Source, models.CASCADE, primary_key=True, related_name="feed_copy"
    )
    rows = models.BinaryField()  # the rows as compressed JSON
    digest = models.BinaryField(max_length=32)
    row_count = models.PositiveIntegerField()
    zero_count = models.PositiveIntegerField()
    etag = models.CharField(max_length=300, blank=True)
    last_modified = models.CharField(max_length=100, blank=True)
    fetched_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    # Rows that are still to be applied, by their place; those that were refused come again with the next copy.
    waiting = models.JSONField(default=list)
    refused = models.JSONField(default=dict)

    class Meta:
        db_table = "stock_feed_copies"

    def __str__(self) -> str:
        return f"{self.row_count} rows"


class StockDrift(models.Model):
    """A shelf whose counters do not say what its holds and movements say; open until it is repaired or gone."""

    class Kind(models.TextChoices):
        TOTAL = "total", _("units on the shelf")
        RESERVED = "reserved", _("units held")
        BACKORDERED = "backordered", _("units owed")
        BALANCE = "balance", _("balance of the last movement")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+", db_index=False)
    stock_level = models.ForeignKey(StockLevel, models.CASCADE, related_name="+")
    kind = models.CharField(_("what"), max_length=11, choices=Kind.choices)
    expected = models.BigIntegerField(_("by the books"))
    actual = models.BigIntegerField(_("by the counter"))
    found_at = models.DateTimeField(_("found"))
    closed_at = models.DateTimeField(_("closed"), null=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)

    class Meta:
        db_table = "stock_drifts"
        verbose_name = _("stock drift")
        verbose_name_plural = _("stock drifts")
        constraints = [
            models.UniqueConstraint(
                fields=["stock_level", "kind"],
                condition=Q(closed_at__isnull=True),
                name="stock_drift_open_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["company"],
                name="stock_drift_open",
                condition=Q(closed_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.stock_level_id} {self.kind}"


class ImportRun(models.Model):
    """
    A file that staff brought: looked at, shown, and applied as it was shown.

    Its states are work for a job (`CHECKING`, `APPLYING`), a question to staff (`READY`) or the end. The content is
    thrown away with the end, or when nobody applied it within a day.
    """

    class Kind(models.TextChoices):
        STOCK = "stock", _("counts")
        PRODUCTS = "products", _("products")

    class State(models.TextChoices):
        CHECKING = "CHECKING", _("being read")
        READY = "READY", _("to be applied")
        APPLYING = "APPLYING", _("being applied")
        DONE = "DONE", _("applied")
        FAILED = "FAILED", _("cannot be read")
        DROPPED = "DROPPED", _("dropped")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    company = models.ForeignKey(Company, models.CASCADE, related_name="+")
    kind = models.CharField(_("what"), max_length=8, choices=Kind.choices)
    state = models.CharField(
        _("state"), max_length=8, choices=State.choices, default=State.CHECKING
    )
    name = models.CharField(_("file"), max_length=200)
    size = models.PositiveIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField(null=True)
    wishes = models.JSONField(default=dict)  # how it shall be read and applied
    shown = models.JSONField(default=dict)  # what it would do; after the end: what it did
    fingerprint = models.CharField(max_length=64, blank=True)
    notice = models.CharField(max_length=1000, blank=True)
    user_id = models.UUIDField()
    actor = models.CharField(_("by"), max_length=80)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("brought"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    objects: ClassVar[LockingQuerySet] = LockingQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "import_runs"
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [
            models.CheckConstraint(
                condition=Q(content__isnull=False) | Q(state__in=["DONE", "FAILED", "DROPPED"]),
                name="import_run_content_until_end",
            )
        ]
        indexes = [
            # the job: what is to be read or applied, oldest first
            models.Index(
                fields=["kind", "id"],
                name="import_run_due",
                condition=Q(state__in=["CHECKING", "APPLYING"]),
            ),
            models.Index(fields=["created_at"], name="import_run_age"),
        ]

    def __str__(self) -> str:
        return self.name
