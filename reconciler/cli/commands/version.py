"""``reconciler version``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.providers import discover

_LIBRARIES = ("click", "deepdiff", "httpx", "msgspec", "networkx", "pydantic", "rtoml", "starlette")


@click.command("version")
@common
@click.pass_obj
def command(context: Context, /, **_: Any) -> int:
    """Print the versions of reconciler, its providers and the libraries that matter."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "not installed"
    providers = list(discover())
    context.output.lines(
        [
            f"reconciler {__version__} on Python {platform.python_version()}",
            f"providers: {', '.join(providers)}",
            "libraries: " + ", ".join(f"{name} {found}" for name, found in libraries.items()),
        ]
    )
    context.output.summary(
        Exit.DONE,
        reconciler=__version__,
        python=platform.python_version(),
        providers=providers,
        libraries=libraries,
    )
    return Exit.DONE
