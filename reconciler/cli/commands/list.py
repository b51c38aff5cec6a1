"""``reconciler list``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.inventory import gather
from reconciler.cli.options import common, looking, option
from reconciler.cli.session import Session
from reconciler.engine.inventory import STATUSES, row
from reconciler.errors import UsageError
from reconciler.render.table import csv_text, table_lines

COLUMNS: Final = (
    "environment",
    "version",
    "status",
    "address",
    "platform",
    "description",
    "scope",
    "image",
    "architecture",
    "tools",
    "workloads",
    "workload_types",
    "templates",
    "created_by",
    "created",
    "updated",
    "cluster",
    "id",
)
SHOWN: Final = ("environment", "platform", "version", "status", "scope", "image", "tools")
MOST_CSV_ROWS: Final = 20_000
"""The limit of the vendor's own CSV download."""

Row = Mapping[str, Any]


_MEANINGS: Final = "\n".join(f"  {name:<10} {meaning}" for name, meaning in STATUSES.items())


@click.command(
    "list",
    help="Show the environments: what is live, what the specs want, what is managed.\n\n"
    f"\b\nSTATUS is one of\n{_MEANINGS}",
)
@common
@looking
@option(
    "--filter",
    "filters",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows with this value; * and ? match.",
)
@option("--search", metavar="TEXT", help="Only rows that have this text in any column.")
@option("--sort", metavar="[-]COLUMN", default="environment", help="Sort by a column; - from the end.")
@option("--columns", metavar="A,B,C", help=f"Columns to show, in any format. Known: {', '.join(COLUMNS)}.")
@option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="How to print. In CSV an apostrophe stands before what begins with = + - @ or a tab, "
    "which a spreadsheet would run as a formula.",
)
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    session = Session.open(context, **options)
    platforms = session.config.settings.platforms
    columns = _columns(options["columns"])
    by = _known(options["sort"].removeprefix("-"))
    wanted = _wanted(options["filters"])
    _check(wanted, "status", STATUSES)
    _check(wanted, "platform", platforms)
    keep = _filter(wanted, options["search"])
    entries, shown = gather(session, "environment")
    rows = [one for entry in entries if keep(one := row(entry, shown))]
    rows.sort(key=lambda one: _text(one[by]).lower(), reverse=options["sort"].startswith("-"))
    output = context.output
    if not columns:
        # A column in which all rows would say the same, or nothing, is of no use.
        idle = set() if len(platforms) > 1 else {"platform"}
        idle |= set() if any(one["version"] is not None for one in rows) else {"version"}
        plain = tuple(name for name in SHOWN if name not in idle)
        columns = COLUMNS if options["form"] == "csv" else plain
    # For tools, all columns, unless some are asked for.
    told = rows if options["columns"] is None else [{name: one[name] for name in columns} for one in rows]
    if output.as_json:
        for one in told:
            output.record("environment", **one)
    elif options["form"] == "json":
        output.json_document(told)
    elif options["form"] == "csv":
        if len(rows) > MOST_CSV_ROWS:
            output.warning(f"cut after {MOST_CSV_ROWS} of {len(rows)} rows; --filter narrows them down.")
        output.document(csv_text(rows[:MOST_CSV_ROWS], columns))
    elif rows:
        output.lines(table_lines(rows, columns, width=output.table_width))
    else:
        output.lines(["No environments."])
    output.summary(Exit.DONE, rows=len(rows))
    return Exit.DONE


def _columns(wanted: str | None) -> Sequence[str]:
    """The columns that are asked for; none when that is left to us."""
    if wanted is None:
        return ()
    columns = [name.strip() for name in wanted.split(",") if name.strip()]
    if not columns:
        raise UsageError("--columns names no column", hint=f"Known: {', '.join(COLUMNS)}.")
    for name in columns:
        _known(name)
    return columns


def _known(name: str) -> str:
    if name not in COLUMNS:
        raise UsageError(f"there is no column {name!r}", hint=f"Known: {', '.join(COLUMNS)}.")
    return name


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _wanted(filters: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Columns and what may stand in them, as ``--filter`` says."""
    wanted: list[tuple[str, str]] = []
    for text in filters:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--filter {text}: write COLUMN=VALUE")
        wanted.append((_known(name.strip()), value.strip().lower()))
    return wanted


def _check(wanted: Sequence[tuple[str, str]], column: str, values: Collection[str]) -> None:
    """Raise `UsageError` when *wanted* has what *column*, which has *values* and no others, cannot say."""
    for name, value in wanted:
        if name == column and not any(fnmatchcase(one.lower(), value) for one in values):
            raise UsageError(
                f"--filter {name}={value}: no {name} is like that", hint=f"There are: {', '.join(values)}."
            )


def _filter(wanted: Sequence[tuple[str, str]], search: str | None) -> Callable[[Row], bool]:
    needle = search.lower() if search else ""

    def keep(one: Row) -> bool:
        for name, value in wanted:
            cell = one[name]
            parts = list(map(str, cell)) if isinstance(cell, list) else [_text(cell)]
            if not any(fnmatchcase(part.lower(), value) for part in parts):
                return False
        return not needle or any(needle in _text(cell).lower() for cell in one.values())

    return keep
