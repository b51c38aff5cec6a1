"""Commands that only show something, while a run goes on: they wait for nobody."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest
from harness import LAB, Project

from reconciler.cli.context import Context
from reconciler.cli.output import Output
from reconciler.cli.session import Session
from reconciler.errors import StateError
from reconciler.render.text import PLAIN

READERS = [
    ("history",),
    ("list",),
    ("show", "runai.environment.lab"),
    ("state", "list"),
    ("state", "show", "runai.environment.lab"),
    ("state", "pull"),
    ("state", "verify"),
]


@pytest.fixture
def applying(project: Project) -> Iterator[Popen[str]]:
    """A run that has applied *lab* before, and now takes its time over *slow*."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.write("slow.toml", LAB)
    project.config('faults = [{ on = "POST /api/v1/asset/environment", latency = 60 }]\n')
    process = project.spawn("apply", "--auto-approve")
    deadline = time.monotonic() + 30
    runs = project.path / ".reconciler" / "runs"
    while not any(b'"Intended"' in path.read_bytes() for path in runs.glob("*.open")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    project.config()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_what_only_looks_waits_for_nobody(
    project: Project, applying: Popen[str], words: tuple[str, ...]
) -> None:
    """It shows what stands there, and says which run is in progress."""
    result = project.run(*words).succeeded()
    assert "lab" in result.out or words[-1] in ("history", "verify")
    assert result.err.startswith("Run 20")
    assert result.err.endswith(" is in progress; this is what stands there so far.\n")
    assert "(apply by " in result.err
    assert applying.poll() is None


@pytest.mark.parametrize("words", [("plan",), ("drift",)], ids=" ".join)
def test_what_decides_waits(project: Project, applying: Popen[str], words: tuple[str, ...]) -> None:
    """A plan made in the middle of a run would be of no use."""
    assert project.run(*words, "--lock-timeout", "0s").code == 4


def test_a_run_that_died_is_named_as_such(project: Project, applying: Popen[str]) -> None:
    """And what settles it."""
    applying.kill()
    applying.wait()
    result = project.run("state", "list").succeeded()
    assert result.err.endswith(" was cut off; `reconciler plan` settles it.\n")


# --- what comes in between ---


def opened(project: Project) -> Session:
    """A session of this stack."""
    output = Output(io.StringIO(), io.StringIO(), PLAIN, PLAIN, 80)
    return Session.open(Context(output, chdir=str(project.path)))


def test_what_is_read_while_a_run_ends_is_read_again(project: Project) -> None:
    """Half of it may be from before, half from after; or a file may just have gone."""
    project.write("lab.toml", LAB)
    seen: list[int] = []

    def read() -> int:
        before = len(session.backend.load().resources)
        if not seen:
            project.run("apply", "--auto-approve").succeeded()
        seen.append(before)
        if len(seen) == 1:
            raise StateError("gone")
        return before

    session = opened(project)
    assert (session.undisturbed(read), seen) == (1, [0, 1])


def test_what_is_wrong_at_rest_is_wrong(project: Project) -> None:
    """No run came in between: asking again would not help."""
    asked: list[int] = []

    def read() -> None:
        asked.append(1)
        raise StateError("broken")

    with pytest.raises(StateError, match="broken"):
        opened(project).undisturbed(read)
    assert asked == [1]


def test_looking_leaves_nothing_behind(project: Project) -> None:
    """Where nothing was applied, no directory for a state is made."""
    project.run("history").succeeded()
    assert [path.name for path in project.path.iterdir()] == ["reconciler.toml"]
