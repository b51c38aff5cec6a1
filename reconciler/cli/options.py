"""Options that several commands share.

Each flag has a variable: that of ``--lock-timeout`` is ``RECONCILER_LOCK_TIMEOUT``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    _FloatType = click.ParamType[float]
else:
    _FloatType = click.ParamType  # generic for type checkers only

__all__ = ["Duration", "common", "locking", "option", "planning", "running"]

F = TypeVar("F", bound=Callable[..., Any])


class Duration(_FloatType):
    """Seconds, from ``90s``, ``5m``, ``1h30m`` or ``0s``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if isinstance(value, int | float):
            return float(value)
        parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value).strip())
        if not parts or not any(parts.groups()):
            self.fail(f"{value!r} is no duration; write 30s, 5m or 1h", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        return hours * 3600 + minutes * 60 + seconds


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """A click option with its variable."""
    flag = next(name for name in names if name.startswith("--")).partition("/")[0]
    variable = "RECONCILER_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=False, **settings)


def _all(function: F, *options: Callable[[F], F]) -> F:
    for one in reversed(options):
        function = one(function)
    return function


def common(function: F) -> F:
    """What every command takes. ``--json``, ``--color`` and ``--no-color`` are read before it starts."""
    return _all(
        function,
        option("-C", "--chdir", metavar="DIR", help="The stack's directory."),
        option("--json", "as_json", is_flag=True, help="NDJSON events and a final summary."),
        option("--color", type=click.Choice(["always", "auto", "never"]), help="When to use colours."),
        option("--no-color", is_flag=True, help="No colours."),
        option("-v", "--verbose", is_flag=True, help="Say more."),
        option("-q", "--quiet", is_flag=True, help="Say less."),
        option("--debug", is_flag=True, help="Show tracebacks."),
    )


def locking(function: F) -> F:
    """What commands take that wait for a lock."""
    return _all(
        function,
        option(
            "--lock-timeout",
            type=Duration(),
            default=300.0,
            show_default="5m",
            help="How long to wait for the lock; 0s fails at once.",
        ),
        option("--parallelism", type=click.IntRange(1, 256), help="How much to do at once."),
    )


def planning(function: F) -> F:
    """What commands take that make a plan."""
    return _all(
        function,
        option("--target", "targets", multiple=True, metavar="GLOB", help="Only these, and what they need."),
        option(
            "--exclude", "excludes", multiple=True, metavar="GLOB", help="Not these, nor what needs them."
        ),
        option("--replace", "replaces", multiple=True, metavar="ADDRESS", help="Make this object anew."),
        option(
            "--refresh",
            type=click.Choice(["all", "none"]),
            default="all",
            help="none: plan from the state alone, without asking platforms.",
        ),
        option(
            "--allow-deletes", is_flag=True, help="Delete more than the policy's share, and what is in use."
        ),
    )


def running(function: F) -> F:
    """What commands take that change something."""
    return _all(
        function,
        option("--auto-approve", is_flag=True, help="Do not ask."),
        option(
            "--input",
            "asking",
            type=bool,
            default=True,
            metavar="BOOL",
            help="false: never ask; what needs an answer fails.",
        ),
        option(
            "--on-failure",
            type=click.Choice(["rollback", "stop", "continue"]),
            help="What a failed step means for the rest. Default: [apply] in reconciler.toml.",
        ),
    )
