"""The admin of the platform: who gets in, what may only be read, what actions do."""

from __future__ import annotations

import pytest
from django.urls import reverse

from config.platform import audit, flags
from config.platform.models import AuditEntry, FeatureFlag, JobRun, LoginSession, OutboxEvent, User
from tests.factories import PASSWORD, make_staff, make_user
from tests.platform.plants import _event

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.platform.probe")]
TABLES = ["auditentry", "outboxevent", "jobrun", "loginsession"]


@pytest.fixture
def superuser(company):
    return make_staff(is_superuser=True)


@pytest.fixture
def backoffice(client, superuser):
    client.force_login(superuser)
    return client


def url(name, *args):
    return reverse(f"admin:platform_{name}", args=args)


def run_action(client, table, action, *rows):
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(url(f"{table}_changelist"), data, follow=True)


def test_it_lets_staff_in_by_e_mail_and_nobody_else(client, superuser):
    login = reverse("admin:login")
    customer = make_user()

    refused = client.post(login, {"username": customer.email, "password": PASSWORD})
    assert refused.status_code == 200
    assert client.get(reverse("admin:index")).status_code == 302
    assert (
        client.post(login, {"username": superuser.email, "password": PASSWORD}).status_code == 302
    )
    assert client.get(reverse("admin:index")).status_code == 200


def test_it_shows_every_list_and_every_row(backoffice, staff, superuser, now):
    from config.platform import tokens

    rows = {
        "auditentry": audit.record(
            actor=staff, action="probe.changed", now=now, after={"a": "<b>"}
        ),
        "outboxevent": _event(payload={"note": "<script>alert(1)</script>"}),
        "jobrun": JobRun.objects.create(
            name="p", state="done", started_at=now, lease_until=now, ended_at=now
        ),
        "loginsession": tokens.issue(user=superuser, now=now) and LoginSession.objects.get(),
        "user": superuser,
        "featureflag": flags.switch(actor=staff, name="CART_SYNC_ENABLED", enabled=False, now=now),
    }
    for table, row in rows.items():
        assert backoffice.get(url(f"{table}_changelist")).status_code == 200, table
        page = backoffice.get(url(f"{table}_change", row.pk))
        assert page.status_code == 200, table
        assert b"<script>alert(1)" not in page.content
        assert backoffice.get(url(f"{table}_changelist") + "?q=a%27b").status_code == 200, table


@pytest.mark.parametrize("table", TABLES)
def test_it_lets_nobody_write_histories_by_hand(backoffice, table):
    assert backoffice.get(url(f"{table}_add")).status_code == 403
    event = _event()
    assert (
        backoffice.post(url("outboxevent_change", event.pk), {"name": "other"}).status_code == 403
    )
    assert backoffice.post(url("outboxevent_delete", event.pk), {"post": "yes"}).status_code == 403
    assert OutboxEvent.objects.get().name == "probe.rang"


def test_it_sends_events_again_and_says_who_did(backoffice, superuser):
    event = _event(attempts=12, error="x")

    page = run_action(backoffice, "outboxevent", "send_again", event)

    assert "1 event is sent again." in page.content.decode()
    event.refresh_from_db()
    assert (event.published_at, event.attempts) == (None, 0)
    assert AuditEntry.objects.get().actor == f"staff:{superuser.pk}"


def test_it_needs_the_right_to_send_again(client, company):
    from django.contrib.auth.models import Permission

    viewer = make_staff(is_superuser=False)
    viewer.user_permissions.add(Permission.objects.get(codename="view_outboxevent"))
    client.force_login(viewer)
    event = _event()

    run_action(client, "outboxevent", "send_again", event)

    event.refresh_from_db()
    assert event.published_at is not None


def test_it_switches_features_with_an_audit_entry(backoffice):
    response = backoffice.post(url("featureflag_add"), {"name": "CART_SYNC_ENABLED", "enabled": ""})
    assert response.status_code == 302
    flag = FeatureFlag.objects.get()
    assert (flag.name, flag.enabled) == ("CART_SYNC_ENABLED", False)

    backoffice.post(url("featureflag_change", flag.pk), {"name": "x", "enabled": "on"})
    assert FeatureFlag.objects.get().enabled is True
    backoffice.post(url("featureflag_delete", flag.pk), {"post": "yes"})

    assert FeatureFlag.objects.count() == 0
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "feature.switched", "feature.switched", "feature.restored",
    ]  # fmt: skip


def test_it_creates_users_by_e_mail_and_audits_rights(backoffice):
    data = {"email": "new@example.com", "name": "N", "password1": PASSWORD, "password2": PASSWORD,
            "usable_password": "true"}  # fmt: skip
    response = backoffice.post(url("user_add"), data)

    assert response.status_code == 302, response.context["adminform"].form.errors
    user = User.objects.get(email="new@example.com")
    assert user.check_password(PASSWORD)
    assert AuditEntry.objects.get().action == "user.created"
