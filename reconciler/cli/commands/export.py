"""``reconciler export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.cli.addresses import meant
from reconciler.cli.context import Context, Exit
from reconciler.cli.inventory import gather, known_kind
from reconciler.cli.options import common, looking, option
from reconciler.cli.session import Session
from reconciler.core.attributes import Attributes
from reconciler.core.model import Path as FieldPath
from reconciler.core.model import ResourceAddress
from reconciler.core.ports import Exporter
from reconciler.engine.inventory import find_entry
from reconciler.errors import ReconcilerError, UsageError


@click.command("export")
@click.argument("address", metavar="ADDRESS")
@common
@looking
@option("--format", "form", metavar="FORMAT", required=True, help="The vendor's format: aenv.")
@option("--out", metavar="DIR", help="Write the files there, overwriting none; else the one file is printed.")
@click.pass_obj
def command(context: Context, /, address: str, form: str, out: str | None, **options: Any) -> int:
    """Write a resource in its vendor's own format: as the spec wants it, else as it is on the platform."""
    session = Session.open(context, **options)
    wanted = ResourceAddress.parse(address)
    known_kind(session, wanted)
    plugin = session.config.plugin(wanted.platform)
    formats = plugin.formats if isinstance(plugin, Exporter) else {}
    if not isinstance(plugin, Exporter) or form not in formats:
        known = "; ".join(f"{name}: {what}" for name, what in formats.items()) or "none"
        raise UsageError(
            f"{wanted.platform} has no format {form!r}", hint=f"Formats of its provider: {known}."
        )
    files = plugin.export(form, wanted.kind, _attributes(session, wanted))
    output = context.output
    if out is not None:
        _write(Path(out), files)
        output.lines([f"Wrote {Path(out) / name}." for name in files])
    elif output.as_json:
        for name, data in files.items():
            output.record("file", name=name, text=data.decode())
    elif len(files) == 1:
        output.document(next(iter(files.values())).decode())
    else:
        raise UsageError(f"{address} is {len(files)} files in this format", hint="Give --out DIR.")
    output.summary(Exit.DONE, address=address, format=form, files=sorted(files))
    return Exit.DONE


def _attributes(session: Session, address: ResourceAddress) -> Attributes:
    """What the specs want of it, which no platform has to be asked for; else what is live."""
    specs = session.specs()
    wanted = next((one for one in specs.resources if one.address == address), None)
    if wanted is not None:
        return wanted.attributes
    entries, shown = gather(session, address.kind)
    entry = find_entry(entries, address)
    if entry is None or entry.live is None:
        known = (one.address for one in specs.resources)
        raise UsageError(
            f"there is no {address}",
            hint=meant(str(address), known, "`reconciler list` shows what there is."),
        )
    for path in _hidden(entry.live.attributes.values_, (), shown):
        raise ReconcilerError(
            f"{address} has what looks like a secret in {'.'.join(map(str, path))}",
            hint="Nothing was written: it would stay in the file. Take it away from the platform first.",
        )
    return entry.live.attributes


def _hidden(value: Any, path: FieldPath, shown: Callable[[FieldPath, Any], bool]) -> list[FieldPath]:
    """Where something stands that may not be shown."""
    if isinstance(value, Mapping):
        return [found for key, one in value.items() for found in _hidden(one, (*path, key), shown)]
    if isinstance(value, list):
        return [found for number, one in enumerate(value) for found in _hidden(one, (*path, number), shown)]
    return [] if shown(path, value) else [path]


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    there = [name for name in files if (directory / name).exists()]
    if there:
        raise ReconcilerError(
            f"{directory / there[0]} exists already",
            hint="Nothing was written. Move it away, or name another folder.",
        )
    try:
        for name, data in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            with (directory / name).open("xb") as handle:
                handle.write(data)
    except OSError as error:
        raise ReconcilerError(f"{directory} cannot be written: {error.strerror}") from error
