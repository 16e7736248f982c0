from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.platform import flags, invariants
from config.platform.actor import Actor
from config.platform.errors import FeatureDisabled, ValidationFailed
from config.platform.models import AuditEntry, OutboxEvent
from inventory import services as inventory
from inventory.errors import CategoryInUse
from inventory.models import Bundle, BundleItem, Category, Company
from pricing import selectors, services
from pricing.engine import Basket, Line, Place
from pricing.errors import (
    CurrencyUnknown,
    DiscountExpired,
    DiscountInvalid,
    DiscountLimitReached,
    PromotionNotFound,
    ShippingZoneNotFound,
)
from pricing.models import (
    Coupon,
    Price,
    PriceChange,
    Promotion,
    PromotionUse,
    Revision,
    ShippingRule,
    TaxRate,
)
from pricing.terms import PromotionTerms, ShippingRuleTerms, TaxRateTerms, ZoneTerms
from tests import factories
from tests.pricing.words import applied_codes

pytestmark = pytest.mark.django_db

EMAIL = "email:a@example.com"


def basket_for(*codes: str, amount: str = "100.00", **fields: Any) -> Basket:
    line = Line(
        id=UUID(int=1),
        variant_id=UUID(int=2),
        product_id=UUID(int=3),
        sku="A",
        quantity=1,
        unit_price=Decimal(amount),
    )
    return Basket(
        **{"lines": (line,), "currency": "USD", "codes": codes, "customer_keys": (EMAIL,), **fields}
    )


# --- quotes -----------------------------------------------------------------------------------


def test_quote_prices_by_the_rules_of_the_company(system: Actor, now: datetime) -> None:
    factories.make_promotion("SAVE10")
    factories.make_tax_rate("0.19")
    factories.make_shipping_rule("4.90")

    quote = services.quote(
        actor=system,
        basket=basket_for("SAVE10", destination=Place("DE"), shipping_option="standard"),
        now=now,
    )

    assert str(quote.totals.discount_total) == "10.00"
    assert str(quote.totals.tax_total) == "18.03"
    assert str(quote.totals.grand_total) == "112.93"


def test_quote_knows_nothing_of_other_companies(now: datetime, system: Actor) -> None:
    other = factories.make_company()
    factories.make_promotion("SAVE10", company=other)
    factories.make_promotion(company=other)
    factories.make_tax_rate(company=other)

    quote = services.quote(
        actor=system, basket=basket_for("SAVE10", destination=Place("DE")), now=now
    )

    assert quote.not_applied[0].reason == "unknown"
    assert str(quote.totals.grand_total) == "100.00"


def test_quote_asks_once_for_the_revision_and_once_for_codes(system: Actor, now: datetime) -> None:
    factories.make_promotion("SAVE10")
    services.quote(actor=system, basket=basket_for(), now=now)
    flags.is_enabled("ORDER_ENABLE_PROMOTIONS")

    for basket, revision, statements in (
        (basket_for(), None, 1),
        (basket_for(), 0, 0),
        (basket_for("SAVE10"), 0, 1),
    ):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            services.quote(actor=system, basket=basket, now=now, revision=revision)
        assert len(captured) == statements


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("lines", [1, 20, 200])
def test_quote_takes_as_many_statements_for_any_number_of_lines(
    actor_user: Actor, now: datetime, lines: int
) -> None:
    """One each: the revision, the codes and limits, the customer's exemptions."""
    factories.make_promotion("SAVE10", per_customer_limit=1)
    factories.make_promotion()
    factories.make_tax_rate(is_included=True)
    services.enter_vat_number(actor=actor_user, number="FR40303265045", now=now)
    asked = basket_for("SAVE10", destination=Place("DE"))
    asked = replace(
        asked,
        lines=[replace(asked.lines[0], id=UUID(int=n + 1)) for n in range(lines)],
        user_id=actor_user.user_id,
        customer_keys=(f"user:{actor_user.user_id}",),
    )
    services.quote(actor=actor_user, basket=asked, now=now)

    with CaptureQueriesContext(connection) as captured:
        quote = services.quote(actor=actor_user, basket=asked, now=now)

    assert applied_codes(quote) == ["SAVE10"]
    assert len(quote.lines) == lines
    assert len(captured) == 3, [query["sql"][:200] for query in captured]


