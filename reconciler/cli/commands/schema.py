"""``reconciler schema``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.providers import discover
from reconciler.specs.schema import config_schema, spec_schema


@click.command("schema")
@click.argument("what", type=click.Choice(["spec", "reconciler"]), default="spec")
@common
@click.pass_obj
def command(context: Context, /, what: str, **_: Any) -> int:
    """Print the JSON Schema of specs, or of reconciler.toml, for editors.

    Save it beside the files and name it in their first line, as the TOML
    extensions of editors read it: `#:schema ./spec.schema.json`.
    """
    plugins = discover()
    found = spec_schema(plugins) if what == "spec" else config_schema(plugins)
    if context.output.as_json:
        context.output.record("schema", what=what, schema=found)
    else:
        context.output.json_document(found)
    return Exit.DONE
