"""Whatever is wished, remembered and there: the steps show what they do, can be carried out, get there."""

from __future__ import annotations

import random

from core.builders import BOX
from core.strict import PHASES, World, any_world, planned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import REF, replace_markers
from reconciler.core.model import Action, ResourceAddress, Verb

SEEDS = st.integers(0, 2**32)
MODEST = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MODEST
@given(SEEDS)
def test_steps_are_numbered_in_an_order_that_their_waits_and_phases_allow(seed: int) -> None:
    """Numbers from 0 without a gap, waits point back, phases never go back."""
    _, _, steps = planned(any_world(random.Random(seed)))
    assert [step.number for step in steps] == list(range(len(steps)))
    assert all(wait < step.number for step in steps for wait in step.waits)
    phases = [PHASES.index(step.phase) for step in steps]
    assert phases == sorted(phases)


@MODEST
@given(SEEDS)
def test_whatever_touches_a_platform_is_shown(seed: int) -> None:
    """There is a change for each address that a step creates, writes or deletes."""
    decisions, deposed, steps = planned(any_world(random.Random(seed)))
    shown = {one.change.address for one in decisions if one.change.action is not Action.RECORD}
    shown |= {address for address, _ in deposed}
    touched = {step.address for step in steps if step.verb in (Verb.CREATE, Verb.UPDATE, Verb.DELETE)}
    assert touched <= shown


@MODEST
@given(SEEDS)
def test_a_plan_carried_out_gets_there(seed: int) -> None:
    """In any order that waits and phases allow, on a platform that forgives nothing; then nothing is left."""
    chance = random.Random(seed)
    world = any_world(chance)
    before = unmanaged(world)
    _, _, steps = planned(world)
    world.carry_out(steps, chance, at_most=len(steps))
    check_that_it_is_as_wished(world, before)


@MODEST
@given(SEEDS, st.integers(0, 12))
def test_a_plan_cut_off_anywhere_is_finished_by_the_next(seed: int, count: int) -> None:
    """What the first run did not get to, a new plan does: nothing is doubled, nothing left behind."""
    chance = random.Random(seed)
    world = any_world(chance)
    before = unmanaged(world)
    _, _, steps = planned(world)
    world.carry_out(steps, chance, at_most=count)
    _, _, rest = planned(world)
    world.carry_out(rest, chance, at_most=len(rest))
    check_that_it_is_as_wished(world, before)


@MODEST
@given(SEEDS)
def test_an_empty_directory_takes_everything_away(seed: int) -> None:
    """Everything we know of, and nothing else."""
    chance = random.Random(seed)
    world = any_world(chance)
    world.wishes.clear()
    before = unmanaged(world)
    _, _, steps = planned(world)
    world.carry_out(steps, chance, at_most=len(steps))
    assert (world.platform.objects, world.remembered) == (before, {})


def unmanaged(world: World) -> dict[str, dict[str, object]]:
    """The objects that neither the state knows nor a spec wants."""
    known = {one.remote_id for one in world.remembered.values()}
    known |= {old for one in world.remembered.values() for old in one.deposed}
    wanted = {one.attributes["name"] for one in world.wishes.values()}
    return {
        remote_id: dict(values)
        for remote_id, values in world.platform.objects.items()
        if remote_id not in known and values["name"] not in wanted
    }


def check_that_it_is_as_wished(world: World, untouched: dict[str, dict[str, object]]) -> None:
    """The platform shows what is wished, what is not managed as it was, and there is nothing left to do."""
    assert planned(world)[2] == ()
    assert set(world.remembered) == set(world.wishes)
    ids = {str(address): record.remote_id for address, record in world.remembered.items()}
    for address, wanted in world.wishes.items():
        there = world.platform.objects[ids[str(address)]]
        expected = replace_markers(wanted.attributes.values_, REF, lambda text: {"$id": ids[text]})
        assert {key: there.get(key, BOX.defaults.get(key)) for key in expected} == expected
    ours = set(ids.values())
    assert {key: value for key, value in world.platform.objects.items() if key not in ours} == untouched


def test_the_worlds_are_not_dull() -> None:
    """Two hundred of them contain every action, detaching, deposing and leftovers."""
    seen: set[str] = set()
    for seed in range(200):
        decisions, deposed, steps = planned(any_world(random.Random(seed)))
        seen |= {str(one.change.action) for one in decisions}
        seen |= {"deposed"} if deposed else set()
        updates: list[ResourceAddress] = [step.address for step in steps if step.verb is Verb.UPDATE]
        seen |= {"detach"} if len(set(updates)) < len(updates) else set()
        seen |= {"before destroy"} if any(s.deposes and s.verb is Verb.CREATE for s in steps) else set()
    assert seen == {*map(str, Action), "deposed", "detach", "before destroy"}
