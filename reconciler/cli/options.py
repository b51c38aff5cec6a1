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

__all__ = ["Duration", "common", "everywhere", "locking", "looking", "option", "planning", "running"]

F = TypeVar("F", bound=Callable[..., Any])


class Duration(_FloatType):
    """Seconds, from ``90s``, ``5m``, ``1h30m`` or ``0s``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value).strip())
        if not parts or not any(parts.groups()):
            self.fail(f"{value!r} is no duration; write 30s, 5m or 1h", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        return hours * 3600 + minutes * 60 + seconds


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """A click option with its variable."""
    flag = next(name for name in names if name.startswith("--"))
    variable = "RECONCILER_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=False, **settings)


def _all(function: F, *options: Callable[[F], F]) -> F:
    for one in reversed(options):
        function = one(function)
    return function


# --- what every command has ---


def _chdir(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.obj.chdir = value


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.debug = True


def _verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.output.verbose = True


def _quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.output.quiet = True


def _common(function: F, make: Callable[..., Callable[[F], F]]) -> F:
    def flag(*names: str, **settings: Any) -> Callable[[F], F]:
        return make(*names, expose_value=False, **settings)

    return _all(
        function,
        flag("-C", "--chdir", metavar="DIR", callback=_chdir, help="The stack's directory."),
        # `Output.standard` reads these three by itself; here they are known, and their values checked.
        flag("--json", is_flag=True, help="NDJSON events and a final summary."),
        flag("--color", type=click.Choice(["always", "auto", "never"]), help="When to use colours."),
        flag("--no-color", is_flag=True, help="No colours."),
        flag(
            "-v",
            "--verbose",
            is_flag=True,
            callback=_verbose,
            help="Say more: the steps of a plan, in order; each step of a run.",
        ),
        flag(
            "-q",
            "--quiet",
            is_flag=True,
            callback=_quiet,
            help="Say less: no changes and no steps, only what they come to; warnings; errors.",
        ),
        flag("--debug", is_flag=True, callback=_debug, help="Show tracebacks."),
    )


def everywhere(function: F) -> F:
    """What may stand before the verb. The variables of these flags are read here."""
    return _common(function, option)


def common(function: F) -> F:
    """The same flags behind the verb, where they win over those before it and over the variables."""
    return _common(function, click.option)


# --- what some have ---


def locking(function: F) -> F:
    """What commands take that wait for a lock."""
    return _all(
        function,
        option(
            "--lock-timeout",
            type=Duration(),
            default="5m",
            show_default=True,
            help="How long to wait for the lock; 0s fails at once.",
        ),
        _parallelism(),
    )


def looking(function: F) -> F:
    """What commands take that show what is there. They wait for no lock."""
    return _all(function, _parallelism(), option("--lock-timeout", type=Duration(), default=0.0, hidden=True))


def _parallelism() -> Callable[[F], F]:
    return option("--parallelism", type=click.IntRange(1, 256), help="How much to do at once.")


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
        option(
            "--deadline",
            type=Duration(),
            help="Stop early enough to be done in this time, a rollback included: 20m.",
        ),
    )
