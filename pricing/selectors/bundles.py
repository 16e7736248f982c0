"""Bundles on offer: what they cost as a whole, beside what their parts cost singly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from config.platform.actor import Actor
from inventory import selectors as inventory
from inventory.models import Product
from pricing.models import BundlePrice
from pricing.money import convert
from pricing.selectors.catalogue import current_prices, home_currency
from pricing.selectors.exchange import rate_in_force


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleItemView:
    variant_id: UUID
    product_id: UUID
    sku: str
    name: str
    slug: str
    options: Mapping[str, str]
    quantity: int
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleView:
    """A bundle on offer: its price as a whole beside what its parts cost singly."""

    id: UUID
    slug: str
    name: str
    description: str
    image: str
    currency: str
    price: Decimal
    parts_price: Decimal
    items: Sequence[BundleItemView]

    @property
    def saving(self) -> Decimal:
        return max(self.parts_price - self.price, Decimal(0))


class BundlePrices:
    """What bundles cost as a whole in one currency: one that is only priced in another one is not for sale in it."""

    def __init__(self, *, company_id: UUID, bundle_ids: Iterable[UUID], currency: str) -> None:
        """Two statements; one in the company's own currency."""
        home = home_currency(company_id=company_id)
        rows = BundlePrice.objects.filter(bundle__in=list(bundle_ids))
        self._own: dict[UUID, Decimal] = {}
        self._at_home: dict[UUID, Decimal] = {}
        for bundle_id, of, amount in rows.values_list("bundle_id", "currency", "amount"):
            if of == currency:
                self._own[bundle_id] = amount
            elif of == home:
                self._at_home[bundle_id] = amount
        self._currency = currency
        self._rate: Decimal | None = None
        if self._at_home.keys() - self._own.keys():
            rate = rate_in_force(company_id=company_id, base=home, quote=currency)
            self._rate = None if rate is None else rate.rate

    def of(self, bundle_id: UUID) -> Decimal | None:
        """Return what a bundle costs, converted where it is priced at home only; None where its parts make its price."""
        if bundle_id in self._own:
            return self._own[bundle_id]
        if self._rate is None or bundle_id not in self._at_home:
            return None
        return convert(self._at_home[bundle_id], self._rate, self._currency)

    def is_for_sale(self, bundle_id: UUID) -> bool:
        return self.of(bundle_id) is not None or bundle_id not in self._at_home


def bundle_is_for_sale(*, company_id: UUID, bundle_id: UUID, currency: str) -> bool:
    """
    Return whether a bundle may be sold in a currency: it has a price in it, one that converts, or none anywhere.

    Nothing is asked in the company's own currency, else two statements at most.
    """
    if currency == home_currency(company_id=company_id):
        return True
    prices = BundlePrices(company_id=company_id, bundle_ids=[bundle_id], currency=currency)
    return prices.is_for_sale(bundle_id)


def bundles(*, actor: Actor, currency: str) -> list[BundleView]:
    """Return the bundles on sale in this currency, complete ones only: a part without a price is no offer."""
    rows = list(inventory.bundles(actor=actor))
    prices = BundlePrices(
        company_id=actor.company_id, bundle_ids=[row.id for row in rows], currency=currency
    )
    singly = current_prices(
        variant_ids=[item.variant_id for row in rows for item in row.items.all()], currency=currency
    )
    offers = []
    for row in rows:
        items = list(row.items.all())
        sold = all(
            item.variant_id in singly
            and item.variant.is_active
            and item.variant.product.status == Product.Status.ACTIVE
            for item in items
        )
        if not items or not sold or not prices.is_for_sale(row.id):
            continue
        whole = sum((singly[item.variant_id] * item.quantity for item in items), Decimal(0))
        offers.append(
            BundleView(
                id=row.id,
                slug=row.slug,
                name=row.name,
                description=row.description,
                image=row.image,
                currency=currency,
                price=whole if (price := prices.of(row.id)) is None else price,
                parts_price=whole,
                items=[
                    BundleItemView(
                        variant_id=item.variant_id,
                        product_id=item.variant.product_id,
                        sku=item.variant.sku,
                        name=item.variant.product.name,
                        slug=item.variant.product.slug,
                        options=item.variant.options,
                        quantity=item.quantity,
                        price=singly[item.variant_id],
                    )
                    for item in items
                ],
            )
        )
    return offers
