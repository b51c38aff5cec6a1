"""Trials of the ways back and on: ``undo RUN`` and ``apply --resume RUN`` die, and are asked for again."""

from __future__ import annotations

import random
from collections.abc import Sequence

from chaos.harm import killed
from chaos.world import World

from reconciler.engine.resume import is_resumable
from reconciler.state.journal import read_journal
from reconciler.state.records import Record
from reconciler.state.replay import Replay

_NOTHING_TO_UNDO = 64


def undo(world: World, chance: random.Random) -> int:
    """A run is undone, which dies, and is undone again: platform and state are as before the run."""
    before: tuple[list[str], list[str]] = ([], [])
    for _ in range(world.attempts):
        runs, before = world.runs(), (world.there(), world.believed())
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
    for what, was, now in zip(("platform", "state"), before, (world.there(), world.believed()), strict=True):
        differing = sorted({*was} ^ {*now})
        world.expect(f"undone, and the {what} is another", *differing[:6])
    return hit


def _undone(world: World, run: str) -> str:
    """Undo *run* as often as the platform makes it necessary; what is wrong when it is never done."""
    codes = []
    for _ in range(world.attempts):
        codes = [world.run("undo", run, "--out", "back.plan", "--allow-deletes")]
        if codes == [_NOTHING_TO_UNDO]:
            return ""  # what was cut off had done everything
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
