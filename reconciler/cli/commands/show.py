"""``reconciler show``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.cli.addresses import meant
from reconciler.cli.annotating import about_plan, below_root
from reconciler.cli.context import Context, Exit
from reconciler.cli.documents import DOCUMENTS, budget, document
from reconciler.cli.files import read_whole_plan
from reconciler.cli.inventory import gather, known_kind
from reconciler.cli.options import common, looking, option
from reconciler.cli.planner import show_plan
from reconciler.cli.session import Session, find_stack, may_be_shown
from reconciler.core.model import Plan, ResourceAddress
from reconciler.engine.history import past_run
from reconciler.engine.inventory import Entry, find_entry
from reconciler.errors import JournalUnreadable, ReconcilerError, StateError, StateUnreadable, UsageError
from reconciler.render.annotations import github
from reconciler.render.resource import resource_lines, resource_view
from reconciler.render.run import past_run_lines, past_run_view
from reconciler.render.view import dotted, plan_view
from reconciler.specs import places_of


@click.command("show")
@click.argument("what", metavar="PLANFILE|ADDRESS|RUN")
@common
@looking
@option(
    "--format",
    "form",
    type=click.Choice(["text", *DOCUMENTS, "github"]),
    default="text",
    help="How to print; all but text and json are for plans. github: workflow commands, which mark the "
    "lines that cause changes; the specs have to be there.",
)
@budget
@click.pass_obj
def command(context: Context, /, what: str, **options: Any) -> int:
    """Show a saved plan, a resource with what uses it, or a past run."""
    if Path(what).is_file():
        return _show_plan(context, what, options["form"], options["max_bytes"])
    if options["form"] not in ("text", "json"):
        raise UsageError(
            f"--format {options['form']} is for plans, and there is no file {what}",
            hint="`reconciler plan --out FILE` saves a plan.",
        )
    session = Session.open(context, **options)
    try:
        address = ResourceAddress.parse(what)
    except UsageError:
        return _show_run(context, session, what, options["form"])
    return _show_resource(context, session, address, options["form"])


def _print_json(context: Context, kind: str, view: Any) -> None:
    if context.output.as_json:
        context.output.record(kind, **view)
    else:
        context.output.json_document(view)


def _show_plan(context: Context, file: str, form: str, max_bytes: int) -> int:
    plan, beside = read_whole_plan(file)
    view = plan_view(plan)
    output = context.output
    if form in ("text", "json") and output.as_json:
        output.record("plan", **view)
    elif form == "text":
        show_plan(output, view)
    else:
        if form == "github":
            text = _commands(context, plan, view)
        else:
            text = document(form, view, plan, beside, max_bytes=max_bytes)
        output.record("document", format=form, text=text)
        if not output.as_json:
            output.document(text)
    return Exit.DONE


def _commands(context: Context, plan: Plan, view: Mapping[str, Any]) -> str:
    """Workflow commands at the lines of the specs that cause the changes of a plan."""
    directory = find_stack(context.chdir)
    written = [change for change in plan.changes if change.source is not None and change.fields]
    wanted = [
        (change.source.file, change.address.platform, [one.path for one in change.fields])
        for change in written
        if change.source is not None
    ]
    places = {
        (str(change.address), dotted(one.path)): place
        for change, found in zip(written, places_of(directory, wanted), strict=True)
        for one, place in zip(change.fields, found, strict=False)
    }
    return github(about_plan(view["changes"], places, below_root(directory, os.environ)))


def _show_resource(context: Context, session: Session, address: ResourceAddress, form: str) -> int:
    known_kind(session, address)
    entries, shown = gather(session, address.kind, about=address)
    state = session.backend.load()
    entry = find_entry(entries, address)
    if entry is None:
        hint = meant(str(address), map(_named, entries), "`reconciler list` shows what there is.")
        raise UsageError(f"there is no {address}", hint=hint)
    view = resource_view(
        address=str(entry.address) if entry.address is not None else None,
        status=entry.status(shown),
        source=str(entry.desired.source) if entry.desired is not None else None,
        desired=entry.desired.attributes if entry.desired is not None else None,
        prior=entry.prior.attributes if entry.prior is not None else None,
        live=entry.live,
        names={record.remote_id: str(known) for known, record in state.resources.items()},
        shown=shown,
    )
    if form == "json" or context.output.as_json:
        _print_json(context, "resource", view)
    else:
        context.output.lines(resource_lines(view, context.output.palette))
    return Exit.DONE


def _named(entry: Entry) -> ResourceAddress:
    """The address of *entry*, or the one by which an unmanaged object is asked for."""
    if entry.address is not None:
        return entry.address
    assert entry.live is not None
    return ResourceAddress(entry.platform, entry.kind.name, str(entry.live.attributes.get("name")))


def _managed(session: Session) -> set[ResourceAddress]:
    """The addresses of the state and, unless they are broken, of the specs."""
    known = set(session.backend.load().resources)
    with contextlib.suppress(ReconcilerError):
        known |= {resource.address for resource in session.specs().resources}
    return known


def _show_run(context: Context, session: Session, run: str, form: str) -> int:
    try:
        records = session.undisturbed(lambda: tuple(session.backend.records(run)))
    except (JournalUnreadable, StateUnreadable):
        raise
    except StateError as error:
        raise UsageError(
            f"{run!r} is no plan file, no address and no run",
            hint=meant(
                run,
                _managed(session),
                "An address is PLATFORM.KIND.NAME; `reconciler history` shows the runs.",
            ),
        ) from error
    view = past_run_view(past_run(records), shown=may_be_shown)
    if form == "json" or context.output.as_json:
        _print_json(context, "run", view)
    else:
        context.output.lines(past_run_lines(view, context.output.palette))
    return Exit.DONE
