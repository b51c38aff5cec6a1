"""The command group, and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import keyword
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from reconciler import __version__
from reconciler.cli.context import Context, Exit, exit_code
from reconciler.cli.options import everywhere
from reconciler.cli.output import Output, OutputLost
from reconciler.errors import ReconcilerError

__all__ = ["run"]


_COMMANDS: Final = {
    "init": "Make a new stack.",
    "validate": "Check every spec and the policy; ask no platform.",
    "fmt": "Lay out specs in the one way there is.",
    "plan": "Show what would change.",
    "apply": "Carry out a plan.",
    "destroy": "Delete all that the stack manages.",
    "drift": "Compare the platforms with what was last applied.",
    "import": "Take live objects under management.",
    "list": "Show the environments: live, desired and managed.",
    "review": "Put a plan on its pull or merge request; find what was approved.",
    "show": "Show a resource, a saved plan or a past run.",
    "export": "Write a resource in its vendor's own format.",
    "history": "Show past runs.",
    "undo": "Show the plan back to before a past run.",
    "recover": "Settle what a dead run left open.",
    "state": "Look at and repair the state.",
    "graph": "Draw the dependencies.",
    "capture": "Write a spec for an environment that is there already.",
    "schema": "Print the JSON Schema of specs and reconciler.toml.",
    "serve": "Run the embedded platforms on a local port.",
    "unlock": "Break a lock.",
    "version": "Print versions.",
}


class _Terminated(KeyboardInterrupt):
    """SIGTERM arrived. A KeyboardInterrupt, so that asyncio lets it through like one."""


class _Stopped(Exception):
    """A KeyboardInterrupt on its way past click, which would forget what kind it was."""

    def __init__(self, cause: KeyboardInterrupt) -> None:
        super().__init__()
        self.by_sigterm = isinstance(cause, _Terminated)


class _Commands(click.Group):
    """Subcommands, imported only when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"reconciler.cli.commands.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in _COMMANDS and not word.startswith("-"):
            near = difflib.get_close_matches(word, _COMMANDS, n=1)
            raise click.UsageError(
                f"there is no command {word!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as cause:
            raise _Stopped(cause) from cause
        except RuntimeError as error:
            # Python 3.11 makes one of whatever comes up while a class is made, as in an import.
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise _Stopped(error.__cause__) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The short helps stand here, so that --help imports no command.
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@everywhere
@click.version_option(version=__version__)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Make a directory of TOML specs the truth for your ML environments.

    Write specs, look at the plan, apply it. See `reconciler COMMAND --help`.
    """
    ctx.obj.verb = ctx.invoked_subcommand


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    output = Output.standard(os.environ, arguments)
    context = Context(output)
    try:
        with _ends_on_sigterm():
            code = _outcome(context, arguments)
            output.summary(code)
            output.flush()
            return code
    except OutputLost as lost:
        for stream in (sys.stdout, sys.stderr):
            _silence(stream)
        if lost.cause.errno == errno.EPIPE:
            return Exit.NOBODY_READS  # `| head`: nothing is wrong, and nothing is said
        with contextlib.suppress(OSError):
            sys.stderr.write(f"Error: the output cannot be written: {lost.cause.strerror}\n")
        return Exit.ERROR


def _outcome(context: Context, arguments: Sequence[str]) -> int:
    """The exit code of the command, whatever happens in it; what went wrong is said."""
    output = context.output
    try:
        result: Any = cli.main(list(arguments), prog_name="reconciler", standalone_mode=False, obj=context)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        output.error(error.format_message(), _usage(error))
        return Exit.USAGE
    except _Stopped as stopped:
        output.error("terminated" if stopped.by_sigterm else "interrupted", "Nothing more was done.")
        return Exit.TERMINATED if stopped.by_sigterm else Exit.INTERRUPTED
    except OutputLost:
        raise
    except ReconcilerError as error:
        _trace(context)
        output.failure(error)
        return exit_code(error, context.verb)
    except OSError as error:
        _trace(context)
        what = error.filename if isinstance(error.filename, str) else "reading or writing"
        output.error(
            f"{what}: {error.strerror or error}",
            "Nothing is lost: what was under way stands in the journal, and `reconciler plan` settles it.",
        )
        return Exit.ERROR
    except Exception as error:
        _trace(context)
        output.error(
            f"internal error: {type(error).__name__}: {error}",
            "This is a mistake in reconciler. Nothing is lost: the journal knows what was under way, and "
            "`reconciler plan` settles it. Run again with --debug for the traceback.",
        )
        return Exit.ERROR
    return result if isinstance(result, int) else Exit.DONE


@contextlib.contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: with what must be given back given back, and a last word."""

    def end(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _silence(stream: Any) -> None:
    """Let what *stream* still holds and cannot get rid of go nowhere, also at exit."""
    try:
        stream.flush()
    except (AttributeError, ValueError):
        pass  # closed by the caller
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _trace(context: Context) -> None:
    if context.debug:
        context.output.note(traceback.format_exc(), urgent=True)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context is not None else ""
