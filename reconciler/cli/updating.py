"""``import --update``: what is live, written into the spec that people keep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from reconciler.cli.addresses import meant
from reconciler.cli.context import Exit
from reconciler.cli.session import Session, run_async
from reconciler.core.attributes import ID, LOOKUP, REF, marked, replace_markers
from reconciler.core.diff import compare
from reconciler.core.model import Remote, Resource, ResourceAddress, ResourceState, SpecSet, dotted
from reconciler.core.ports import Place, ResourceKind
from reconciler.engine.planning import wished
from reconciler.engine.secrets import learn
from reconciler.errors import ReconcilerError, UsageError
from reconciler.render.characters import printable
from reconciler.specs.writing import plain_secrets_in, updated_text

__all__ = ["update"]


def update(session: Session, address: ResourceAddress) -> int:
    """Change the spec of *address* where the platform says otherwise. Nothing else is written.

    Raises `ReconcilerError`, with the file as it was, where that cannot be said.
    """
    specs = session.specs()
    wish = next((one for one in specs.resources if one.address == address), None)
    if wish is None:
        known = (one.address for one in specs.resources)
        raise UsageError(
            f"the specs have no {address}",
            hint=meant(str(address), known, "`reconciler import ADDRESS ID` writes a new spec."),
        )
    with session.reading():
        kind, wanted, record, live = run_async(_sides(session, address))
    fields = compare(kind, wanted, record, live)
    keys = sorted({str(field.path[0]) for field in fields})
    output = session.output
    if not keys:
        output.lines([f"{wish.source.file} says what is there."])
        output.summary(Exit.DONE, file=wish.source.file, fields=[])
        return Exit.DONE
    path = session.config.directory / wish.source.file
    before = path.read_bytes()
    changes = _changes(session, wish, kind, live, keys, path)
    text = updated_text(before.decode(), address.platform, changes)
    _write(session, path, before, text, specs, address)
    output.lines([f"~ {printable(wish.source.file)}: {', '.join(map(printable, keys))}"])
    output.summary(Exit.DONE, file=wish.source.file, fields=keys)
    return Exit.DONE


async def _sides(
    session: Session, address: ResourceAddress
) -> tuple[ResourceKind, Resource, ResourceState | None, Remote]:
    """The kind of *address*, what it is to be, what it was when it was last applied, and what it is."""
    async with session.looking() as planner:
        wanted, prior = await wished(planner, session.specs(), session.backend.load())
        reader = planner.readers[address.platform]
        record = prior.get(address)
        if record is not None:
            live = await reader.read(address.kind, record.remote_id)
        else:
            live = await reader.find(address.kind, wanted[address].attributes)
        if live is None:
            raise ReconcilerError(
                f"{address} is not on the platform", hint="`reconciler plan` says what would become of it."
            )
        return reader.kinds[address.kind], wanted[address], record, live


def _changes(
    session: Session, wish: Resource, kind: ResourceKind, live: Remote, keys: list[str], path: Path
) -> dict[str, Any]:
    """The values of the fields that say the attributes *keys*; None for what is to be taken out."""
    address = wish.address
    state = session.backend.load()
    learn(session.secrets, state.resources.values())
    names = {(one.platform, record.remote_id): str(one) for one, record in state.resources.items()}

    def referred(remote_id: str) -> dict[str, str]:
        name = names.get((address.platform, remote_id))
        return {ID: remote_id} if name is None else {REF: name}

    place = Place(address.platform, address.name, session.config.directory, path.parent)
    attributes = replace_markers(live.attributes.values_, ID, referred)
    settings = session.config.platform_settings(address.platform)
    written = session.config.plugin(address.platform).write_spec(address.kind, attributes, place, settings)
    unsaid = [f"{dotted(one.path)}: {one.summary}" for one in written.left_out if one.path[0] in keys]
    fields = dict.fromkeys(field for key in keys for field in written.said_by.get(key, (key,)))
    # What the platform may choose stays the platform's choice, or the spec's.
    chosen = {
        key: value
        for key, value in written.chosen.items()
        if next(marked(wish.attributes.get(key), LOOKUP), None) is None
    }
    changes = {key: {**chosen, **written.table}.get(key) for key in fields}
    hidden = plain_secrets_in(
        {key: value for key, value in changes.items() if value is not None},
        session.config.settings.not_secret,
    )
    unsaid += list(hidden.values())
    unsaid += [
        f"{key}: it holds a secret of this stack"
        for key, value in changes.items()
        if key not in hidden and session.secrets.conceal(value) != value
    ]
    unsaid += [f"{key}: the platform never shows it" for key in keys if key in kind.write_only]
    if unsaid:
        raise ReconcilerError(
            "what is live cannot be written into the spec:\n" + "\n".join(unsaid),
            hint="Nothing was written. Put secrets into a credential; change the rest by hand.",
        )
    return changes


def _write(
    session: Session, path: Path, before: bytes, text: str, specs: SpecSet, address: ResourceAddress
) -> None:
    """Write *text*, unless the spec would not say what is live, or another would say something new."""
    _replace(path, text.encode())
    try:
        after = {one.address: one.attributes for one in session.specs().resources}
        others = [one for one in specs.resources if one.address != address]
        moved = [str(one.address) for one in others if after.get(one.address) != one.attributes]
        kind, wanted, record, live = run_async(_sides(session, address))
        left = [dotted(one.path) for one in compare(kind, wanted, record, live)]
        _check(path, sorted(left), sorted(moved))
    except BaseException:
        _replace(path, before)
        raise


def _replace(path: Path, data: bytes) -> None:
    """Make *data* what is in the file, whole: others may be reading it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    shutil.copymode(path, fresh)
    fresh.replace(path)


def _check(path: Path, left: list[str], moved: list[str]) -> None:
    if moved:
        raise ReconcilerError(
            f"{path.name} is also what {', '.join(moved)} is made from, which would change",
            hint="Nothing was written. Change it by hand: a copy can say what it does not share.",
        )
    if left:
        raise ReconcilerError(
            f"{path.name} would still not say what is there: {', '.join(left)}",
            hint="Nothing was written. Change it by hand.",
        )
