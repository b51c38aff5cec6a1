"""What a policy forbids: of a spec, and of a plan."""

from __future__ import annotations

from typing import Any

import pytest
from core.builders import address

from reconciler.core.model import Action, Change, UsedBy
from reconciler.core.policy import Policy, limits, thresholds
from reconciler.core.ports import Fact

ALL = Policy(
    max_cpu_cores=32.0,
    max_memory_gb=256.0,
    max_gpus=8.0,
    allowed_scopes=("project", "department"),
    allowed_images=("nvcr.io/*", "jupyter/*", "python:*"),
)


@pytest.mark.parametrize(
    ("policy", "fact", "value", "said"),
    [
        (ALL, "cpu_cores", 32, None),
        (ALL, "cpu_cores", 31.999, None),
        (ALL, "cpu_cores", 32.001, "32.001 CPU cores; the policy allows 32"),
        (ALL, "cpu_cores", 64, "64 CPU cores; the policy allows 32"),
        (ALL, "memory_gb", 256.0, None),
        (ALL, "memory_gb", 256.5, "256.5 GB of memory; the policy allows 256"),
        (ALL, "gpus", 8, None),
        (ALL, "gpus", 9, "9 GPUs; the policy allows 8"),
        (Policy(max_gpus=0), "gpus", 0, None),
        (Policy(max_gpus=0), "gpus", 1, "1 GPUs; the policy allows 0"),
        (Policy(), "gpus", 10**6, None),
        (ALL, "scope", "project", None),
        (ALL, "scope", "tenant", "scope 'tenant'; the policy allows project, department"),
        (Policy(allowed_scopes=()), "scope", "project", "scope 'project'; the policy allows none"),
        (Policy(), "scope", "tenant", None),
        (ALL, "image", "nvcr.io/nvidia/pytorch:24.01-py3", None),
        (ALL, "image", "python:3.11", None),
        (ALL, "image", "docker.io/python:3.11", None),
        (ALL, "image", "library/python:3.11", None),
        (ALL, "image", "docker.io/library/python:3.11", None),
        (ALL, "image", "docker.io/jupyter/base:1", None),
        (ALL, "image", "python", "image 'python'; the policy allows nvcr.io/*, jupyter/*, python:*"),
        (ALL, "image", "evil.io/python:3.11", "image 'evil.io/python:3.11'; the policy allows nvcr.io/*, "
         "jupyter/*, python:*"),
        (ALL, "image", "NVCR.IO/x", "image 'NVCR.IO/x'; the policy allows nvcr.io/*, jupyter/*, python:*"),
        (Policy(allowed_images=()), "image", "a:1", "image 'a:1'; the policy allows none"),
        (Policy(), "image", "anything", None),
        (ALL, "something else", 10**9, None),
    ],
)  # fmt: skip
def test_a_spec_may_ask_for_what_the_policy_allows(
    policy: Policy, fact: str, value: Any, said: str | None
) -> None:
    """A limit itself is allowed; what is above it is named with it."""
    asked = Fact(fact, value, ("compute", fact))
    assert list(limits(policy, [asked])) == ([] if said is None else [(asked, said)])


def test_every_broken_limit_is_said() -> None:
    """Not only the first."""
    facts = [Fact("gpus", 9, ("gpu",)), Fact("scope", "project", ()), Fact("cpu_cores", 99, ("cpu",))]
    assert [fact.path for fact, _ in limits(ALL, facts)] == [("gpu",), ("cpu",)]


@pytest.mark.parametrize(
    ("policy", "limiting"),
    [
        (Policy(), False),
        (Policy(max_delete_fraction=0.1), False),
        (Policy(max_gpus=0), True),
        (Policy(max_cpu_cores=0), True),
        (Policy(max_memory_gb=0), True),
        (Policy(allowed_scopes=()), True),
        (Policy(allowed_images=()), True),
    ],
)
def test_a_limit_of_nothing_is_a_limit(policy: Policy, limiting: bool) -> None:
    """None means no limit; zero and empty do not."""
    assert policy.limits_specs is limiting


# --- plans ---

