"""The comparison of books over HTTP: the same services as on the desk, for whoever has the right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout import tasks
from checkout.models import Payment, ReconciliationFinding, ReconciliationRun
from config.platform.models import AuditEntry
from orders.models import Order
from tests import factories
from tests.checkout.conftest import Buyer
from tests.conftest import Api
from tests.contract.rules import check_shape

pytestmark = pytest.mark.django_db

BASE = "/payments/reconciliation"


@pytest.fixture
def lost(ready: Buyer) -> Payment:
    """Return a payment of the test provider whose message was lost."""
    _, payment = ready.pay()
    ready.simulate(payment, delivery="lost")
    return payment


@pytest.fixture
def finding(lost: Payment, staff_api: Api) -> dict[str, Any]:
    """Return the difference that a comparison finds, as the API tells it."""
    assert staff_api.post(f"{BASE}/runs", {}).status_code == 201
    tasks.work_reconciliation.run()
    [row] = staff_api.get(f"{BASE}/findings").json()["results"]
    answer: dict[str, Any] = staff_api.get(f"{BASE}/findings/{row['id']}").json()
    return answer


def test_staff_compare_look_and_settle(staff_api: Api, lost: Payment, now: datetime) -> None:
    since = (now - timedelta(days=1)).isoformat()
    asked = staff_api.post(f"{BASE}/runs", {"since": since, "mends": False}, key="night")
    again = staff_api.post(f"{BASE}/runs", {"since": since, "mends": False}, key="night")
    assert (asked.status_code, asked.json()["state"]) == (201, "WAITING")
    assert again.json() == asked.json()
    second = staff_api.post(f"{BASE}/runs", {})
    assert (second.status_code, second.json()["code"]) == (409, "CONFLICT")

    tasks.work_reconciliation.run()

    run = staff_api.get(f"{BASE}/runs/{asked.json()['id']}").json()
    assert (run["state"], run["percent"], run["counts"], run["left"]) == (
        "DONE", 100, [{"kind": "not_recorded", "count": 1}], 1,
    )  # fmt: skip
    assert staff_api.get(f"{BASE}/runs").json()["results"] == [run]
    check_shape(run)
    [row] = staff_api.get(f"{BASE}/findings?state=OPEN").json()["results"]
    assert (row["kind"], row["theirs"], row["ours"]) == ("not_recorded", "24.90", "0.00")
    assert (row["orderNumber"], row["paymentId"]) == (lost.order.number, str(lost.pk))
    shown = staff_api.get(f"{BASE}/findings/{row['id']}").json()
    check_shape(shown)
    assert shown["steps"] == ["settle", "look"]

    fix = {"step": "settle", "seen": shown["seen"]}
    done = staff_api.post(f"{BASE}/findings/{row['id']}/fix", fix)
    twice = staff_api.post(f"{BASE}/findings/{row['id']}/fix", fix)

    assert (done.status_code, done.json()["state"], done.json()["steps"]) == (200, "FIXED", [])
    assert twice.json() == done.json()
    assert Order.objects.get().status == "confirmed"
    assert AuditEntry.objects.filter(action="difference.fixed").count() == 1


def test_what_moved_is_refused(staff_api: Api, finding: dict[str, Any]) -> None:
    path = f"{BASE}/findings/{finding['id']}"

    for deed, body in (("fix", {"step": "settle"}), ("explain", {"reason": "a test"})):
        answer = staff_api.post(f"{path}/{deed}", {**body, "seen": "OPEN:1:2"})
        assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")

    wrong = staff_api.post(f"{path}/fix", {"step": "give_back", "seen": finding["seen"]})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "CONFLICT")
    assert ReconciliationFinding.objects.get().state == "OPEN"
    assert Order.objects.get().status == "draft"


def test_a_difference_is_explained(staff_api: Api, finding: dict[str, Any]) -> None:
    path = f"{BASE}/findings/{finding['id']}/explain"

    nothing = staff_api.post(path, {"reason": "  ", "seen": finding["seen"]})
    told = staff_api.post(path, {"reason": "a rehearsal", "seen": finding["seen"]})

    assert (nothing.status_code, nothing.json()["code"]) == (400, "VALIDATION_ERROR")
    assert (told.json()["state"], told.json()["outcome"]) == ("EXPLAINED", "a rehearsal")
    assert staff_api.get(f"{BASE}/findings?state=OPEN").json()["results"] == []
    assert len(staff_api.get(f"{BASE}/findings?kind=not_recorded").json()["results"]) == 1
    assert staff_api.get(f"{BASE}/findings?order=ORD-0").json()["results"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs", {"since": "2026-02-02T00:00:00Z", "until": "2026-02-01T00:00:00Z"}),
        ("runs", {"since": "2001-01-01T00:00:00Z"}),
        ("runs", {"since": "yesterday"}),
        ("runs", {"company": "x"}),
    ],
    ids=["backwards", "too-long", "no-time", "unknown"],
)
def test_a_wrong_period_is_refused(staff_api: Api, company: Any, path: str, body: Any) -> None:
    answer = staff_api.post(f"{BASE}/{path}", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert not ReconciliationRun.objects.exists()


def test_what_is_not_there_is_not_found_and_a_wrong_filter_is_told(
    staff_api: Api, company: Any
) -> None:
    for path in (f"runs/{uuid4()}", f"findings/{uuid4()}"):
        answer = staff_api.get(f"{BASE}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    for query in ("state", "kind", "limit"):
        assert staff_api.get(f"{BASE}/findings?{query}=x").status_code == 400


def test_each_needs_its_right(user_api: Api, api: Api, company: Any) -> None:
    clerk = factories.make_staff(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_reconciliationrun"]))
    reader = api.as_user(clerk)

    assert user_api.get(f"{BASE}/runs").status_code == 403
    assert reader.get(f"{BASE}/runs").status_code == 200
    refused = reader.post(f"{BASE}/runs", {})
    assert (refused.status_code, refused.json()["extra"]) == (
        403, {"permission": "checkout.change_reconciliationrun"},
    )  # fmt: skip
    assert reader.get(f"{BASE}/findings").status_code == 403
    assert not ReconciliationRun.objects.exists()


@pytest.mark.usefixtures("unhurried")
def test_the_list_costs_the_same_for_one_and_for_many(
    staff_api: Api, finding: dict[str, Any], now: datetime
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert staff_api.get(f"{BASE}/findings").status_code == 200
        return len(captured)

    cost()
    one = cost()
    payment = Payment.objects.get()
    for number in range(15):
        ReconciliationFinding.objects.create(
            company=payment.order.company, key=f"k{number}", kind="refund_not_ours", provider="test", payment=payment,
            order=payment.order, currency="USD", theirs=1, ours=0, first_seen_at=now, last_seen_at=now,
        )  # fmt: skip

    assert cost() == one
    ReconciliationFinding.objects.exclude(kind="not_recorded").delete()
