"""``reconciler graph``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, option
from reconciler.cli.session import Session
from reconciler.render.graph import dot, mermaid, svg


@click.command("graph")
@common
@option(
    "--format", "form", type=click.Choice(["mermaid", "dot", "svg"]), default="mermaid", help="How to draw."
)
@click.pass_obj
def command(context: Context, /, form: str, **options: Any) -> int:
    """Draw the dependencies of the specs. An arrow points at what is needed."""
    specs = Session.open(context, **options).specs()
    edges = {resource.address: resource.depends_on for resource in specs.resources}
    drawing = {"mermaid": mermaid, "dot": dot, "svg": svg}[form](edges)
    if context.output.as_json:
        context.output.record("graph", format=form, text=drawing)
        context.output.summary(Exit.DONE, resources=len(edges))
    else:
        context.output.document(drawing)
    return Exit.DONE
