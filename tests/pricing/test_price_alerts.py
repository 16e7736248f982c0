"""Price alerts: told once each time a price falls to a target, by whom asked for it, and by nobody else."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from config.platform.actor import Actor
from config.platform.errors import ValidationFailed
from config.platform.models import OutboxEvent, User
from inventory.models import Company, Product, Variant
from inventory.selectors import VariantRef
from notifications.models import Notification, Preference
from pricing import services
from pricing.errors import PriceAlertLinkInvalid, TooManyPriceAlerts
from pricing.models import PriceAlert
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

PATH = "/products/pricing/alerts"


@pytest.fixture
def variant(company: Company) -> Variant:
    return factories.make_priced_variant("10.00", available=50)


def subscribe(variant: Variant, actor: Actor, target: str, now: Any) -> PriceAlert:
    [alert] = services.subscribe_to_prices(
        actor=actor,
        wanted=[services.AlertTerms(ref=VariantRef(variant_id=variant.id), target=Decimal(target))],
        currency="USD",
        now=now,
    )
    return alert


@pytest.fixture
def costs(variant: Variant, system: Actor, deliver: Any, now: Any) -> Any:
    """Return a function that sets the price and lets everybody hear of it."""

    def change(amount: str, then: Any = None) -> None:
        services.set_price(
            actor=system,
            variant_id=variant.id,
            currency="USD",
            amount=Decimal(amount),
            now=then or now,
        )
        while deliver():
            pass

    return change


def bell(user: User) -> list[str]:
    found = Notification.objects.filter(user_id=user.id, channel="pricing.alert_reached")
    return list(found.order_by("id").values_list("subject", flat=True))


def mails(channel: str = "price-alert") -> list[Notification]:
    return list(Notification.objects.filter(channel=channel).order_by("id"))


# --- when somebody is told --------------------------------------------------------------------------


def test_a_customer_is_told_once_for_each_fall_to_the_target(
    variant: Variant, user: User, actor_user: Actor, costs: Any, now: Any
) -> None:
    subscribe(variant, actor_user, "8.00", now)

    told = []
    for amount in ("9.00", "8.00", "7.00", "8.00", "8.01", "8.00"):
        costs(amount)
        told.append(len(bell(user)))

    assert told == [0, 1, 1, 1, 1, 2]
    assert len(mails()) == 2
    assert mails()[0].recipient == user.email
    assert "$8.00" in mails()[0].subject


def test_hearing_of_a_change_twice_or_late_tells_nobody_twice(
    variant: Variant, user: User, actor_user: Actor, system: Actor, costs: Any, now: Any
) -> None:
    subscribe(variant, actor_user, "8.00", now)
    costs("7.00")

    again = services.tell_price_alerts(actor=system, variant_id=variant.id, currency="USD", now=now)

    assert again == 0
    assert len(bell(user)) == 1


def test_a_price_that_is_there_already_is_no_news(
    variant: Variant, user: User, actor_user: Actor, costs: Any, now: Any
) -> None:
    alert = subscribe(variant, actor_user, "12.00", now)

    costs("9.00")
    assert (alert.is_armed, bell(user)) == (False, [])
    costs("13.00")
    costs("11.00")

    assert len(bell(user)) == 1


def test_a_scheduled_price_that_begins_is_a_fall(
    variant: Variant, user: User, actor_user: Actor, system: Actor, deliver: Any, now: Any
) -> None:
    subscribe(variant, actor_user, "8.00", now)
    factories.make_special_price(
        variant, "7.50", starts_at=now - timedelta(seconds=1), begun_at=None
    )

    services.announce_prices(now=now)
    while deliver():
        pass

    assert len(bell(user)) == 1


def test_prices_of_a_group_or_from_a_quantity_on_are_no_fall(
    variant: Variant, user: User, actor_user: Actor, system: Actor, deliver: Any, now: Any
) -> None:
    subscribe(variant, actor_user, "8.00", now)
    services.set_special_price(
        actor=system,
        terms=services.SpecialTerms(
            variant_id=variant.id, currency="USD", amount=Decimal(5), from_quantity=5
        ),
        now=now,
    )
    while deliver():
        pass

    assert bell(user) == []


def test_who_ended_it_or_refused_such_mail_is_not_written_to(
    variant: Variant, user: User, actor_user: Actor, costs: Any, now: Any, company: Company
) -> None:
    other = factories.make_user()
    alert = subscribe(variant, actor_user, "8.00", now)
    theirs = Actor(kind=actor_user.kind, company_id=company.id, user_id=other.id)
    subscribe(variant, theirs, "8.00", now)
    Preference.objects.create(
        user_id=other.id,
        category=Preference.Category.STOCK,
        type=Notification.Type.EMAIL,
        is_enabled=False,
    )
    services.end_price_alert(actor=actor_user, alert_id=alert.id, now=now)

    costs("7.00")

    assert bell(user) == []
    assert [mail.status for mail in mails()] == [Notification.Status.SUPPRESSED]


def test_what_is_not_sold_tells_nobody(
    variant: Variant, user: User, actor_user: Actor, costs: Any, now: Any
) -> None:
    alert = subscribe(variant, actor_user, "8.00", now)
    Product.objects.update(status=Product.Status.DRAFT)

    costs("7.00")

    alert.refresh_from_db()
    assert (alert.is_armed, bell(user)) == (True, [])


# --- asking for it ----------------------------------------------------------------------------------


def test_asking_again_changes_the_target_and_makes_no_second_one(
    variant: Variant, actor_user: Actor, now: Any
) -> None:
    first = subscribe(variant, actor_user, "8.00", now)
    second = subscribe(variant, actor_user, "7.00", now)

    assert (first.id, PriceAlert.objects.count()) == (second.id, 1)
    assert PriceAlert.objects.get().target == 7


def test_of_lines_one_of_which_is_wrong_none_is_written(
    variant: Variant, actor_user: Actor, now: Any
) -> None:
    stranger = factories.make_priced_variant("5.00", company=factories.make_company())
    terms = [
        services.AlertTerms(ref=VariantRef(variant_id=id), target=Decimal(target))
        for id, target in (
            (variant.id, "8.00"), (stranger.id, "1.00"), (uuid4(), "1.00"), (variant.id, "0"), (variant.id, "0.001"),
        )
    ]  # fmt: skip

    with pytest.raises(ValidationFailed) as refused:
        services.subscribe_to_prices(actor=actor_user, wanted=terms, currency="USD", now=now)

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("items.1", "PRODUCT_NOT_FOUND"),
        ("items.2", "PRODUCT_NOT_FOUND"),
        ("items.3.targetPrice", "invalid"),
        ("items.4.targetPrice", "invalid"),
    ]
    assert not PriceAlert.objects.exists()


def test_nobody_has_more_than_fifty(variant: Variant, actor_user: Actor, now: Any) -> None:
    PriceAlert.objects.bulk_create(
        PriceAlert(
            company_id=actor_user.company_id,
            variant=factories.make_variant(product=variant.product, available=None),
            user_id=actor_user.user_id,
            currency="USD",
            target=1,
            created_at=now,
        )
        for _ in range(50)
    )

    with pytest.raises(TooManyPriceAlerts):
        subscribe(variant, actor_user, "8.00", now)

    assert PriceAlert.objects.count() == 50


@pytest.mark.parametrize(
    "fields", [{"target": 0}, {"target": -1}, {"user_id": None}, {"email": "a@example.com"}]
)
def test_the_database_itself_refuses_what_is_no_alert(
    variant: Variant, actor_user: Actor, now: Any, fields: dict[str, Any]
) -> None:
    values = {"user_id": actor_user.user_id, "target": 5, **fields}

    with pytest.raises(IntegrityError), transaction.atomic():
        PriceAlert.objects.create(
            company=variant.company, variant=variant, currency="USD", created_at=now, **values
        )


# --- over HTTP --------------------------------------------------------------------------------------


def test_a_customer_sets_lists_and_ends_an_alert(variant: Variant, user_api: Api) -> None:
    made = user_api.post(PATH, {"items": [{"sku": variant.sku, "targetPrice": "8.00"}]})
    listed = user_api.get(PATH).json()["results"]
    [alert] = made.json()["alerts"]

    assert (made.status_code, made.json()["status"]) == (201, "SUBSCRIBED")
    assert listed == [alert]
    assert (alert["targetPrice"], alert["currentPrice"], alert["reached"]) == (
        "8.00",
        "10.00",
        False,
    )
    assert user_api.delete(f"{PATH}/{alert['id']}").status_code == 204
    assert user_api.delete(f"{PATH}/{alert['id']}").status_code == 204
    assert user_api.get(PATH).json()["results"] == []


def test_one_line_may_be_the_body_itself(variant: Variant, user_api: Api) -> None:
    made = user_api.post(PATH, {"productId": str(variant.product_id), "targetPrice": "8.00"})

    assert made.status_code == 201
    assert PriceAlert.objects.get().variant_id == variant.id


def test_an_alert_of_somebody_else_is_not_found(
    variant: Variant, user_api: Api, staff_api: Api, api: Api, actor_user: Actor, now: Any
) -> None:
    alert = subscribe(variant, actor_user, "8.00", now)
    stranger = Api().as_user(factories.make_user())

    assert stranger.delete(f"{PATH}/{alert.id}").json()["code"] == "NOT_FOUND"
    assert stranger.delete(f"{PATH}/nonsense").status_code == 404
    assert api.delete(f"{PATH}/{alert.id}").status_code == 401
    assert stranger.get(PATH).json()["results"] == []
    assert api.get(PATH).status_code == 401
    alert.refresh_from_db()
    assert alert.closed_at is None


def test_without_a_target_the_changes_since_added_are_told(
    variant: Variant, api: Api, system: Actor, now: Any
) -> None:
    other = factories.make_priced_variant("4.00")
    guest = api.as_guest(api.post("/public/cart", {}).json()["sessionToken"])
    for each in (variant, other):
        guest.post("/cart/items", {"sku": each.sku})
    services.set_price(
        actor=system, variant_id=variant.id, currency="USD", amount=Decimal(9), now=now
    )

    whole = guest.post(PATH, {})
    one = guest.post(PATH, {"items": [{"productId": str(variant.product_id)}]})
    none = guest.post(PATH, {"items": [{"sku": other.sku}]})
    known = Api().post(PATH, {"items": [{"sku": variant.sku, "price": "9.50"}]})

    assert (whole.status_code, whole.json()["status"]) == (200, "LOOKED")
    for answer in (whole, one):
        [change] = answer.json()["changes"]
        assert (change["sku"], change["price"], change["currentPrice"]) == (
            variant.sku, "10.00", "9.00",
        )  # fmt: skip
    assert none.json()["changes"] == []
    assert [row["difference"] for row in known.json()["changes"]] == ["-0.50"]
    assert not PriceAlert.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [{"targetPrice": "1.00"}]}, "items.0.sku"),
        ({"targetPrice": "1.00"}, "sku"),
        ({"items": [{"sku": "A", "targetPrice": "-1"}]}, "items.0.targetPrice"),
        ({"items": [{"sku": "A", "targetPrice": "1e5"}]}, "items.0.targetPrice"),
        ({"items": [{"sku": "A", "targetPrice": True}]}, "items.0.targetPrice"),
        ({"items": [{"sku": "A", "targetPrice": "1.00"}]}, "items.0"),
        ({"items": [{"sku": "A"}] * 101}, "items"),
        ({"items": [{"sku": "A"}], "sku": "A"}, "items"),
        ({"sku": "A", "colour": "red"}, "colour"),
    ],
)
def test_what_is_no_alert_is_refused_by_its_field(
    user_api: Api, variant: Variant, body: dict[str, Any], field: str
) -> None:
    answer = user_api.post(PATH, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not PriceAlert.objects.exists()


# --- guests -----------------------------------------------------------------------------------------


def test_a_guest_is_told_after_the_address_was_confirmed_and_until_the_link_ends_it(
    variant: Variant, deliver: Any, costs: Any, client: Client
) -> None:
    body = {"items": [{"sku": variant.sku, "targetPrice": "8.00"}], "email": "Ann@Example.com"}

    asked = Api().post(PATH, body)
    while deliver():
        pass
    assert (asked.status_code, asked.json()["status"]) == (202, "CONFIRMATION_SENT")
    assert not PriceAlert.objects.exists()
    [mail] = mails("price-alert-confirm")
    [link] = re.findall(r"/price-alerts/confirm/[^\s]+/", mail.body_text)
    assert client.get(link).status_code == 200
    assert not PriceAlert.objects.exists()  # looking at the link does nothing
    for _ in range(2):
        assert client.post(link).status_code == 200
    assert PriceAlert.objects.get().email == "ann@example.com"

    costs("7.00")
    [told] = mails()
    [stop] = re.findall(r"/price-alerts/(?!confirm)[^\s]+/", told.body_text)
    assert client.get(stop).status_code == 200
    assert PriceAlert.objects.filter(closed_at=None).exists()
    assert client.post(stop).status_code == 200
    assert not PriceAlert.objects.filter(closed_at=None).exists()
    costs("11.00")
    costs("7.00")
    assert len(mails()) == 1


def test_the_api_confirms_too_and_a_wrong_token_confirms_nothing(
    variant: Variant, company: Company, api: Api
) -> None:
    token = services.alert_confirmation(
        company_id=company.id,
        variant_id=variant.id,
        email="ann@example.com",
        currency="USD",
        target="8.00",
    )
    other = Api(**{"X-Company-Id": str(factories.make_company().id)})

    for client, sent in ((api, token[:-2]), (api, "x"), (other, token)):
        answer = client.post(f"{PATH}/confirm", {"token": sent})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert not PriceAlert.objects.exists()
    assert api.post(f"{PATH}/confirm", {"token": token}).json()["targetPrice"] == "8.00"


@pytest.mark.parametrize("email", [None, "", "nobody", "a@b", "x" * 250 + "@example.com"])
def test_a_guest_without_a_real_address_is_refused(
    variant: Variant, api: Api, email: str | None
) -> None:
    body: dict[str, Any] = {"items": [{"sku": variant.sku, "targetPrice": "8.00"}]}

    answer = api.post(PATH, body | ({"email": email} if email is not None else {}))

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert not OutboxEvent.objects.exists()


def test_a_token_of_another_kind_ends_nothing(
    variant: Variant, actor_user: Actor, now: Any
) -> None:
    subscribe(variant, actor_user, "8.00", now)

    with pytest.raises(PriceAlertLinkInvalid):
        services.end_price_alert_by_link(actor=actor_user, token="nonsense", now=now)

    assert PriceAlert.objects.filter(closed_at=None).count() == 1


# --- pages ------------------------------------------------------------------------------------------


def test_the_page_of_a_product_takes_an_alert_without_scripts(
    variant: Variant, client: Client, user: User
) -> None:
    client.force_login(user)
    slug = variant.product.slug
    page = client.get(f"/products/{slug}/").content.decode()
    form = {"product": str(variant.product_id), "slug": slug, "target": "8,50"}

    answer = client.post("/price-alerts/", form)
    wrong = client.post("/price-alerts/", {**form, "target": "cheap"}, follow=True)

    assert 'name="target"' in page
    assert (answer.status_code, answer["Location"]) == (302, f"/products/{slug}/")
    assert PriceAlert.objects.get().target == Decimal("8.50")
    assert b"such as 49.90" in wrong.content
    mine = client.get("/account/price-alerts/").content
    assert b"$8.50" in mine
    assert b"$10.00" in mine
    assert (
        client.post(
            "/account/price-alerts/", {"alert": str(PriceAlert.objects.get().id)}
        ).status_code
        == 302
    )
    assert not PriceAlert.objects.filter(closed_at=None).exists()
