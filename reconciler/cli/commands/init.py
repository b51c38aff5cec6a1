"""``reconciler init``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.errors import ReconcilerError
from reconciler.specs.config import CONFIG_NAME

_CONFIG: Final = """\
# What this stack is: its name, its platforms, its limits.
# `reconciler schema reconciler` prints everything that may stand here.

[stack]
name = {name}

[platforms.runai]
provider = "runai"
endpoint = "embedded" # a Run:ai inside this program, to try things out
# A real tenant, by an access key whose values stay out of git:
# endpoint = "https://TENANT.run.ai"
# client_id = {{ env = "RUNAI_CLIENT_ID" }}
# client_secret = {{ env = "RUNAI_CLIENT_SECRET" }}

[policy]
max_gpus = 8
max_delete_fraction = 0.5
"""
_SPEC: Final = """\
# One file, one environment; its name is that of the file.
description = "Jupyter on Python, for everybody"
image = "jupyter/scipy-notebook:2024-05-01"
workload_types = ["workspace", "training"]
tools = ["jupyter"]

[environment_variables]
NCCL_DEBUG = "INFO"

[on.runai]
scope = "tenant"
"""
_IGNORE: Final = """\
# What the stack remembers (state, journals, the embedded platform) is not source.
.reconciler/
"""


@click.command("init")
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@common
@click.pass_obj
def command(context: Context, /, directory: str) -> int:
    """Make a new stack in DIRECTORY: reconciler.toml, one spec, .gitignore. Overwrites nothing."""
    target = Path(context.chdir or ".") / directory
    name = target.resolve().name or "stack"
    files = {
        CONFIG_NAME: _CONFIG.format(name=json.dumps(name, ensure_ascii=False)),
        "notebook.toml": _SPEC,
        ".gitignore": _IGNORE,
    }
    if (target / CONFIG_NAME).exists():
        raise ReconcilerError(f"{target / CONFIG_NAME} exists already", hint="Nothing was written.")
    made = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            try:
                with (target / file).open("x", encoding="utf-8") as handle:
                    handle.write(text)
                made.append(file)
            except FileExistsError:
                context.output.note(f"{target / file} exists and was left as it is.")
    except OSError as error:
        raise ReconcilerError(f"{target} cannot be written: {error.strerror}") from error
    where = "" if target.resolve() == Path.cwd() else f" -C {shlex.quote(str(target))}"
    context.output.lines(
        [
            f"Made the stack {name} in {target}: {', '.join(made)}.",
            "",
            "Next:",
            f"  reconciler{where} plan",
            f"  reconciler{where} apply",
        ]
    )
    context.output.summary(Exit.DONE, directory=str(target), files=made)
    return Exit.DONE
