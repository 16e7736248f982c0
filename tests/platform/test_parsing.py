"""The strict parser, given anything."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from config.platform.errors import BodyTooLarge, MalformedRequest
from config.platform.http import parsing

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | PLAIN
    | st.floats(allow_nan=False, allow_infinity=False)
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_it_reads_what_any_writer_of_json_wrote(document):
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        assert parsing.loads(text.encode()) == document


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_it_refuses_or_reads_but_never_breaks(content):
    try:
        parsing.loads(content)
    except (MalformedRequest, BodyTooLarge):
        pass


@given(st.text(max_size=50), st.integers(0, 50))
def test_it_lets_no_text_through_that_postgresql_cannot_store(text, at):
    smuggled = json.dumps({"a": [text[:at] + "\ud83d" + text[at:]]})
    try:
        found = parsing.loads(smuggled.encode())
    except MalformedRequest:
        return
    found["a"][0].encode()  # half a pair met its other half