JOB = UsedBy("workspace", "lab-1", "Running", active=True)
TEMPLATE = UsedBy("template", "tpl")


def taking(count: int, action: Action = Action.DELETE, **more: Any) -> list[Change]:
    """Changes that take so many objects away, and one that does not."""
    away = [Change(address(f"box.n{n}"), action, "because", **more) for n in range(count)]
    return [Change(address("box.other"), Action.UPDATE, "because"), *away]


@pytest.mark.parametrize(
    ("fraction", "count", "managed", "refused"),
    [
        (0.3, 3, 10, False),
        (0.3, 4, 10, True),
        (0.5, 1, 2, False),
        (0.5, 1, 1, True),
        (0.0, 0, 10, False),
        (0.0, 1, 1000, True),
        (1.0, 10, 10, False),
        (0.1, 7, 70, False),
        (0.3, 0, 0, False),
    ],
)
@pytest.mark.parametrize("action", [Action.DELETE, Action.REPLACE])
def test_a_plan_takes_away_at_most_the_share_that_the_policy_says(
    action: Action, fraction: float, count: int, managed: int, refused: bool
) -> None:
    """A replacement takes away, too; the share itself is allowed."""
    said = thresholds(
        Policy(max_delete_fraction=fraction),
        taking(count, action),
        [],
        managed,
        destroy=False,
        allow_deletes=False,
    )
    expected = (
        f"{count} of {managed} managed resources would be deleted or replaced, more than "
        f"max_delete_fraction = {fraction:g} (--allow-deletes permits it)"
    )
    assert said == ((expected,) if refused else ())


@pytest.mark.parametrize(("destroy", "allow_deletes"), [(True, False), (False, True), (True, True)])
def test_whoever_asks_for_deletions_gets_them(destroy: bool, allow_deletes: bool) -> None:
    """A destroy, and --allow-deletes: also of what is in use."""
    changes = taking(3, used_by=(JOB,))
    assert (
        thresholds(
            Policy(max_delete_fraction=0), changes, [], 3, destroy=destroy, allow_deletes=allow_deletes
        )
        == ()
    )


@pytest.mark.parametrize(("destroy", "allow_deletes"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize(("action", "verb"), [(Action.DELETE, "delete"), (Action.REPLACE, "replace")])
def test_nothing_lifts_prevent_destroy(action: Action, verb: str, destroy: bool, allow_deletes: bool) -> None:
    """No flag does, and only what would be taken away is said."""
    guarded = [address("box.n1"), address("box.other"), address("box.not-in-the-plan")]
    said = thresholds(
        Policy(max_delete_fraction=1),
        taking(2, action),
        guarded,
        9,
        destroy=destroy,
        allow_deletes=allow_deletes,
    )
    assert said == (f"t.box.n1 has prevent_destroy, and this plan would {verb} it",)


def test_taking_away_what_somebody_runs_has_to_be_permitted() -> None:
    """Active users are named, three of them; a template that only refers is none."""
    users = tuple(UsedBy("job", f"j{n}", "Running", active=True) for n in range(5))
    changes = [
        *taking(1, used_by=(JOB, TEMPLATE)),
        Change(address("box.x"), Action.REPLACE, "because", used_by=users),
        Change(address("box.y"), Action.DELETE, "because", used_by=(TEMPLATE,)),
        Change(address("box.z"), Action.UPDATE, "because", used_by=users),
    ]
    said = thresholds(Policy(max_delete_fraction=1), changes, [], 9, destroy=False, allow_deletes=False)
    assert said == (
        "t.box.n0 is in use by workspace lab-1 (Running) (--allow-deletes permits it)",
        "t.box.x is in use by job j0 (Running), job j1 (Running), job j2 (Running) and 2 more "
        "(--allow-deletes permits it)",
    )


def test_what_a_broken_replacement_left_is_no_second_resource() -> None:
    """Two deletions of one address take one of two away."""
    changes = [*taking(1), Change(address("box.n0"), Action.DELETE, "left behind", remote_id="old")]
    assert thresholds(Policy(), changes, [], 2, destroy=False, allow_deletes=False) == ()
