"""Trials on Run:ai in which somebody changes objects by hand, between the death of a command and the next."""

from __future__ import annotations

import json
import random
import tomllib
from typing import Any

from chaos.harm import killed
from chaos.world import World
from harness import Hand

_THEIRS = "python:2.7"
_CONFLICT = 7


def interfere(world: World, chance: random.Random) -> int:
    """What the dead run was about to write is another now: it is named, and left as it is."""
    hit, steps = 0, []
    for _ in range(4):
        again = killed(world, chance, "apply", "--auto-approve", calls=40 + 8 * world.size)
        hit, steps = hit + again, _open_steps(world)
        if steps or not again:
            break
    chosen = [step for step in steps if chance.random() < 0.8]
    for step in chosen:
        _change(world, step)
    theirs = {one: found.text for one, found in world.live().items() if f'"{_THEIRS}"' in found.text}
    wrong = world.until(_CONFLICT if chosen else 0, "recover")
    live = world.live()
    wrong_after = [f"{one} was not left alone" for one, text in theirs.items() if live[one].text != text]
    # What nobody remembers is theirs, until somebody says otherwise.
    known = world.remembered()
    strange = {one: text for one, text in theirs.items() if one not in known}
    world.others |= strange
    world.expect("after a conflict", wrong, *wrong_after, *world.wrongs())
    adopted = [one for one in strange if _is_adopted(world, chance, live[one].name, one)]
    if adopted:
        world.expect("taking it over", world.until(0, "apply", "--auto-approve"))
    return hit


def _is_adopted(world: World, chance: random.Random, name: str, one: str) -> bool:
    """The plan refuses and says how to go on: adopt the object, or delete it. Whether it was the first."""
    wished = name in world.specs and _scope(tomllib.loads(world.specs[name])["on"]["runai"]) == _scope_of(
        json.loads(world.live()[one].text)["meta"]
    )
    said = world.refusal("plan", of=f"(id {one})") if wished else ""
    if wished and not said:
        world.expect("a plan over a conflict", f"it never named {one}")
    del world.others[one]
    about = next((line for line in said.splitlines() if f"(id {one})" in line), "")
    can_be = about and "can only be set at creation" not in about and "not ours" not in about
    if can_be and chance.random() < 0.7:
        world.wishes.adopt(name)
        world.write()
        return True
    Hand(world.store).request("DELETE", f"/api/v1/asset/environment/{one}")
    return False


def _open_steps(world: World) -> list[dict[str, Any]]:
    """The steps that write an environment's image, were begun, and of which nobody wrote how they ended.

    Of a run that was not being rolled back.
    """
    steps: dict[int, dict[str, Any]] = {}
    for path in (world.stack / ".reconciler" / "runs").glob("*.open"):
        begun: dict[int, Any] = {}
        plan: list[dict[str, Any]] = []
        for line in path.read_bytes().splitlines():
            record = _record(line)
            body = record.get("body", {})
            match record.get("type"):
                case "Planned":
                    plan = body["plan"]["steps"]
                case "Intended":
                    begun[body["step"]] = body
                case "Done" | "Failed":
                    begun.pop(body["step"], None)
                case "RollbackBegun" | "Closed":
                    return []
        steps = {number: plan[number] for number in begun}
    return [
        step
        for step in steps.values()
        if step["address"][1] == "environment" and "image" in (step["attributes"] or {})
    ]


def _record(line: bytes) -> dict[str, Any]:
    start = line.find(b"{")
    try:
        found: dict[str, Any] = json.loads(line[start:])
    except ValueError:
        return {}  # the torn end
    return found


def _change(world: World, step: dict[str, Any]) -> None:
    """Make the object of *step* what nobody planned; where it is not there yet, make one in its place."""
    wanted, hand = step["attributes"], Hand(world.store)
    if step["verb"] == "create":
        place = _scope(wanted)
        same = [
            one
            for one, found in world.live().items()
            if found.name == wanted["name"]
            and (meta := json.loads(found.text)["meta"])["kind"] == "environment"
            and _scope_of(meta) == place
        ]
        if not same:
            more: dict[str, Any] = {} if place == "tenant" else {"scope": "project", "projectId": int(place)}
            if len(wanted["name"] + wanted["image"]) % 2:  # else it differs in what is only set at creation
                more["workloadSupportedTypes"] = dict.fromkeys(wanted.get("workload_types", ()), True)
            hand.create(wanted["name"], spec={"image": _THEIRS}, **more)
            return
        [one] = same
    else:
        one = step["remote_id"]
    path = f"/api/v1/asset/environment/{one}"
    there = json.loads(world.live()[one].text)
    meta = {key: there["meta"].get(key) for key in ("name", "description")}
    hand.request("PUT", path, {"meta": meta, "spec": {**there["spec"], "image": _THEIRS}})


def _scope(values: dict[str, Any]) -> str:
    return str(values.get("scope_id", values["scope"]))


def _scope_of(meta: dict[str, Any]) -> str:
    return str(meta.get("projectId", meta["scope"]))