def test_quote_reads_the_rules_again_when_staff_changed_them(staff: Actor, now: datetime) -> None:
    before = services.quote(actor=staff, basket=basket_for(), now=now)
    services.create_promotion(
        actor=staff,
        terms=PromotionTerms(name="Ten", kind="PERCENTAGE", value=Decimal(10), is_automatic=True),
        now=now,
    )

    after = services.quote(actor=staff, basket=basket_for(), now=now)

    assert str(before.totals.grand_total) == "100.00"
    assert str(after.totals.grand_total) == "90.00"
    assert after.revision > before.revision


def test_a_promotion_on_a_category_covers_the_categories_below(
    system: Actor, company: Company, now: datetime
) -> None:
    parent = Category.objects.create(company=company, name="Parent", slug="parent")
    child = Category.objects.create(company=company, name="Child", slug="child", parent=parent)
    promotion = factories.make_promotion(scope="CATEGORY")
    promotion.categories.add(parent)
    basket = basket_for()
    basket = replace(basket, lines=(replace(basket.lines[0], category_ids=(child.id,)),))

    assert (
        str(services.quote(actor=system, basket=basket, now=now).totals.discount_total) == "10.00"
    )


@pytest.mark.parametrize("side", ["categories", "excluded_categories"])
def test_a_category_that_a_promotion_names_cannot_be_deleted(
    system: Actor, company: Company, now: datetime, side: str
) -> None:
    """A promotion that lost the last category it is about would be about the whole shop."""
    named = Category.objects.create(company=company, name="Named", slug="named")
    promotion = factories.make_promotion(scope="CATEGORY")
    getattr(promotion, side).add(named)

    with pytest.raises(CategoryInUse):
        inventory.delete_category(actor=system, category_id=named.id, now=now)

    assert list(getattr(promotion, side).all()) == [named]
    getattr(promotion, side).clear()
    inventory.delete_category(actor=system, category_id=named.id, now=now)
    assert not Category.objects.filter(id=named.id).exists()


def test_a_threshold_without_a_currency_is_in_the_companys_own(
    system: Actor, now: datetime
) -> None:
    factories.make_promotion(minimum_order=Decimal(50))

    in_dollars = services.quote(actor=system, basket=basket_for(), now=now)
    in_euros = services.quote(actor=system, basket=basket_for(currency="EUR"), now=now)

    assert str(in_dollars.totals.discount_total) == "10.00"
    assert str(in_euros.totals.discount_total) == "0.00"


def test_promotions_switched_off_take_nothing_and_refuse_codes(
    staff: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    factories.make_promotion("SAVE10")
    factories.make_promotion()
    settings.FEATURES = {**settings.FEATURES, "ORDER_ENABLE_PROMOTIONS": False}
    flags.forget()

    assert (
        str(services.quote(actor=staff, basket=basket_for("SAVE10"), now=now).totals.discount_total)
        == "0.00"
    )
    with pytest.raises(FeatureDisabled):
        services.check_code(actor=staff, code="SAVE10", basket=basket_for(), now=now)


def test_quote_refuses_a_currency_nobody_knows(system: Actor, now: datetime) -> None:
    with pytest.raises(CurrencyUnknown):
        services.quote(actor=system, basket=basket_for(currency="XXX"), now=now)


def test_a_bundle_costs_its_price_after_the_offer_is_set(
    staff: Actor, company: Company, now: datetime
) -> None:
    variants = [factories.make_priced_variant("10.00"), factories.make_priced_variant("20.00")]
    bundle = Bundle.objects.create(company=company, slug="pair", name="Pair")
    for variant in variants:
        BundleItem.objects.create(bundle=bundle, variant=variant)
    group = uuid4()
    lines = [
        Line(
            id=uuid4(), variant_id=variant.id, product_id=variant.product_id, sku=variant.sku, quantity=1,
            unit_price=amount, bundle_id=bundle.id, bundle_group=group,
        )
        for variant, amount in zip(variants, (Decimal(10), Decimal(20)), strict=True)
    ]  # fmt: skip
    basket = Basket(lines=lines, currency="USD")
    assert services.quote(actor=staff, basket=basket, now=now).totals.grand_total == 30

    services.set_bundle_price(
        actor=staff, bundle_id=bundle.id, currency="USD", amount=Decimal(24), now=now
    )

    quote = services.quote(actor=staff, basket=basket, now=now)
    assert quote.totals.grand_total == 24
    assert [(item.kind, item.promotion_id) for item in quote.discounts] == [("BUNDLE", None)]


# --- codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "normal"),
    [("SAVE10", "SAVE10"), ("  save10\n", "SAVE10"), ("ｓａｖｅ１０", "SAVE10"), ("a-1", "A-1")],
)
def test_normalise_code_trims_folds_and_raises(typed: str, normal: str) -> None:
    assert services.normalise_code(typed) == normal


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "SAVE 10",
        "ÄPFEL",
        "A" * 51,
        "SAVE\x0010",
        "<script>",
        "٣",
        "ß" * 3,
        "4242424242424242",
    ],
)
def test_normalise_code_refuses_what_is_no_code(typed: str) -> None:
    if typed == "ßßß":  # becomes SSSSSS, which could be one
        assert services.normalise_code(typed) == "SSSSSS"
        return
    with pytest.raises(DiscountInvalid):
        services.normalise_code(typed)


