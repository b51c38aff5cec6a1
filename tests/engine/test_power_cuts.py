"""The power goes at any instant: the next command settles what was under way, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import pytest
from engine.laboratory import Laboratory, Moment
from engine.scenario import laboratory, no_trouble, plan_after, wrongs_in_the_end

from reconciler.errors import OutcomeUnknown, Rejected


@cache
def calls(parallelism: int) -> tuple[str, ...]:
    """The calls of a run in which nothing fails."""
    lab, _ = laboratory()
    lab.parallelism = parallelism
    lab.carry_out(plan_after())
    return tuple(lab.provider.calls)


def number_of(lab: Laboratory, call: str) -> int:
    """When a call is made the first time."""
    return calls(lab.parallelism).index(call) + 1


def answers_are_lost(lab: Laboratory) -> None:
    """The answers to the creations of two objects are lost, and they are asked for."""
    for call in ("create box.lost", "create key.ngc"):
        lab.provider.fail_after[call] = OutcomeUnknown("no answer")


def middle_write_fails(lab: Laboratory) -> None:
    """A replacement fails between taking away and making."""
    lab.provider.fail[number_of(lab, "create box.base")] = Rejected("no")


def last_write_fails(lab: Laboratory) -> None:
    """All that there is to take back is done by then."""
    lab.provider.fail[number_of(lab, "delete tower.high")] = Rejected("no")


RUNS: dict[str, tuple[Callable[[Laboratory], None], str]] = {
    "applied": (no_trouble, "rollback"),
    "rolled back": (last_write_fails, "rollback"),
    "rolled back from the middle": (middle_write_fails, "rollback"),
    "stopped in the middle": (middle_write_fails, "stop"),
    "answers lost": (answers_are_lost, "rollback"),
}


def distinct(moments: Iterable[Moment]) -> list[Moment]:
    """One moment of each kind: the same world, journal and state are the same after a crash."""
    found = {}
    for moment in moments:
        world = tuple((one, stored.version) for one, (_, stored) in moment.objects.items())
        journals = tuple((run, len(records)) for run, records in moment.journals.items())
        stamp = moment.state.stamp if moment.state is not None else None
        found[world, journals, stamp, tuple(moment.open_runs)] = moment
    return list(found.values())


def moments_of(
    prepare: Callable[[Laboratory], None], on_failure: str, *, parallelism: int
) -> tuple[Laboratory, list[Moment]]:
    """A run, and each moment of it at which the power could go."""
    lab, _ = laboratory()
    lab.parallelism = parallelism
    prepare(lab)
    lab.watch()
    lab.carry_out(plan_after(), on_failure)
    return lab, distinct(lab.moments)


def wrongs(lab: Laboratory) -> list[str]:
    """What is wrong once *lab*, found after a power cut, is settled, and applied again."""
    settled = lab.settle()
    return [*(settled.conflicts if settled is not None else ()), *wrongs_in_the_end(lab, laboratory()[1])]


@pytest.mark.parametrize("parallelism", [1, 6])
@pytest.mark.parametrize("name", RUNS)
def test_the_power_goes_during_a_run(name: str, parallelism: int) -> None:
    """Before and after each call, each record, each beginning of a batch, the commit and the seal."""
    lab, moments = moments_of(*RUNS[name], parallelism=parallelism)
    assert len(moments) > 30
    found = {
        f"{number} {moment.what}": wrongs(lab.after_power_cut(moment))
        for number, moment in enumerate(moments)
    }
    assert {moment: wrong for moment, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("name", ["applied", "rolled back"])
def test_the_power_goes_again_while_that_is_settled(name: str) -> None:
    """At each moment of settling what each moment of a run left."""
    lab, moments = moments_of(*RUNS[name], parallelism=4)
    found = {}
    for number, moment in enumerate(moments):
        second = lab.after_power_cut(moment)
        second.watch()
        second.settle()
        for again, later in enumerate(distinct(second.moments)):
            found[f"{number} {moment.what}, {again} {later.what}"] = wrongs(second.after_power_cut(later))
    assert len(found) > 200
    assert {moment: wrong for moment, wrong in found.items() if wrong} == {}
