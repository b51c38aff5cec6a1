"""One change of a stack in which every verb and every action has its part."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from engine.laboratory import Laboratory

from reconciler.engine.stack import Planned
from reconciler.errors import StateError

BEFORE = """
box base shape=round
box user uses=@box.base size=1
tower high shape=round size=1 !cbd
box plain size=1
box mid size=1
box drift size=1
box old size=3
box gone size=1
box lost size=1
safe deep code=$SAFE size=1
key hub secret=$HUB
box guest uses=@key.hub
scroll song text=first version=1 source=here
scroll tale text=told
"""

AFTER = """
moved box.old box.new
box base shape=square
box user uses=@box.base size=1
tower high shape=square size=1 !cbd
box plain size=1 !protect
box mid size=2
box drift size=1
box new size=3
box lost size=1
safe deep code=$SAFE size=2
box found size=5 colour=red
box taken size=9 !adopt
key ngc secret=$NGC
box miner uses=@key.ngc
scroll song text=second version=2 source=there
"""

STEPS = """
update box.drift
record box.found
forget box.gone
create box.lost
update box.mid
update box.new
record box.plain
update box.taken
create key.ngc
create box.miner
update safe.deep
update scroll.song
create tower.high
update box.user
delete box.base
create box.base
update box.user
delete box.guest
delete key.hub
delete scroll.tale
delete tower.high
"""

WORLD_BEFORE = """
box.base shape=round
box.drift size=7
box.found colour=red size=5
box.guest uses=@key.hub
box.mid size=1
box.old size=3
box.plain size=1
box.taken size=1
box.user size=1 uses=@box.base
key.hub secret=hub-password-1
safe.deep code=safe-password-1 size=1
scroll.song text=first version=1
scroll.tale text=told
tower.high shape=round size=1
"""

WORLD_AFTER = """
box.base shape=square
box.drift size=1
box.found colour=red size=5
box.lost size=1
box.mid size=2
box.miner uses=@key.ngc
box.new size=3
box.plain size=1
box.taken size=9
box.user size=1 uses=@box.base
key.ngc secret=ngc-password-1
safe.deep code=safe-password-1 size=2
scroll.song text=second version=2
tower.high shape=square size=1
"""


def lines(text: str) -> list[str]:
    """The lines of a block."""
    return text.strip().splitlines()


def laboratory() -> tuple[Laboratory, tuple[str, ...]]:
    """A stack as BEFORE says, with a hand's work since; and the ids of what that hand made."""
    lab, foreign = _prepared()
    return lab.after_power_cut(lab.moments[0]), foreign


@cache
def _prepared() -> tuple[Laboratory, tuple[str, ...]]:
    lab = Laboratory()
    assert lab.apply(BEFORE).outcome == "applied"
    platform = lab.provider
    platform.edit(lab.id_of("box.drift"), size=7)
    for name in ("box.gone", "box.lost"):
        del platform.objects[lab.id_of(name)]
    foreign = (
        platform.put("box", name="found", size=5, colour="red"),
        platform.put("box", name="taken", size=1),
    )
    assert lab.world() == lines(WORLD_BEFORE)
    lab.remember("the start")
    return lab, foreign


@cache
def plan_after() -> Planned:
    """The plan to AFTER. A value: every laboratory of `laboratory` may carry it out."""
    return laboratory()[0].plan(AFTER)


def no_trouble(lab: Laboratory) -> None:
    """Nothing fails."""


def calls_of(prepare: Callable[[Laboratory], None], on_failure: str = "rollback") -> list[str]:
    """The calls of an apply that *prepare* spoiled."""
    lab, _ = laboratory()
    prepare(lab)
    lab.carry_out(plan_after(), on_failure)
    return list(lab.provider.calls)


def wrongs(prepare: Callable[[Laboratory], None], on_failure: str) -> list[str]:
    """What is wrong after an apply that *prepare* spoiled, or after the one that follows it."""
    lab, foreign = laboratory()
    prepare(lab)
    error = ""
    try:
        outcome = lab.carry_out(plan_after(), on_failure).outcome
    except StateError as failure:  # the journal could not even be begun
        outcome, error = "open", str(failure)
    lab.provider.fail.clear()
    lab.provider.fail_after.clear()
    lab.provider.watch = lambda what: None
    lab.stop = lambda: False
    lab.backend.fail_journal_at = lab.backend.fail_commit = None
    found = []
    if outcome == "open":
        settled = lab.settle()
        if settled is None and not error:
            found.append("nothing was open")
        elif settled is not None:
            found += settled.conflicts
    elif lab.backend.open_run() is not None:
        found.append("a run is open")
    if outcome == "rolled back" and lab.world() != lines(WORLD_BEFORE):
        found.append(f"the world is {lab.world()}")
    if outcome == "applied" and lab.world() != lines(WORLD_AFTER):
        found.append(f"the world is {lab.world()}")
    found += wrongs_in_the_end(lab, foreign)
    return [f"{outcome}: {one}" for one in found]


def wrongs_in_the_end(lab: Laboratory, foreign: tuple[str, ...]) -> list[str]:
    """In what world, state and journal disagree now, and what the next apply does not bring in order."""
    start, _ = laboratory()
    made_by_hand = set(start.agreement(foreign=foreign))
    found = [one for one in lab.agreement(foreign=foreign) if one not in made_by_hand]
    if lab.backend.open_run() is not None:
        found.append("a run is open")
    again = lab.apply(AFTER)
    if again.plan.steps and again.outcome != "applied":
        found.append(f"the next apply is {again.outcome}: {again.steps.errors}")
    if lab.world() != lines(WORLD_AFTER):
        found.append(f"in the end the world is {lab.world()}")
    found += lab.agreement()
    if steps := lab.steps(lab.plan(AFTER)):
        found.append(f"still to do: {steps}")
    return found