def test_check_code_returns_the_code_and_takes_up_nothing(system: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("SAVE10", usage_limit=1)

    assert (
        services.check_code(actor=system, code=" save10 ", basket=basket_for(), now=now) == "SAVE10"
    )

    promotion.refresh_from_db()
    assert promotion.used_count == 0


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"ends_at": timedelta(0)}, DiscountExpired, "expired"),
        ({"starts_at": timedelta(days=1)}, DiscountInvalid, "not_started"),
        ({"minimum_order": Decimal(101)}, DiscountInvalid, "minimum_not_met"),
        ({"kind": "FIXED_AMOUNT", "currency": "EUR"}, DiscountInvalid, "wrong_currency"),
        ({"usage_limit": 1, "used_count": 1}, DiscountLimitReached, "used_up"),
        ({"is_active": False}, DiscountInvalid, "unknown"),
        ({"user_ids": [uuid4()]}, DiscountInvalid, "not_eligible"),
    ],
)
def test_check_code_says_why_not(
    system: Actor, now: datetime, fields: dict[str, Any], error: type[Exception], reason: str
) -> None:
    fields = {
        key: now + value if isinstance(value, timedelta) else value for key, value in fields.items()
    }
    factories.make_promotion("CODE", **fields)

    with pytest.raises(error) as caught:
        services.check_code(actor=system, code="CODE", basket=basket_for(), now=now)

    assert caught.value.extra == {"code": "CODE", "reason": reason}  # type: ignore[attr-defined]


