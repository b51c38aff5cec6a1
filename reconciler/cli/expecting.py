"""What was reviewed against what a plan is now: the same, the same with more beside it, or something else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from reconciler import __version__
from reconciler.cli.session import Session
from reconciler.core.model import Change, Plan, SpecSet
from reconciler.core.planner import change_digests, plan_digest
from reconciler.engine.planning import Planned
from reconciler.engine.selection import PlanOptions
from reconciler.engine.stack import Stack
from reconciler.errors import PlanStale, ReconcilerError, UsageError
from reconciler.forges.reviewed import Reviewed
from reconciler.providers import discover
from reconciler.render.characters import printable
from reconciler.specs.revision import parents
from reconciler.specs.since import Commit, commits_between

__all__ = ["expect", "plan_reviewed", "read_reviewed"]

_NOTHING_DONE = "Nothing was done. Specs or platforms changed since it was reviewed; review it again."


def read_reviewed(name: str, expected: str | None) -> Reviewed:
    """What `reconciler review digest --out` wrote to the file *name*. Raises `UsageError`."""
    try:
        found = Reviewed.from_json(json.loads(Path(name).read_bytes()))
    except (OSError, ValueError):
        found = None
    if found is None:
        raise UsageError(
            f"{name} does not say what was reviewed", hint="`reconciler review digest --out FILE` writes it."
        )
    if expected not in (None, found.digest):
        raise UsageError(f"{name} is about {found.digest}, and --expect about another plan")
    return found


def expect(plan: Plan, digest: str) -> None:
    """Raise `PlanStale` unless *plan* has this *digest*."""
    now = plan_digest(plan)
    if now != digest:
        raise PlanStale(
            f"the plan is not the expected one: its digest is {now}",
            moved=[_told(change) for change in plan.changes] or ["nothing is left to do"],
            hint=_NOTHING_DONE,
        )


async def plan_reviewed(
    session: Session, stack: Stack, specs: SpecSet, options: PlanOptions, reviewed: Reviewed
) -> Planned:
    """The plan that was reviewed, made anew.

    Other commits may have come onto the target branch in between. What they
    wish at addresses of their own is left out, and named; the digest says
    whether the rest is what was reviewed. Raises `PlanStale` when it is not,
    with each object and commit that is why, and when the settings of the
    stack changed, which decide on every object.
    """
    if reviewed.stack != session.config.name:
        raise UsageError(f"what was reviewed is the stack {reviewed.stack!r}, not {session.config.name!r}")
    commits, unknown = _since(session, specs, reviewed)
    if changed := [one for one in commits if one.settings]:
        raise PlanStale(
            "reconciler.toml changed on the target branch since the review",
            moved=[_named(one) for one in changed],
            hint="Nothing was done. It decides on every object: make the plan again, and have it reviewed.",
        )
    planned = await stack.plan(specs, options)
    if plan_digest(planned.plan) == reviewed.digest:
        _say(session, commits, "and changed nothing of this plan")
        return planned
    theirs = sorted({address for one in commits for address in one.addresses})
    if theirs:
        without = replace(options, excludes=(*options.excludes, *(escape(str(one)) for one in theirs)))
        rest = await stack.plan(specs, without)
        if plan_digest(rest.plan) == reviewed.digest:
            _say(session, commits, "and what they wish is left out")
            return rest
    raise PlanStale(
        f"the plan is not the reviewed one: its digest is {plan_digest(planned.plan)}",
        moved=[*unknown, *_moved(planned.plan, reviewed, commits)],
        hint=_NOTHING_DONE,
    )


def _since(session: Session, specs: SpecSet, reviewed: Reviewed) -> tuple[tuple[Commit, ...], list[str]]:
    """The commits that came onto the target branch after the review, and why they are not known."""
    directory = session.config.directory
    above = parents(directory, specs.revision.removesuffix("+"))
    # Of a merge, the first parent is where the branch was. Else the push says it: what came in may be
    # several commits.
    merged = len(above) == 2 and above[1] == reviewed.head
    onto = above[0] if merged or (above and not reviewed.onto) else reviewed.onto
    if not reviewed.base or not onto or reviewed.base == onto:
        return (), []
    try:
        return commits_between(directory, reviewed.base, onto, discover(), version=__version__), []
    except ReconcilerError as error:
        return (), [f"commits since the review are not known: {error}"]


def _say(session: Session, commits: Sequence[Commit], what: str) -> None:
    if commits:
        session.output.note(f"Since the review, these came onto the target branch, {what}:", urgent=True)
        for one in commits:
            session.output.note(f"  {_named(one)}: {', '.join(map(str, one.addresses))}", urgent=True)


def _moved(plan: Plan, reviewed: Reviewed, commits: Iterable[Commit]) -> list[str]:
    """Each object at which *plan* is not what was reviewed, with what it would be now, a line each."""
    by: dict[str, list[str]] = defaultdict(list)
    for one in commits:
        for known in one.addresses:
            by[str(known)].append(_named(one))

    def why(address: str) -> str:
        return f", changed by {', '.join(by[address])}" if address in by else ""

    if not reviewed.changes:
        return [_told(change) + why(str(change.address)) for change in plan.changes]
    now = {str(address): digest for address, digest in change_digests(plan).items()}
    lines = []
    for change in plan.changes:
        address = str(change.address)
        if address not in reviewed.changes:
            lines.append(f"not reviewed: {_told(change)}{why(address)}")
        elif not now[address].removeprefix("sha256:").startswith(reviewed.changes[address]):
            lines.append(f"otherwise than reviewed: {_told(change)}{why(address)}")
    lines += [
        f"reviewed, and no longer to do: {address}{why(address)}"
        for address in sorted(reviewed.changes.keys() - now.keys())
    ]
    return lines or ["the same changes, in another order or to another state"]


def _named(commit: Commit) -> str:
    return f"{commit.id[:12]} ({printable(commit.title)})"


def _told(change: Change) -> str:
    fields = sorted({str(one.path[0]) for one in change.fields if one.path})
    named = f" ({', '.join(fields[:5])}{', …' if len(fields) > 5 else ''})" if fields else ""
    return f"{change.action} {change.address}: {change.reason}{named}"
