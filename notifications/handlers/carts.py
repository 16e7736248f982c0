"""Mails and bell messages about carts and wishlists."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from cart import selectors as carts
from cart.events import RecoveryDue, WishBack, WishCheaper
from cart.selectors import keepers
from config.platform.actor import Actor
from config.platform.models import User
from config.platform.outbox import Envelope, durable
from inventory.events import StockChanged
from inventory.models import Product, Variant
from notifications import selectors, services
from notifications.models import Preference
from pricing import services as prices


@durable(RecoveryDue, consumer="notifications.cart_recovery")
def remind(event: RecoveryDue, envelope: Envelope, now: datetime) -> None:
    about = carts.recovery_mail(cart_id=event.aggregate_id, now=now)
    if not about["still_wanted"]:  # it came back, or was bought, since the reminder fell due
        return
    assert envelope.company_id is not None
    given = prices.give_code(
        actor=Actor.system(envelope.company_id),
        stage=event.stage,
        email=event.email,
        expires_at=datetime.fromisoformat(event.expires_at),
        now=now,
    )
    services.notify(
        company_id=envelope.company_id,
        channel="cart-abandoned",
        recipient=event.email,
        user_id=about["user_id"],
        context={
            "lines": about["lines"],
            "total": about["total"],
            "stage": event.stage,
            "code": given.code if given else "",
            "offer": given.promotion if given else "",
            "code_until": date_format(given.expires_at, "DATETIME_FORMAT") if given else "",
            "recovery_url": f"{settings.STOREFRONT_URL}/cart/recover/{event.link_token}/",
        },
        dedupe_key=str(envelope.id),
        now=now,
    )


@durable(StockChanged, consumer="notifications.stock_of_what_i_keep")
def tell_keepers(event: StockChanged, envelope: Envelope, now: datetime) -> None:
    """
    Tell customers that what they keep is back, or that what they have in the cart and do not hold has sold out.

    Once a day about one thing, however often it comes and goes. What is kept for later and is back is mailed too, in one
    mail a day (`services.send_kept_back`).
    """
    if event.before is None or (event.before > 0) == (event.available > 0):
        return
    variant = Variant.objects.select_related("product").filter(id=event.aggregate_id).first()
    if variant is None or variant.product.status != Product.Status.ACTIVE:
        return
    is_back = event.available > 0
    if is_back:
        # Who took it up after it came back has seen that; and wishes have news of their own.
        users = keepers.list_keepers_of(variant_ids=[variant.id], added_by=envelope.occurred_at)
        text, channel = _("%(name)s is back in stock."), "stock.back"
    else:
        users = keepers.unheld_buyers_of(variant_id=variant.id, now=now)
        text, channel = _("%(name)s in your cart has sold out."), "stock.gone"
    if is_back:
        aside = keepers.aside_keepers_of(variant_ids=[variant.id], added_by=envelope.occurred_at)
        services.note_kept_back(
            company_id=variant.company_id,
            variant_id=variant.id,
            user_ids={user_id for user_id, _variant in aside},
            key=envelope.id,
            now=now,
        )
    services.tell_all(
        company_id=variant.company_id,
        user_ids=users,
        channel=channel,
        category=Preference.Category.STOCK,
        subject=text % {"name": variant.product.name},
        dedupe_key=f"{channel}-{variant.id}-{envelope.occurred_at:%Y%m%d}",
        url=f"/products/{variant.product.slug}/?sku={quote(variant.sku)}",
        now=now,
    )


@durable(WishBack, consumer="notifications.wish")
def tell_of_a_wish(event: WishBack, envelope: Envelope, now: datetime) -> None:
    """A line in the bell and on every open page: what was wished for is back, which is mailed too, or costs less."""
    if isinstance(event, WishCheaper):
        words = _("%(product)s on your wishlist is down from %(before)s to %(now)s.") % {
            "product": event.product,
            "before": selectors.money(Decimal(event.old_amount), event.currency),
            "now": selectors.money(Decimal(event.new_amount), event.currency),
        }
    else:
        words = _("%(product)s on your wishlist is back.") % {"product": event.product}
    path = f"/products/{event.slug}/?sku={quote(event.sku)}"
    assert envelope.company_id is not None
    services.tell(
        actor=Actor.system(envelope.company_id, source="outbox", request_id=envelope.request_id),
        user_id=UUID(event.user_id),
        channel=event.name,
        subject=words,
        dedupe_key=str(envelope.id),
        url=path,
        now=now,
    )
    user = User.objects.filter(pk=event.user_id, is_active=True).first()
    if user is not None and user.email and not isinstance(event, WishCheaper):
        services.notify(
            company_id=envelope.company_id,
            channel="wish-back",
            recipient=user.email,
            user_id=user.pk,
            context={"name": event.product, "product_url": f"{settings.STOREFRONT_URL}{path}"},
            dedupe_key=str(envelope.id),
            now=now,
        )
