"""Taking live objects under management: which, what to write for each, and the run that remembers them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from reconciler.cli.applying import Signals, carry_out
from reconciler.cli.context import Exit
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.attributes import ID, LOOKUP, REF, marked, replace_markers
from reconciler.core.model import Action, Remote, ResourceAddress, SpecSet, State, dotted
from reconciler.core.ports import Lock, Place, Reader, ResourceKind
from reconciler.engine.secrets import learn
from reconciler.engine.selection import PlanOptions
from reconciler.errors import ReconcilerError, Rejected, SpecErrors
from reconciler.render.characters import printable
from reconciler.specs.writing import file_stem, imported_text, plain_secrets_in

__all__ = ["Draft", "adopt", "drafted", "found_by_id", "found_unmanaged", "specs_or_none"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A file to write for one live object, and what a person has to know of it.

    One with ``problems`` cannot be written: no spec can say such an object.
    """

    address: ResourceAddress
    file: Path
    text: str
    to_fill: tuple[str, ...]
    left_out: tuple[str, ...]
    problems: tuple[str, ...] = ()


def specs_or_none(session: Session) -> SpecSet:
    """The specs; none for a stack that has no file yet. Raises `SpecErrors` for any other trouble."""
    try:
        return session.specs()
    except SpecErrors as error:
        if [one.file for one in error.complaints] == [""]:
            return SpecSet.empty()
        raise


async def found_by_id(
    readers: Mapping[str, Reader], address: ResourceAddress, remote_id: str, state: State, specs: SpecSet
) -> list[tuple[ResourceAddress, Remote]]:
    """The one object that a command line names. Raises `ReconcilerError` when it cannot be imported."""
    if address in state.resources:
        known = state.resources[address].remote_id
        raise ReconcilerError(f"{address} is managed already (id {known})")
    for resource in specs.resources:
        if resource.address == address:
            raise ReconcilerError(
                f"the specs have {address} already, in {resource.source}",
                hint="`reconciler apply` takes the object over when it is equal, or when the spec says "
                "[lifecycle] adopt = true.",
            )
    reader = readers.get(address.platform)
    if reader is None or address.kind not in reader.kinds:
        raise ReconcilerError(f"there is no platform {address.platform} with a kind {address.kind}")
    remote = await reader.read(address.kind, remote_id)
    if remote is None:
        raise ReconcilerError(f"{address.platform} has no {address.kind} with the id {remote_id}")
    if remote.foreign:
        raise ReconcilerError(f"the {address.kind} with the id {remote_id} belongs to the platform's vendor")
    owner = _owners(state).get((address.platform, remote.kind, remote.id))
    if owner is not None:
        raise ReconcilerError(f"the object with the id {remote_id} is managed already, as {owner}")
    return [(address, remote)]


async def found_unmanaged(
    readers: Mapping[str, Reader],
    platform: str | None,
    state: State,
    specs: SpecSet,
    warn: Callable[[str], None],
) -> list[tuple[ResourceAddress, Remote]]:
    """Every object of *platform*, or of all, that nobody manages, each by an address of its own.

    A kind that a platform refuses to list (it has no such thing, or not for us) is told to *warn*.
    """
    if platform is not None and platform not in readers:
        raise ReconcilerError(
            f"there is no platform {platform!r}", hint=f"There are: {', '.join(sorted(readers))}."
        )
    taken = {*state.resources, *(resource.address for resource in specs.resources)}
    wished = {
        (one.address.platform, one.address.kind, identity)
        for one in specs.resources
        if (reader := readers.get(one.address.platform)) is not None
        for identity in [reader.kinds[one.address.kind].identity_of(one.attributes)]
    }
    owners = _owners(state)
    found = []
    for name in sorted(readers) if platform is None else [platform]:
        for kind in readers[name].kinds:
            try:
                remotes = [remote async for remote in readers[name].list(kind) if not remote.foreign]
            except Rejected as error:
                warn(printable(f"no {kind} of {name} is imported: {error}"))
                continue
            for remote in sorted(remotes, key=lambda one: (one.identity, one.id)):
                if (name, kind, remote.id) in owners or (name, kind, remote.identity) in wished:
                    continue
                address = _free(ResourceAddress(name, kind, str(remote.attributes["name"])), taken)
                taken.add(address)
                found.append((address, remote))
    return found


Owners = Mapping[tuple[str, str, str], ResourceAddress]
"""Whose an object is, by platform, kind and id."""


def _owners(state: State) -> Owners:
    return {
        (address.platform, address.kind, remote_id): address
        for address, record in state.resources.items()
        for remote_id in (record.remote_id, *record.deposed)
    }


def _free(address: ResourceAddress, taken: set[ResourceAddress]) -> ResourceAddress:
    """*address*, or one like it: two objects of one name may stand in different places."""
    number, free = 1, address
    while free in taken:
        number += 1
        free = address._replace(name=f"{address.name}-{number}")
    return free


def drafted(
    session: Session,
    found: Sequence[tuple[ResourceAddress, Remote]],
    state: State,
    folder: Path,
) -> list[Draft]:
    """The file for each object of *found*, in *folder*, beside those that are there."""
    names = {
        (address.platform, record.remote_id): str(address) for address, record in state.resources.items()
    }
    learn(session.secrets, state.resources.values())
    taken = {path.stem.lower() for path in folder.glob("*.toml")}
    return [_draft(session, address, remote, names, folder, taken) for address, remote in found]


