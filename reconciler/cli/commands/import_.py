"""``reconciler import``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.importing import Draft, adopt, drafted, found_by_id, found_unmanaged, specs_or_none
from reconciler.cli.options import common, locking, option
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Remote, ResourceAddress, SpecSet, State
from reconciler.errors import UsageError
from reconciler.render.characters import printable


@click.command("import")
@click.argument("address", required=False)
@click.argument("remote_id", metavar="[ID]", required=False)
@common
@locking
@option(
    "--all", "everything", is_flag=True, help="Everything that nobody manages, the vendor's own left out."
)
@option("--platform", metavar="NAME", help="With --all: of this platform only.")
@option(
    "--out",
    "folder",
    metavar="DIR",
    help="Where the specs go, inside the stack; its own directory if absent.",
)
@option("--update", is_flag=True, help="Write what is live into the spec of ADDRESS, comments kept.")
@click.pass_obj
def command(context: Context, /, address: str | None, remote_id: str | None, **options: Any) -> int:
    """Take live objects under management, and write a spec for each.

    import ADDRESS ID takes the object with this id; import --all takes all that
    there are. No platform is written to, and the plan afterwards is empty.
    """
    _check(address, remote_id, options)
    session = Session.open(context, **options)
    if options["update"]:
        from reconciler.cli.updating import update

        return update(session, ResourceAddress.parse(str(address)))
    folder = _folder(session, options["folder"])
    specs = specs_or_none(session)
    state = session.backend.load()
    found = run_async(_found(session, address, remote_id, options, state, specs))
    every = drafted(session, found, state, folder)
    drafts = [draft for draft in every if not draft.problems]
    code = adopt(session, drafts, {"on_failure": None, "deadline": None}) if drafts else Exit.DONE
    for draft in every:
        if draft.problems:
            why = [printable(one) for one in draft.problems]
            context.output.error(
                printable(f"{draft.address} cannot be imported: no spec can say it"),
                "It stays as it is, unmanaged.",
                why,
            )
    if code == Exit.DONE and len(drafts) < len(every):
        code = Exit.ERROR
    _tell(context, session, drafts, code)
    return code


def _check(address: str | None, remote_id: str | None, options: dict[str, Any]) -> None:
    if options["everything"]:
        if address is not None or options["update"]:
            raise UsageError("--all takes no address, and does not go with --update")
    elif options["platform"] is not None:
        raise UsageError("--platform goes with --all")
    elif address is None:
        raise UsageError("what is to be imported?", hint="Give ADDRESS and ID, or --all.")
    elif options["update"]:
        if remote_id is not None or options["folder"] is not None:
            raise UsageError("--update takes the address of a spec, and nothing besides")
    elif remote_id is None:
        raise UsageError(
            f"which object is to be {address}?",
            hint="Give its id on the platform; `reconciler list` shows them.",
        )


def _folder(session: Session, name: str | None) -> Path:
    """Where the specs go: a folder in which they are found again."""
    directory = session.config.directory
    folder = (directory / (name or ".")).resolve()
    parts = folder.relative_to(directory).parts if folder.is_relative_to(directory) else ("..",)
    if any(part.startswith(".") for part in parts):
        raise UsageError(f"--out {name}: specs there are not part of this stack")
    return folder


async def _found(
    session: Session,
    address: str | None,
    remote_id: str | None,
    options: dict[str, Any],
    state: State,
    specs: SpecSet,
) -> list[tuple[ResourceAddress, Remote]]:
    async with session.looking() as planner:
        if address is not None and remote_id is not None:
            wanted = ResourceAddress.parse(address)
            return await found_by_id(planner.readers, wanted, remote_id, state, specs)
        warn = session.output.warning
        return await found_unmanaged(planner.readers, options["platform"], state, specs, warn)


def _tell(context: Context, session: Session, drafts: list[Draft], code: int) -> None:
    output = context.output
    for draft in drafts:
        file = str(draft.file.relative_to(session.config.directory))
        output.lines([f"<- {printable(str(draft.address))}: {printable(file)}"])
        output.record(
            "imported",
            address=str(draft.address),
            file=file,
            to_fill=list(draft.to_fill),
            left_out=list(draft.left_out),
        )
        for text in draft.left_out:
            output.warning(printable(f"{draft.address}: left out, and not managed: {text}"))
        if draft.to_fill:
            output.warning(
                printable(
                    f"{draft.address}: nobody can read {', '.join(draft.to_fill)}; {file} refers to a "
                    "variable. Give it the value, and `reconciler apply` takes the credential over."
                )
            )
    waiting = sum(bool(draft.to_fill) for draft in drafts)
    if code == Exit.DONE:
        line = f"Import complete! Resources: {len(drafts) - waiting} imported."
        output.lines([line if not waiting else f"{line} {waiting} to be filled in."])
    output.summary(code, imported=len(drafts) - waiting, to_fill=waiting)
