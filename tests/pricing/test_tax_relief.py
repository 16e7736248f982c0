"""Who is not charged a tax: certificates, VAT numbers, goods of the exempt class."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.platform.actor import Actor, ActorKind
from config.platform.errors import AuthRequired, ValidationFailed
from config.platform.models import AuditEntry
from inventory.models import Company
from pricing import selectors, services
from pricing.engine import (
    Basket,
    Line,
    Place,
    Quote,
    Relief,
    Rules,
    ShippingMethod,
    TaxRule,
    Zone,
    price,
)
from pricing.errors import TaxExemptionNotFound
from pricing.models import TaxExemption
from pricing.terms import ExemptionTerms
from tests import factories
from tests.conftest import Api

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GERMAN, FRENCH, GREEK = "DE136695976", "FR40303265045", "EL094259216"


# --- the engine -----------------------------------------------------------------------------------


def tax(rate: str, **fields: Any) -> TaxRule:
    return TaxRule(
        **{
            "id": UUID(int=sum(map(ord, str(fields)))),
            "name": "VAT",
            "type": "VAT",
            "country": "DE",
            "rate": Decimal(rate),
            "is_included": True,
            **fields,
        }
    )


def basket(*amounts: str, **fields: Any) -> Basket:
    lines = [
        Line(
            id=UUID(int=number),
            variant_id=UUID(int=number),
            product_id=UUID(int=number),
            sku=f"A{number}",
            quantity=1,
            unit_price=Decimal(amount),
        )
        for number, amount in enumerate(amounts or ("119.00",), start=1)
    ]
    return Basket(**{"lines": lines, "currency": "EUR", "destination": Place("DE", "BY"), **fields})


def reverse(*countries: str, **fields: Any) -> Relief:
    return Relief(
        **{
            "reason": "reverse_charge",
            "reference": GERMAN,
            "countries": frozenset(countries or ("DE",)),
            "tax_types": frozenset({"VAT"}),
            **fields,
        }
    )


def certificate(**fields: Any) -> Relief:
    return Relief(
        **{"reason": "exempt", "reference": "C-1", "countries": frozenset({"DE"}), **fields}
    )


CASES: dict[str, tuple[tuple[TaxRule, ...], tuple[Relief, ...], str, str]] = {
    # rates, reliefs, tax, grand total of 119.00
    "nobody": ((tax("0.19"),), (), "19.00", "119.00"),
    "included": ((tax("0.19"),), (reverse(),), "0.00", "100.00"),
    "on top": ((tax("0.19", is_included=False),), (reverse(),), "0.00", "119.00"),
    "another country": ((tax("0.19"),), (reverse("FR"),), "19.00", "119.00"),
    "everywhere": ((tax("0.19"),), (certificate(countries=frozenset({"*"})),), "0.00", "100.00"),
    "its state": ((tax("0.19"),), (certificate(state="by"),), "0.00", "100.00"),
    "another state": ((tax("0.19"),), (certificate(state="HH"),), "19.00", "119.00"),
    "not yet": ((tax("0.19"),), (certificate(valid_from=date(2026, 11, 22)),), "19.00", "119.00"),
    "first day": ((tax("0.19"),), (certificate(valid_from=date(2026, 11, 21)),), "0.00", "100.00"),
    "over": ((tax("0.19"),), (certificate(valid_to=date(2026, 11, 21)),), "19.00", "119.00"),
    "another tax stays": (
        (tax("0.19"), tax("0.05", name="Eco", type="SALES_TAX", is_included=False)),
        (reverse(),),
        "5.00",
        "105.00",
    ),
    "a certificate frees of all": (
        (tax("0.19"), tax("0.05", name="Eco", type="SALES_TAX", is_included=False)),
        (reverse(), certificate()),
        "0.00",
        "100.00",
    ),
    # 19.00 and 5 % of 119.00 make 124.95 of 100.00: without VAT the other tax is 5.00, so 105.00 of 124.95
    "a tax on a tax that is not charged": (
        (tax("0.19"), tax("0.05", name="Eco", type="SALES_TAX", is_compound=True)),
        (reverse(),),
        "4.76",  # 119.00 × 105 / 124.95 is 100.00, of which 5 / 105
        "100.00",
    ),
    "no rate there": ((tax("0.19", country="FR"),), (reverse(),), "0.00", "119.00"),
}


@pytest.mark.parametrize(("rates", "reliefs", "taxed", "total"), CASES.values(), ids=CASES.keys())
def test_a_relief_takes_out_what_others_are_charged(
    rates: tuple[TaxRule, ...], reliefs: tuple[Relief, ...], taxed: str, total: str
) -> None:
    quote = price(basket(reliefs=reliefs), Rules(tax_rules=rates), NOW)

    assert (str(quote.totals.tax_total), str(quote.totals.grand_total)) == (taxed, total)
    assert quote.steps[-1].running_total == quote.totals.grand_total
    assert Quote.from_json(quote.to_json()) == quote


@pytest.mark.parametrize(
    ("rounding", "off", "to_pay"),
    [("line", "79.85", "420.15"), ("order", "79.83", "420.17"), ("keep_gross", "79.83", "420.17")],
)
def test_what_is_taken_out_is_rounded_where_taxes_are(rounding: str, off: str, to_pay: str) -> None:
    """Five tickets of 100.00 hold 5 × 15.97 or, on the whole, 79.83 (docs/pricing.md, "Rounding")."""
    rules = Rules(tax_rules=(tax("0.19"),), tax_rounding=rounding)
    asked = basket(*["100.00"] * 5)

    charged = price(asked, rules, NOW)
    quote = price(replace(asked, reliefs=(reverse(),)), rules, NOW)

    assert str(charged.totals.tax_total) == off
    assert [str(quote.totals.discount_total), str(quote.totals.grand_total)] == [off, to_pay]


def test_what_is_not_charged_is_said_line_by_line_with_its_ground() -> None:
    quote = price(
        basket(reliefs=(reverse(),), shipping_option="standard"),
        Rules(
            tax_rules=(tax("0.19"),),
            zones=(
                Zone(
                    id=UUID(int=9),
                    name="DE",
                    countries=("DE",),
                    methods=(
                        ShippingMethod(
                            id=UUID(int=8),
                            code="standard",
                            name="Standard",
                            type="FLAT_RATE",
                            currency="EUR",
                            base_price=Decimal("11.90"),
                        ),
                    ),
                ),
            ),
        ),
        NOW,
    )

    (taxed,) = quote.lines[0].taxes
    assert (taxed.relief, str(taxed.base), str(taxed.amount)) == (
        "reverse_charge",
        "100.00",
        "0.00",
    )
    assert quote.shipping is not None
    assert str(quote.shipping.total) == "10.00"
    assert str(quote.totals.grand_total) == "110.00"
    assert [(item.kind, str(item.amount)) for item in quote.discounts] == [("TAX_RELIEF", "20.90")]
    said = quote.relief_json()
    assert said is not None
    assert said["reference"] == GERMAN
    assert "Article 138" in said["message"]
    assert any("reverse charge, " + GERMAN in step.label for step in quote.steps)
    assert quote.id != price(basket(), Rules(tax_rules=(tax("0.19"),)), NOW).id


def test_goods_of_the_exempt_class_bear_no_tax_even_where_a_rate_is_for_all_classes() -> None:
    asked = basket()
    exempt = replace(asked, lines=[replace(asked.lines[0], tax_class="exempt")])

    quote = price(exempt, Rules(tax_rules=(tax("0.19", tax_class=""),)), NOW)

    assert str(quote.totals.grand_total) == "119.00"
    assert not quote.taxes


def test_a_quote_holds_until_its_relief_ends() -> None:
    relief = certificate(valid_to=date(2026, 12, 1))

    quote = price(basket(reliefs=(relief,)), Rules(tax_rules=(tax("0.19"),)), NOW)

    assert quote.valid_until == datetime(2026, 12, 1, tzinfo=UTC)


@given(
    amounts=st.lists(st.integers(0, 10**7), min_size=1, max_size=6),
    rate=st.decimals("0.001", "1", places=3),
    is_included=st.booleans(),
)
def test_every_cent_of_a_relieved_quote_is_on_one_line(
    amounts: list[int], rate: Decimal, is_included: bool
) -> None:
    rules = Rules(tax_rules=(tax(str(rate), is_included=is_included),))
    asked = basket(*(str(Decimal(amount) / 100) for amount in amounts))

    charged, quote = (
        price(each, rules, NOW) for each in (asked, replace(asked, reliefs=(reverse(),)))
    )

    assert quote.totals.grand_total == sum(line.total for line in quote.lines)
    assert quote.totals.discount_total == sum(line.discount for line in quote.lines)
    assert quote.totals.grand_total == charged.totals.grand_total - charged.totals.tax_total
    assert all(line.total >= 0 for line in quote.lines)


# --- numbers and certificates -----------------------------------------------------------------------


@pytest.fixture
def shop(company: Company) -> Company:
    """Return a company in Germany whose prices contain VAT, here and in France."""
    company.country = "DE"
    company.save(update_fields=["country"])
    factories.make_tax_rate("0.19", company=company, is_included=True)
    factories.make_tax_rate("0.20", company=company, country="FR", name="TVA", is_included=True)
    return company


@pytest.fixture
def customer(shop: Company) -> Actor:
    user = factories.make_user()
    return Actor(kind=ActorKind.USER, company_id=shop.id, user_id=user.id)


def total(actor: Actor, country: str, now: datetime) -> str:
    asked = replace(
        basket("120.00"), destination=Place(country), user_id=actor.user_id, currency="EUR"
    )
    return str(services.quote(actor=actor, basket=asked, now=now).totals.grand_total)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        (FRENCH, "FR", "100.00"),  # to another member state, number of another member state
        (GREEK, "FR", "100.00"),  # the number may be of a third one
        (FRENCH, "DE", "120.00"),  # never at home
        (GERMAN, "FR", "120.00"),  # nor with a number of the shop's own country
        (GERMAN, "DE", "120.00"),
        (FRENCH, "US", "120.00"),  # an export has no rate here: as shown
    ],
)
def test_reverse_charge_is_for_deliveries_between_two_countries(
    customer: Actor, now: datetime, number: str, country: str, expected: str
) -> None:
    services.enter_vat_number(actor=customer, number=number, now=now)

    assert total(customer, country, now) == expected


@pytest.mark.django_db
def test_a_shop_outside_the_eu_knows_no_reverse_charge(
    shop: Company, customer: Actor, now: datetime
) -> None:
    shop.country = "GB"
    shop.save(update_fields=["country"])
    services.enter_vat_number(actor=customer, number=FRENCH, now=now)

    assert total(customer, "FR", now) == "120.00"
    assert not selectors.takes_vat_numbers(company_id=shop.id)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "stored", "country"),
    [
        ("de 136 695 976", GERMAN, "DE"),
        ("DE-136.695.976", GERMAN, "DE"),
        ("GR094259216", GREEK, "GR"),
        ("el 094259216", GREEK, "GR"),
    ],
)
def test_a_number_is_stored_normalised(
    customer: Actor, now: datetime, typed: str, stored: str, country: str
) -> None:
    row = services.enter_vat_number(actor=customer, number=typed, now=now)

    assert (row.number, row.country, row.status) == (stored, country, "APPROVED")
    assert services.enter_vat_number(actor=customer, number=stored, now=now) == row
    assert AuditEntry.objects.filter(action="tax_exemption.entered").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "typed", ["", "DE136695977", "DE1", "136695976", "US123456789", "DE" * 30, "🐙", "DE١٣٦٦٩٥٩٧٦"]
)
def test_what_is_no_number_is_refused(customer: Actor, now: datetime, typed: str) -> None:
    with pytest.raises(ValidationFailed):
        services.enter_vat_number(actor=customer, number=typed, now=now)

    assert not TaxExemption.objects.exists()


@pytest.mark.django_db
def test_a_guest_has_no_number(shop: Company, now: datetime) -> None:
    guest = Actor(kind=ActorKind.GUEST, company_id=shop.id, session_hash=b"1" * 32)

    with pytest.raises(AuthRequired):
        services.enter_vat_number(actor=guest, number=FRENCH, now=now)

    assert not TaxExemption.objects.exists()


@pytest.mark.django_db
def test_a_number_waits_for_staff_where_the_shop_wants_that(
    customer: Actor, now: datetime, settings: Any
) -> None:
    settings.VAT_NUMBERS_NEED_APPROVAL = True
    row = services.enter_vat_number(actor=customer, number=FRENCH, now=now)
    assert total(customer, "FR", now) == "120.00"
    terms = terms_for(customer, kind="VAT_NUMBER", number=FRENCH, country="FR")

    services.change_exemption(actor=staff(customer), exemption_id=row.id, terms=terms, now=now)

    assert total(customer, "FR", now) == "100.00"


@pytest.mark.django_db
def test_a_rejected_number_is_refused_to_everybody_and_another_one_is_not(
    customer: Actor, now: datetime
) -> None:
    row = services.enter_vat_number(actor=customer, number=FRENCH, now=now)
    terms = terms_for(customer, kind="VAT_NUMBER", number=FRENCH, country="FR", status="REJECTED")
    services.change_exemption(actor=staff(customer), exemption_id=row.id, terms=terms, now=now)
    other = replace(customer, user_id=factories.make_user().id)

    for actor in (customer, other):
        with pytest.raises(ValidationFailed):
            services.enter_vat_number(actor=actor, number=FRENCH, now=now)
    assert total(customer, "FR", now) == "120.00"
    services.enter_vat_number(actor=customer, number=GREEK, now=now)
    services.remove_vat_number(actor=customer, now=now)

    assert [each.status for each in TaxExemption.objects.all()] == ["REJECTED"]


def staff(customer: Actor) -> Actor:
    return Actor(
        kind=ActorKind.STAFF, company_id=customer.company_id, user_id=factories.make_staff().id
    )


def terms_for(customer: Actor, **fields: Any) -> ExemptionTerms:
    return ExemptionTerms(
        **{
            "user_id": customer.user_id,
            "kind": "CERTIFICATE",
            "number": "C-1",
            "country": "FR",
            **fields,
        }
    )


@pytest.mark.django_db
def test_a_certificate_counts_once_it_is_approved_and_for_its_customer_only(
    customer: Actor, now: datetime
) -> None:
    by = staff(customer)
    row = services.grant_exemption(
        actor=by, terms=terms_for(customer, status="PENDING", country="fr"), now=now
    )
    assert total(customer, "FR", now) == "120.00"
    services.change_exemption(actor=by, exemption_id=row.id, terms=terms_for(customer), now=now)
    other = replace(customer, user_id=factories.make_user().id)

    assert total(customer, "FR", now) == "100.00"
    assert total(customer, "DE", now) == "120.00"
    assert total(other, "FR", now) == "120.00"
    services.remove_exemption(actor=by, exemption_id=row.id, now=now)
    assert total(customer, "FR", now) == "120.00"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"number": " "},
        {"country": "FRA"},
        {"kind": "GIFT"},
        {"status": "MAYBE"},
        {"valid_from": date(2026, 2, 1), "valid_to": date(2026, 2, 1)},
        {"kind": "VAT_NUMBER", "number": "FR1"},
        {"kind": "VAT_NUMBER", "number": FRENCH, "state": "BY"},
    ],
)
def test_terms_that_contradict_themselves_are_refused(
    customer: Actor, now: datetime, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationFailed):
        services.grant_exemption(
            actor=staff(customer), terms=terms_for(customer, **fields), now=now
        )

    assert not TaxExemption.objects.exists()


@pytest.mark.django_db
def test_the_same_certificate_is_entered_once_and_another_company_does_not_see_it(
    customer: Actor, now: datetime
) -> None:
    by = staff(customer)
    row = services.grant_exemption(actor=by, terms=terms_for(customer), now=now)
    foreign = replace(by, company_id=factories.make_company().id)

    with pytest.raises(ValidationFailed):
        services.grant_exemption(actor=by, terms=terms_for(customer), now=now)
    with pytest.raises(TaxExemptionNotFound):
        services.remove_exemption(actor=foreign, exemption_id=row.id, now=now)

    assert TaxExemption.objects.count() == 1


@pytest.mark.django_db
def test_only_customers_of_a_company_with_exemptions_cost_a_query_more(
    customer: Actor, now: datetime, django_assert_num_queries: Any
) -> None:
    home = selectors.home_currency(company_id=customer.company_id)
    asked = replace(
        basket("120.00"), currency=home, destination=Place("FR"), user_id=customer.user_id
    )
    services.quote(actor=customer, basket=asked, now=now)
    with django_assert_num_queries(1):
        services.quote(actor=customer, basket=asked, now=now)
    services.enter_vat_number(actor=customer, number=FRENCH, now=now)
    services.quote(actor=customer, basket=asked, now=now)

    with django_assert_num_queries(2):
        services.quote(actor=customer, basket=asked, now=now)
    with django_assert_num_queries(1):
        services.quote(actor=customer, basket=replace(asked, user_id=None), now=now)


# --- over HTTP ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_customer_enters_reads_and_removes_the_number(shop: Company) -> None:
    api = Api().as_user(factories.make_user())
    path = "/tax/vat-number"
    assert api.get(path).json() == {"vatNumber": None, "country": None, "status": None}

    entered = api.put(path, {"vatNumber": "fr 40 303 265 045"})

    assert entered.json() == {"vatNumber": FRENCH, "country": "FR", "status": "APPROVED"}
    assert api.get(path).json() == entered.json()
    assert api.put(path, {"vatNumber": "FR1"}).status_code == 400
    assert api.put(path, {"vatNumber": FRENCH, "status": "APPROVED"}).status_code == 400
    assert api.get(path).json() == entered.json()
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["vatNumber"] is None
    assert Api().get(path).status_code == 401
