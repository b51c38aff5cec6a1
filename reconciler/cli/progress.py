"""Showing a run while it goes on: a bar on a terminal, a line each ten seconds elsewhere, or NDJSON."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any, assert_never

from reconciler.cli.output import Output
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

__all__ = ["Progress"]

_HEARTBEAT_SECONDS = 10.0


class Progress:
    """A reporter. Use it as a context manager, so that a bar is taken away whatever happens."""

    def __init__(self, output: Output, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._bar: Any = None
        self._task: Any = None
        self._total = 0
        self._ended = 0
        self._failed = 0
        self._running: dict[tuple[int, bool], str] = {}
        self._last = clock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_bar()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._output.as_json:
            self._record(event)
            return
        match event:
            case RunStarted():
                self._total = event.steps
                self._start_bar("Applying")
            case RollbackStarted():
                self._stop_bar()
                self._output.note(f"Rolling back {event.steps} step{'' if event.steps == 1 else 's'} …")
                self._total, self._ended = event.steps, 0
                self._start_bar("Rolling back")
            case StepStarted():
                self._running[event.step, event.reverse] = f"{event.verb} {event.address}"
                if self._output.verbose:
                    self._say(f"{'undo ' if event.reverse else ''}{event.verb} {event.address} …")
                self._beat()
            case StepDone():
                self._running.pop((event.step, event.reverse), None)
                self._advance()
                if self._output.verbose:
                    undone = "undone: " if event.reverse else ""
                    self._say(f"{undone}{event.verb} {event.address} ({event.seconds:.2f} s)")
            case StepFailed():
                self._running.pop((event.step, event.reverse), None)
                self._failed += 1
                self._advance()
                red, end = self._output.error_palette.remove, self._output.error_palette.end
                what = "could not undo" if event.reverse else "failed"
                self._say(f"{red}{what}{end} {event.verb} {event.address}: {event.error}")
            case StepSkipped():
                pass  # the ledger at the end names it
            case Note():
                self._say(event.text)
            case RunEnded():
                self._stop_bar()
            case _:
                assert_never(event)

    def _record(self, event: Event) -> None:
        if isinstance(event, Note):
            self._output.note(event.text)
            return
        values = {
            name: str(value) if name in ("address", "verb") else value
            for name, value in dataclasses.asdict(event).items()
        }
        if "address" in values:
            values["address"] = str(getattr(event, "address", ""))
        self._output.record(_snake(type(event).__name__), **values)

    # --- the bar ---

    def _start_bar(self, title: str) -> None:
        if self._output.quiet or not self._total or not self._output.err.isatty():
            return
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

        console = Console(file=self._output.err, no_color=not self._output.error_palette.bold)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=self._total)
        self._bar.start()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _advance(self) -> None:
        self._ended += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1)
        self._beat()

    async def keep_alive(self) -> None:
        """Say now and then that the run goes on, also while one call takes long. Cancel it to end it."""
        while True:
            await asyncio.sleep(1.0)
            self._beat()

    def _beat(self) -> None:
        if self._bar is not None or self._output.quiet or self._output.as_json:
            return
        now = self._clock()
        if now - self._last < _HEARTBEAT_SECONDS:
            return
        self._last = now
        longest = next(iter(self._running.values()), "")
        waiting = f", waiting for {longest}" if longest else ""
        failed = f", {self._failed} failed" if self._failed else ""
        self._output.note(f"{self._ended} of {self._total} steps done{failed}{waiting}")

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(self._output.mask(text), markup=False, highlight=False)
        else:
            self._output.note(text)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
