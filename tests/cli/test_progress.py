"""A run while it goes on: a bar on a terminal, a heartbeat elsewhere, records under --json."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass, field

import pytest
from harness import LAB, Project
from terminal import Terminal

from reconciler.cli.output import Output
from reconciler.cli.progress import Progress
from reconciler.core.events import (
    Note,
    RollbackStarted,
    RunEnded,
    RunStarted,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from reconciler.core.model import ResourceAddress, Verb
from reconciler.render.text import COLOURED, PLAIN

A = ResourceAddress("runai", "environment", "a")
B = ResourceAddress("runai", "environment", "b")


class _Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class _Full(io.StringIO):
    """A stream that takes nothing more."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@dataclass
class Watched:
    """A `Progress`, what it says, and a clock that stands still until it is moved."""

    err: io.StringIO = field(default_factory=io.StringIO)
    out: io.StringIO = field(default_factory=io.StringIO)
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    coloured: bool = False
    settings: dict[str, bool] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        palette = COLOURED if self.coloured else PLAIN
        output = Output(
            self.out,
            self.err,
            palette,
            palette,
            80,
            as_json=self.as_json,
            quiet=self.quiet,
            verbose=self.verbose,
            **self.settings,
        )
        self.progress = Progress(output, clock=lambda: self.now)

    def after(self, seconds: float, *events: object) -> Watched:
        """*seconds* pass, then *events* happen."""
        self.now += seconds
        for event in events:
            self.progress(event)  # type: ignore[arg-type]
        return self

    @property
    def said(self) -> str:
        """All that went to standard error."""
        return self.err.getvalue()


def test_a_short_run_says_nothing_on_the_way() -> None:
    """Quiet by default: the ledger at the end is enough."""
    watched = Watched().after(0, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE))
    watched.after(9.9, StepDone(0, A, Verb.CREATE, "id", 9.9), RunEnded("r", "applied"))
    assert watched.said == ""


def test_a_long_run_says_every_ten_seconds_how_far_it_is() -> None:
    """One line for ten seconds, whatever happens in them, with the oldest call that is waited for."""
    watched = Watched().after(
        0, RunStarted("r", 3), StepStarted(0, A, Verb.CREATE), StepStarted(1, B, Verb.UPDATE)
    )
    watched.after(10, StepDone(0, A, Verb.CREATE, "id", 10.0))
    watched.after(5, StepStarted(2, A, Verb.DELETE))
    watched.after(6, StepFailed(1, B, Verb.UPDATE, "no"), StepDone(2, A, Verb.DELETE, "id", 1.0))
    assert watched.said == (
        "Applying: 1 of 3 steps done, waiting for update runai.environment.b\n"
        "Applying: 1 of 3 steps done, 1 failed, waiting for delete runai.environment.a\n"
        "failed update runai.environment.b: no\n"
    )


def test_the_wait_for_an_answer_is_no_part_of_the_run() -> None:
    """Ten seconds at the question bring no heartbeat at the first step."""
    watched = Watched().after(60, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE))
    assert watched.said == ""


def test_a_call_that_takes_long_does_not_silence_the_heartbeat() -> None:
    """Between two events too, somebody looks at the clock."""
    watched = Watched().after(0, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE))
    watched.now = 30.0

    async def live() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watched.progress.keep_alive(pause=0.001), timeout=0.05)

    asyncio.run(live())
    assert watched.said == "Applying: 0 of 1 steps done, waiting for create runai.environment.a\n"


def test_a_rollback_counts_anew() -> None:
    """Its steps are its own: none done, none failed at first."""
    watched = Watched().after(
        0, RunStarted("r", 2), StepStarted(0, A, Verb.CREATE), StepStarted(1, B, Verb.CREATE)
    )
    watched.after(1, StepDone(0, A, Verb.CREATE, "id", 1.0), StepFailed(1, B, Verb.CREATE, "no"))
    watched.after(1, RollbackStarted(1), StepStarted(0, A, Verb.CREATE, reverse=True))
    watched.after(10, StepFailed(0, A, Verb.CREATE, "still no", reverse=True), RunEnded("r", "failed"))
    assert watched.said == (
        "failed create runai.environment.b: no\n"
        "Rolling back 1 step …\n"
        "Rolling back: 0 of 1 steps done, 1 failed\n"
        "could not undo create runai.environment.a: still no\n"
    )


def test_quiet_leaves_only_what_is_urgent() -> None:
    """-q: no heartbeat, no notes, no failures on the way; what a signal says is said."""
    watched = Watched(quiet=True).after(0, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE))
    watched.after(60, StepFailed(0, A, Verb.CREATE, "no"), Note("waiting"))
    watched.progress.say("Interrupted: …")
    assert watched.said == "Interrupted: …\n"


def test_verbose_names_each_step_and_its_undoing() -> None:
    """-v: begin and end of every call."""
    watched = Watched(verbose=True).after(0, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE))
    watched.after(1, StepDone(0, A, Verb.CREATE, "id", 1.0), StepStarted(0, A, Verb.CREATE, reverse=True))
    watched.after(
        1, StepDone(0, A, Verb.CREATE, "", 0.5, reverse=True), StepSkipped(1, B, Verb.CREATE, "why")
    )
    assert watched.said == (
        "create runai.environment.a …\n"
        "create runai.environment.a (1.00 s)\n"
        "undo create runai.environment.a …\n"
        "undone: create runai.environment.a (0.50 s)\n"
    )


