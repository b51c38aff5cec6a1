"""``reconciler state``: look at and repair what is remembered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from reconciler.cli.addresses import meant
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking, looking, option
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import ResourceAddress, ResourceState, State
from reconciler.core.ports import Lock, RunSummary
from reconciler.errors import ReconcilerError, UsageError
from reconciler.render.characters import printable
from reconciler.render.difference import quoted
from reconciler.render.table import table_lines
from reconciler.render.view import shown


@click.group("state")
@common
def command() -> None:
    """Look at and repair the state. Every edit takes the lock and is journalled."""


def _remembered(session: Session) -> State:
    async def read() -> State:
        async with session.stack(lambda event: None) as stack:
            return stack.remembered()

    return session.undisturbed(lambda: run_async(read()))


@command.command("list")
@click.argument("globs", nargs=-1)
@common
@looking
@click.pass_obj
def list_(context: Context, /, globs: tuple[str, ...], **options: Any) -> int:
    """List what is remembered: address and id. GLOBS choose addresses."""
    session = Session.open(context, **options)
    state = _remembered(session)
    rows = [
        {"address": str(address), "id": state.resources[address].remote_id}
        for address in sorted(state.resources)
        if not globs or any(fnmatchcase(str(address), glob) for glob in globs)
    ]
    if rows:
        context.output.lines(table_lines(rows, ["address", "id"], width=context.output.table_width))
    else:
        context.output.lines(["Nothing is remembered."])
    for row in rows:
        context.output.record("resource", **row)
    context.output.summary(Exit.DONE, resources=len(rows))
    return Exit.DONE


@command.command("show")
@click.argument("address")
@common
@looking
@click.pass_obj
def show(context: Context, /, address: str, **options: Any) -> int:
    """Show what is remembered of one ADDRESS."""
    session = Session.open(context, **options)
    record = _record(_remembered(session), address)
    values = shown(record.attributes.values_)
    context.output.lines(
        [
            printable(str(record.address)),
            f"  id = {quoted(record.remote_id)}",
            *(f"  {name} = {quoted(value)}" for name, value in values.items()),
            *(f"  depends on {printable(str(needed))}" for needed in record.depends_on),
            *(["  prevent_destroy"] if record.protected else []),
            *(f"  older object to be removed: {old}" for old in record.deposed),
        ]
    )
    context.output.record(
        "resource",
        address=str(record.address),
        id=record.remote_id,
        attributes=values,
        depends_on=list(map(str, record.depends_on)),
        protected=record.protected,
        deposed=list(record.deposed),
    )
    context.output.summary(Exit.DONE)
    return Exit.DONE


def _record(state: State, address: str) -> ResourceState:
    found = next((record for known, record in state.resources.items() if str(known) == address), None)
    if found is None:
        raise UsageError(
            f"the state does not know {address}",
            hint=meant(address, state.resources, "`reconciler state list` shows what it knows."),
        )
    return found


def _edit(
    context: Context,
    session: Session,
    what: str,
    change: Any,
    *,
    let_go: Callable[[ResourceAddress], bool] = lambda address: False,
) -> int:
    """Take the lock, settle, let *change* say what to put and remove, commit."""

    async def work(lock: Lock) -> list[str]:
        with Progress(context.output) as progress:
            async with session.stack(progress) as stack:
                await stack.settle(lock, let_go=let_go)
                put, removed, lines = change(session.backend.load())
                await stack.edit(lock, what, put=put, removed=removed)
                return list(lines)

    with session.lock(what) as lock:
        lines = run_async(work(lock))
    context.output.lines(map(printable, lines))
    context.output.summary(Exit.DONE, edited=lines)
    return Exit.DONE


@command.command("mv")
@click.argument("old")
@click.argument("new")
@common
@locking
@click.pass_obj
def mv(context: Context, /, old: str, new: str, **options: Any) -> int:
    """Remember the object OLD under the address NEW. The platform is not touched."""
    before, after = ResourceAddress.parse(old), ResourceAddress.parse(new)
    if (before.platform, before.kind) != (after.platform, after.kind):
        raise UsageError("an object cannot change its platform or kind")

    def change(state: State) -> Any:
        record = _record(state, old)
        if after in state.resources:
            raise UsageError(f"the state knows {after} already")
        needing = [
            replace(other, depends_on=tuple(after if one == before else one for one in other.depends_on))
            for other in state.resources.values()
            if before in other.depends_on
        ]
        return [replace(record, address=after), *needing], [before], [f"{before} is {after} now."]

    return _edit(context, Session.open(context, **options), f"state mv {old} {new}", change)


@command.command("rm")
@click.argument("globs", nargs=-1, required=True)
@common
@locking
@click.pass_obj
def rm(context: Context, /, globs: tuple[str, ...], **options: Any) -> int:
    """Forget addresses that match GLOBS. The objects stay on the platform, unmanaged."""

    def is_meant(address: ResourceAddress) -> bool:
        return any(fnmatchcase(str(address), glob) for glob in globs)

    def change(state: State) -> Any:
        chosen = [address for address in sorted(state.resources) if is_meant(address)]
        if not chosen:
            raise UsageError(f"the state knows nothing like {' '.join(globs)}")
        return [], chosen, [f"Forgot {address}; its object is unmanaged now." for address in chosen]

    what = f"state rm {' '.join(globs)}"
    return _edit(context, Session.open(context, **options), what, change, let_go=is_meant)


@command.command("pull")
@common
@looking
@click.pass_obj
def pull(context: Context, /, **options: Any) -> int:
    """Print the state as it is stored."""
    from reconciler.state.codec import encode_state

    session = Session.open(context, **options)
    text = encode_state(session.undisturbed(session.backend.load)).decode()
    if context.output.as_json:
        context.output.record("state", text=text)
    else:
        context.output.document(text)
    return Exit.DONE


@command.command("push")
@click.argument("file")
@option("--force", is_flag=True, help="Also when the file is older, or of another lineage.")
@common
@locking
@click.pass_obj
def push(context: Context, /, file: str, force: bool, **options: Any) -> int:
    """Make FILE (- for standard input) the state."""
    from reconciler.state.codec import decode_state

    session = Session.open(context, **options)
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ReconcilerError(f"{file} cannot be read: {error.strerror}") from error
    pushed = decode_state(data, stack=session.config.name, file=file)

    async def work(lock: Lock) -> State:
        with Progress(context.output) as progress:
            async with session.stack(progress) as stack:
                return await stack.push(lock, pushed, f"state push {file}", force=force)

    with session.lock("state push") as lock:
        state = run_async(work(lock))
    context.output.lines(
        [f"Pushed {_count(len(state.resources), 'resource')}; the state is at serial {state.stamp.serial}."]
    )
    context.output.summary(Exit.DONE, resources=len(state.resources), serial=state.stamp.serial)
    return Exit.DONE


@command.command("verify", short_help="Read all that is stored, and say whether it is sound.")
@common
@looking
@click.pass_obj
def verify(context: Context, /, **options: Any) -> int:
    """Read the state and every journal whole, and say whether they are sound."""
    session = Session.open(context, **options)

    def read() -> tuple[State, Sequence[RunSummary], str | None]:
        runs = session.backend.runs()
        for run in runs:
            session.backend.records(run.id)
        return session.backend.load(), runs, session.backend.open_run()

    state, runs, opened = session.undisturbed(read)
    lines = [
        f"The state is sound: serial {state.stamp.serial}, {_count(len(state.resources), 'resource')}, "
        f"{_count(len(runs), 'run')} readable."
    ]
    context.output.lines(lines)
    context.output.summary(
        Exit.DONE,
        serial=state.stamp.serial,
        resources=len(state.resources),
        runs=len(runs),
        open_run=opened,
    )
    return Exit.DONE


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
