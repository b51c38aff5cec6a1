"""Plans, runs and reports with something of everything, to be shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reconciler.core.acceptance import Acceptance
from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    Action,
    Cause,
    Change,
    FieldChange,
    Phase,
    Plan,
    Remote,
    ResourceAddress,
    Reversal,
    Source,
    Stamp,
    Step,
    UsedBy,
    Verb,
)
from reconciler.core.report import (
    Drifted,
    DriftReport,
    Outcome,
    PastRun,
    PastStep,
    Pending,
    RunReport,
    Unread,
)

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> None:
    """*text* is what the file of this name says, byte for byte."""
    file = GOLDEN / name
    assert text == (file.read_text(encoding="utf-8") if file.exists() else "")


def address(text: str) -> ResourceAddress:
    """``environment.lab`` on ``runai``."""
    return ResourceAddress.parse(f"runai.{text}")


def field(path: str, before: Any, after: Any, **more: Any) -> FieldChange:
    """A changed field; a number in *path* is a place in a list."""
    parts = tuple(int(part) if part.isdecimal() else part for part in path.split("."))
    return FieldChange(parts, before, after, **more)


WORKSPACE = UsedBy("workspace", "lab-1", "Running", active=True)

ARGS = [f"--flag-{number}" for number in range(8)]
SCRIPT = "set -e\npip install torch\npython train.py\n"

CHANGES = (
    Change(
        address("credential.hub"),
        Action.REPLACE,
        "data can only be set at creation",
        (field("data", None, None, sensitive=True, forces_replace=True),),
        Source("hub.toml", 2),
        remote_id="c-1",
        risks=("used by environment lab",),
        irreversible="Run:ai never shows the secret",
    ),
    Change(address("environment.adopted"), Action.ADOPT, "already on the platform, equal", remote_id="e-7"),
    Change(
        address("environment.changed-and-adopted"),
        Action.ADOPT,
        "already on the platform",
        (field("image", "python:3.10", "python:3.11"),),
        Source("changed-and-adopted.toml", 1),
        remote_id="e-8",
    ),
    Change(
        address("environment.deleted"),
        Action.DELETE,
        "no longer in the specs",
        remote_id="e-2",
        risks=("used by workspace lab-1 (Running)",),
        used_by=(WORKSPACE,),
    ),
    Change(address("environment.forgotten"), Action.FORGET, "gone from the platform, and from the specs"),
    Change(
        address("environment.gone"), Action.CREATE, "gone from the platform", source=Source("gone.toml", 1)
    ),
    Change(
        address("environment.lab"),
        Action.UPDATE,
        "spec changed, and changed outside",
        (
            field("args", ARGS, [*ARGS[:3], "--changed", *ARGS[4:], "--more"]),
            field("command", SCRIPT, SCRIPT.replace("torch", "torch==2.1")),
            field("environment_variables.HF.credential", {"$id": "c-1"}, {"$ref": "runai.credential.hub"},
                  cause=Cause.REFERENCE),
            field("environment_variables.a\"b c", "1", None),
            field("image", "python:3.12", "python:3.11", cause=Cause.DRIFT),
            field("image_pull_policy", None, "Always"),
            field("password", None, None, sensitive=True, cause=Cause.DRIFT),
            field("tools.0.port", 8888, 8889, cause=Cause.BOTH),
            field("tty", False, True),
            field("working_dir", "/home/somebody/with/a/long/name", "/workspace/with/another/long/name"),
        ),
        Source("teams/lab.toml", 12),
        remote_id="e-1",
    ),
    Change(
        address("environment.moved"),
        Action.MOVE,
        "moved from runai.environment.old",
        source=Source("moved.toml", 1),
        remote_id="e-3",
        moved_from=address("environment.old"),
    ),
    Change(
        address("environment.moved-and-changed"),
        Action.UPDATE,
        "spec changed",
        (field("description", "old", "new"),),
        Source("moved-and-changed.toml", 1),
        remote_id="e-4",
        moved_from=address("environment.older"),
    ),
    Change(address("environment.new"), Action.CREATE, "new", source=Source("new.toml", 3)),
)  # fmt: skip

NEW = Attributes(
    {
        "name": "new",
        "workload_types": ["training"],
        "environment_variables": {
            "HF": {"credential": {"$ref": "runai.credential.hub"}, "key": "token"},
            "PLAIN": "1",
        },
        "probe": {"path": "/ready", "nested": {"deep": [1, 2]}},
        "password": {"$secret": {"env": "PASSWORD"}},
        "token": {"$secret": {"command": ["pass", "show", "hunter2"]}},
        "capabilities": [],
    }
)

HUB = Attributes({"name": "hub", "data": {"token": {"$secret": {"env": "T"}}}})


def step(number: int, verb: Verb, where: str, undo: Reversal, **more: Any) -> Step:
    """One step, in the middle phase unless it says otherwise."""
    return Step(number, verb, address(where), undo, **{"phase": Phase.REPLACING, **more})


STEPS = (
    step(
        0,
        Verb.CREATE,
        "environment.gone",
        Reversal.DELETE,
        phase=Phase.CONSTRUCTIVE,
        attributes=Attributes({"name": "gone"}),
    ),
    step(
        1,
        Verb.UPDATE,
        "environment.lab",
        Reversal.RESTORE,
        attributes=Attributes({"environment_variables": {}}),
        remote_id="e-1",
        fingerprint="sha256:f",
        depends_on=(address("credential.hub"),),
    ),
    step(2, Verb.DELETE, "credential.hub", Reversal.NONE, remote_id="c-1", waits=(1,)),
    step(3, Verb.CREATE, "credential.hub", Reversal.DELETE, attributes=HUB, waits=(2,)),
    step(
        4,
        Verb.CREATE,
        "environment.new",
        Reversal.DELETE,
        attributes=NEW,
        waits=(3,),
        depends_on=(address("credential.hub"), address("environment.gone")),
    ),
    step(5, Verb.FORGET, "environment.forgotten", Reversal.RECALL, remote_id="e-9"),
    step(
        6,
        Verb.DELETE,
        "environment.deleted",
        Reversal.RECREATE,
        phase=Phase.DESTRUCTIVE,
        remote_id="e-2",
    ),
)

PLAN = Plan(
    stack="dev",
    base=Stamp("5f0e", 7),
    specs_digest="sha256:aa",
    revision="1234abc+",
    changes=CHANGES,
    steps=STEPS,
    warnings=("two things look alike. To keep one:\n\n    [[moved]]\n",),
    refusals=(
        "runai.environment.deleted is in use by workspace lab-1 (Running) (--allow-deletes permits it)",
    ),
    partial=("update runai.environment.left-out",),
    tool="reconciler 1.2.3",
)


def many(count: int, *, kinds: int = 2) -> Plan:
    """*count* changes of every sort, of which each tenth takes something away."""
    changes, steps = [], []
    for number in range(count):
        kind = ("environment", "credential", "compute")[number % kinds]
        where = ResourceAddress(("runai", "azureml", "aenv")[number % 3], kind, f"team-{number % 7}-{number}")
        action = (Action.UPDATE, Action.CREATE, Action.UPDATE, Action.UPDATE, Action.DELETE, Action.UPDATE,
                  Action.ADOPT, Action.UPDATE, Action.UPDATE, Action.REPLACE)[number % 10]  # fmt: skip
        fields = ()
        if action in (Action.UPDATE, Action.REPLACE):
            fields = (
                field(
                    "image", "nvcr.io/nvidia/pytorch:24.01-py3", f"nvcr.io/nvidia/pytorch:24.{number % 3}-py3"
                ),
                field("environment_variables.NCCL_DEBUG", "INFO", "WARN", cause=Cause.DRIFT),
                field("args", ARGS, [*ARGS[:3], "--changed", *ARGS[4:]]),
                field("description", f"team {number}", "one for all"),
            )
        users = (WORKSPACE,) if number % 50 == 4 else ()
        changes.append(
            Change(
                where,
                action,
                "spec changed" if fields else "no longer in the specs" if action is Action.DELETE else "new",
                fields,
                None if action is Action.DELETE else Source(f"teams/{number}.toml", 3),
                remote_id="" if action is Action.CREATE else f"id-{number}",
                used_by=users,
                risks=("used by workspace lab-1 (Running)",) if users else (),
            )
        )
        verbs = {Action.CREATE: Verb.CREATE, Action.DELETE: Verb.DELETE}
        verb = verbs.get(action, Verb.UPDATE)
        attributes = None if verb is Verb.DELETE else Attributes({"name": where.name, "image": "python:3.11"})
        needs = (
            (address(f"credential.hub-{number % 5}"),) if number % 4 == 0 and verb is not Verb.DELETE else ()
        )
        steps.append(Step(number, verb, where, Reversal.RESTORE, attributes=attributes, depends_on=needs))
    return replace(EMPTY, changes=tuple(sorted(changes, key=lambda one: one.address)), steps=tuple(steps))


EMPTY = Plan(stack="dev", base=Stamp("5f0e", 7), specs_digest="sha256:aa", revision="")


def run(outcome: str = "failed", error: str = "") -> RunReport:
    """A run of that plan in which steps ended in every way."""
    steps = Outcome(
        done={0, 5},
        failed={2},
        uncertain={3},
        not_started={4},
        rolled_back={1},
        not_rolled_back={6},
        errors={
            2: "runai.credential.hub: 412 in use\nby environment lab",
            3: "no answer, 3 times",
            6: "403 while making it again",
        },
        remedies={6: "POST /api/v1/asset/environment with what `reconciler show r-1` lists"},
    )
    return RunReport("r-1", PLAN, outcome, steps, error)


LIVE = Remote(
    "environment",
    "e-1",
    ("tenant", "", "lab"),
    Attributes({"name": "lab", "image": "python:3.12"}),
    details=MappingProxyType({"created_by": "ann@example.com", "scope": "tenant"}),
    used_by=(WORKSPACE, UsedBy("template", "tpl")),
)

DRIFT = DriftReport(
    checked=5,
    drifted=(
        Drifted(address("environment.gone"), (), gone=True),
        Drifted(
            address("environment.lab"),
            (
                field("environment_variables.SECRET", None, None, sensitive=True, cause=Cause.DRIFT),
                field("image", "python:3.11", "python:3.12", cause=Cause.BOTH),
                field("scope", "tenant", "project", cause=Cause.DRIFT, forces_replace=True),
            ),
            live=LIVE,
            changed_by="bob <bob@example.com>",
            changed_at="2024-01-02T03:04:05Z",
        ),
        Drifted(
            address("environment.shared"),
            (field("command", None, "sleep `1`", cause=Cause.SPEC),),
            live=LIVE,
            accepted={
                ("command",): Acceptance(
                    "runai.environment.*", ("command",), "until the *next* image", "ann | ml", "2024-12-31"
                )
            },
        ),
        Drifted(
            address("environment.stale"),
            (field("image", "a", "b", cause=Cause.DRIFT),),
            live=LIVE,
            accepted={("image",): Acceptance("*", ("image",), "a trial", "ann", "2023-12-31")},
        ),
    ),
    unmanaged=(("runai", LIVE),),
    warnings=("runai: the listing of environment left out 1 that exist; they were read one by one",),
    pending=(
        Pending(
            address("environment.lab"),
            Action.UPDATE,
            (field("image", "python:3.11", "python:3.13"),),
            Source("lab.toml", 3),
        ),
    ),
    unread=(
        Unread("runai", "compute", "runai: GET /x answered 403: no role", address("compute.size")),
        Unread("runai", "compute", "runai: GET /x answered 403: no role"),
    ),
    day="2024-01-02",
)

PAST = PastRun(
    id="r-1",
    command="apply",
    who="ann@desk",
    started="2024-01-01T00:00:00Z",
    ended="2024-01-01T00:01:00Z",
    outcome="failed",
    digest="sha256:dd",
    revision="1234abc",
    steps=(
        PastStep(STEPS[0], "done", remote_id="e-9"),
        PastStep(
            STEPS[1],
            "rolled back",
            remote_id="e-1",
            before=Attributes(
                {"environment_variables": {"HF": {"credential": {"$id": "c-1"}, "key": "token"}}}
            ),
        ),
        PastStep(STEPS[2], "failed", error="412 in use\nby environment lab"),
        PastStep(
            STEPS[6],
            "could not be rolled back",
            error="403",
            remedy="POST /api/v1/asset/environment",
            before=Attributes({"name": "deleted", "image": "python:3.11"}),
        ),
    ),
    edited=("forgot runai.environment.x",),
)
