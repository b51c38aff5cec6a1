"""Commands die at real instants, against a platform in a process of its own: nothing is lost.

The short part of what ``make chaos N=1000`` does at length. What a trial is,
and what is looked at after it, is in `chaos.world` and `chaos.trials`.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest
from chaos.sweep import FAULTS, Swept, sweep_faults, sweep_kills
from chaos.trials import KINDS, Tally, run_trials
from chaos.victim import Trouble
from chaos.wishes import NEEDLE
from chaos.world import World


@pytest.fixture(scope="module", params=["calm", "lossy"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A stack and a platform that several trials share."""
    found = World(f"short {request.param}", request.param, size=6)
    with found:
        yield found
    found.forget()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(world: World, kind: str) -> None:
    """Then platform, state and specs agree, and no secret is written anywhere."""
    world.wish()
    KINDS[kind](world, random.Random(kind))
    assert world.settled() == [], world.log[-12:]


@pytest.mark.parametrize("fault", ["400", "503", "connection dropped after the effect"])
def test_a_fault_at_a_call_loses_nothing(fault: str) -> None:
    """At some of the calls of the plan that the long part sweeps."""
    tally = Swept()
    for tally in sweep_faults({fault: FAULTS[fault]}, every=45, calls=100):
        assert tally.wrong == []
    assert (tally.steps, tally.runs) == (30, 3)


def test_a_kill_before_a_call_loses_nothing() -> None:
    """Before some of the calls that the long part sweeps."""
    tally = Swept()
    for tally in sweep_kills(every=50):
        assert tally.wrong == []
    assert tally.kills > 2


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
        _see_secrets(found)
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


def _see_secrets(found: World) -> None:
    """A secret that is not the present one, and one that is not what the state says: each is said."""
    key = min(name for name in found.specs if name.startswith("key-"))
    variable = f"SECRET_{key[-1]}"
    sent, found.wishes.secrets[variable] = found.wishes.secrets[variable], f"{NEEDLE}-rotated"
    assert found.unfinished() == [f"{key}: its token is not the present value of {variable}"]
    found.wishes.secrets[variable] = sent
    with closing(sqlite3.connect(found.store)) as db, db:
        db.execute("UPDATE runai_secret SET digest = digest || '0'")
    assert f"runai.credential.{key}: its data.token is not what the state says" in found.wrongs()
    with closing(sqlite3.connect(found.store)) as db, db:
        db.execute("UPDATE runai_secret SET digest = substr(digest, 1, length(digest) - 1)")
    assert found.wrongs() == []


def test_as_many_commands_are_hit_as_were_asked_for() -> None:
    """A trial whose command came through counts for nothing."""
    tally = Tally()
    for tally in run_trials(3, seed="few", size=4):
        assert tally.wrong == []
    assert 3 <= tally.commands == tally.hit.total()
    assert tally.trials.keys() == tally.hit.keys()
