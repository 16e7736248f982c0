"""
The shape of what comes in and goes out.

`Input` hardens every stock field that is declared on it, so a serializer is written as usual and is strict: integers
are JSON integers, texts are JSON strings, unknown fields are refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Self, TypeAlias

from rest_framework import fields, serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

from config.platform.cards import CARD_CODE, CARD_MESSAGE, has_card_number
from config.platform.errors import MalformedRequest
from config.platform.http.parsing import is_plain, is_storable
from config.platform.http.problems import camel

BIGGEST = 2**31 - 1
_WHOLE = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_TEXTS = (
    fields.CharField,
    fields.ChoiceField,
    fields.UUIDField,
    fields.DateTimeField,
    fields.DateField,
    fields.TimeField,
)
Wrong: TypeAlias = (
    "list[ErrorDetail] | dict[int, Wrong]"  # what is wrong with a value, in a list by place
)
MOST_WRONG = 20  # entries of one list that are told of
# Where long numbers belong: names of goods, and what is only compared, or looked at more closely by its service.
NUMBERED = frozenset({"sku", "skus", "barcode", "code", "codes", "password", "phone"})


def snake(name: str) -> str:
    """Return the snake_case form of a camelCase name."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Return the declared name behind each way to write it: `unitPrice` and `unit_price`."""
    return {spelling: name for name in names for spelling in (name, camel(name))}


class Input(serializers.Serializer):
    """
    Base of everything the API reads. Use `SomeInput.read(request)`, or `.read_query(request)` for the query string.

    A text of a body holds no card number, but where long numbers belong (`NUMBERED`).

    Keys may be camelCase or snake_case, not both at once for one field. `ignored` names fields (snake_case) that are
    dropped instead of refused; `dropped` then holds those that were sent.
    """

    ignored: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropped: list[str] = []

    @classmethod
    def read(cls, request: Request, **context: Any) -> dict[str, Any]:
        """
        Return the validated body.

        :raises MalformedRequest: if the body is not an object
        :raises ValidationError: if a field is missing, unknown or of the wrong type or range
        """
        return dict(cls.load(request, **context).validated_data)

    @classmethod
    def load(cls, request: Request, **context: Any) -> Self:
        """Like `read`, but return the serializer, for its `dropped`."""
        body = request.data
        if not isinstance(body, Mapping):
            raise MalformedRequest("The body must be a JSON object.")
        found = cls(data=body, context={"request": request, **context})
        found.is_valid(raise_exception=True)
        return found

    @classmethod
    def read_query(cls, request: Request, **context: Any) -> dict[str, Any]:
        """Return the validated query parameters; ones that are not declared are left alone."""
        declared = spellings(cls._declared_fields)
        query = request.query_params.lists()
        found = cls(
            data={declared[key]: values[-1] for key, values in query if key in declared},
            context={"request": request, "from_query": True, **context},
        )
        found.is_valid(raise_exception=True)
        return dict(found.validated_data)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": [_detail("An object is needed.")]}
            )
        from_query = bool(self.context.get("from_query"))
        renamed: dict[str, Any] = {}
        refused: dict[str, Any] = {}
        names = spellings(self.fields)
        ignored = spellings(self.ignored)
        for key, value in data.items():
            name = names.get(key, "")
            field = self.fields.get(name)
            if field is None or field.read_only:
                if key in ignored:
                    self.dropped.append(ignored[key])
                else:
                    refused[key] = [_detail("This field is not known.", "unknown_field")]
            elif name in renamed:
                refused[key] = [_detail("This field is there twice.")]
            else:
                renamed[name] = value
                if value is not None and (problem := _mistaken(field, value, from_query)):
                    refused[name] = problem
        try:
            accepted = super().to_internal_value(
                {key: value for key, value in renamed.items() if key not in refused}
            )
        except serializers.ValidationError as error:
            if refused:
                detail: Any = error.detail
                missing = {key: value for key, value in detail.items() if key not in refused}
                raise serializers.ValidationError({**missing, **refused}) from None
            raise
        if refused:
            raise serializers.ValidationError(refused)
        return accepted


def _detail(text: str, code: str = "invalid") -> ErrorDetail:
    return ErrorDetail(text, code)


def _mistaken(field: Any, value: Any, from_query: bool) -> Wrong | None:
    """Return what is wrong with the type of a value that DRF would bend into shape, in a list by place, or None."""
    if isinstance(field, fields.ListField) and isinstance(value, list):
        found = (
            (index, problem)
            for index, entry in enumerate(value)
            if entry is not None and (problem := _mistaken(field.child, entry, from_query))
        )
        return dict(islice(found, MOST_WRONG)) or None
    wrong = _misshapen(field, value, from_query)
    return [wrong] if wrong else None


def _misshapen(field: Any, value: Any, from_query: bool) -> ErrorDetail | None:
    match field:
        case fields.BooleanField():
            right = value in ("true", "false") if from_query else isinstance(value, bool)
            return None if right else _detail("true or false is needed.")
        case fields.IntegerField():
            if from_query:
                right = isinstance(value, str) and _WHOLE.fullmatch(value) is not None
            else:
                right = isinstance(value, int) and not isinstance(value, bool)
            if not right:
                return _detail("A whole number is needed.")
            if field.max_value is None and int(value) > BIGGEST:
                return _detail(f"At most {BIGGEST} is possible.", "max_value")
            if field.min_value is None and int(value) < -BIGGEST - 1:
                return _detail(f"At least {-BIGGEST - 1} is possible.", "min_value")
        case fields.DecimalField() | fields.FloatField():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number and not (isinstance(value, str) and _DECIMAL.fullmatch(value)):
                return _detail("A decimal number is needed.")
        case fields.MultipleChoiceField():
            return None
        case _ if isinstance(field, _TEXTS):
            if not isinstance(value, str):
                return _detail("A text is needed.")
            if not (is_storable(value) and is_plain(value)):
                return _detail("The text holds a control character.")
            if (
                not from_query
                and (field.field_name or field.parent.field_name) not in NUMBERED
                and has_card_number(value, issued=True)
            ):
                return _detail(CARD_MESSAGE, CARD_CODE)
        case fields.ListField():
            return _detail("A list is needed.")
    return None


def single_line(text: str) -> None:
    """Validate that a text has no line break, for what ends up in a mail's header."""
    if "\n" in text or "\r" in text:
        raise serializers.ValidationError("One line is needed.", code="invalid")


class JsonObject(serializers.JSONField):
    """A free-form object, such as metadata: its keys are the client's own. `max_bytes` bounds its JSON text."""

    default_error_messages = {
        "not_object": "An object is needed.",
        "too_long": "The object is too large.",
    }

    def __init__(self, *, max_bytes: int = 4_096, **kwargs: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        from config.platform.http.rendering import encode

        if not isinstance(data, dict):
            self.fail("not_object")
        if len(encode(data)) > self.max_bytes:
            raise serializers.ValidationError(self.error_messages["too_long"], code="max_length")
        return data


class Output(serializers.Serializer):
    """Base of everything a serializer renders: declared names leave as camelCase."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {camel(key): value for key, value in super().to_representation(instance).items()}


@functools.cache
def page_of(shape: type[Output]) -> type[Output]:
    """Return the shape of a list of `shape`, page by page."""
    name = f"{shape.__name__.removesuffix('Output')}PageOutput"
    fields: dict[str, Any] = {
        "__module__": shape.__module__,
        "results": shape(many=True),
        "next": serializers.CharField(allow_null=True),
        "previous": serializers.CharField(allow_null=True),
    }
    return type(name, (Output,), fields)
