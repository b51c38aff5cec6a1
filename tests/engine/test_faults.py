"""Whatever fails, at whatever call: nothing is doubled, lost or orphaned, and the next apply gets there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine.laboratory import Laboratory
from engine.scenario import (
    AFTER,
    STEPS,
    WORLD_AFTER,
    calls_of,
    laboratory,
    lines,
    no_trouble,
    plan_after,
    wrongs,
)

from reconciler.errors import (
    AlreadyExists,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Unavailable,
)

ERRORS: dict[str, Callable[[], Exception]] = {
    "no answer": lambda: OutcomeUnknown("no answer"),
    "unavailable": lambda: Unavailable("try later"),
    "rejected": lambda: Rejected("no"),
    "exists": lambda: AlreadyExists("exists"),
    "not found": lambda: NotFound("not found"),
    "mistake": lambda: RuntimeError("a mistake"),
}
MAY_HIDE_AN_EFFECT = ("no answer", "mistake")
"""Every other error says that the write did not happen, and a provider keeps its word."""

LAST_WRITE = "delete tower.high"


def is_write(call: str) -> bool:
    """Whether a call may change the platform."""
    return call.startswith(("create", "update", "delete", "restore"))


CALLS = calls_of(no_trouble, "rollback")


def last_write_fails(lab: Laboratory) -> None:
    """The last write is refused, so all that was done before it is taken back."""
    lab.provider.fail[CALLS.index(LAST_WRITE) + 1] = Rejected("no")


CALLS_WITH_ROLLBACK = calls_of(last_write_fails, "rollback")


def test_the_scenario_has_every_verb() -> None:
    """The plan that the cases below break is this one, and unbroken it gets there."""
    lab, _ = laboratory()
    assert lab.steps(plan_after()) == lines(STEPS)
    assert lab.carry_out(plan_after()).outcome == "applied"
    assert (lab.world(), lab.agreement()) == (lines(WORLD_AFTER), [])
    assert lab.plan(AFTER).plan.steps == ()


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_call_that_fails_before_its_effect(error: str, on_failure: str) -> None:
    """Each call of the run in turn."""
    found = {}
    for number, call in enumerate(CALLS, start=1):

        def prepare(lab: Laboratory, number: int = number) -> None:
            lab.provider.fail[number] = ERRORS[error]()

        found[f"{number} {call}"] = wrongs(prepare, on_failure)
    assert {call: wrong for call, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_call_that_fails_after_its_effect(error: str, on_failure: str) -> None:
    """Each call of the run in turn."""
    found = {}
    for number, call in enumerate(CALLS, start=1):
        if is_write(call) and error not in MAY_HIDE_AN_EFFECT:
            continue

        def prepare(lab: Laboratory, number: int = number) -> None:
            lab.provider.fail_after[number] = ERRORS[error]()

        found[f"{number} {call}"] = wrongs(prepare, on_failure)
    assert {call: wrong for call, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_call_of_the_rollback_that_fails(error: str, moment: str) -> None:
    """The last write is refused, and then each call that takes something back in turn."""
    found = {}
    for number in range(CALLS.index(LAST_WRITE) + 2, len(CALLS_WITH_ROLLBACK) + 1):
        call = CALLS_WITH_ROLLBACK[number - 1]
        if moment == "after" and is_write(call) and error not in MAY_HIDE_AN_EFFECT:
            continue

        def prepare(lab: Laboratory, number: int = number) -> None:
            last_write_fails(lab)
            faults = lab.provider.fail if moment == "before" else lab.provider.fail_after
            faults[number] = ERRORS[error]()

        found[f"{number} {call}"] = wrongs(prepare, "rollback")
    assert {call: wrong for call, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "continue"])
@pytest.mark.parametrize("error", ["no answer", "unavailable", "mistake"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_platform_that_is_gone_from_a_call_on(error: str, on_failure: str, moment: str) -> None:
    """From each call of the run in turn nothing works any more, until the next command."""
    found = {}
    for number, call in enumerate(CALLS, start=1):
        if moment == "after" and is_write(call) and error not in MAY_HIDE_AN_EFFECT:
            continue

        def prepare(lab: Laboratory, number: int = number) -> None:
            if moment == "after":
                lab.provider.fail_after[number] = ERRORS[error]()
            for later in range(number + (moment == "after"), number + 300):
                lab.provider.fail[later] = ERRORS[error]()

        found[f"{number} {call}"] = wrongs(prepare, on_failure)
    assert {call: wrong for call, wrong in found.items() if wrong} == {}


def test_a_run_whose_platform_is_gone_stays_open_until_it_is_back() -> None:
    """Settling without the platform raises, loses nothing, and can be done again."""
    lab, _ = laboratory()
    number = CALLS.index("create box.lost") + 1
    lab.provider.fail_after[number] = OutcomeUnknown("no answer")
    for later in range(number + 1, number + 300):
        lab.provider.fail[later] = Unavailable("cannot connect")
    assert lab.carry_out(plan_after()).outcome == "open"
    for _ in range(2):
        before = dict(lab.backend.journals)
        with pytest.raises(ProviderError):
            lab.settle()
        assert (lab.backend.open_run(), lab.backend.journals) == ("run-002", before)
    lab.provider.fail.clear()
    settled = lab.settle()
    assert settled is not None
    assert settled.conflicts == ()
    assert any("fake.box.lost: created" in line for line in settled.findings)
