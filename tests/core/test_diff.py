"""Desired, prior and live of one resource in, the change it needs out."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from core.builders import BOX, KINDS, address, field_line, memory, sight, wish

from reconciler.core.attributes import Attributes
from reconciler.core.diff import compare, decide, drifted, fingerprint

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "decisions.toml").read_text())["case"]


def asked(case: dict[str, Any]) -> dict[str, Any]:
    """What `decide` says of a case, in the words of the file."""
    name = f"{case.get('kind', 'box')}.lab"
    desired = prior = live = None
    if "wish" in case:
        lifecycle = dict(case.get("lifecycle", {}))
        if "ignore_changes" in lifecycle:
            lifecycle["ignore_changes"] = tuple(lifecycle["ignore_changes"])
        desired = wish(name, case["wish"], needs=case.get("needs", case.get("needed", ())), **lifecycle)
    if "memory" in case:
        prior = memory(name, case["memory"], needs=case.get("needed", ()))
    if "sight" in case:
        live = sight(name, case["sight"], foreign=case.get("foreign", False))
    moved_from = address(case["moved_from"]) if "moved_from" in case else None
    decision = decide(
        KINDS[name.partition(".")[0]],
        desired,
        prior,
        live,
        changed_secrets=frozenset(case.get("changed_secrets", ())),
        force_replace=case.get("force_replace", False),
        shown=lambda _, value: value not in case.get("hidden", ()),
        moved_from=moved_from,
    )
    if decision is None:
        return {}
    change = decision.change
    assert (decision.desired, decision.prior, decision.live) == (desired, prior, live)
    assert (change.address, change.remote_id) == (address(name), "1" if live is not None else "")
    assert change.source == (desired.source if desired is not None else None)
    assert change.moved_from == moved_from
    said = {
        "action": str(change.action),
        "reason": change.reason,
        "fields": list(map(field_line, change.fields)),
        "irreversible": change.irreversible,
        "problem": decision.problem,
        "hint": decision.hint,
    }
    return {key: value for key, value in said.items() if value}


@pytest.mark.parametrize("case", CASES, ids=[case["sentence"] for case in CASES])
def test_decision(case: dict[str, Any]) -> None:
    """Each case of decisions.toml."""
    keys = ("action", "reason", "fields", "irreversible", "problem", "hint")
    assert asked(case) == {key: case[key] for key in keys if key in case}


def test_every_sentence_is_said_once() -> None:
    """Two cases of one name would hide one another in a report."""
    sentences = [case["sentence"] for case in CASES]
    assert sorted(set(sentences)) == sorted(sentences)


@pytest.mark.parametrize("field", ["colour", "weight", "labels", "parts"])
@pytest.mark.parametrize("missing", [None, "absent"])
def test_absent_null_and_default_are_one(field: str, missing: str | None) -> None:
    """Whichever of the three the sides say, they are equal."""
    default = BOX.defaults.get(field)
    ways: list[dict[str, Any]] = [{}, {field: None}, {field: default}]
    for wanted in ways:
        for seen in ways:
            prior = memory("box.lab", wanted if missing else {field: default})
            live = sight("box.lab", seen)
            assert compare(BOX, wish("box.lab", wanted), prior, live) == ()
            assert drifted(BOX, prior, live) == ()


def test_absent_and_null_inside_a_table_or_a_list_are_one() -> None:
    """A null deep in a value is no difference that anybody could act on."""
    wanted = wish("box.lab", {"labels": {"a": None}, "parts": [{"n": 1, "x": None}]})
    assert compare(BOX, wanted, None, sight("box.lab", {"labels": {}, "parts": [{"n": 1}]})) == ()


def test_the_same_bytes_are_not_looked_into() -> None:
    """An object that shows what it showed last, under an unchanged spec, is never decoded."""

    def refuse() -> dict[str, Any]:
        raise AssertionError("decoded")

    raw = b'{"name": "lab"}'
    desired = replace(wish("box.lab"), attributes=Attributes.from_raw(raw))
    prior = replace(memory("box.lab", wire_digest="w"), attributes=Attributes.from_raw(raw))
    live = replace(sight("box.lab", wire_digest="w"), attributes=Attributes.lazily(refuse))
    assert decide(BOX, desired, prior, live) is None
    assert drifted(BOX, prior, live) == ()


@pytest.mark.parametrize("what", ["spec", "secret", "wire", "replacement"])
def test_the_short_way_is_only_taken_when_nothing_moved(what: str) -> None:
    """Another spec, another secret, other bytes or a wish to replace: each is enough to look closer."""
    pin = {"pin": {"$secret": {"env": "A"}}}
    desired = wish("key.lab", {**pin, "colour": "blue" if what == "spec" else "red"})
    prior = memory("key.lab", {**pin, "colour": "red"}, wire_digest="w")
    live = sight("key.lab", {"colour": "green"}, wire_digest="v" if what == "wire" else "w")
    decision = decide(
        KINDS["key"],
        desired,
        prior,
        live,
        changed_secrets=frozenset({"pin"} if what == "secret" else ()),
        force_replace=what == "replacement",
    )
    assert decision is not None
    assert "colour" in [field.path[0] for field in decision.change.fields]


def test_drift_is_told_from_what_was_applied_to_what_is_there() -> None:
    """The other way round than a plan: before is ours, after is theirs. Only what we applied counts."""
    prior = memory("box.lab", {"colour": "red", "labels": {"a": "1"}, "shape": "flat", "weight": 1})
    live = sight("box.lab", {"labels": {"a": "2", "b": "1"}, "shape": "round", "weight": 1, "more": True})
    assert list(map(field_line, drifted(BOX, prior, live))) == [
        'colour: "red" -> "white" (drift)',
        'labels.a: "1" -> "2" (drift)',
        'labels.b: null -> "1" (drift)',
        'shape: "flat" -> "round" (drift) forces replacement',
    ]


def test_drift_leaves_out_what_it_is_told_to_and_what_cannot_be_seen() -> None:
    """Ignored fields and secrets are no drift; a value that must not be shown is masked."""
    prior = memory("key.lab", {"pin": {"$secret": {"env": "A"}}, "colour": "red", "weight": 1})
    live = sight("key.lab", {"colour": "blue", "weight": "hunter2"})
    found = drifted(KINDS["key"], prior, live, ignored=("colour",), shown=lambda _, value: value != "hunter2")
    assert list(map(field_line, found)) == ["weight: secret (drift)"]


def test_masking_asks_about_the_place_and_the_value() -> None:
    """`shown` gets the path and both values of each differing place, and nothing of the equal ones."""
    asked_about: list[tuple[Any, Any]] = []

    def shown(path: Any, value: Any) -> bool:
        asked_about.append((path, value))
        return True

    desired = wish("box.lab", {"labels": {"a": "2", "same": "x"}})
    compare(
        BOX, desired, memory("box.lab"), sight("box.lab", {"labels": {"a": "1", "same": "x"}}), shown=shown
    )
    assert asked_about == [(("labels", "a"), "1"), (("labels", "a"), "2")]


def test_a_fingerprint_moves_with_the_object() -> None:
    """Id, any attribute and the platform's own version count; the order of keys does not."""
    one = sight("box.lab", {"a": 1, "b": 2}, version="1")
    others = [
        sight("box.lab", {"a": 1, "b": 2}, version="2"),
        sight("box.lab", {"a": 1, "b": 3}, version="1"),
        sight("box.lab", {"a": 1, "b": 2}, version="1", remote_id="2"),
        sight("box.lab", {"a": 1}, version="1"),
    ]
    assert fingerprint(sight("box.lab", {"b": 2, "a": 1}, version="1")) == fingerprint(one)
    assert len({fingerprint(one), *map(fingerprint, others)}) == 5


QUESTION = """
import sys
from core.builders import BOX, memory, sight, wish
from reconciler.core.diff import decide

def ask(wanted, seen):
    return decide(BOX, wish("box.lab", wanted), memory("box.lab", wanted), sight("box.lab", seen))

assert ask({"parts": [{"n": 1}]}, {"parts": [{"n": 1}]}) is None
assert ask({"colour": "red", "labels": {"a": 1}}, {"colour": "blue", "labels": {"a": 2}}) is not None
assert ask({"parts": ["a"]}, {"parts": ["b"]}) is not None
print("deepdiff" in sys.modules)
assert ask({"parts": [{"n": 1}]}, {"parts": [{"n": 2}]}) is not None
print("deepdiff" in sys.modules)
"""


def test_deepdiff_is_loaded_for_lists_of_tables_that_differ_and_for_nothing_else() -> None:
    """It takes longer to import than most plans take to compute."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{QUESTION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.split()) == ("", ["False", "True"])