def _draft(
    session: Session,
    address: ResourceAddress,
    remote: Remote,
    names: Mapping[tuple[str, str], str],
    folder: Path,
    taken: set[str],
) -> Draft:
    plugin = session.config.plugin(address.platform)
    kind = plugin.kinds[address.kind]
    directory = session.config.directory
    place = Place(address.platform, address.name, directory, folder)

    def referred(remote_id: str) -> dict[str, str]:
        name = names.get((address.platform, remote_id))
        return {ID: remote_id} if name is None else {REF: name}

    live = remote.attributes.values_
    # By its address, a reference may bring in what the platform never shows and nobody could compare.
    attributes = live if kind.plain else replace_markers(live, ID, referred)
    written = plugin.write_spec(
        address.kind, attributes, place, session.config.platform_settings(address.platform)
    )
    table = dict(written.table)
    left_out = [f"{dotted(one.path)}: {one.summary}" for one in written.left_out]
    # What is no secret by the look of it may still be one that this stack knows.
    hidden = plain_secrets_in(table, session.config.settings.not_secret)
    for key, value in table.items():
        if key not in kind.write_only and session.secrets.conceal(value) != value:
            hidden.setdefault(key, f"{key}: it holds a secret of this stack")
    for key, why in hidden.items():
        if key not in kind.write_only:
            del table[key]
            left_out.append(
                f"{why}. Put the secret into a credential, or say that it is none: [policy] not_secret"
            )
    reading = plugin.read_spec(address.kind, table, place)
    problems = tuple(f"{one.summary}. {one.hint}".rstrip(". ") for one in reading.problems)
    ignored = _unsaid(kind, reading.drafts[0].attributes, attributes) if left_out and not problems else []
    stem = file_stem(address.name, taken)
    if not problems:
        taken.add(stem.lower())
    adopt = bool(written.to_fill)
    text = imported_text(address, stem, table, placed=kind.identity, adopt=adopt, ignored=ignored)
    to_fill = tuple(dotted(path) for path in written.to_fill)
    return Draft(address, folder / f"{stem}.toml", text, to_fill, tuple(left_out), problems)


def _unsaid(kind: ResourceKind, said: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """The attributes of which a spec with fields left out would say something else than is *live*.

    They are none of its business, so that they stay as they are.
    """
    unseen = kind.write_only | kind.local
    return [
        key
        for key, value in said.items()
        if key not in unseen
        and next(marked(value, LOOKUP), None) is None
        and _meant(kind, key, value) != _meant(kind, key, live.get(key))
    ]


def _meant(kind: ResourceKind, key: str, value: Any) -> Any:
    return kind.defaults.get(key) if value is None else value


@contextlib.contextmanager
def _written(drafts: Sequence[Draft]) -> Iterator[None]:
    """The files of *drafts*, there; and gone again should anything go wrong before they are needed."""
    made: list[Path] = []
    try:
        for draft in drafts:
            draft.file.parent.mkdir(parents=True, exist_ok=True)
            with draft.file.open("x", encoding="utf-8") as file:
                made.append(draft.file)
                file.write(draft.text)
        yield
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def adopt(session: Session, drafts: Sequence[Draft], options: Mapping[str, Any]) -> int:
    """Write the files, remember the objects, and see that nothing is left to do. The exit code."""
    with session.lock("import") as lock:
        return run_async(_adopt(session, drafts, lock, options))


async def _adopt(session: Session, drafts: Sequence[Draft], lock: Lock, options: Mapping[str, Any]) -> int:
    output = session.output
    ready = [draft for draft in drafts if not draft.to_fill]
    targets = tuple(escape(str(draft.address)) for draft in ready)
    with Progress(output) as progress:
        signals = Signals(progress.say)
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            with _written(drafts):
                specs = session.specs(exact_revision=True)
                if not ready:
                    return Exit.DONE
                planned = await stack.plan(specs, PlanOptions(targets=targets))
                wrong = [
                    f"{one.action} {one.address}" + "".join(f" {field.path[0]}" for field in one.fields)
                    for one in planned.plan.changes
                    if one.action is not Action.ADOPT or one.fields
                ]
                if wrong:
                    raise ReconcilerError(
                        "what was written does not say what is there: " + "; ".join(wrong),
                        hint="Nothing was imported, and no file is left. Import these by hand.",
                    )
            run = await carry_out(session, stack, planned, lock, progress, signals, options, "import")
            if run.outcome != "applied":
                output.error(
                    f"the import was not remembered: the run is {run.outcome}",
                    "The files are written. `reconciler plan` shows what is left to do.",
                )
                return Exit.BROKEN
            left = await stack.plan(session.specs(), PlanOptions(targets=targets))
    if not left.plan.is_empty:
        output.error(
            "the plan is not empty after the import",
            "`reconciler plan` shows what is left to do.",
            [printable(f"{one.action} {one.address}: {one.reason}") for one in left.plan.changes],
        )
        return Exit.ERROR
    return Exit.DONE
