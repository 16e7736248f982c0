"""Prices beside the base price: scheduled ones, quantity breaks, prices of groups, and the lowest of 30 days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction

from cart import selectors as cart_facts
from cart import services as cart
from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import OutboxEvent
from inventory.models import Company, Variant
from inventory.selectors import VariantRef
from pricing import selectors, services
from pricing.errors import CustomerGroupNotFound, SpecialPriceNotFound
from pricing.history import Change, Scheduled, lowest_before
from pricing.ladder import Ladder, Step
from pricing.models import CustomerGroup, Price, PriceChange, SpecialPrice
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def special(variant: Variant, actor: Actor, now: datetime, **fields: Any) -> SpecialPrice:
    return services.set_special_price(
        actor=actor,
        terms=services.SpecialTerms(
            **{"variant_id": variant.id, "currency": "USD", "amount": Decimal("8.00"), **fields}
        ),
        now=now,
    )


def shown(variant: Variant, actor: Actor) -> selectors.VariantView:
    view = selectors.product_detail(actor=actor, ref=str(variant.product_id), currency="USD")
    return view.variants[0]


def at(variant: Variant, now: datetime, quantity: int = 1, user_id: Any = None) -> Decimal:
    found = selectors.ladders(variant_ids=[variant.id], currency="USD", user_id=user_id, now=now)
    return found[variant.id].at(quantity)


def published() -> list[dict[str, Any]]:
    rows = OutboxEvent.objects.filter(name="pricing.price.updated").order_by("id")
    return [row.payload for row in rows]


# --- scheduled prices -----------------------------------------------------------------------------


def test_a_scheduled_price_holds_from_its_first_instant_to_before_its_last(
    variant: Variant, system: Actor, now: datetime
) -> None:
    begins, ends = now + DAY, now + 2 * DAY

    special(variant, system, now, starts_at=begins, ends_at=ends)

    instant = timedelta(microseconds=1)
    assert [
        str(at(variant, moment)) for moment in (begins - instant, begins, ends - instant, ends)
    ] == ["10.000", "8.000", "8.000", "10.000"]


def test_a_scheduled_price_may_be_nothing_or_more_than_the_base_price(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now, amount=Decimal(0), ends_at=now + DAY)
    special(variant, system, now, amount=Decimal(12), starts_at=now + DAY)

    assert at(variant, now) == 0
    assert at(variant, now + DAY) == 12


def test_pages_and_carts_show_it_as_a_reduction_of_the_base_price(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now, ends_at=now + DAY)

    view = shown(variant, system)
    listed = selectors.products_shown(actor=system, currency="USD", ids=[variant.product_id])

    assert (view.price, view.compare_at) == (8, 10)
    assert (listed[0].price_from, listed[0].compare_at) == (8, 10)


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ((1, 3), (3, 5), True),
        ((1, 3), (2, 5), False),
        ((1, None), (9, None), False),
        ((3, 5), (1, 3), True),
        ((1, 9), (2, 3), False),
        ((1, 3), (1, 3), False),
    ],
)
def test_periods_of_one_price_do_not_overlap(
    variant: Variant,
    system: Actor,
    now: datetime,
    first: tuple[int, int | None],
    second: tuple[int, int | None],
    fits: bool,
) -> None:
    def period(days: tuple[int, int | None]) -> dict[str, Any]:
        start, end = days
        return {
            "starts_at": now + start * DAY,
            "ends_at": None if end is None else now + end * DAY,
        }

    special(variant, system, now, **period(first))
    if fits:
        special(variant, system, now, **period(second))
        return
    with pytest.raises(ValidationFailed) as refused:
        special(variant, system, now, **period(second))

    assert refused.value.errors[0].code == "overlaps"
    assert SpecialPrice.objects.count() == 1
    assert PriceChange.objects.count() == 1


def test_the_database_itself_refuses_an_overlap(
    variant: Variant, system: Actor, now: datetime
) -> None:
    made = special(variant, system, now)

    with pytest.raises(IntegrityError, match="special_prices_do_not_overlap"), transaction.atomic():
        SpecialPrice.objects.create(
            variant=variant,
            currency="USD",
            amount=1,
            starts_at=made.starts_at + DAY,
            created_by="x",
            created_at=now,
        )


def test_prices_for_another_quantity_group_or_currency_may_lie_beside_it(
    variant: Variant, system: Actor, now: datetime
) -> None:
    factories.make_price(variant, "9.00", "EUR")
    group = services.create_group(actor=system, name="Trade", now=now)

    special(variant, system, now)
    special(variant, system, now, from_quantity=5)
    special(variant, system, now, currency="EUR")
    special(variant, system, now, group_id=group.id)
    special(variant, system, now, group_id=group.id, from_quantity=5)

    assert SpecialPrice.objects.count() == 5


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"compare_at": Decimal(-1)}, "compareAt"),
        ({"from_quantity": 0}, "fromQuantity"),
        ({"from_quantity": 10_000}, "fromQuantity"),
        ({"currency": "EUR"}, "currency"),
        ({"variant_id": uuid4()}, "variantId"),
        ({"starts_at": datetime(2020, 1, 1, tzinfo=UTC)}, "startsAt"),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "endsAt"),
    ],
)
def test_what_is_no_price_is_refused(
    variant: Variant, system: Actor, now: datetime, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        special(variant, system, now, **fields)

    assert refused.value.errors[0].field == field
    assert not SpecialPrice.objects.exists()


def test_variants_and_groups_of_another_company_are_unknown(
    variant: Variant, system: Actor, now: datetime
) -> None:
    other = Actor.system(factories.make_company().id, source="test")
    group = services.create_group(actor=other, name="Trade", now=now)
    made = special(variant, system, now)

    with pytest.raises(ValidationFailed):
        special(variant, other, now)
    with pytest.raises(CustomerGroupNotFound):
        special(variant, system, now, group_id=group.id)
    with pytest.raises(SpecialPriceNotFound):
        services.end_special_price(actor=other, special_id=made.id, now=now)


def test_what_has_begun_is_ended_and_stays_history_what_has_not_is_gone(
    variant: Variant, system: Actor, now: datetime
) -> None:
    begun = special(variant, system, now, ends_at=now + DAY)
    coming = special(variant, system, now, starts_at=now + DAY)

    services.end_special_price(
        actor=system, special_id=begun.id, reason="sold out", now=now + timedelta(hours=1)
    )
    services.end_special_price(actor=system, special_id=coming.id, now=now + timedelta(hours=1))

    [left] = SpecialPrice.objects.all()
    assert (left.id, left.ends_at) == (begun.id, now + timedelta(hours=1))
    last = PriceChange.objects.get(special_id=begun.id, new_amount=None)
    assert (last.old_amount, last.reason, last.actor) == (8, "sold out", "system")
    with pytest.raises(ValidationFailed):
        services.end_special_price(actor=system, special_id=begun.id, now=now + timedelta(hours=2))


def test_beginning_and_end_are_announced_once(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now, starts_at=now + DAY, ends_at=now + 2 * DAY)

    counts = [
        services.announce_prices(now=now + hours * timedelta(hours=1)) for hours in (1, 25, 26, 49)
    ]

    assert counts == [0, 1, 0, 1]
    assert [(event["old_amount"], event["new_amount"]) for event in published()] == [
        ("10.00", "8.00"),
        ("8.00", "10.00"),
    ]


def test_a_change_of_the_base_price_behind_a_scheduled_one_is_no_news(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now)
    before = len(published())

    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(9), now=now
    )

    assert len(published()) == before
    assert PriceChange.objects.filter(special_id=None).count() == 1


def test_search_finds_by_the_price_in_force_before_and_after_it_was_announced(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now, starts_at=now + DAY, ends_at=now + 2 * DAY)

    def found(moment: datetime) -> int:
        return selectors.search_catalogue(
            actor=system,
            currency="USD",
            search=selectors.Search(max_price=Decimal(9)),
            now=moment,
            size=10,
        ).total

    assert [found(now + hours * timedelta(hours=1)) for hours in (1, 25, 49)] == [0, 1, 0]
    services.announce_prices(now=now + timedelta(hours=25))
    assert [found(now + hours * timedelta(hours=1)) for hours in (26, 49)] == [1, 0]
    services.announce_prices(now=now + timedelta(hours=49))
    assert found(now + timedelta(hours=50)) == 0


def test_kept_answers_live_no_longer_than_the_price_they_tell(
    variant: Variant, system: Actor, now: datetime, api: Api, settings: Any, monkeypatch: Any
) -> None:
    settings.CATALOGUE_CACHE = timedelta(seconds=30)
    lifetimes: list[float] = []
    original = cache.set

    def noted(key: str, value: Any, timeout: Any = None, **more: Any) -> Any:
        if key.startswith("kept:"):
            lifetimes.append(timeout)
        return original(key, value, timeout=timeout, **more)

    monkeypatch.setattr("config.platform.kept.cache.set", noted)
    special(variant, system, now, starts_at=now + timedelta(seconds=10))

    api.get(f"/products/{variant.product_id}")

    assert len(lifetimes) == 1
    assert 0 < lifetimes[0] <= 10


# --- quantity breaks and groups ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], {1: 10, 5: 10}),
        ([(5, 8)], {1: 10, 4: 10, 5: 8, 99: 8}),
        ([(5, 8), (10, 6)], {4: 10, 5: 8, 9: 8, 10: 6}),
        ([(5, 8), (10, 9)], {5: 8, 10: 8}),  # a larger quantity never costs more
        ([(5, 12)], {5: 10}),  # nor more than the price of one
        ([(1, 7)], {1: 7, 5: 7}),
        ([(1, 7), (5, 8)], {1: 7, 5: 7}),
    ],
)
def test_the_lowest_price_that_applies_wins(
    steps: list[tuple[int, int]], expected: dict[int, int]
) -> None:
    ladder = Ladder(Decimal(10), tuple(Step(number, Decimal(a)) for number, a in steps))

    assert {quantity: ladder.at(quantity) for quantity in expected} == expected


def test_only_steps_that_save_something_are_shown() -> None:
    steps = [(1, 9), (3, 9), (5, 8), (5, 7), (8, 7), (10, 6)]
    ladder = Ladder(Decimal(10), tuple(Step(number, Decimal(a)) for number, a in steps))

    assert [(step.from_quantity, step.amount) for step in ladder.breaks] == [(5, 7), (10, 6)]
    assert [ladder.reason(q) for q in (1, 5)] == ["customer_group", "quantity_break"]


def test_members_of_a_group_have_its_price_and_others_have_not(
    variant: Variant, system: Actor, now: datetime
) -> None:
    member, stranger = factories.make_user(), factories.make_user()
    group = services.create_group(actor=system, name="Trade", now=now)
    services.change_group(actor=system, group_id=group.id, add=[member.id], now=now)
    special(variant, system, now, group_id=group.id, amount=Decimal(7))

    assert at(variant, now, user_id=member.id) == 7
    assert at(variant, now, user_id=stranger.id) == 10
    assert at(variant, now) == 10
    services.change_group(actor=system, group_id=group.id, remove=[member.id], now=now)
    assert at(variant, now, user_id=member.id) == 10


def test_of_several_groups_the_best_price_counts(
    variant: Variant, system: Actor, now: datetime
) -> None:
    member = factories.make_user()
    for name, amount in (("Trade", 9), ("Friends", 6), ("Staff", 8)):
        group = services.create_group(actor=system, name=name, now=now)
        services.change_group(actor=system, group_id=group.id, add=[member.id], now=now)
        special(variant, system, now, group_id=group.id, amount=Decimal(amount))

    assert at(variant, now, user_id=member.id) == 6


def test_a_group_is_refused_a_name_twice_an_unknown_member_and_its_end_while_it_has_prices(
    variant: Variant, system: Actor, now: datetime
) -> None:
    group = services.create_group(actor=system, name=" Trade  customers ", now=now)
    special(variant, system, now, group_id=group.id)

    assert group.name == "Trade customers"
    for refused in (
        lambda: services.create_group(actor=system, name="Trade customers", now=now),
        lambda: services.create_group(actor=system, name=" ", now=now),
        lambda: services.change_group(actor=system, group_id=group.id, add=[uuid4()], now=now),
        lambda: services.delete_group(actor=system, group_id=group.id, now=now),
    ):
        with pytest.raises(ValidationFailed):
            refused()
    assert CustomerGroup.objects.count() == 1
    assert group.members.count() == 0


def test_units_of_all_lines_count_together_for_a_quantity_break(
    variant: Variant, system: Actor, actor_user: Actor, now: datetime
) -> None:
    special(variant, system, now, from_quantity=5)
    cart.add_line(actor=actor_user, variant_id=variant.id, quantity=3, now=now)
    engraved = cart.add_line(
        actor=actor_user, variant_id=variant.id, quantity=2, customization={"text": "A"}, now=now
    )

    assert [str(line.unit_price) for line in engraved.items] == ["8.000", "8.000"]
    assert str(engraved.totals.subtotal) == "40.00"
    assert not [warning for warning in engraved.warnings if warning.code == "PRICE_CHANGED"]

    fewer = cart.change_line(actor=actor_user, line_id=engraved.items[1].id, quantity=1, now=now)

    assert str(fewer.totals.subtotal) == "40.00"
    assert [str(line.unit_price) for line in fewer.items] == ["10.000", "10.000"]


def test_a_sale_that_ends_keeps_its_promise_while_the_hold_lives(
    variant: Variant, system: Actor, actor_user: Actor, now: datetime
) -> None:
    special(variant, system, now, ends_at=now + timedelta(minutes=2))
    cart.add_line(actor=actor_user, variant_id=variant.id, quantity=1, now=now)

    held = cart_facts.view(actor=actor_user, now=now + timedelta(minutes=3))
    later = cart_facts.view(actor=actor_user, now=now + timedelta(hours=1))

    assert held.items[0].unit_price == 8
    assert later.items[0].unit_price == 10
    assert [warning.code for warning in later.warnings if warning.code == "PRICE_CHANGED"]


def test_a_member_is_charged_the_price_of_the_group(
    variant: Variant, system: Actor, actor_user: Actor, now: datetime
) -> None:
    group = services.create_group(actor=system, name="Trade", now=now)
    special(variant, system, now, group_id=group.id, amount=Decimal(7))
    assert actor_user.user_id is not None
    services.change_group(actor=system, group_id=group.id, add=[actor_user.user_id], now=now)

    view = cart.add_line(actor=actor_user, variant_id=variant.id, quantity=2, now=now)

    assert str(view.totals.subtotal) == "14.00"
    assert [str(line.list_price) for line in view.quote.lines] == ["10.00"]


# --- the lowest price of 30 days ----------------------------------------------------------------------

T = datetime(2026, 6, 30, tzinfo=UTC)


def change(days_ago: float, old: int | None, new: int) -> Change:
    return Change(T - days_ago * DAY, None if old is None else Decimal(old), Decimal(new))


def sale(days_ago: float, days: float | None, amount: int) -> Scheduled:
    start = T - days_ago * DAY
    return Scheduled(start, None if days is None else start + days * DAY, Decimal(amount))


@pytest.mark.parametrize(
    ("changes", "scheduled", "lowest"),
    [
        ([], [], None),
        ([change(50, None, 100)], [], None),  # it never had another price
        ([change(50, None, 100), change(2, 100, 80)], [], 100),
        ([change(2, 100, 80)], [], 100),  # the history knows the price it ended
        # raised just before the reduction: the lower one of the 30 days before counts
        ([change(90, None, 90), change(10, 90, 120), change(1, 120, 80)], [], 90),
        # lower once, but longer ago than 30 days before the reduction
        ([change(90, None, 60), change(40, 60, 100), change(1, 100, 80)], [], 100),
        # the 30 days are those before the reduction, not before today
        ([change(90, None, 60), change(60, 60, 100), change(35, 100, 80)], [], 60),
        # less than 30 days on the market
        ([change(5, None, 100), change(1, 100, 80)], [], 100),
        # in steps: each step is a reduction of its own
        ([change(50, None, 100), change(4, 100, 80), change(2, 80, 70)], [], 80),
        # exactly 30 days ago it ended to cost 60: those days are not among the 30
        ([change(90, None, 60), change(31, 60, 100), change(1, 100, 80)], [], 100),
        ([change(90, None, 60), change(30.5, 60, 100), change(1, 100, 80)], [], 60),
        # a scheduled reduction
        ([change(50, None, 100)], [sale(3, 9, 80)], 100),
        ([change(50, None, 100)], [sale(20, 5, 70), sale(3, 9, 80)], 70),
        ([change(50, None, 100)], [sale(60, 5, 70), sale(3, 9, 80)], 100),
        # over: the base price is back, and the last reduction is among the prices before it
        ([change(50, None, 100)], [sale(10, 5, 80)], 80),
        # what comes is no history
        ([change(50, None, 100)], [sale(-3, 9, 80)], None),
        # a base price that changed behind a scheduled one was never applied
        ([change(50, None, 100), change(2, 100, 50)], [sale(3, None, 80)], 100),
        # the same price again is no change
        ([change(50, None, 100), change(9, 100, 80)], [sale(3, None, 80)], 100),
    ],
)
def test_the_prior_price_is_the_lowest_of_the_30_days_before_the_reduction(
    changes: list[Change], scheduled: list[Scheduled], lowest: int | None
) -> None:
    assert lowest_before(changes, scheduled, now=T) == lowest


def test_the_lowest_price_is_told_for_many_variants_at_once_groups_left_out(
    system: Actor, now: datetime, company: Company, django_assert_num_queries: Any
) -> None:
    variants = [factories.make_priced_variant("10.00", available=1) for _ in range(3)]
    for variant in variants:
        services.set_price(
            actor=system, variant_id=variant.id, currency="USD", amount=Decimal(12),
            now=now - 5 * DAY,
        )  # fmt: skip
        special(variant, system, now - 2 * DAY, amount=Decimal(9))
        special(variant, system, now - 4 * DAY, amount=Decimal(1), from_quantity=5)

    with django_assert_num_queries(3):
        found = selectors.lowest_prices(
            variant_ids=[variant.id for variant in variants], currency="USD", now=now
        )

    assert found == {variant.id: Decimal(10) for variant in variants}


def test_a_price_without_a_history_was_always_there(
    variant: Variant, system: Actor, now: datetime
) -> None:
    special(variant, system, now)
    Price.objects.filter(variant=variant).update(amount=11)

    assert selectors.lowest_prices(variant_ids=[variant.id], currency="USD", now=now + DAY) == {
        variant.id: 11
    }


# --- API, pages, admin --------------------------------------------------------------------------------


def test_the_pricing_of_a_product_tells_breaks_own_price_and_lowest_price(
    variant: Variant, system: Actor, user: Any, user_api: Api, api: Api, now: datetime
) -> None:
    group = services.create_group(actor=system, name="Trade", now=now)
    services.change_group(actor=system, group_id=group.id, add=[user.id], now=now)
    special(variant, system, now - DAY, amount=Decimal("9.50"))
    special(variant, system, now - DAY, amount=Decimal(9), group_id=group.id)
    special(variant, system, now - DAY, amount=Decimal(8), from_quantity=5)
    path = f"/products/{variant.product_id}/pricing"

    [anybody], [member] = (client.get(path).json()["variants"] for client in (api, user_api))

    assert anybody == {
        "variantId": str(variant.id),
        "sku": variant.sku,
        "price": "9.50",
        "compareAtPrice": "10.00",
        "lowestPrice30Days": "10.00",
        "priceEndsAt": None,
        "yourPrice": "9.50",
        "quantityBreaks": [{"fromQuantity": 5, "price": "8.00"}],
    }
    assert member == anybody | {"yourPrice": "9.00"}
    assert "no-store" in user_api.get(path)["Cache-Control"]


def test_staff_set_and_end_special_prices(variant: Variant, staff_api: Api, now: datetime) -> None:
    sent = {
        "variantId": str(variant.id),
        "price": "8.00",
        "endsAt": (now + DAY).isoformat(),
        "reason": "summer",
    }

    made = staff_api.post("/special-prices", sent)
    again = staff_api.post("/special-prices", sent)
    listed = staff_api.get("/special-prices").json()["results"]
    ended = staff_api.delete(f"/special-prices/{made.json()['id']}")

    assert made.status_code == 201
    assert (made.json()["price"], made.json()["currency"]) == ("8.00", "USD")
    assert (again.status_code, again.json()["errors"][0]["code"]) == (400, "overlaps")
    assert [row["id"] for row in listed] == [made.json()["id"]]
    assert ended.status_code == 204
    assert at(variant, now + timedelta(hours=1)) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "-1"},
        {"price": "NaN"},
        {"price": "8.005"},
        {"compareAtPrice": "9.999"},
        {"price": None},
        {"fromQuantity": 0},
        {"fromQuantity": "many"},
        {"startsAt": "soon"},
        {"endsAt": "2001-01-01T00:00:00Z"},
        {"currency": "XXX"},
        {"groupId": "nobody"},
        {"discount": 5},
        {"reason": "x" * 201},
    ],
)
def test_the_api_refuses_what_is_no_special_price(
    variant: Variant, staff_api: Api, wrong: dict[str, Any]
) -> None:
    answer = staff_api.post(
        "/special-prices", {"variantId": str(variant.id), "price": "8.00"} | wrong
    )

    assert answer.status_code == 400
    assert not SpecialPrice.objects.exists()


def test_staff_keep_groups(staff_api: Api, user: Any) -> None:
    made = staff_api.post("/customer-groups", {"name": "Trade"}).json()
    path = f"/customer-groups/{made['id']}"

    joined = staff_api.patch(path, {"name": "Wholesale", "add": [str(user.id)]})
    left = staff_api.patch(path, {"remove": [str(user.id)]})

    assert made | {"id": ""} == {"id": "", "name": "Trade", "members": 0}
    assert (joined.json()["name"], joined.json()["members"]) == ("Wholesale", 1)
    assert left.json()["members"] == 0
    assert staff_api.get("/customer-groups").json()["results"][0]["name"] == "Wholesale"
    assert staff_api.delete(path).status_code == 204
    assert not CustomerGroup.objects.exists()


def test_the_page_tells_the_breaks_the_own_price_and_the_lowest_price(
    variant: Variant, system: Actor, user: Any, client: Any, now: datetime
) -> None:
    group = services.create_group(actor=system, name="Trade", now=now)
    services.change_group(actor=system, group_id=group.id, add=[user.id], now=now)
    special(variant, system, now - DAY, amount=Decimal("9.50"))
    special(variant, system, now - DAY, amount=Decimal(9), group_id=group.id)
    special(variant, system, now - DAY, amount=Decimal(8), from_quantity=5)
    path = f"/products/{variant.product.slug}/"

    def words() -> str:
        return re.sub(r"<[^>]+>", "", client.get(path).content.decode())

    visitor = words()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    member = words()

    assert "Lowest price of the last 30 days: $10.00" in visitor
    assert "From 5: $8.00 each" in visitor
    assert "Your price" not in visitor
    assert "Your price: $9.00" in member


def test_staff_set_and_end_a_price_in_the_back_office(
    variant: Variant, client: Any, now: datetime
) -> None:
    staff = factories.make_staff(is_superuser=True)
    client.force_login(staff, backend="allauth.account.auth_backends.AuthenticationBackend")
    base = "/admin/pricing/specialprice/"
    form = {
        "variant": str(variant.id), "currency": "USD", "amount": "8.00", "compare_at": "", "from_quantity": "1",
        "group": "", "starts_at_0": "", "starts_at_1": "", "ends_at_0": "", "ends_at_1": "", "reason": "sale",
    }  # fmt: skip

    made = client.post(f"{base}add/", form)
    twice = client.post(f"{base}add/", form)
    [price] = SpecialPrice.objects.all()
    ended = client.post(base, {"action": "end_now", "_selected_action": [str(price.id)]})

    assert made.status_code == 302, made.content.decode()[:3000]
    assert "another price in this period" in twice.content.decode()
    assert ended.status_code == 302
    price.refresh_from_db()
    assert price.ends_at is not None
    assert price.over_at is not None


def test_staff_keep_a_group_in_the_back_office(user: Any, client: Any, company: Company) -> None:
    staff = factories.make_staff(is_superuser=True)
    client.force_login(staff, backend="allauth.account.auth_backends.AuthenticationBackend")

    made = client.post(
        "/admin/pricing/customergroup/add/", {"name": "Trade", "members": [str(user.id)]}
    )
    [group] = CustomerGroup.objects.all()
    changed = client.post(
        f"/admin/pricing/customergroup/{group.id}/change/", {"name": "Wholesale", "members": []}
    )

    assert (made.status_code, changed.status_code) == (302, 302)
    group.refresh_from_db()
    assert group.name == "Wholesale"
    assert not group.members.exists()


def test_the_explanation_tells_why_a_unit_costs_less(
    variant: Variant, system: Actor, actor_user: Actor, now: datetime
) -> None:
    group = services.create_group(actor=system, name="Trade", now=now)
    assert actor_user.user_id is not None
    services.change_group(actor=system, group_id=group.id, add=[actor_user.user_id], now=now)
    other = factories.make_priced_variant("20.00", available=5)
    special(variant, system, now, from_quantity=3)
    special(other, system, now, group_id=group.id, amount=Decimal(15))
    cart.add_line(actor=actor_user, variant_id=variant.id, quantity=3, now=now)
    view = cart.add_line(actor=actor_user, variant_id=other.id, quantity=1, now=now)

    steps = [(step.kind, str(step.amount)) for step in view.quote.steps]

    assert steps == [
        ("list_price", "30.00"),
        ("quantity_break", "-6.00"),
        ("list_price", "20.00"),
        ("list_price", "-5.00"),
    ]
    assert type(view.quote).from_json(view.quote.to_json()) == view.quote
    direct = selectors.basket_of(
        actor=actor_user,
        wanted=[
            selectors.Wanted(ref=VariantRef(variant_id=variant.id), quantity=units)
            for units in (1, 2)
        ],
        currency="USD",
    )
    assert [line.price_kind for line in direct.lines] == ["quantity_break"] * 2
