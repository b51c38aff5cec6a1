"""A platform that forgives nothing, to carry plans out on; and worlds to begin with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.builders import BOX, KINDS, address, memory, sight, wish

from reconciler.core.attributes import ID, REF, Attributes, marked, replace_markers
from reconciler.core.diff import Decision, decide, fingerprint
from reconciler.core.model import (
    NO_STAMP,
    Action,
    Phase,
    Plan,
    Remote,
    Resource,
    ResourceAddress,
    ResourceState,
    Step,
    Verb,
)
from reconciler.core.planner import order
from reconciler.state.records import Done
from reconciler.state.replay import Replay

PHASES = [Phase.CONSTRUCTIVE, Phase.REPLACING, Phase.DESTRUCTIVE]


@dataclass
class Platform:
    """Boxes, no two of one name.

    Refuses references to nothing, deletions of what is referred to, and a change of what can only be set at
    creation.
    """

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: int = 0

    def show(self) -> dict[str, Remote]:
        """What a listing says."""
        return {
            remote_id: sight(f"box.{values['name']}", values, remote_id=remote_id)
            for remote_id, values in self.objects.items()
        }

    def make(self, values: Mapping[str, Any]) -> str:
        """Create an object."""
        taken = {one["name"] for one in self.objects.values()}
        assert values["name"] not in taken, f"two objects called {values['name']}"
        self._check_references(values)
        self.made += 1
        remote_id = f"new-{self.made}"
        self.objects[remote_id] = {key: value for key, value in values.items() if value is not None}
        return remote_id

    def write(self, remote_id: str, values: Mapping[str, Any]) -> None:
        """Update an object."""
        self._check_references(values)
        there = self.objects[remote_id]
        for key, value in values.items():
            assert key not in BOX.immutable or there.get(key) == value, f"{key} cannot be changed"
            there.pop(key, None)
            if value is not None:
                there[key] = value

    def remove(self, remote_id: str) -> None:
        """Delete an object."""
        users = [other for other, values in self.objects.items() if remote_id in references(values)]
        assert not users, f"{remote_id} is in use by {users}"
        del self.objects[remote_id]

    def _check_references(self, values: Mapping[str, Any]) -> None:
        assert not list(marked(values, REF)), f"a reference that is not an id: {values}"
        missing = references(values) - self.objects.keys()
        assert not missing, f"refers to {missing}, which is not there"


def references(values: Mapping[str, Any]) -> set[str]:
    """The ids that stand in *values*."""
    return {remote_id for _, remote_id in marked(values, ID)}


@dataclass
class World:
    """What is wished, remembered and there, and where each wish was known before."""

    wishes: dict[ResourceAddress, Resource]
    remembered: dict[ResourceAddress, ResourceState]
    platform: Platform
    moves: dict[ResourceAddress, ResourceAddress] = field(default_factory=dict)

    def decide(self) -> tuple[list[Decision], list[tuple[ResourceAddress, Remote]]]:
        """All decisions, with those that refer to a new id; and what was left behind."""
        prior = dict(self.remembered)
        moved_from = {}
        for new, old in self.moves.items():
            if old in prior and new in self.wishes:
                prior[new] = replace(prior.pop(old), address=new)
                moved_from[new] = old
        shown = self.platform.show()
        by_name = {remote.identity: remote for remote in shown.values()}
        ours = {record.remote_id for record in prior.values()}
        new_ids: set[str] = set()
        while True:
            found: dict[ResourceAddress, Decision] = {}
            for where in sorted({*self.wishes, *prior}):
                desired, record = self.wishes.get(where), prior.get(where)
                live = shown.get(record.remote_id) if record is not None else None
                if live is None and desired is not None:
                    live = by_name.get(BOX.identity_of(desired.attributes))
                    live = None if live is not None and live.id in ours else live
                    record = None if live is not None else record
                if desired is not None:
                    desired = self._with_ids(desired, prior, by_name, new_ids)
                decision = decide(KINDS["box"], desired, record, live, moved_from=moved_from.get(where))
                if decision is not None:
                    assert not decision.problem, decision.problem
                    found[where] = decision
            now = {str(a) for a, d in found.items() if d.change.action in (Action.CREATE, Action.REPLACE)}
            if now <= new_ids:
                break
            new_ids |= now
        deposed = [
            (where, shown[remote_id])
            for where, record in sorted(prior.items())
            for remote_id in record.deposed
            if remote_id in shown
        ]
        return list(found.values()), deposed

    def _with_ids(
        self,
        desired: Resource,
        prior: Mapping[ResourceAddress, ResourceState],
        by_name: Mapping[tuple[str, ...], Remote],
        new_ids: set[str],
    ) -> Resource:
        def known(text: str) -> dict[str, str]:
            where = ResourceAddress.parse(text)
            record = prior.get(where)
            if record is not None and record.remote_id in self.platform.objects:
                remote_id = record.remote_id
            else:
                wanted = self.wishes[where]
                remote = by_name.get(BOX.identity_of(wanted.attributes))
                remote_id = remote.id if remote is not None else ""
            return {REF: text} if text in new_ids or not remote_id else {ID: remote_id}

        return replace(
            desired, attributes=Attributes(replace_markers(desired.attributes.values_, REF, known))
        )

    def carry_out(self, steps: tuple[Step, ...], chance: random.Random, *, at_most: int) -> None:
        """Carry out some of the steps, in any order that their waits and phases allow."""
        plan = Plan("test", NO_STAMP, "", "", steps=steps)
        fold = Replay(resources=dict(self.remembered), plan=plan)
        written: set[str] = set()
        for number in list(some_order(steps, chance))[:at_most]:
            fold.add(Done(number, self._carry_out(steps[number], fold, written)))
        self.remembered = fold.resources

    def _carry_out(self, step: Step, fold: Replay, written: set[str]) -> str:
        if step.fingerprint and step.remote_id not in written:
            assert step.fingerprint == fingerprint(self.platform.show()[step.remote_id])
        values = fold.resolved(step.attributes).values_ if step.attributes is not None else {}
        match step.verb:
            case Verb.CREATE:
                return self.platform.make(values)
            case Verb.UPDATE:
                written.add(step.remote_id)
                self.platform.write(step.remote_id, values)
            case Verb.DELETE:
                self.platform.remove(step.remote_id)
        return step.remote_id


def some_order(steps: tuple[Step, ...], chance: random.Random) -> Iterator[int]:
    """Numbers of steps in one of the orders in which an apply may run them."""
    left = {step.number: set(step.waits) for step in steps}
    while left:
        phase = min(PHASES.index(steps[number].phase) for number in left)
        ready = [
            number
            for number, waits in left.items()
            if not waits & left.keys() and PHASES.index(steps[number].phase) == phase
        ]
        assert ready, "nothing may start"
        number = chance.choice(ready)
        del left[number]
        yield number


def any_world(chance: random.Random) -> World:
    """A world in which anything may have happened, but for what the platform forbids.

    Higher numbers refer to lower ones, now and before, so that no circle arises.
    """
    names = [f"n{number}" for number in range(chance.randint(1, 7))]
    platform = Platform()
    remembered: dict[ResourceAddress, ResourceState] = {}
    moves: dict[ResourceAddress, ResourceAddress] = {}
    in_use: set[str] = set()
    ids: dict[str, str] = {}
    known: dict[str, str] = {}
    for name in names:  # what was there
        fate = chance.choice(["new", "ours", "ours", "ours", "moved", "gone", "made by hand", "made anew"])
        if fate == "new":
            continue
        by_hand = fate in ("made by hand", "made anew")  # and refers to nothing, since nobody manages that
        links = {other: {ID: ids[other]} for other in ids if not by_hand and chance.random() < 0.4}
        values: dict[str, Any] = {"name": name, "shape": chance.choice(["flat", "round"])}
        if chance.random() < 0.6:
            values["colour"] = chance.choice(["red", "blue"])
        if links:
            values["links"] = links
        before = f"box.{name}" if fate != "moved" else f"box.old-{name}"
        if fate != "made by hand":
            needs = {known[other] for other in known if other in links or chance.random() < 0.2}
            record = memory(before, values, remote_id=f"#{name}", needs=needs)
            known[name] = before
            remembered[address(before)] = record
            if fate == "moved":
                moves[address(f"box.{name}")] = address(before)
        if fate == "gone":
            continue
        there = dict(values)
        if chance.random() < 0.3:
            there["colour"] = "green"
        if chance.random() < 0.3:
            there["weight"] = 7  # which nobody manages
        if chance.random() < 0.2:
            there.pop("links", None)
        ids[name] = f"by-hand-{name}" if fate == "made anew" else f"#{name}"
        platform.objects[ids[name]] = there
        in_use |= references(there)
        if fate == "ours" and chance.random() < 0.2:
            left = f"left-{name}"
            platform.objects[left] = {
                "name": f"{name}-before",
                **({"links": links} if links and chance.random() < 0.5 else {}),
            }
            in_use |= references(platform.objects[left])
            remembered[address(before)] = replace(remembered[address(before)], deposed=(left,))
    wishes: dict[ResourceAddress, Resource] = {}
    wished = [name for name in names if chance.random() < 0.75]
    for number, name in enumerate(wished):
        was = remembered.get(address(f"box.{name}"))
        as_before = was is not None and chance.random() < 0.4
        linked = was.attributes.get("links", {}) if was is not None else {}
        links = {
            other: {REF: f"t.box.{other}"}
            for other in wished[:number]
            if (other in linked if as_before else chance.random() < 0.4)
        }
        renamed = not as_before and chance.random() < 0.2
        values = {
            "name": f"{name}-next" if renamed else name,
            "shape": chance.choice(["flat", "round"]),
            "colour": chance.choice(["red", "blue"]),
            **(dict(was.attributes) if was is not None and as_before else {}),
            **({"links": links} if links else {}),
        }
        if not links:
            values.pop("links", None)
        needs = [f"box.{other}" for other in wished[:number] if chance.random() < 0.2]
        wishes[address(f"box.{name}")] = wish(
            f"box.{name}",
            values,
            needs={*needs, *(f"box.{other}" for other in links)},
            adopt=True,
            create_before_destroy=renamed and chance.random() < 0.7,
        )
    world = World(wishes, remembered, platform, moves)
    for where, desired in list(wishes.items()):  # adopting never replaces: that would be an error, not a plan
        found = [one for one in platform.objects.values() if one["name"] == desired.attributes["name"]]
        if found and (where not in remembered or remembered[where].remote_id not in platform.objects):
            shape = found[0].get("shape", "flat")
            wishes[where] = replace(desired, attributes=desired.attributes.with_values(shape=shape))
    return world


def planned(world: World) -> tuple[list[Decision], list[tuple[ResourceAddress, Remote]], tuple[Step, ...]]:
    """Decisions, what is left behind, and the steps."""
    decisions, deposed = world.decide()
    return decisions, deposed, order(decisions, deposed)