def test_check_code_knows_what_this_customer_has_used(system: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("ONCE5", per_customer_limit=1)
    redeem(system, now, "ONCE5")

    with pytest.raises(DiscountLimitReached):
        services.check_code(actor=system, code="ONCE5", basket=basket_for(), now=now)
    other = basket_for(customer_keys=("email:b@example.com",))
    assert services.check_code(actor=system, code="ONCE5", basket=other, now=now) == "ONCE5"
    assert promotion.uses.count() == 1


# --- uses -------------------------------------------------------------------------------------


def redeem(
    actor: Actor, now: datetime, *codes: str, order_id: UUID | None = None, key: str = EMAIL
) -> UUID:
    order_id = order_id or uuid4()
    # Quoted for somebody new, so that the limit is met at redemption and not before.
    quote = services.quote(actor=actor, basket=basket_for(*codes, customer_keys=()), now=now)
    services.redeem(actor=actor, order_id=order_id, quote=quote, customer_keys=(key,), now=now)
    return order_id


def test_redeem_notes_every_promotion_and_counts_those_with_a_limit(
    system: Actor, now: datetime
) -> None:
    limited = factories.make_promotion("LIMITED3", usage_limit=3)
    automatic = factories.make_promotion(value=Decimal(5))

    order_id = redeem(system, now, "LIMITED3")

    uses = {use.promotion_id: use for use in PromotionUse.objects.filter(order_id=order_id)}
    assert uses[limited.id].code == "LIMITED3"
    assert uses[limited.id].amount == Decimal("10.00")
    assert uses[automatic.id].amount == Decimal("4.50")
    limited.refresh_from_db()
    automatic.refresh_from_db()
    assert (limited.used_count, automatic.used_count) == (1, 0)


def test_redeem_twice_for_one_order_takes_up_one_use(system: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("LIMITED3", usage_limit=3)
    order_id = redeem(system, now, "LIMITED3")

    redeem(system, now, "LIMITED3", order_id=order_id)

    promotion.refresh_from_db()
    assert promotion.used_count == 1
    assert promotion.uses.count() == 1


@pytest.mark.parametrize("limit", ["usage_limit", "per_customer_limit"])
def test_redeem_refuses_one_use_too_many_and_writes_nothing(
    system: Actor, now: datetime, limit: str
) -> None:
    promotion = factories.make_promotion("CODE", **{limit: 1})
    automatic = factories.make_promotion(value=Decimal(5))
    quote = services.quote(actor=system, basket=basket_for("CODE"), now=now)
    services.redeem(actor=system, order_id=uuid4(), quote=quote, customer_keys=(EMAIL,), now=now)

    with pytest.raises(DiscountLimitReached) as caught:
        services.redeem(
            actor=system, order_id=uuid4(), quote=quote, customer_keys=(EMAIL,), now=now
        )

    assert caught.value.extra["code"] == "CODE"
    promotion.refresh_from_db()
    assert promotion.used_count == 1
    assert (promotion.uses.count(), automatic.uses.count()) == (1, 1)


def test_redeem_takes_up_nothing_for_a_code_that_took_nothing_off(
    system: Actor, now: datetime
) -> None:
    promotion = factories.make_promotion(
        "FREESHIP", kind="FREE_SHIPPING", scope="SHIPPING", usage_limit=1
    )

    redeem(system, now, "FREESHIP")

    promotion.refresh_from_db()
    assert (promotion.used_count, promotion.uses.count()) == (0, 0)


def test_return_uses_gives_back_once_and_they_can_be_taken_up_again(
    system: Actor, now: datetime
) -> None:
    promotion = factories.make_promotion("CODE", usage_limit=1, per_customer_limit=1)
    order_id = redeem(system, now, "CODE")

    assert services.return_uses(actor=system, order_id=order_id, now=now) == 1
    assert services.return_uses(actor=system, order_id=order_id, now=now) == 0

    promotion.refresh_from_db()
    assert promotion.used_count == 0
    redeem(system, now, "CODE", order_id=order_id)
    promotion.refresh_from_db()
    assert (promotion.used_count, promotion.uses.count()) == (1, 1)


# --- promotions -------------------------------------------------------------------------------


def ten_percent(*codes: str, **fields: Any) -> PromotionTerms:
    return PromotionTerms(
        **{
            "name": "Ten",
            "kind": "PERCENTAGE",
            "value": Decimal(10),
            "codes": codes,
            "is_automatic": not codes,
            **fields,
        }
    )


def test_create_promotion_stores_normal_codes_and_tells(staff: Actor, now: datetime) -> None:
    variant = factories.make_variant()

    promotion = services.create_promotion(
        actor=staff, terms=ten_percent(" save10 ", product_ids=(variant.product_id,)), now=now
    )

    assert [coupon.code for coupon in promotion.coupons.all()] == ["SAVE10"]
    assert list(promotion.products.values_list("id", flat=True)) == [variant.product_id]
    assert AuditEntry.objects.get(action="promotion.created").object_id == str(promotion.id)
    assert OutboxEvent.objects.filter(name="pricing.rules_changed").count() == 1
    assert Revision.objects.get().number > 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "NOPE"}, "kind"),
        ({"scope": "NOPE"}, "scope"),
        ({"value": Decimal(101)}, "value"),
        ({"value": Decimal(-1)}, "value"),
        ({"currency": "XXX"}, "currency"),
        ({"minimum_order": Decimal(-1)}, "minimumOrder"),
        ({"usage_limit": 0}, "usageLimit"),
        ({"product_ids": (uuid4(),)}, "productIds"),
        ({"category_ids": (uuid4(),)}, "categoryIds"),
        ({"codes": ("NO SPACE",)}, "code"),
        ({"codes": ("TAKEN",)}, "code"),
        ({"kind": "BUY_X_GET_Y", "settings": {"buy": 0, "get": "1"}}, "settings.buy"),
        (
            {"kind": "BUY_X_GET_Y", "settings": {"buy": 1, "get": 1, "times": 0}},
            "settings.times",
        ),
        (
            {"kind": "BUY_X_GET_Y", "settings": {"buy": 1, "get": 1, "percent": "101"}},
            "settings.percent",
        ),
        (
            {"kind": "BUY_X_GET_Y", "settings": {"buy": 1, "get": 1, "percent": "1e-9999999"}},
            "settings.percent",
        ),
        ({"kind": "TIERED_QUANTITY", "settings": {}}, "settings.tiers"),
        (
            {"kind": "TIERED_QUANTITY", "settings": {"tiers": [{"from": 2, "percent": "abc"}]}},
            "settings.tiers.0",
        ),
        ({"kind": "FREE_SHIPPING", "settings": {"options": "standard"}}, "settings.options"),
    ],
)
def test_create_promotion_refuses_terms_that_make_no_sense(
    staff: Actor, now: datetime, fields: dict[str, Any], field: str
) -> None:
    factories.make_promotion("TAKEN")

    with pytest.raises(ValidationFailed) as caught:
        services.create_promotion(actor=staff, terms=ten_percent(**fields), now=now)

    assert field in [error.field for error in caught.value.errors]
    assert Promotion.objects.count() == 1
    assert not Revision.objects.exists()


