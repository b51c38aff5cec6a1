"""The words of the project: addresses, and what came of a run."""

from __future__ import annotations

import pytest
from core.builders import BOX, address

from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    Action,
    Change,
    Holder,
    LockInfo,
    Plan,
    ResourceAddress,
    Source,
    SpecSet,
    Stamp,
    UsedBy,
)
from reconciler.core.report import Outcome
from reconciler.errors import UsageError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("runai.environment.lab", ("runai", "environment", "lab")),
        ("runai.environment.v1.2.3", ("runai", "environment", "v1.2.3")),
        ("a.b. ", ("a", "b", " ")),
    ],
)
def test_an_address_is_read_and_spelled_alike(text: str, parts: tuple[str, str, str]) -> None:
    """Platform, kind, and the rest is the name, dots included."""
    found = ResourceAddress.parse(text)
    assert (tuple(found), str(found)) == (parts, text)


@pytest.mark.parametrize(
    "text", ["", "lab", "runai.lab", "..", "runai..lab", ".environment.lab", "runai.environment."]
)
def test_what_is_no_address_is_said_with_an_example(text: str) -> None:
    """And what it would look like."""
    with pytest.raises(UsageError) as refused:
        ResourceAddress.parse(text)
    assert str(refused.value) == f"{text!r} is not an address"
    assert refused.value.hint == "An address is PLATFORM.KIND.NAME, such as runai.environment.llm-train."


def test_addresses_sort_by_platform_kind_and_name() -> None:
    """Not by their spelling, in which a dot would come before a letter."""
    texts = ["a.b.c", "a.b.a.a", "a.b-c.a", "a-b.a.a", "b.a.a"]
    assert [str(one) for one in sorted(map(ResourceAddress.parse, texts))] == [
        "a.b.a.a",
        "a.b.c",
        "a.b-c.a",
        "a-b.a.a",
        "b.a.a",
    ]


def test_what_people_read() -> None:
    """Places, users and holders in one line."""
    holder = Holder("ann", "desk", 42, "boot", "1")
    assert [
        str(Source("lab.toml", 7)),
        str(UsedBy("workspace", "lab-1", "Running")),
        str(UsedBy("template", "tpl")),
        str(LockInfo("ab12", holder, "apply", "2024-01-01T00:00:00Z")),
    ] == [
        "lab.toml:7",
        "workspace lab-1 (Running)",
        "template tpl",
        "ann@desk (process 42, apply, since 2024-01-01T00:00:00Z, id ab12)",
    ]


def test_a_plan_is_empty_without_changes() -> None:
    """Steps that only the state learns from change nothing on a platform."""
    plan = Plan("test", Stamp("l", 1), "", "")
    change = Change(address("box.a"), Action.CREATE, "new")
    assert (plan.is_empty, Plan("test", Stamp("l", 1), "", "", changes=(change,)).is_empty) == (True, False)
    assert SpecSet.empty().resources == ()


@pytest.mark.parametrize(
    ("values", "identity"),
    [({"name": "a"}, ("a",)), ({"name": None}, ("",)), ({}, ("",)), ({"name": 7}, ("7",))],
)
def test_an_identity_is_text(values: dict[str, object], identity: tuple[str]) -> None:
    """Whatever the attributes hold, and whatever they lack."""
    assert BOX.identity_of(Attributes(values)) == identity


@pytest.mark.parametrize(
    ("outcome", "complete", "rolled_back", "counts"),
    [
        (Outcome(), True, True, {}),
        (Outcome(done={1, 2}), True, False, {"done": 2}),
        (Outcome(done={1}, failed={2}), False, False, {"done": 1, "failed": 1}),
        (Outcome(rolled_back={1}, failed={2}, not_started={3}), False, True,
         {"failed": 1, "rolled_back": 1, "not_started": 1}),
        (Outcome(uncertain={1}), False, False, {"uncertain": 1}),
        (Outcome(not_rolled_back={1}, failed={2}), False, False, {"failed": 1, "not_rolled_back": 1}),
        (Outcome(not_started={1}), False, True, {"not_started": 1}),
        (Outcome(done={1, 2, 3}, failed={4}, not_rolled_back={2}, uncertain={3, 4}, rolled_back={1}),
         False, False, {"uncertain": 2, "rolled_back": 1, "not_rolled_back": 1}),
    ],
)  # fmt: skip
def test_what_an_outcome_comes_to(
    outcome: Outcome, complete: bool, rolled_back: bool, counts: dict[str, int]
) -> None:
    """Complete is: all done and stayed. Rolled back is: nothing left in effect, for certain. A step that
    went through several of these is counted once, under the last."""
    assert (outcome.is_complete, outcome.is_rolled_back, outcome.counts()) == (complete, rolled_back, counts)
