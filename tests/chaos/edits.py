"""Trials in which an edit of the state dies: it happened, or it did not, and nothing in between."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from typing import Any

from chaos.harm import harmed
from chaos.world import World

_CALLS = 40
"""An edit makes fewer than that."""

Records = Mapping[str, Mapping[str, Any]]


def move(world: World, chance: random.Random) -> int:
    """``state mv`` of what has one object in its spec. Its file gets the new name once the state has it."""
    records = _begin(world)
    fit = [name for name in _applied(world) if not world.wishes.has_beside(name, records)]
    if not fit:
        return 0
    old = chance.choice(fit)
    before = world.wishes.address_of(old)
    after = before.replace(old, f"moved-{old}")
    named = json.loads(json.dumps(dict(records)).replace(f'"{before}"', f'"{after}"'))
    hit = harmed(world, chance, "state", "mv", before, after, calls=_CALLS)
    if after in _settled(world, records, named):
        world.wishes.rename(old)
        world.write()
    return hit


def let_go(world: World, chance: random.Random) -> int:
    """``state rm`` of an environment: its object is nobody's on purpose, or is taken over again."""
    records = _begin(world)
    wishes = world.wishes
    needed = {one for record in records.values() for one in record.get("depends_on", ())}
    fit = [
        name
        for name in _applied(world)
        if name.startswith("env-")
        and (address := wishes.address_of(name)) not in needed
        and not records[address].get("depends_on")
    ]
    if not fit:
        return 0
    name = chance.choice(fit)
    address = wishes.address_of(name)
    hit = harmed(world, chance, "state", "rm", address, calls=_CALLS)
    left = {one: record for one, record in records.items() if one != address}
    if address in _settled(world, records, left):
        return hit
    one = records[address]["id"]
    # Whatever comes next: until somebody asks for it, it is as it was.
    world.others[one] = world.live()[one].text
    if chance.random() < 0.5:
        wishes.let_go(name)
        world.write()
        return hit
    wishes.specs[name] = wishes.applied[name]
    wishes.adopt(name)
    world.write()
    world.expect("while it is nobody's", world.until(0, "plan"), *world.wrongs())
    del world.others[one]
    world.expect("taking it over again", world.until(0, "apply", "--auto-approve"))
    return hit


def push(world: World, chance: random.Random) -> int:
    """``state push`` of the state as it is, or of the one before over one that the disk lost."""
    records = _begin(world)
    folder = world.stack / ".reconciler"
    previous = folder / "state.previous.json"
    shutil.copy(folder / "state.json", world.stack / "kept.json")
    wanted = {}
    if previous.exists():
        wanted = {one["address"]: one for one in json.loads(previous.read_text())["resources"]}
    # What was renamed or let go of since would be under the old name again, or ours.
    outdated = any("moved-" in one for one in wanted) or not world.wishes.is_as_named
    outdated = outdated or any(one["id"] in world.others for one in wanted.values())
    if not wanted or outdated or chance.random() < 0.5:
        hit = harmed(world, chance, "state", "push", "kept.json", calls=_CALLS)
        _settled(world, records, records)
        return hit
    # The last run made and removed objects that this state knows nothing of: equal ones are taken over.
    wishes = world.wishes
    wishes.as_applied()
    for name in wishes.specs:
        if wishes.is_blind(name):
            wishes.adopt(name)
    world.write()
    shutil.copy(previous, world.stack / "kept.json")
    (folder / "state.json").write_bytes(b"")
    hit = harmed(world, chance, "state", "push", "kept.json", calls=_CALLS)
    if world.run("state", "verify") != 0 or world.records() != wanted:
        world.expect("pushing again", world.until(0, "state", "push", "kept.json"))
    _settled(world, wanted, wanted)
    world.expect("after the push", world.until(0, "apply", "--auto-approve"))
    return hit


def _begin(world: World) -> Records:
    """The records of a stack that was applied: those that there are, or the first."""
    if not world.records():
        world.expect("the first apply", world.until(0, "apply", "--auto-approve"))
        world.wishes.were_applied()
    return world.records()


def _applied(world: World) -> list[str]:
    """The names that are wished for, and were when the state was last brought up to date."""
    known = world.records()
    wished = world.specs.keys() & world.wishes.applied.keys()
    return sorted(name for name in wished if world.wishes.address_of(name) in known)


def _settled(world: World, before: Records, after: Records) -> Records:
    """What the state says once the edit is settled: *before*, or *after*."""
    world.expect("settling an edit", world.until(0, "recover"))
    found = world.records()
    if found not in (before, after):
        world.untrue.append("the edit of the state happened in part")
    return found