def test_create_promotion_refuses_a_period_that_ends_before_it_begins(
    staff: Actor, now: datetime
) -> None:
    with pytest.raises(ValidationFailed):
        services.create_promotion(
            actor=staff, terms=ten_percent(starts_at=now, ends_at=now), now=now
        )

    assert not Promotion.objects.exists()


def test_an_amount_without_a_currency_is_in_the_companys_own(staff: Actor, now: datetime) -> None:
    promotion = services.create_promotion(
        actor=staff, terms=ten_percent(kind="FIXED_AMOUNT"), now=now
    )

    assert promotion.currency == "USD"


def test_change_promotion_switches_old_codes_off_and_keeps_what_was_before(
    staff: Actor, now: datetime
) -> None:
    promotion = factories.make_promotion("OLD", "KEPT")
    terms = replace(selectors.promotion_terms(promotion), codes=("KEPT", "new"), value=Decimal(20))

    services.change_promotion(
        actor=staff, promotion_id=promotion.id, terms=terms, now=now, reason="season"
    )

    assert dict(promotion.coupons.values_list("code", "is_active")) == {
        "OLD": False,
        "KEPT": True,
        "NEW": True,
    }
    entry = AuditEntry.objects.get(action="promotion.changed")
    assert Decimal(str(entry.before["value"])) == 10
    assert Decimal(str(entry.after["value"])) == 20
    assert entry.reason == "season"


def test_a_first_limit_starts_with_the_uses_there_are(staff: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("CODE")
    redeem(staff, now, "CODE")
    terms = replace(selectors.promotion_terms(promotion), usage_limit=2)

    services.change_promotion(actor=staff, promotion_id=promotion.id, terms=terms, now=now)

    promotion.refresh_from_db()
    assert promotion.used_count == 1
    redeem(staff, now, "CODE")
    with pytest.raises(ValidationFailed):
        services.change_promotion(
            actor=staff, promotion_id=promotion.id, terms=replace(terms, usage_limit=1), now=now
        )
    promotion.refresh_from_db()
    assert promotion.usage_limit == 2


def test_delete_promotion_is_soft_and_its_codes_stop(staff: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("CODE")
    redeem(staff, now, "CODE")

    services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)

    promotion.refresh_from_db()
    assert promotion.deleted_at == now
    assert promotion.uses.count() == 1
    with pytest.raises(DiscountInvalid):
        services.check_code(actor=staff, code="CODE", basket=basket_for(), now=now)
    with pytest.raises(PromotionNotFound):
        services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)


def test_promotions_of_another_company_are_not_found(staff: Actor, now: datetime) -> None:
    promotion = factories.make_promotion("CODE", company=factories.make_company())

    with pytest.raises(PromotionNotFound):
        services.delete_promotion(actor=staff, promotion_id=promotion.id, now=now)
    assert Coupon.objects.get().is_active


