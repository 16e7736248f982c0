"""What the shop sells."""

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

from config.platform.actor import Actor
from config.platform.models import LockingQuerySet, new_id
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

    def seen_by(self, actor: Actor) -> ProductQuerySet:
        """Return those this caller may know of: a draft, and one that ended as a draft, is for staff."""
        if actor.sees_everything:
            return self.all()
        return self.exclude(status=Product.Status.DRAFT).filter(was_public=True)


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
    # kept by the trigger below
    was_public = models.BooleanField(default=True, db_default=True, editable=False)
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
            # What began as a draft was public once it was sold, for good, whatever is written besides.
            pgtrigger.Trigger(
                name="keep_was_public",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("status"),  # type: ignore[no-untyped-call]
                func="""
                    IF TG_OP = 'INSERT' THEN
                        NEW.was_public := NEW.status <> 'draft';
                    ELSE
                        NEW.was_public := OLD.was_public OR NEW.status = 'active';
                    END IF;
                    RETURN NEW;
                """,
            ),
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

    def is_seen_by(self, actor: Actor) -> bool:
        """Say of this one what `seen_by` says of all."""
        is_public = self.was_public and self.status != Product.Status.DRAFT
        return is_public or actor.sees_everything


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
