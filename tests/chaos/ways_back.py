"""Trials of the ways back and on: ``undo RUN`` and ``apply --resume RUN`` die, and are asked for again."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from chaos.harm import killed
from chaos.vendor import Found
from chaos.world import World

from reconciler.engine.resume import is_resumable
from reconciler.state.journal import read_journal
from reconciler.state.records import Record
from reconciler.state.replay import Replay

_USAGE = 64


def undo(world: World, chance: random.Random) -> int:
    """A run is undone, which dies, and is undone again: platform and state are as before the run."""
    there: dict[str, Found] = {}
    believed: dict[str, str] = {}
    known: set[str] = set()
    for _ in range(world.attempts):
        runs, there, believed, known = world.runs(), world.ours(), world.believed(), {*world.remembered()}
        if world.run("apply", "--auto-approve") == 0:
            break
    run = world.last_run()
    if run in runs:
        return 0  # what failed at first had done everything
    if world.run("undo", run, "--out", "back.plan", "--allow-deletes") != 0:
        world.expect("undoing", _undone(world, run))
        return 0
    hit = killed(world, chance, "apply", "back.plan")
    world.expect("settling an undoing", world.until(0, "recover"), *world.wrongs())
    if chance.random() < 0.5 and _is_resumable(world):
        hit += killed(world, chance, "apply", "--resume", world.last_run())
    world.expect("undoing", _undone(world, run))
    live = world.ours()
    # What the platform never removes stays, and what the run came upon of that stays managed.
    staying = {
        one for one, record in world.records().items() if (id_ := record["id"]) in live and live[id_].stays
    }
    now = {one: line for one, line in world.believed().items() if one in believed or one not in staying}
    known |= world.remembered().keys()
    for what, was, then in (
        ("platform", _standing(there, known), _standing(live, known)),
        ("state", {*believed.values()}, {*now.values()}),
    ):
        world.expect(f"undone, and the {what} is another", *sorted(was ^ then)[:6])
    return hit


def _standing(found: Mapping[str, Found], known: Collection[str]) -> set[str]:
    """What is there, a line each; of what the platform never removes, what the state knows or knew."""
    return {f"{one.line} {one.exact}".rstrip() for id_, one in found.items() if not one.stays or id_ in known}


def _undone(world: World, run: str) -> str:
    """Undo *run* as often as the platform makes it necessary; what is wrong when it is never done."""
    codes = []
    for _ in range(world.attempts):
        size = world.said.stat().st_size
        codes = [world.run("undo", run, "--out", "back.plan", "--allow-deletes")]
        if codes == [_USAGE] and "nothing to undo" in world.said.read_text(errors="replace")[size:]:
            return ""  # all that it made is gone again; whether that is so, is looked at next
        if codes == [0]:
            codes.append(world.run("apply", "back.plan"))
            if codes == [0, 0]:
                return ""
    return f"undo and apply ended with {codes} in the end"


def resume(world: World, chance: random.Random) -> int:
    """A run dies and is resumed, which dies, and is resumed: then the specs are as they are wished for."""
    hit = killed(world, chance, "apply", "--auto-approve")
    if not hit:
        return 0
    for turn in range(world.attempts + 2):
        world.expect("settling a resumed run", world.until(0, "recover"), *world.wrongs())
        if not _is_resumable(world):
            return hit
        run = world.last_run()
        if turn < 2 and chance.random() < 0.7:
            hit += killed(world, chance, "apply", "--resume", run)
            continue
        code = world.run("apply", "--resume", run)
        if code == 0:
            world.expect(
                "resumed to the end", world.until(0, "plan", "--detailed-exitcode"), *world.unfinished()
            )
            return hit
        if world.is_fair:
            world.expect("resuming", f"apply --resume ended with {code}")
            return hit
    return hit


def _is_resumable(world: World) -> bool:
    """Whether the last run left steps of a plan, none of which went wrong."""
    tale = Replay(resources={})
    for record in _records(world):
        tale.add(record)
    return is_resumable(tale)


def _records(world: World) -> Sequence[Record]:
    found = world.stack.glob(f".reconciler/runs/{world.last_run()}.*")
    return next(map(read_journal, found), ())