# --- tax and shipping ---------------------------------------------------------------------------


def test_tax_rates_are_made_changed_and_removed(staff: Actor, now: datetime) -> None:
    terms = TaxRateTerms(name="VAT", type="VAT", country="de", rate=Decimal("0.19"))
    rate = services.create_tax_rate(actor=staff, terms=terms, now=now)
    assert rate.country == "DE"
    with pytest.raises(ValidationFailed, match="refused"):
        services.create_tax_rate(actor=staff, terms=terms, now=now)
    assert TaxRate.objects.count() == 1

    services.change_tax_rate(
        actor=staff, tax_rate_id=rate.id, terms=replace(terms, rate=Decimal("0.2")), now=now
    )
    assert services.quote(
        actor=staff, basket=basket_for(destination=Place("DE")), now=now
    ).totals.tax_total == Decimal("20.00")

    services.delete_tax_rate(actor=staff, tax_rate_id=rate.id, now=now)
    assert services.quote(
        actor=staff, basket=basket_for(destination=Place("DE")), now=now
    ).totals.tax_total == Decimal("0.00")
    actions = AuditEntry.objects.order_by("at", "id").values_list("action", flat=True)
    assert list(actions) == ["tax_rate.created", "tax_rate.changed", "tax_rate.deleted"]


