"""Commands die at real instants, against a platform in a process of its own: nothing is lost.

The short part of what ``make chaos N=1000`` does at length. What a trial is,
and what is looked at after it, is in `chaos.world` and `chaos.trials`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from chaos.sweep import FAULTS, Swept, sweep_faults, sweep_kills
from chaos.trials import KINDS
from chaos.victim import Trouble
from chaos.world import World


@pytest.fixture(scope="module", params=["calm", "lossy"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A stack and a platform that several trials share."""
    found = World(f"short {request.param}", request.param, size=8)
    with found:
        yield found
    found.forget()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(world: World, kind: str) -> None:
    """Two commands each: then platform, state and specs agree, and no secret is written anywhere."""
    chance = random.Random(kind)
    for _ in range(2):
        world.wish()
        KINDS[kind](world, chance)
        wrong = world.settled()
        assert wrong == [], world.log[-8:]


@pytest.mark.parametrize("fault", ["400", "503", "connection dropped after the effect"])
def test_a_fault_at_a_call_loses_nothing(fault: str) -> None:
    """At some of the calls of the plan that the long part sweeps."""
    tally = Swept()
    for tally in sweep_faults({fault: FAULTS[fault]}, every=35, calls=100):
        assert tally.wrong == []
    assert (tally.steps, tally.runs) == (30, 3)


def test_a_kill_before_a_call_loses_nothing() -> None:
    """Before some of the calls that the long part sweeps."""
    tally = Swept()
    for tally in sweep_kills(every=40):
        assert tally.wrong == []
    assert tally.kills > 3


def test_a_command_is_hit_where_it_is_told_to_be() -> None:
    """The harness counts calls the same way each time, and kills at the one it is given."""
    found = World("hit", "calm", size=2)
    with found:
        found.wish()
        assert found.until(0, "plan") == ""
        command = found.command("apply", "--auto-approve")
        assert command.wait() == 0
        assert command.calls > 50
        found.wish()
        marks = [len(list((found.stack / ".reconciler" / "runs").iterdir()))]
        for at in (1, 40):
            assert found.run("apply", "--auto-approve", trouble=Trouble("kill", at)) == -9
            marks.append(len(list((found.stack / ".reconciler" / "runs").iterdir())))
        assert all(first <= then for first, then in pairwise(marks))
        assert found.settled() == []
    found.forget()


def test_the_harness_sees_what_is_wrong() -> None:
    """An orphan, a lost object, another content, one of others that was touched, a secret: each is said."""
    found = World("wrong", "calm", size=6)
    with found:
        found.wish()
        assert found.settled() == []
        hand = found.hand
        mine = min(name for name in found.specs if name.startswith("env-"))
        assert found.wrongs() == []
        orphan = hand.create("orphan")
        assert found.wrongs() == [f"orphaned: orphan ({orphan})"]
        hand.delete("orphan")
        hand.edit("of-others-1", image="changed")
        assert [one.partition(":")[0] for one in found.wrongs()] == ["an object of others was touched"]
        hand.edit(mine, image="python:2")
        assert [one.partition(":")[0] for one in found.unfinished()] == [
            "wished for, and not there",
            "there, and not wished for",
        ]
        hand.delete(mine)
        assert next(one.partition(":")[0] for one in found.wrongs()) == "lost"
        (found.stack / "note.txt").write_text(found.wishes.secrets["SECRET_0"])
        assert found.leaks() == ["a secret is in stack/note.txt"]
    found.forget()