def test_what_is_said_on_the_way_cannot_turn_the_text_around() -> None:
    """Names and messages are other people's: what cannot be seen in them is spelled out."""
    turned = ResourceAddress("runai", "environment", "a\u202eb")
    watched = Watched(verbose=True).after(0, RunStarted("r", 1), StepStarted(0, turned, Verb.CREATE))
    watched.after(0, StepFailed(0, turned, Verb.CREATE, "no\x1b[2J\nnever"))
    assert watched.err.getvalue() == (
        "create runai.environment.a\\u202eb …\n"
        "failed create runai.environment.a\\u202eb: no\\u001b[2J\nnever\n"
    )


def test_json_has_a_record_for_each_event_and_heartbeat() -> None:
    """Nothing twice, nothing on standard error."""
    watched = Watched(as_json=True).after(
        0, RunStarted("r", 2), StepStarted(0, A, Verb.CREATE), Note("waiting")
    )
    watched.after(10, StepFailed(0, A, Verb.CREATE, "no", "hint"), StepSkipped(1, B, Verb.CREATE, "why"))
    watched.after(0, RollbackStarted(0), RunEnded("r", "rolled back", {"failed": 1}))
    step = {"step": 0, "address": "runai.environment.a", "verb": "create"}
    assert [json.loads(line) for line in watched.out.getvalue().splitlines()] == [
        {"type": "run_started", "run": "r", "steps": 2},
        {"type": "step_started", **step, "reverse": False},
        {"type": "note", "text": "waiting"},
        {"type": "step_failed", **step, "error": "no", "hint": "hint", "uncertain": False, "reverse": False},
        {"type": "progress", "done": 0, "failed": 1, "steps": 2, "waiting_for": ""},
        {"type": "step_skipped", "step": 1, "address": "runai.environment.b", "verb": "create", "why": "why"},
        {"type": "rollback_started", "steps": 0},
        {"type": "run_ended", "run": "r", "outcome": "rolled back", "counts": {"failed": 1}},
    ]
    assert watched.said == ""


def test_a_terminal_gets_a_bar_and_no_heartbeat() -> None:
    """Notes go above it, and it is gone at the end."""
    watched = Watched(err=_Screen())
    with watched.progress:
        watched.after(0, RunStarted("r", 2), StepStarted(0, A, Verb.CREATE))
        watched.after(20, StepFailed(0, A, Verb.CREATE, "no [bold]way[/bold]"))
        watched.progress.say("Interrupted: …")
        watched.after(0, RunEnded("r", "failed"))
    assert "Applying" in watched.said
    assert "0/2" in watched.said
    assert "failed create runai.environment.a: no [bold]way[/bold]" in watched.said
    assert "Interrupted: …" in watched.said
    assert "steps done" not in watched.said
    assert watched.said.endswith("\x1b[2K")


@pytest.mark.parametrize(("as_json", "quiet"), [(True, False), (False, True)])
def test_no_bar_where_none_is_wanted(as_json: bool, quiet: bool) -> None:
    """--json and --quiet on a terminal: none."""
    watched = Watched(err=_Screen(), as_json=as_json, quiet=quiet)
    with watched.progress:
        watched.after(0, RunStarted("r", 2), StepStarted(0, A, Verb.CREATE), RunEnded("r", "applied"))
    assert watched.said == ""


@pytest.mark.parametrize("settings", [{"dumb": True}, {"attended": False}])
def test_a_terminal_without_a_bar_gets_heartbeats(settings: dict[str, bool]) -> None:
    """One that cannot take back what it shows, or that nobody looks at: it is not left in silence."""
    watched = Watched(err=_Screen(), settings=settings)
    watched.after(0, RunStarted("r", 2), StepStarted(0, A, Verb.CREATE)).after(11)
    watched.after(0, StepDone(0, A, Verb.CREATE, "id", 11.0))
    assert watched.err.getvalue() == "Applying: 1 of 2 steps done\n"


def test_a_reporter_never_raises() -> None:
    """A run does not end in the middle because its words find no room."""
    watched = Watched(err=_Full(), verbose=True)
    with watched.progress:
        watched.after(0, RunStarted("r", 1), StepStarted(0, A, Verb.CREATE), Note("x"), RollbackStarted(1))
        watched.progress.say("x")
        watched.after(20, StepFailed(0, A, Verb.CREATE, "no"), RunEnded("r", "failed"))


def test_a_colour_is_no_part_of_a_record() -> None:
    """Words are red on a terminal; in JSON they are words."""
    watched = Watched(coloured=True).after(0, RunStarted("r", 1), StepFailed(0, A, Verb.CREATE, "no"))
    assert watched.said == "\x1b[31mfailed\x1b[0m create runai.environment.a: no\n"
    watched = Watched(coloured=True, as_json=True).after(0, StepFailed(0, A, Verb.CREATE, "no"))
    assert "\x1b" not in watched.out.getvalue()


def test_an_apply_draws_a_bar_on_a_terminal(project: Project) -> None:
    """With a step that failed above it, and nothing of it left at the end."""
    project.config('faults = [{ on = "POST /api/v1/asset/environment", nth = [2], status = 403 }]\n')
    for number in range(3):
        project.write(f"e{number}.toml", LAB)
    with Terminal("apply", "--auto-approve", "--no-color", "--parallelism=1", cwd=project.path) as terminal:
        assert terminal.ended() == 6
    assert "Applying ━" in terminal.text
    assert "Rolling back ━" in terminal.text
    assert "failed create runai.environment.e1: runai: POST" in terminal.text.replace("\n", " ")


def test_an_apply_draws_no_bar_in_a_pipe(project: Project) -> None:
    """Nothing but the results."""
    project.write("lab.toml", LAB)
    assert project.run("apply", "--auto-approve").succeeded().err == ""