@pytest.mark.parametrize("fields", [{"rate": Decimal(2)}, {"country": "XX"}, {"type": "NOPE"}])
def test_tax_rates_that_make_no_sense_are_refused(
    staff: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    terms = TaxRateTerms(
        **{"name": "VAT", "type": "VAT", "country": "DE", "rate": Decimal("0.19"), **fields}
    )

    with pytest.raises(ValidationFailed):
        services.create_tax_rate(actor=staff, terms=terms, now=now)
    assert not TaxRate.objects.exists()


def test_zones_and_ways_to_ship_are_made_changed_and_removed(staff: Actor, now: datetime) -> None:
    zone = services.create_zone(
        actor=staff, terms=ZoneTerms(name="Home", countries=("us",)), now=now
    )
    terms = ShippingRuleTerms(
        zone_id=zone.id, code="standard", name="Standard", currency="USD", base_price=Decimal(5)
    )
    rule = services.create_shipping_rule(actor=staff, terms=terms, now=now)
    basket = basket_for(destination=Place("US"))
    assert [
        str(o.price) for o in services.quote(actor=staff, basket=basket, now=now).shipping_options
    ] == ["5.00"]

    services.change_shipping_rule(
        actor=staff, shipping_rule_id=rule.id, terms=replace(terms, base_price=Decimal(6)), now=now
    )
    assert [
        str(o.price) for o in services.quote(actor=staff, basket=basket, now=now).shipping_options
    ] == ["6.00"]

    services.delete_zone(actor=staff, zone_id=zone.id, now=now)
    assert services.quote(actor=staff, basket=basket, now=now).shipping_code == "NO_SHIPPING_ZONE"
    with pytest.raises(ShippingZoneNotFound):
        services.create_shipping_rule(actor=staff, terms=terms, now=now)
    assert not ShippingRule.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "Not A Slug"},
        {"currency": "XXX"},
        {"type": "NOPE"},
        {"base_price": Decimal(-1)},
        {"min_days": 9},
    ],
)
def test_ways_to_ship_that_make_no_sense_are_refused(
    staff: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    zone = services.create_zone(
        actor=staff, terms=ZoneTerms(name="Home", countries=("US",)), now=now
    )
    terms = ShippingRuleTerms(
        **{"zone_id": zone.id, "code": "a", "name": "A", "currency": "USD", **fields}
    )

    with pytest.raises(ValidationFailed):
        services.create_shipping_rule(actor=staff, terms=terms, now=now)
    assert not ShippingRule.objects.exists()


# --- prices -----------------------------------------------------------------------------------


def test_set_price_keeps_one_current_price_its_history_and_tells(
    staff: Actor, now: datetime
) -> None:
    variant = factories.make_variant()

    services.set_price(
        actor=staff,
        variant_id=variant.id,
        currency="USD",
        amount=Decimal(10),
        reason="new",
        now=now,
    )
    price = services.set_price(
        actor=staff, variant_id=variant.id, currency="USD", amount=Decimal("12.505"), now=now
    )

    assert (price.amount, Price.objects.count()) == (Decimal("12.51"), 1)
    history = PriceChange.objects.order_by("id").values_list("old_amount", "new_amount", "reason")
    assert list(history) == [(None, Decimal(10), "new"), (Decimal(10), Decimal("12.51"), "")]
    payloads = (
        OutboxEvent.objects.filter(name="pricing.price.updated")
        .order_by("id")
        .values_list("payload", flat=True)
    )
    assert list(payloads) == [
        {"currency": "USD", "old_amount": None, "new_amount": "10.00"},
        {"currency": "USD", "old_amount": "10.00", "new_amount": "12.51"},
    ]


def test_set_prices_leaves_alone_what_is_the_same_and_what_is_not_ours(
    staff: Actor, now: datetime
) -> None:
    ours = factories.make_variant()
    theirs = factories.make_variant(company=factories.make_company())
    wanted = [
        services.NewPrice(variant_id=variant.id, currency="USD", amount=Decimal(10))
        for variant in (ours, theirs)
    ]

    assert services.set_prices(actor=staff, prices=wanted, now=now) == 1
    assert services.set_prices(actor=staff, prices=wanted, now=now) == 0

    assert PriceChange.objects.count() == 1
    assert not Price.objects.filter(variant=theirs).exists()


def test_set_prices_takes_a_handful_of_statements_for_any_number(
    staff: Actor, now: datetime
) -> None:
    product = factories.make_product()
    variants = [factories.make_variant(product=product, available=None) for _ in range(30)]

    def statements(count: int, amount: int) -> int:
        prices = [
            services.NewPrice(variant_id=variant.id, currency="USD", amount=Decimal(amount))
            for variant in variants[:count]
        ]
        with CaptureQueriesContext(connection) as captured:
            services.set_prices(actor=staff, prices=prices, now=now)
        return len(captured)

    assert statements(2, 10) == statements(30, 10)
    assert statements(2, 11) == statements(30, 12)


@pytest.mark.parametrize(
    "amount", [Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 12]
)
def test_set_price_refuses_what_is_no_price(staff: Actor, now: datetime, amount: Decimal) -> None:
    variant = factories.make_variant()

    with pytest.raises(ValidationFailed):
        services.set_price(
            actor=staff, variant_id=variant.id, currency="USD", amount=amount, now=now
        )
    assert not Price.objects.exists()


def test_a_variant_may_cost_something_in_each_currency(staff: Actor, now: datetime) -> None:
    variant = factories.make_variant()
    for currency, amount in (("USD", "10.5"), ("JPY", "1500"), ("KWD", "3.125")):
        services.set_price(
            actor=staff, variant_id=variant.id, currency=currency, amount=Decimal(amount), now=now
        )

    assert dict(Price.objects.values_list("currency", "amount")) == {
        "USD": Decimal("10.5"),
        "JPY": Decimal(1500),
        "KWD": Decimal("3.125"),
    }
    with pytest.raises(CurrencyUnknown):
        services.set_price(
            actor=staff, variant_id=variant.id, currency="XXX", amount=Decimal(1), now=now
        )


def test_who_waited_for_another_writer_changes_the_price_after_them(
    system: Actor, now: datetime
) -> None:
    """Each read the clock before they waited: the history must not end with what is no longer the price."""
    variant = factories.make_variant()
    first, waited = now + timedelta(seconds=2), now
    for at, amount in ((now - timedelta(hours=1), "10"), (first, "12"), (waited, "11")):
        services.set_price(
            actor=system, variant_id=variant.id, currency="USD", amount=Decimal(amount), now=at
        )

    history = PriceChange.objects.order_by("changed_at", "id")
    assert [change.new_amount for change in history] == [Decimal(10), Decimal(12), Decimal(11)]
    assert Price.objects.get().amount == Decimal(11)
    assert [change.changed_at - now for change in history][1:] == [
        timedelta(seconds=2),
        timedelta(seconds=2, microseconds=1),
    ]
    [found] = invariants.run(invariants.select(invariants.all_checks(), only=["R05"]))
    assert found.holds
