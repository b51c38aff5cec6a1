"""The attributes of a resource: decoded only when looked into, equal by content; the markers in them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import (
    Attributes,
    canonical,
    digest,
    marked,
    replace_markers,
    to_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def refuse() -> dict[str, Any]:
    """Decoding that must not happen."""
    raise AssertionError("decoded")


@settings(deadline=None)
@given(TABLES)
def test_there_and_back(values: dict[str, Any]) -> None:
    """Values, their text and a late loading are the same attributes, in the same order."""
    one = Attributes(values)
    for other in (Attributes.from_raw(one.raw), Attributes.lazily(lambda: values)):
        assert (other, list(other), len(other)) == (one, list(values), len(values))
        assert other == values
        assert other.raw == one.raw


def test_nothing_is_decoded_that_nobody_looks_into() -> None:
    """Passing raw text on, and comparing equal raw texts, decodes nothing."""
    broken = b"{ this is not JSON"
    assert Attributes.from_raw(broken) == Attributes.from_raw(broken)
    assert Attributes.from_raw(broken).raw == broken
    Attributes.lazily(refuse)


def test_a_late_loading_happens_once() -> None:
    """However often it is looked into."""
    calls = []

    def load() -> dict[str, Any]:
        calls.append(1)
        return {"a": 1}

    late = Attributes.lazily(load)
    assert (late["a"], dict(late), late.raw, calls) == (1, {"a": 1}, b'{"a":1}', [1])


def test_order_of_keys_is_kept_and_does_not_count() -> None:
    """A spec is shown as it was written, and compared by what it says."""
    one, other = Attributes({"b": 1, "a": 2}), Attributes.from_raw(b'{"a": 2, "b": 1}')
    assert (list(one), list(other), one == other) == (["b", "a"], ["a", "b"], True)
    assert one != Attributes({"b": 1})
    assert one != "b"


def test_a_change_makes_new_attributes() -> None:
    """The old ones stay."""
    one = Attributes({"a": 1, "b": 2})
    assert (one.with_values(b=3, c=4), one) == ({"a": 1, "b": 3, "c": 4}, {"a": 1, "b": 2})


def test_attributes_are_no_key() -> None:
    """They are compared by content, and content may be unhashable."""
    with pytest.raises(TypeError):
        hash(Attributes({}))


def test_they_say_what_they_are() -> None:
    """For a failed test, or a debugger."""
    assert repr(Attributes({"a": 1})) == "Attributes({'a': 1})"


@settings(deadline=None)
@given(TABLES)
def test_canonical_text_depends_on_content_alone(values: dict[str, Any]) -> None:
    """Whatever the order of keys, at any depth."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    assert canonical(turned(values)) == canonical(values)
    assert msgspec.json.decode(canonical(values)) == values


def test_a_digest_frames_its_parts() -> None:
    """What stands in one part cannot pass for another."""
    parts: list[tuple[bytes, ...]] = [(), (b"",), (b"ab",), (b"a", b"b"), (b"", b"ab"), (b"ab", b"")]
    assert len({digest(*one) for one in parts}) == len(parts)
    assert digest(b"a", memoryview(b"b")) == digest(b"a", b"b")


def test_our_values_have_a_json_form() -> None:
    """Attributes as they stand, read-only tables as tables, and nothing by accident."""
    value = {"a": Attributes.from_raw(b'{"x":1}'), "b": MappingProxyType({"y": 2})}
    assert msgspec.json.encode(value, enc_hook=to_json) == b'{"a":{"x":1},"b":{"y":2}}'
    with pytest.raises(NotImplementedError, match="no JSON form for set"):
        to_json(set())


VALUE = {
    "key": {"$ref": "t.key.a"},
    "list": [{"$ref": "t.key.b"}, 1, [{"deep": {"$ref": "t.key.c"}}]],
    "no marker": {"$ref": "x", "beside": 1},
    "other": {"$id": "7"},
}


def test_markers_are_found_wherever_they_stand() -> None:
    """With their paths; a table with more in it is none."""
    assert dict(marked(VALUE, "$ref")) == {
        ("key",): "t.key.a",
        ("list", 0): "t.key.b",
        ("list", 2, 0, "deep"): "t.key.c",
    }
    assert list(marked({"$id": "7"}, "$id")) == [((), "7")]
    assert list(marked("text", "$id")) == []


def test_markers_are_replaced_and_nothing_else_is_touched() -> None:
    """In a new value; the old one stays as it was."""
    assert replace_markers(VALUE, "$ref", lambda text: {"$id": text[-1]}) == {
        "key": {"$id": "a"},
        "list": [{"$id": "b"}, 1, [{"deep": {"$id": "c"}}]],
        "no marker": {"$ref": "x", "beside": 1},
        "other": {"$id": "7"},
    }
    assert VALUE["key"] == {"$ref": "t.key.a"}
