"""What reviewers approve, in one line: it moves with all that would be done, and with nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from core.builders import address
from core.trees import decisions

from reconciler.core.attributes import Attributes
from reconciler.core.model import Action, Cause, Plan, Reversal, Source, Stamp, UsedBy
from reconciler.core.planner import order, plan_digest

LINES = """
    replace key.hub
    update box.lab -> key.hub from:box.old
    create box.new -> key.hub
    delete box.gone
    forget box.lost
    deposed box.lab left
"""


def a_plan(seed: int = 0) -> Plan:
    """A plan with a bit of everything, computed from decisions in some order."""
    chosen, deposed = decisions(LINES)
    random.Random(seed).shuffle(chosen)
    changes = sorted((one.change for one in chosen), key=lambda change: change.address)
    return Plan(
        stack="test",
        base=Stamp("lineage", 7),
        specs_digest="sha256:specs",
        revision="abc",
        changes=tuple(changes),
        steps=order(chosen, deposed),
    )


def changed(plan: Plan, **fields: Any) -> Plan:
    """The plan with fields of its second change replaced."""
    first, second, *rest = plan.changes
    return replace(plan, changes=(first, replace(second, **fields), *rest))


def stepped(plan: Plan, **fields: Any) -> Plan:
    """The plan with fields of the first step that waits replaced."""
    steps = list(plan.steps)
    number = next(step.number for step in steps if step.waits)
    steps[number] = replace(steps[number], **fields)
    return replace(plan, steps=tuple(steps))


PLAN = a_plan()

INFORMS_ONLY: dict[str, Plan] = {
    "a line moved in a file": changed(PLAN, source=Source("elsewhere.toml", 99)),
    "a later serial": replace(PLAN, base=Stamp("lineage", 8)),
    "another revision": replace(PLAN, revision="def+"),
    "another digest of the specs": replace(PLAN, specs_digest="sha256:other"),
    "a warning": replace(PLAN, warnings=("mind the gap",)),
    "a refusal": replace(PLAN, refusals=("too many",)),
    "what a target left out": replace(PLAN, partial=("update t.box.x",)),
    "another version of the tool": replace(PLAN, tool="reconciler 9"),
    "who uses an object now": changed(PLAN, used_by=(UsedBy("job", "j"),), risks=("used by job j",)),
    "decisions in another order": a_plan(seed=1),
}

ACTS_OTHERWISE: dict[str, Plan] = {
    "another stack": replace(PLAN, stack="other"),
    "another lineage": replace(PLAN, base=Stamp("other", 7)),
    "a destroy": replace(PLAN, destroy=True),
    "a change less": replace(PLAN, changes=PLAN.changes[1:]),
    "a step less": replace(PLAN, steps=PLAN.steps[:-1]),
    "another action": changed(PLAN, action=Action.ADOPT),
    "another reason": changed(PLAN, reason="because"),
    "another address": changed(PLAN, address=address("box.other")),
    "another object": changed(PLAN, remote_id="other"),
    "irreversible": changed(PLAN, irreversible="for good"),
    "a field less": changed(PLAN, fields=PLAN.changes[1].fields[1:]),
    "a field to another value": changed(PLAN, fields=(replace(PLAN.changes[1].fields[0], after="x"),)),
    "a field of another cause": changed(PLAN, fields=(replace(PLAN.changes[1].fields[0], cause=Cause.BOTH),)),
    "a step that writes something else": stepped(PLAN, attributes=Attributes({"a": 1})),
    "a step that clears something": stepped(PLAN, attributes=Attributes({"a": None})),
    "a step on an object that moved": stepped(PLAN, fingerprint="sha256:moved"),
    "a step on another object": stepped(PLAN, remote_id="other"),
    "a step that waits for less": stepped(PLAN, waits=()),
    "a step taken back otherwise": stepped(PLAN, reversal=Reversal.NONE),
    "a step that protects": stepped(PLAN, protected=True),
    "a step that keeps the old object": stepped(PLAN, deposes=True),
    "a step with another need": stepped(PLAN, depends_on=(address("box.x"),)),
    "a step on a moved record": stepped(PLAN, moved_from=address("box.x")),
}


@pytest.mark.parametrize("what", INFORMS_ONLY)
def test_it_stays_with_what_only_informs(what: str) -> None:
    """A commit that touches nothing of the plan leaves the approval good."""
    assert plan_digest(INFORMS_ONLY[what]) == plan_digest(PLAN)


@pytest.mark.parametrize("what", ACTS_OTHERWISE)
def test_it_moves_with_whatever_is_done(what: str) -> None:
    """Nobody approved that."""
    assert plan_digest(ACTS_OTHERWISE[what]) != plan_digest(PLAN)


def test_different_plans_have_different_digests() -> None:
    """No two of the above meet by accident."""
    assert len({plan_digest(plan) for plan in ACTS_OTHERWISE.values()}) == len(ACTS_OTHERWISE)


def test_the_order_of_keys_in_a_spec_does_not_count() -> None:
    """The same fields in another order are the same wish."""
    one = stepped(PLAN, attributes=Attributes({"a": 1, "b": {"c": 2, "d": 3}}))
    other = stepped(PLAN, attributes=Attributes.from_raw(b'{ "b": {"d": 3, "c": 2}, "a": 1 }'))
    assert plan_digest(one) == plan_digest(other)


def test_it_says_what_it_is() -> None:
    """A name of the hash, and its hex digits."""
    kind, _, digits = plan_digest(PLAN).partition(":")
    assert (kind, len(digits), set(digits) <= set("0123456789abcdef")) == ("sha256", 64, True)


def test_it_is_the_same_under_any_hash_seed() -> None:
    """On any machine, in any process."""
    tests = str(Path(__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "from core.test_plan_digest import a_plan, plan_digest\n"
        "print(plan_digest(a_plan(3)))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "2718")
    }
    assert said == {plan_digest(PLAN) + "\n"}
