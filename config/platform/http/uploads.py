"""Files in: bounded before they are read, and as strict as JSON about everything around them."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from rest_framework.parsers import MultiPartParser

from config.platform.errors import MalformedRequest


class Ceiling(FileUploadHandler):
    """Refuses a request that says to be larger than `UPLOAD_MAX_BYTES`; the server reads no further than it says."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,
        content_length: int,
        boundary: Any,
        encoding: Any = None,
    ) -> None:
        if content_length > settings.UPLOAD_MAX_BYTES:
            raise RequestDataTooBig

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class Sent:
    """A file that was sent. As text it is the digest of its content, so that a repeated request is known as one."""

    def __init__(self, file: UploadedFile) -> None:
        self.file = file
        self.size = int(file.size or 0)

    def read(self) -> bytes:
        self.file.seek(0)
        return bytes(self.file.read())

    def __str__(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()


class MultipartParser(MultiPartParser):
    """`multipart/form-data` as one flat object of texts and files; a name that stands twice is refused."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        sent = super().parse(stream, media_type, parser_context)
        names = [*sent.data.keys(), *sent.files.keys()]
        lists = [*sent.data.lists(), *sent.files.lists()]
        if len(set(names)) != len(names) or any(len(values) != 1 for _, values in lists):
            raise MalformedRequest("A field stands twice in the form.")
        files = {name: Sent(cast(UploadedFile, file)) for name, file in sent.files.items()}
        return {**sent.data.dict(), **files}
