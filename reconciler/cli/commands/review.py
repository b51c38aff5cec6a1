"""``reconciler review``: a plan on the pull or merge request that is about it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.documents import budget
from reconciler.cli.files import read_plan, write_private
from reconciler.cli.forge import Place, about_a_request, find_place, open_forge, say_rehearsed
from reconciler.cli.options import common, option
from reconciler.cli.output import masked
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Plan
from reconciler.core.planner import change_digests, plan_digest
from reconciler.errors import ReconcilerError, UsageError
from reconciler.forges.model import Mark
from reconciler.forges.posting import Approved, approved, outdate, post
from reconciler.forges.reviewed import Reviewed
from reconciler.render.markdown import MOST_BYTES, essence, is_shortened, markdown, marker
from reconciler.render.text import NO_CHANGES, summary_line
from reconciler.render.view import plan_view
from reconciler.specs.revision import parents

_URL: Final = re.compile(r"https?://[!-'*-;=?-Z_a-z~]+")
"""An address that Markdown reads as it is, as the target of a link."""
_LINK: Final = "[The whole plan]({}) is an artifact of the pipeline."
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@click.group("review")
@common
def command() -> None:
    """Put a plan on its pull or merge request, and find there what was approved."""


@command.command("post")
@click.argument("planfile")
@common
@about_a_request
@option("--commit", metavar="SHA", help="The last commit of the request's branch.")
@option(
    "--artifact-url", metavar="URL", help="Where the whole plan is, for those that a comment cannot hold."
)
@budget
@option("--dry-run", is_flag=True, help="Print the requests that would change something; send none of them.")
@click.pass_obj
def post_(context: Context, /, planfile: str, **options: Any) -> int:
    """Put the saved plan in PLANFILE on its request: one comment, always the newest plan, and a mark.

    The token is GH_TOKEN or GITHUB_TOKEN, or GITLAB_TOKEN. Repository, request
    and commit are the pipeline's, unless flags say otherwise.
    """
    rehearse = options["dry_run"]
    place = find_place(context, options, rehearse=rehearse)
    artifact = options["artifact_url"]
    if artifact is not None and not _URL.fullmatch(artifact):
        raise UsageError(f"--artifact-url {artifact}: that is no address of a page", hint="https://HOST/PATH")
    plan = read_plan(planfile)
    reviewed = _reviewed(plan, place, options["commit"])
    view = masked(plan_view(plan), context.output.mask)
    text = markdown(view, max_bytes=min(options["max_bytes"], MOST_BYTES))
    if is_shortened(text) and artifact:
        text += f"\n{_LINK.format(artifact)}\n"
    title = summary_line(view["summary"]) if view["changes"] else NO_CHANGES
    mark = Mark(f"reconciler: {plan.stack}", reviewed.digest, title, artifact or place.pipeline.link)
    body = f"{text}\n{reviewed.line()}\n"
    return run_async(_post(context, place, marker(plan.stack), body, reviewed.head, mark, rehearse))


async def _post(
    context: Context, place: Place, first: str, body: str, head: str, mark: Mark, rehearse: bool
) -> int:
    output = context.output
    async with open_forge(place, rehearse=rehearse) as forge:
        comment, done = await post(forge, place.number, first, body, _says_the_same)
        marked = await forge.mark(head, mark)
        if rehearse:
            say_rehearsed(context, forge)
    if not marked:
        output.warning(
            f"{forge.name} takes neither a check run nor a commit status for {head[:12]} from this token; "
            "the comment is there."
        )
    if not rehearse:
        where = f": {comment.url}" if comment.url else f" on request {place.number}"
        output.lines(
            [f"The comment was {done}{where}" if done != "unchanged" else f"The comment is up to date{where}"]
        )
        if marked:
            output.lines([f"The {marked} {mark.name!r} is on {head[:12]}."])
    output.summary(
        Exit.DONE, digest=mark.digest, comment=done, url=comment.url, mark=marked, dry_run=rehearse
    )
    return Exit.DONE


def _says_the_same(there: str, wanted: str) -> bool:
    """Whether a comment shows the same plan of the same commit, made again at another state or target."""
    old, new = Reviewed.in_text(there), Reviewed.in_text(wanted)
    if old is None or new is None or (old.stack, old.digest, old.head) != (new.stack, new.digest, new.head):
        return False
    return _shown(there) == _shown(wanted)


def _shown(body: str) -> list[str]:
    """What a comment shows to people, but for where the whole plan is, and what it was made at."""
    start = _LINK.partition("{}")[0]
    lines = essence(body.replace("\r\n", "\n")).strip().split("\n")
    return [line for line in lines if line and not line.startswith((start, "<!-- "))]


def _reviewed(plan: Plan, place: Place, commit: str | None) -> Reviewed:
    """What the comment is to say of *plan* for machines."""
    made_at = plan.revision.removesuffix("+")
    head = commit or place.pipeline.head or made_at
    if not _COMMIT.fullmatch(head):
        raise UsageError(
            f"which commit? {head!r} is none"
            if head
            else "which commit? neither flags, pipeline nor plan say it",
            hint="Give --commit with all 40 digits: the last commit of the request's branch.",
        )
    # What was planned is a merge of the branch with its target, made for the plan alone; its other
    # parent is where the target was. What the pipeline says may be older.
    others = [one for one in parents(Path(), made_at) if one != head] if made_at != head else []
    base = others[0] if len(others) == 1 else place.pipeline.base
    changes = {
        str(address): digest.removeprefix("sha256:")[:12] for address, digest in change_digests(plan).items()
    }
    return Reviewed(plan.stack, plan_digest(plan), head, base if _COMMIT.fullmatch(base) else "", "", changes)


@command.command("outdate")
@common
@about_a_request
@option("--reason", default="The newest commit has no plan: see the pipeline.", help="What the comment says.")
@option("--dry-run", is_flag=True, help="Print the requests that would change something; send none of them.")
@click.pass_obj
def outdate_(context: Context, /, **options: Any) -> int:
    """Say on a request that the plan there is no longer that of its newest commit.

    For pipelines in which `plan` failed: nobody approves what is not there.
    """
    rehearse = options["dry_run"]
    session = Session.open(context)
    place = find_place(context, options, rehearse=rehearse, secrets=session.secrets)

    async def work() -> int:
        async with open_forge(place, rehearse=rehearse) as forge:
            count = await outdate(forge, place.number, marker(session.config.name), options["reason"])
            if rehearse:
                say_rehearsed(context, forge)
            return count

    count = run_async(work())
    if not rehearse:
        context.output.lines(["The comment says so." if count else "There was no comment with a plan."])
    context.output.summary(Exit.DONE, comments=count, dry_run=rehearse)
    return Exit.DONE


@command.command("digest")
@common
@about_a_request
@option("--commit", metavar="SHA", help="What the merge made of the target branch. Default: the pipeline's.")
@option(
    "--merged-by",
    multiple=True,
    metavar="LOGIN",
    help="A merge by this account, later than the plan, counts as an approval.",
)
@option(
    "--out",
    type=click.Path(dir_okay=False),
    help="Write what was reviewed to a file, for `apply --reviewed`.",
)
@click.pass_obj
def digest_(context: Context, /, **options: Any) -> int:
    """Print the digest of the plan that was approved on the request that was merged.

    Only the stack's newest plan there counts, written by our own account, of
    the last commit of the branch, and approved after it was last changed, by
    somebody else than the author who may write to the repository.
    """
    session = Session.open(context)
    place = find_place(context, options, secrets=session.secrets)
    commit = options["commit"] or place.pipeline.commit
    if not commit and options["number"] is None:
        raise UsageError("which commit? no variable says it", hint="Give --commit, or --number.")
    found = run_async(_approved(place, session.config.name, commit, options["number"], options["merged_by"]))
    reviewed = replace(found.reviewed, onto=place.pipeline.before)
    if options["out"]:
        write_private(options["out"], (json.dumps(reviewed.as_json(), indent=2) + "\n").encode())
    context.output.lines([reviewed.digest])
    context.output.note(f"Request {found.merged.number}, let through by {found.by}: {found.merged.url}")
    context.output.summary(
        Exit.DONE, digest=reviewed.digest, number=found.merged.number, by=found.by, url=found.merged.url
    )
    return Exit.DONE


async def _approved(
    place: Place, stack: str, commit: str, number: int | None, merged_by: tuple[str, ...]
) -> Approved:
    async with open_forge(place) as forge:
        if number is not None:
            merged = await forge.merged(number)
            if merged is None:
                raise ReconcilerError(f"request {number} is not merged", hint="Apply when it is.")
        else:
            requests = await forge.merged_by_commit(commit)
            if len(requests) != 1:
                raise ReconcilerError(
                    f"commit {commit[:12]} is what {len(requests) or 'no'} merged request"
                    f"{'' if len(requests) == 1 else 's'} came to",
                    hint="Nothing was reviewed for it. Look at a plan, and apply it with "
                    "`reconciler apply --expect sha256:…`; or name the request with --number.",
                )
            merged = requests[0]
        return await approved(forge, merged, marker(stack), stack, merged_by)
