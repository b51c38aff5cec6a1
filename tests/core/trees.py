"""Plans as text: what is decided goes in as lines, the ordered steps come out as a tree.

A line in is ``ACTION kind.name``, and then, as far as a case needs it:

``-> a b``
    its attributes refer to these by id, and it depends on them;
``=> a b``
    it depends on these without referring to them;
``was -> a b``, ``was => a b``
    what it referred to and depended on until now (when not said: what it does now);
words
    ``before-destroy``, ``protected``, ``from:kind.name``, ``ignoring:FIELD``, ``keeping`` (the spec does not
    manage its links, the platform's object has them).

``deposed kind.name ID -> a b`` is what a broken replacement left behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import dedent, indent
from typing import Any

from core.builders import KINDS, address, memory, sight, wish

from reconciler.core.diff import Decision, decide
from reconciler.core.model import Remote, ResourceAddress, Step, Verb
from reconciler.core.planner import order

__all__ = ["decisions", "drawn", "tree"]

SYMBOLS = {Verb.CREATE: "+", Verb.UPDATE: "~", Verb.DELETE: "-", Verb.RECORD: "=", Verb.FORGET: "x"}
MAKES_NEW = {"create", "replace"}


def tree(text: str) -> str:
    """The steps for what *text* decides."""
    chosen, deposed = decisions(text)
    return drawn(order(chosen, deposed))


def drawn(steps: tuple[Step, ...]) -> str:
    """Steps under their phases: number, symbol, address, and what they wait for.

    An id tells which of two objects a deletion takes, ``keeping ID`` which one a creation leaves for later.
    An update that writes less than the spec is shown with what it writes.
    """
    lines: list[str] = []
    phase = ""
    for step in steps:
        if step.phase != phase:
            phase = str(step.phase)
            lines.append(phase)
        where = f"{step.address.kind}.{step.address.name}"
        line = f"  {step.number} {SYMBOLS[step.verb]} {where}"
        if step.verb is Verb.DELETE and step.remote_id != f"#{where}":
            line += f" {step.remote_id}"
        if step.verb is Verb.CREATE and step.deposes:
            line += f" keeping {step.remote_id}"
        if step.verb is Verb.UPDATE and step.attributes is not None and "name" not in step.attributes:
            line += f" {json.dumps(dict(step.attributes))}"
        if step.moved_from is not None:
            line += f" from {step.moved_from.kind}.{step.moved_from.name}"
        if step.waits:
            line += f" after {' '.join(map(str, step.waits))}"
        lines.append(line)
    return indent("\n".join(lines), "    ")


def decisions(text: str) -> tuple[list[Decision], list[tuple[ResourceAddress, Remote]]]:
    """What the lines of *text* decide, by the real `decide`, and what is deposed."""
    lines = [line.split() for line in dedent(text).strip().splitlines()]
    new = {name for action, name, *_ in lines if action in MAKES_NEW}
    chosen: list[Decision] = []
    deposed: list[tuple[ResourceAddress, Remote]] = []
    for action, name, *rest in lines:
        if action == "deposed":
            remote_id, *arrows = rest
            deposed.append((address(name), sight(name, links(arrows[1:], set()), remote_id=remote_id)))
            continue
        decision = decided(action, name, rest, new)
        assert decision is not None, f"{action} {name}: nothing to do"
        assert decision.change.action == action, f"{action} {name}: it is {decision.change.action}"
        assert not decision.problem, decision.problem
        chosen.append(decision)
    return chosen, deposed


def links(names: list[str], new: set[str]) -> dict[str, Any]:
    """References to objects, by id when that is known."""
    if not names:
        return {}
    return {"links": {name: {"$ref": f"t.{name}"} if name in new else {"$id": f"#{name}"} for name in names}}


def decided(action: str, name: str, rest: list[str], new: set[str]) -> Decision | None:
    """One decision."""
    arrows: dict[str, list[str]] = {}
    words: list[str] = []
    here = words
    past = ""
    for word in rest:
        if word in ("->", "=>"):
            here = arrows.setdefault(past + word, [])
            past = ""
        elif word == "was":
            past = "was "
        elif "." in word and ":" not in word:
            here.append(word)
        else:
            words.append(word)
    refers, needs = arrows.get("->", []), arrows.get("=>", [])
    referred = arrows.get("was ->", [] if "was =>" in arrows else refers)
    needed = arrows.get("was =>", [] if "was ->" in arrows else needs)
    options = dict(word.partition(":")[::2] for word in words)
    keeps_old = "before-destroy" in options
    before: dict[str, Any] = {"size": 1, "shape": "flat", **links(referred, set())}
    after: Mapping[str, Any] = {
        "size": 2 if action in ("update", "adopt") else 1,
        "shape": "round" if action == "replace" else "flat",
        **({"name": "new"} if keeps_old else {}),
        **({} if "keeping" in options else links(refers, new)),
    }
    desired = (
        wish(
            name,
            after,
            needs=[*refers, *needs],
            create_before_destroy=keeps_old,
            prevent_destroy="protected" in options or action == "record",
            adopt=action == "adopt",
            ignore_changes=(options["ignoring"],) if "ignoring" in options else (),
        )
        if action not in ("delete", "forget")
        else None
    )
    remembered = {key: value for key, value in before.items() if key != "links" or "keeping" not in options}
    prior = (
        memory(name, remembered, remote_id=f"#{name}", needs=[*referred, *needed])
        if action not in ("create", "adopt")
        else None
    )
    live = sight(name, before, remote_id=f"#{name}") if action not in ("create", "forget") else None
    moved_from = address(options["from"]) if "from" in options else None
    return decide(KINDS[name.partition(".")[0]], desired, prior, live, moved_from=moved_from)
