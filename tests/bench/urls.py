"""The shop's addresses and one that does nothing: the floor under every request that DRF answers."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class Constant(APIView):
    """A plain DRF view behind the shop's own middleware: no authentication, no database, one small answer."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


urlpatterns = [
    path("bench/constant", Constant.as_view()),
    path("", include("config.urls")),
]
