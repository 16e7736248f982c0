"""Pictures over HTTP, where no server in front answers for them."""

from __future__ import annotations

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe


@require_safe
def picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """
    Return a file of a product's picture. Only names that we make get here, and what they hold never changes.

    :raises Http404: if there is none
    """
    try:
        file = default_storage.open(name)
    except OSError:
        raise Http404 from None
    response = FileResponse(file, content_type="image/webp")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
