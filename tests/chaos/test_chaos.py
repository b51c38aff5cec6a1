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
from chaos.aenvironment import Aenvironment
from chaos.azureml import Azureml
from chaos.sweep import FAULTS, Swept, sweep_faults, sweep_kills
from chaos.trials import KINDS, Tally, kinds_of, place_of, run_trials
from chaos.vendors import VENDORS
from chaos.victim import Trouble
from chaos.wishes import NEEDLE
from chaos.world import World
from harness import Hand

RUNAI = VENDORS["runai"]
OTHERS = {"azureml": "lossy", "aenv": "calm"}
CASES = [
    *((("runai", profile), kind) for profile in ("calm", "lossy") for kind in KINDS),
    # Each kind on one of the others: what they share is most of it, and the long part has all.
    *(
        ((platform, profile), kind)
        for number, (platform, profile) in enumerate(OTHERS.items())
        for kind in kinds_of(VENDORS[platform])[number::2]
    ),
]


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A stack and a platform that several trials share."""
    platform, profile = request.param
    size = 6 if platform == "runai" else 3
    found = World(f"short {profile}", VENDORS[platform], profile, size=size)
    with found:
        yield found
    found.forget()


@pytest.mark.parametrize(
    ("world", "kind"),
    CASES,
    indirect=["world"],
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)
def test_nothing_is_lost(world: World, kind: str) -> None:
    """Then platform, state and specs agree, and no secret is written anywhere."""
    world.wish()
    KINDS[kind](world, random.Random(kind))
    assert world.settled() == [], world.log[-12:]


@pytest.mark.parametrize("fault", ["400", "503", "connection dropped after the effect"])
def test_a_fault_at_a_call_loses_nothing(fault: str) -> None:
    """At some of the calls of the plan that the long part sweeps."""
    tally = Swept()
    for tally in sweep_faults(RUNAI, {fault: FAULTS[fault]}, every=45, calls=100):
        assert tally.wrong == []
    assert (tally.steps, tally.runs) == (30, 3)


@pytest.mark.parametrize("platform", ["azureml", "aenv"])
def test_a_fault_at_a_call_of_another_vendor_loses_nothing(platform: str) -> None:
    """At some of the calls of a plan of ten steps, each kind of step that the vendor has among them."""
    fault = "connection dropped after the effect"
    tally = Swept()
    for tally in sweep_faults(VENDORS[platform], {fault: FAULTS[fault]}, every=20, calls=30):
        assert tally.wrong == []
    assert (tally.steps, tally.runs) == (10, 2)


def test_a_kill_before_a_call_loses_nothing() -> None:
    """Before some of the calls that the long part sweeps."""
    tally = Swept()
    for tally in sweep_kills(RUNAI, every=50):
        assert tally.wrong == []
    assert tally.kills > 2


def test_a_command_is_hit_where_it_is_told_to_be() -> None:
    """The harness counts calls the same way each time, and kills at the one it is given."""
    found = World("hit", RUNAI, "calm", size=2)
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
    found = World("wrong", RUNAI, "calm", size=6)
    with found:
        found.wish()
        assert found.settled() == []
        hand = Hand(found.store)
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


def test_the_harness_sees_what_is_wrong_on_azure_ml() -> None:
    """An archived container is lost, a definition that was made twice a double, a context has to be whole."""
    azureml = Azureml()
    found = World("wrong 1", azureml, "calm", size=2)
    with found:
        found.wish()
        found.specs["env-00"] = 'image = "python:3.11"\n[on.azureml]\n'
        found.specs["env-01"] = '[on.azureml]\nbuild = "contexts/1"\n'
        found.write()
        assert found.settled() == []
        body = {"properties": {"image": "python:3.11"}}
        azureml.hand(found.store, ("PUT", "environments/orphan/versions/1", body))
        assert found.wrongs() == ["orphaned: orphan (orphan)"]
        azureml.hand(found.store, ("PUT", "environments/orphan", {"properties": {"isArchived": True}}))
        assert found.wrongs() == []
        with closing(sqlite3.connect(found.store)) as db, db:
            db.execute("DELETE FROM azureml_blob WHERE name LIKE '%words.txt'")
        assert [one.split(" context=")[0] for one in found.unfinished()] == [
            "wished for, and not there: environment.env-01",
            "there, and not wished for: environment.env-01",
        ]
        azureml.hand(found.store, ("PUT", "environments/env-00/versions/99", body))
        (double,) = found.wrongs()
        assert double.startswith("doubled: env-00 has one definition as ")
        azureml.hand(found.store, ("PUT", "environments/env-01", {"properties": {"isArchived": True}}))
        assert "lost: azureml.environment.env-01 (env-01)" in found.wrongs()
    found.forget()


def test_the_harness_sees_what_is_wrong_on_aenvironment() -> None:
    """An environment that was let go of is no orphan, one that nobody knew is; volumes outlive services."""
    aenv = Aenvironment()
    found = World("wrong 2", aenv, "calm", size=3)
    with found:
        found.wish()
        service = '[on.aenv.service]\nstorage_size = "1Gi"\n'
        found.wishes.specs = {
            "env-00": f'image = "lab:1"\ntags = {{}}\n[on.aenv]\nversion = "1"\n{service}',
            "env-01": 'image = "lab:1"\ntags = {}\n[on.aenv]\nversion = "1"\n',
        }
        found.write()
        assert found.settled() == []
        del found.specs["env-01"]
        found.write()
        assert found.settled() == []
        assert "env-01@1" in found.live()
        aenv.hand(
            found.store,
            ("POST", "/env/", {"name": "orphan", "version": "1", "status": "Ready"}),
            ("POST", "/env-service", {"envName": "env-01@1", "service_name": "other"}),
            ("PUT", "/env-service/env-00", {"image": "lab:2"}),
        )
        assert found.wrongs() == ["orphaned: orphan (orphan@1)", "orphaned: other (other)"]
        assert any("image=lab:2" in one for one in found.unfinished())
        aenv.hand(found.store, ("DELETE", "/env-service/other", None))
        aenv.hand(found.store, ("DELETE", "/env-service/env-00?deleteStorage=true", None))
        assert found.wrongs() == [
            "orphaned: orphan (orphan@1)",
            "lost: aenv.service.env-00 (env-00)",
            "lost: the volume env-00 of aenv.service.env-00",
        ]
    found.forget()


def test_worlds_go_round_the_vendors_and_their_profiles() -> None:
    """Each vendor has each way to misbehave, and the number of a world says both."""
    places = [(vendor.platform, profile) for vendor, profile in map(place_of, range(18))]
    assert places[:4] == [("runai", "calm"), ("azureml", "calm"), ("aenv", "calm"), ("runai", "slow")]
    assert len(set(places)) == 18


def test_as_many_commands_are_hit_as_were_asked_for() -> None:
    """A trial whose command came through counts for nothing."""
    tally = Tally()
    for tally in run_trials(3, seed="few", size=4):
        assert tally.wrong == []
    assert 3 <= tally.commands == tally.hit.total()
    assert tally.trials.keys() == tally.hit.keys()
