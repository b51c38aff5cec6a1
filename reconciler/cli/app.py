"""The command group, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.output import Output
from reconciler.errors import (
    LimitErrors,
    ListingIncomplete,
    LockHeld,
    PlanAltered,
    PlanRefused,
    PlanStale,
    ReconcilerError,
    SpecErrors,
    UsageError,
)

__all__ = ["run"]


_CODES: Final[tuple[tuple[type[ReconcilerError], int], ...]] = (
    (UsageError, Exit.USAGE),
    (LockHeld, Exit.LOCKED),
    (PlanRefused, Exit.REFUSED),
    (PlanStale, Exit.STALE),
    (PlanAltered, Exit.STALE),
    (ListingIncomplete, Exit.INCOMPLETE),
)

_COMMANDS: Final = {
    "init": "Make a new stack.",
    "validate": "Check every spec and the policy; ask no platform.",
    "plan": "Show what would change.",
    "apply": "Carry out a plan.",
    "destroy": "Delete all that the stack manages.",
    "drift": "Compare the platforms with what was last applied.",
    "list": "Show the environments: live, desired and managed.",
    "show": "Show a resource, a saved plan or a past run.",
    "history": "Show past runs.",
    "state": "Look at and repair the state.",
    "graph": "Draw the dependencies.",
    "schema": "Print the JSON Schema of specs and reconciler.toml.",
    "serve": "Run the embedded platforms on a local port.",
    "unlock": "Break a lock.",
    "version": "Print versions.",
}


class _Commands(click.Group):
    """Subcommands, imported only when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The short helps stand here, so that --help imports no command.
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("-C", "--chdir", metavar="DIR", envvar="RECONCILER_CHDIR", help="The stack's directory.")
@click.option("--debug", is_flag=True, envvar="RECONCILER_DEBUG", help="Show tracebacks.")
@click.version_option(package_name=None, version=importlib.import_module("reconciler").__version__)
@click.pass_context
def cli(ctx: click.Context, chdir: str | None, debug: bool) -> None:
    """Make a directory of TOML specs the truth for your ML environments.

    Write specs, look at the plan, apply it. See `reconciler COMMAND --help`.
    """
    ctx.obj.chdir = chdir


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    output = Output.standard(os.environ, arguments)
    debug = "--debug" in arguments or bool(os.environ.get("RECONCILER_DEBUG"))
    try:
        context = Context(output)
        result: Any = cli.main(list(arguments), prog_name="reconciler", standalone_mode=False, obj=context)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        output.usage_error(error.format_message(), _usage(error))
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        output.error("interrupted", "Nothing more was done.")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): say nothing, and let nothing be said at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except ReconcilerError as error:
        if debug:
            output.note(output.mask(traceback.format_exc()))
        output.failure(error)
        return _code(error, arguments)
    except Exception as error:
        output.error(
            f"internal error: {type(error).__name__}: {error}",
            "This is a mistake in reconciler. Nothing is lost: the journal knows what was under way, and "
            "`reconciler plan` settles it. Run again with --debug for the traceback.",
        )
        if debug:
            output.note(output.mask(traceback.format_exc()))
        return Exit.ERROR
    return result if isinstance(result, int) else Exit.DONE


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context is not None else ""


def _code(error: ReconcilerError, arguments: Sequence[str]) -> int:
    if isinstance(error, LimitErrors):
        # Seen in `validate` or `plan`, a broken limit is an error; where it stops an apply, a refusal.
        return Exit.REFUSED if "apply" in arguments else Exit.ERROR
    if isinstance(error, SpecErrors):
        return Exit.ERROR
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.ERROR)
