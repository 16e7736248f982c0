"""Both books over HTTP, for staff: comparisons, what they found, and what is done about one difference."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checkout import selectors, services
from checkout.books import Kind
from checkout.models import ReconciliationFinding, ReconciliationRun
from checkout.reconciliation import render_finding, render_finding_with_steps, render_run
from checkout.services import Step
from config.platform.http.authentication import Staff
from config.platform.http.context import actor_of
from config.platform.http.inputs import Input
from config.platform.http.paging import page
from config.platform.http.views import ApiViewSet

USUAL = timedelta(days=3)  # as each night


class RunQuery(Input):
    state = serializers.ChoiceField(choices=ReconciliationRun.State.values, required=False)


class RunInput(Input):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    mends = serializers.BooleanField(required=False, default=False)


class FindingQuery(Input):
    state = serializers.ChoiceField(choices=ReconciliationFinding.State.values, required=False)
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind], required=False)
    order = serializers.CharField(max_length=50, required=False)


class FixInput(Input):
    step = serializers.ChoiceField(choices=[step.value for step in Step])
    seen = serializers.CharField(max_length=80)


class ExplainInput(Input):
    reason = serializers.CharField(max_length=300)
    seen = serializers.CharField(max_length=80)


class RunViewSet(ApiViewSet):
    """Comparisons of the company's books with its providers'."""

    permission_classes = [Staff]
    rights = {
        **dict.fromkeys(("list", "retrieve"), "checkout.view_reconciliationrun"),
        "create": "checkout.change_reconciliationrun",
    }

    def list(self, request: Request) -> Response:
        """List the comparisons that were asked for, newest first; staff only."""
        runs = selectors.runs_of(actor=actor_of(request), **RunQuery.read_query(request))
        return Response(page(runs, request, order=("-created_at", "-id"), render=render_run))

    def create(self, request: Request) -> Response:
        """
        Ask for a comparison now, of the last three days if no period is named; staff only.

        It is made in the background: read it until its `state` is DONE or FAILED.
        """
        body, now = RunInput.read(request), timezone.now()
        run = services.request_run(
            actor=actor_of(request),
            since=body.get("since") or (body.get("until") or now) - USUAL,
            until=body.get("until") or now,
            mends=body["mends"],
            now=now,
        )
        return Response(render_run(run), status=201)

    def retrieve(self, request: Request, run_id: UUID) -> Response:
        """Return one comparison: how far it is, and what it found; staff only."""
        return Response(render_run(selectors.find_run(actor=actor_of(request), run_id=run_id)))


class FindingViewSet(ApiViewSet):
    """Differences between the books, until they are gone or explained."""

    permission_classes = [Staff]
    rights = {
        **dict.fromkeys(("list", "retrieve"), "checkout.view_reconciliationfinding"),
        **dict.fromkeys(("fix", "explain"), "checkout.change_reconciliationfinding"),
    }

    def list(self, request: Request) -> Response:
        """List the differences, newest first; staff only."""
        found = selectors.findings_of(actor=actor_of(request), **FindingQuery.read_query(request))
        return Response(
            page(found, request, order=("-first_seen_at", "-id"), render=render_finding)
        )

    def retrieve(self, request: Request, finding_id: UUID) -> Response:
        """Return one difference, with the steps that may be taken about it and `seen` to take them with; staff only."""
        return self._answer(request, finding_id)

    def fix(self, request: Request, finding_id: UUID) -> Response:
        """Take one step about a difference; both books are asked before and after; staff only."""
        body = FixInput.read(request)
        services.fix(
            actor=actor_of(request),
            finding_id=finding_id,
            step=Step(body["step"]),
            seen=body["seen"],
            now=timezone.now(),
        )
        return self._answer(request, finding_id)

    def explain(self, request: Request, finding_id: UUID) -> Response:
        """Note why a difference is right as it is; staff only."""
        body = ExplainInput.read(request)
        services.explain(actor=actor_of(request), finding_id=finding_id, now=timezone.now(), **body)
        return self._answer(request, finding_id)

    def _answer(self, request: Request, finding_id: UUID) -> Response:
        found = services.find_finding(actor=actor_of(request), finding_id=finding_id)
        return Response(render_finding_with_steps(found))
