"""Showing a run while it goes on: a bar on a terminal, a line each ten seconds elsewhere, or NDJSON."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any, assert_never

from reconciler.cli.output import Output, OutputLost
from reconciler.core.events import (
    Event,
    Note,
    RollbackStarted,
    RunEnded,
    RunStarted,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from reconciler.render.characters import printable

__all__ = ["Progress"]

_HEARTBEAT_SECONDS = 10.0


class Progress:
    """A reporter. Use it as a context manager, so that a bar is taken away whatever happens.

    When nobody reads any more it falls silent: a run does not end in the
    middle because of its audience. Whoever writes next is told.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._bar: Any = None
        self._task: Any = None
        self._title = ""
        self._total = 0
        self._ended = 0
        self._failed = 0
        self._running: dict[tuple[int, bool], str] = {}
        self._last = clock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, OutputLost):
            self._stop_bar()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        with contextlib.suppress(OSError, OutputLost):
            self._take(event)

    def say(self, text: str) -> None:
        """Tell something that must be seen, bar or no bar, quiet or not."""
        with contextlib.suppress(OSError, OutputLost):
            self._note(text, urgent=True)

    def _take(self, event: Event) -> None:
        if self._output.as_json and not isinstance(event, Note):
            self._record(event)
        match event:
            case RunStarted():
                self._begin("Applying", event.steps)
            case RollbackStarted():
                self._text(f"Rolling back {event.steps} step{'' if event.steps == 1 else 's'} …")
                self._begin("Rolling back", event.steps)
            case StepStarted():
                self._running[event.step, event.reverse] = _named(event)
                if self._output.verbose:
                    self._text(f"{'undo ' if event.reverse else ''}{_named(event)} …")
                self._beat()
            case StepDone():
                self._end(event)
                if self._output.verbose:
                    undone = "undone: " if event.reverse else ""
                    self._text(f"{undone}{_named(event)} ({event.seconds:.2f} s)")
            case StepFailed():
                self._failed += 1
                self._end(event)
                red, end = self._output.error_palette.remove, self._output.error_palette.end
                what = "could not undo" if event.reverse else "failed"
                error = "\n".join(map(printable, event.error.split("\n")))
                self._text(f"{red}{what}{end} {_named(event)}: {error}")
            case StepSkipped():
                pass  # the ledger at the end names it
            case Note():
                self._note(event.text)
            case RunEnded():
                self._stop_bar()
            case _:
                assert_never(event)

    def _record(self, event: Event) -> None:
        values = {
            name: str(value) if name in ("address", "verb") else value
            for name, value in ((one.name, getattr(event, one.name)) for one in dataclasses.fields(event))
        }
        self._output.record(_snake(type(event).__name__), **values)

    def _begin(self, title: str, steps: int) -> None:
        self._stop_bar()
        self._title, self._total, self._ended, self._failed = title, steps, 0, 0
        self._last = self._clock()
        self._start_bar()

    def _end(self, event: StepDone | StepFailed) -> None:
        self._running.pop((event.step, event.reverse), None)
        self._ended += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1)
        self._beat()

    # --- the bar ---

    def _start_bar(self) -> None:
        output = self._output
        if output.quiet or output.as_json or not self._total or not output.err.isatty():
            return
        if output.dumb or not output.attended:
            return  # heartbeats instead
        # rich takes 50 ms to import: only where a bar is drawn.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as Bar,
        )

        console = Console(file=output.err, no_color=not output.error_palette.bold)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(self._title, total=self._total)
        self._bar.start()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    async def keep_alive(self, *, pause: float = 1.0) -> None:
        """Say now and then that the run goes on, also while one call takes long. Cancel it to end it.

        Looks at the clock each *pause* seconds.
        """
        while True:
            await asyncio.sleep(pause)
            with contextlib.suppress(OSError, OutputLost):
                self._beat()

    def _beat(self) -> None:
        if self._bar is not None:
            return
        now = self._clock()
        if now - self._last < _HEARTBEAT_SECONDS:
            return
        self._last = now
        done, waiting = self._ended - self._failed, next(iter(self._running.values()), "")
        if self._output.as_json:
            self._output.record(
                "progress", done=done, failed=self._failed, steps=self._total, waiting_for=waiting
            )
            return
        failed = f", {self._failed} failed" if self._failed else ""
        waited = f", waiting for {waiting}" if waiting else ""
        self._output.note(f"{self._title}: {done} of {self._total} steps done{failed}{waited}")

    def _text(self, text: str) -> None:
        """What an event comes to in words; in JSON the event itself says it."""
        if not self._output.as_json:
            self._note(text)

    def _note(self, text: str, *, urgent: bool = False) -> None:
        if self._bar is not None:
            said = self._output.for_error(text)
            self._bar.console.print(said, markup=False, highlight=False, soft_wrap=True)
        else:
            self._output.note(text, urgent=urgent)


def _named(event: StepStarted | StepDone | StepFailed) -> str:
    return f"{event.verb} {printable(str(event.address))}"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
