"""Bad input, bad platforms, bad moments: a clear error, its exit code, and nothing is lost.

Each test ends with `whole`: what the state remembers and what is on the
platform are the same objects, and the next apply brings the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import LAB, Project, Result

from reconciler.state.codec import decode_state, encode_state

POST = "POST /api/v1/asset/environment"
LIST = "GET /api/v1/asset/environment"
READ = "GET /api/v1/asset/environment/*"
PUT = "PUT /api/v1/asset/environment/*"
DELETE = "DELETE /api/v1/asset/environment/*"
NEW = ("a", "b", "c")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as always, with pauses of a thousandth."""
    monkeypatch.setattr("reconciler.providers.http._FIRST_WAIT", 0.0005)


@pytest.fixture
def stack(project: Project) -> Project:
    """*old*, *changing* and *leaving* are applied; then one changes, one goes, and *a*, *b* and *c* come."""
    for name in ("old", "changing", "leaving"):
        project.write(f"{name}.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.write("changing.toml", LAB.replace("3.11", "3.12"))
    (project.path / "leaving.toml").unlink()
    for name in NEW:
        project.write(f"{name}.toml", LAB)
    return project


def faults(project: Project, *rules: str, more: str = "[apply]\nparallelism = 1\n") -> None:
    """Let the embedded platform misbehave, one step at a time."""
    project.config(f"faults = [{', '.join(f'{{ {rule} }}' for rule in rules)}]\n{more}")


def agree(project: Project) -> bool:
    """The state remembers exactly what is on the platform."""
    return sorted(project.remembered().values()) == sorted(project.live().values())


def images(project: Project) -> dict[str, str]:
    """The image of each environment on the platform."""
    hand = project.hand()
    return {name: hand.named(name)["spec"]["image"] for name in hand.names()}


BEFORE = {"old": "python:3.11", "changing": "python:3.11", "leaving": "python:3.11"}
AFTER = {"old": "python:3.11", "changing": "python:3.12", **dict.fromkeys(NEW, "python:3.11")}


def whole(project: Project) -> None:
    """With a platform that behaves, everything is as it should be after one apply, and stays so."""
    project.config()
    assert project.run("apply", "--auto-approve", "--lock-timeout", "20s").succeeded()
    assert agree(project)
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert project.run("state", "verify").code == 0


def untouched(project: Project, state: bytes) -> None:
    """Neither the state nor the platform has changed; and then `whole`."""
    assert (project.path / ".reconciler" / "state.json").read_bytes() == state
    assert images(project) == BEFORE
    whole(project)
    assert images(project) == AFTER


def state_bytes(project: Project) -> bytes:
    """The state's file."""
    return (project.path / ".reconciler" / "state.json").read_bytes()


# --- what people write ---


def test_an_empty_stack_is_no_wish_to_delete_everything(stack: Project) -> None:
    """Every spec is gone, by a wrong checkout perhaps: an error, and nothing is deleted."""
    kept = {path: path.read_text() for path in stack.path.glob("*.toml") if path.name != "reconciler.toml"}
    for path in kept:
        path.unlink()
    state = state_bytes(stack)
    for words in (
        ("validate",),
        ("plan",),
        ("apply", "--auto-approve"),
        ("apply", "--auto-approve", "--allow-deletes"),
    ):
        result = stack.run(*words)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(
            "Error: no specs here\n  A stack without specs is never taken for a wish to "
        )
    for path, text in kept.items():
        path.write_text(text)
    untouched(stack, state)


def a_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def a_dead_link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("nowhere")


def latin_1(path: Path) -> None:
    path.write_bytes(b'image = "a"\ndescription = "gr\xf6\xdfer"\n')


def syntax(path: Path) -> None:
    path.write_text('image = "python:3.11"\ndescription = "open\n')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (a_directory, "Error: cannot be read: Is a directory\n  on a.toml:\n"),
        (a_dead_link, "Error: cannot be read: No such file or directory\n  on a.toml:\n"),
        (latin_1, " on a.toml line 2, column 18:\n"),
        (syntax, " on a.toml line 2, column "),
    ],
)
def test_a_spec_that_cannot_be_read_stops_everything(
    stack: Project, spoil: Callable[[Path], None], said: str
) -> None:
    """One bad file: its name and place, and the others are not applied without it."""
    spoil(stack.path / "a.toml")
    state = state_bytes(stack)
    for words in (("validate",), ("plan",), ("apply", "--auto-approve")):
        result = stack.run(*words)
        assert (result.code, result.out, said in result.err) == (1, "", True), result
    with contextlib.suppress(IsADirectoryError):
        (stack.path / "a.toml").unlink()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (stack.path / "a.toml").rmdir()
    stack.write("a.toml", LAB)
    untouched(stack, state)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "Error: `stack` is missing\n"),
        (b"[stack\n", "on reconciler.toml line 1, column "),
        (b'[stack]\nname = "\xff"\n', "on reconciler.toml line 2, column "),
        (b'[stack]\nname = "test"\ncolour = 1\n', "on reconciler.toml line 3, column 1:\n"),
    ],
)
def test_a_bad_reconciler_toml_is_complained_of_in_the_same_way(
    stack: Project, text: bytes, said: str
) -> None:
    """With its place, before anything is asked or done."""
    state = state_bytes(stack)
    (stack.path / "reconciler.toml").write_bytes(text)
    for words in (
        ("validate",),
        ("plan",),
        ("drift",),
        ("apply", "--auto-approve"),
        ("destroy", "--auto-approve"),
    ):
        result = stack.run(*words)
        assert (result.code, result.out, said in result.err) == (1, "", True), result
    stack.config()
    untouched(stack, state)


# --- what is remembered ---


def edited(old: bytes, **changes: object) -> bytes:
    """A state with fields of its header changed."""
    return json.dumps({**json.loads(old), **changes}).encode()


def of_another_stack(old: bytes) -> bytes:
    """The same state, as another stack would have written it."""
    return encode_state(replace(decode_state(old, stack="test", file="state.json"), stack="prod"))


BAD_STATES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda old: b"", "state.json cannot be read as a state: it is empty"),
    ("blank", lambda old: b"\n \n", "state.json cannot be read as a state: it is empty"),
    ("zeroed", lambda old: b"\0" * len(old), "state.json cannot be read as a state: "),
    ("torn", lambda old: old[:-40], "state.json cannot be read as a state: "),
    ("torn early", lambda old: old[:30], "state.json cannot be read as a state: "),
    ("altered", lambda old: old.replace(b"3.11", b"3.10"), "state.json cannot be read as a state: "),
    ("other stack", of_another_stack, "state.json belongs to the stack 'prod', not to 'test'"),
    (
        "newer",
        lambda old: edited(old, format_version=99),
        "state.json has format 99; this program knows up to 1",
    ),
    (
        "not ours",
        lambda old: b'{"version": 4, "terraform_version": "1.11.4"}',
        "state.json cannot be read as a state: ",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "said"), [bad[1:] for bad in BAD_STATES], ids=[bad[0] for bad in BAD_STATES]
)
def test_a_bad_state_stops_everything(stack: Project, spoil: Callable[[bytes], bytes], said: str) -> None:
    """No verb guesses: exit code 1, the reason, and where the state before it is."""
    state = state_bytes(stack)
    file = stack.path / ".reconciler" / "state.json"
    file.write_bytes(spoil(state))
    for words in (
        ("plan",),
        ("apply", "--auto-approve"),
        ("destroy", "--auto-approve"),
        ("drift",),
        ("list",),
        ("show", "runai.environment.old"),
        ("state", "list"),
        ("state", "rm", "*"),
    ):
        result = stack.run(*words)
        assert (result.code, result.out, said in result.err) == (1, "", True), (words, result)
    assert file.read_bytes() == spoil(state)
    file.write_bytes(state)
    untouched(stack, state)


def test_a_state_that_is_gone_is_no_empty_state(stack: Project) -> None:
    """Removed, or a directory in its place: an error, not a plan that creates everything again."""
    file = stack.path / ".reconciler" / "state.json"
    state = state_bytes(stack)
    file.unlink()
    result = stack.run("apply", "--auto-approve")
    assert (
        result.code,
        result.err.startswith("Error: state.json is missing, but this stack has been applied before\n"),
    ) == (1, True)
    file.mkdir()
    assert stack.run("apply", "--auto-approve").code == 1
    file.rmdir()
    file.write_bytes(state)
    untouched(stack, state)


def killed(project: Project, *, after: int) -> Path:
    """An apply, killed when *after* steps are done and the next has begun. Its journal."""
    faults(project, f'on = "{POST}", latency = 0.2')
    process = project.spawn("apply", "--auto-approve", "--json")
    assert process.stdout is not None
    done = 0
    for line in process.stdout:
        kind = json.loads(line)["type"]
        done += kind == "step_done"
        if kind == "step_started" and done == after:
            break
    process.kill()
    process.communicate()
    (journal,) = (project.path / ".reconciler" / "runs").glob("*.open")
    return journal


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_torn_journal_heals(stack: Project, cut: int) -> None:
    """The last record is half there: it is as if it had never been written, and the rest counts."""
    journal = killed(stack, after=2)
    whole_journal = journal.read_bytes()
    journal.write_bytes(whole_journal + whole_journal.splitlines(keepends=True)[-1][:-cut])
    stack.config()
    planned = stack.run("plan").succeeded()
    assert "was cut off; it is settled now." in planned.err
    assert agree(stack)
    whole(stack)
    assert images(stack) == AFTER


def test_a_journal_that_is_damaged_inside_stops_everything(stack: Project) -> None:
    """A record that was safe once and is not any more: exit code 1, and nothing is decided without it."""
    journal = killed(stack, after=2)
    good = journal.read_bytes()
    lines = good.splitlines(keepends=True)
    lines[1] = lines[1][:20] + b"X" + lines[1][21:]
    journal.write_bytes(b"".join(lines))
    stack.config()
    there = images(stack)
    for words in (("plan",), ("apply", "--auto-approve"), ("destroy", "--auto-approve")):
        result = stack.run(*words)
        assert (result.code, result.out) == (1, "")
        assert f"Error: {journal.name} is damaged at record 1, and good records follow\n" in result.err
    assert images(stack) == there
    journal.write_bytes(good)
    whole(stack)
    assert images(stack) == AFTER


def test_a_run_that_was_killed_is_settled_by_the_next_plan(stack: Project) -> None:
    """Nothing lost, nothing doubled; drift says that it has to be settled, and changes nothing itself."""
    journal = killed(stack, after=1)
    stack.config()
    drift = stack.run("drift")
    assert (drift.code, f"Error: run {journal.stem} was cut off" in drift.err) == (1, True)
    planned = stack.run("plan").succeeded()
    assert f"Run {journal.stem} (apply) was cut off; it is settled now.\n" in planned.err
    assert agree(stack)
    assert [run["outcome"] for run in stack.run("history", "--json").events[:-1]] == [
        "interrupted",
        "applied",
    ]
    whole(stack)
    assert images(stack) == AFTER


def test_a_run_that_was_killed_is_settled_before_the_state_is_edited(stack: Project) -> None:
    """What it made is known before anything is forgotten."""
    killed(stack, after=2)
    stack.config()
    result = stack.run("state", "rm", "*.old").succeeded()
    assert "was cut off; it is settled now.\n" in result.err
    assert sorted([*stack.remembered().values(), stack.live()["environment.old"]]) == sorted(
        stack.live().values()
    )
    whole(stack)
    assert images(stack) == AFTER


def test_an_altered_plan_is_refused(stack: Project) -> None:
    """Exit code 5; nothing was done, and the plan as it was written still can be."""
    stack.run("plan", "--out", "plan.bin").succeeded()
    plan, state = (stack.path / "plan.bin").read_bytes(), state_bytes(stack)
    (stack.path / "bad.bin").write_bytes(plan.replace(b"python:3.12", b"python:3.13"))
    result = stack.run("apply", "bad.bin")
    assert (result.code, result.out, result.err) == (
        5,
        "",
        "Error: bad.bin is not a plan as reconciler wrote it\n"
        "  A byte was changed, or it was cut off. Nothing was done; make the plan again.\n",
    )
    untouched(stack, state)


# --- the lock ---

HOLD = """\
import sys
from pathlib import Path
from reconciler.state.backends.local import LocalBackend

now = "2026-01-01T00:00:00Z"
backend = LocalBackend(Path(".reconciler"), "test", now=lambda: now, new_id=lambda: "4f2a9c1d")
with backend.lock("apply", timeout=0, waiting=print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def is_locked(project: Project) -> bool:
    """Whether some command has the stack for itself, or reads it."""
    with (project.path / ".reconciler" / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def held(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the stack, until it is told to go on."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=project.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        with contextlib.suppress(ValueError):
            process.communicate("\n")


@pytest.mark.parametrize(
    "words",
    [("plan",), ("apply", "--auto-approve"), ("drift",), ("state", "rm", "*")],
    ids=" ".join,
)
def test_a_held_lock_is_exit_code_4(stack: Project, words: tuple[str, ...]) -> None:
    """The holder is named, with its process, command, time and id; nothing was done."""
    state = state_bytes(stack)
    with held(stack) as holder:
        result = stack.run(*words, "--lock-timeout", "0s")
        assert (result.code, result.out) == (4, "")
        assert result.err.startswith("Error: the stack is locked by ")
        assert f"(process {holder.pid}, apply, since 2026-01-01T00:00:00Z, id 4f2a9c1d)\n" in result.err
    untouched(stack, state)


def test_a_lock_is_waited_for(stack: Project) -> None:
    """Within --lock-timeout it says once whom it waits for, and goes on when it can."""
    with held(stack) as holder:
        waiting = stack.spawn("apply", "--auto-approve", "--lock-timeout", "1m")
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("Waiting for the lock held by ")
        holder.communicate("\n")
        out, err = waiting.communicate()
    assert (waiting.returncode, err) == (0, "")
    assert "Apply complete! Resources: 3 added, 1 changed, 1 destroyed.\n" in out
    whole(stack)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_waiting_for_a_lock_can_be_given_up(stack: Project, number: signal.Signals, code: int) -> None:
    """The first Ctrl-C ends it, not the second, and not the end of the waiting time."""
    state = state_bytes(stack)
    with held(stack):
        waiting = stack.spawn("apply", "--auto-approve", "--lock-timeout", "10m")
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("Waiting for the lock held by ")
        waiting.send_signal(number)
        out, err = waiting.communicate(timeout=20)
    word = {130: "interrupted", 143: "terminated"}[code]
    assert (waiting.returncode, out, err) == (code, "", f"Error: {word}\n  Nothing more was done.\n")
    untouched(stack, state)


def test_two_applies_at_once_do_the_work_once(stack: Project) -> None:
    """Both wait their turn; together they add what there is to add."""
    processes = [stack.spawn("apply", "--auto-approve") for _ in range(2)]
    said = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert sorted(said) == [
        "Apply complete! Resources: 0 added, 0 changed, 0 destroyed.",
        "Apply complete! Resources: 3 added, 1 changed, 1 destroyed.",
    ]
    whole(stack)
    assert images(stack) == AFTER


# --- a platform that cannot be reached, or does not want ---


def closed_port() -> int:
    """A loopback port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


READING = [("plan",), ("apply", "--auto-approve"), ("drift",), ("list",), ("destroy", "--auto-approve")]


def test_an_unreachable_platform_decides_nothing(stack: Project) -> None:
    """Exit code 1, with the address and what to check."""
    state, port = state_bytes(stack), closed_port()
    stack.environment.update(RUNAI_CLIENT_ID="id", RUNAI_CLIENT_SECRET="no-secret-at-all")
    config = (stack.path / "reconciler.toml").read_text()
    stack.write("reconciler.toml", config.replace('"embedded"', f'"http://127.0.0.1:{port}"'))
    for words in READING:
        result = stack.run(*words)
        assert (result.code, result.out, result.err) == (
            1,
            "",
            f"Error: runai (127.0.0.1:{port}): cannot connect: Connection refused\n"
            "  Check `endpoint` in reconciler.toml, the network and the proxy.\n",
        )
    untouched(stack, state)


READ_FAILURES = [
    (
        f'on = "{LIST}", status = 401',
        1,
        "answered 401: Unauthorized\n  Check the client id and secret of this platform",
    ),
    (
        f'on = "{LIST}", status = 403',
        1,
        "answered 403: Forbidden\n  The access key needs a role that permits this.\n",
    ),
    (f'on = "{LIST}", status = 404', 1, "answered 404: Not Found\n"),
    (f'on = "{LIST}", status = 409', 1, "answered 409: Conflict\n"),
    (
        f'on = "{LIST}", status = 429, retry_after = 0.001',
        1,
        "answered 429: Too Many Requests\n  The platform asks to go slower: ",
    ),
    (
        f'on = "{LIST}", status = 500, message = "database down"',
        1,
        "answered 500: database down\n  The platform is in trouble; try again later.\n",
    ),
    (f'on = "{LIST}", status = 503, retry_after = 0.001', 1, "answered 503: Service Unavailable\n"),
    (f'on = "{LIST}", drop = "before"', 1, ": the connection was lost before the answer\n"),
    (f'on = "{LIST}", latency = 0.2', 1, ": no answer in time\n"),
    ('on = "POST /api/v1/token", status = 401', 1, "answered 401"),
]


@pytest.mark.parametrize(("rule", "code", "said"), READ_FAILURES, ids=[rule[0] for rule in READ_FAILURES])
def test_a_platform_that_does_not_answer_decides_nothing(
    stack: Project, rule: str, code: int, said: str
) -> None:
    """Whatever is asked fails with the reason, and changes nothing."""
    state = state_bytes(stack)
    faults(stack, rule, more="timeout_seconds = 0.01\n" if "latency" in rule else "")
    for words in READING:
        result = stack.run(*words)
        assert (result.code, result.out) == (code, "")
        assert result.err.startswith("Error: runai: ")
        assert said in result.err, result.err
    untouched(stack, state)


@pytest.mark.parametrize(
    "rule",
    [
        f'on = "{LIST}", nth = [1], status = 503, retry_after = 0.001',
        f'on = "{LIST}", nth = [1, 2], status = 429, retry_after = 0.001',
        f'on = "{LIST}", nth = [1, 2, 3], status = 500',
        f'on = "{READ}", every = 3, drop = "before"',
        f'on = "{READ}", every = 2, drop = "after"',
        f'on = "{POST}", every = 2, status = 429, retry_after = 0.001',
        f'on = "{PUT}", nth = [1], status = 429',
        f'on = "{DELETE}", nth = [1], status = 429',
        'on = "POST /api/v1/token", nth = [1], status = 503, retry_after = 0.001',
        f'on = "{POST}", nth = [2], status = 401',
    ],
)
def test_what_passes_is_waited_for(stack: Project, rule: str) -> None:
    """Trouble that ends, a refused token, a 429 before a write: nobody has to hear of it."""
    faults(stack, rule)
    result = stack.run("apply", "--auto-approve").succeeded()
    assert "Apply complete! Resources: 3 added, 1 changed, 1 destroyed.\n" in result.out
    assert images(stack) == AFTER
    whole(stack)


WRITE_FAILURES = [
    (on, status, word)
    for on in (f'"{POST}", nth = [2]', f'"{PUT}", nth = [1]', f'"{DELETE}", nth = [1]')
    for status, word in ((400, "Bad Request"), (403, "Forbidden"), (409, "Conflict"))
]


@pytest.mark.parametrize(("on", "status", "word"), WRITE_FAILURES)
def test_a_refused_write_is_rolled_back_whole(stack: Project, on: str, status: int, word: str) -> None:
    """Exit code 6, the call and the answer, and the platform is as it was."""
    state = stack.state()["resources"]
    faults(stack, f"on = {on}, status = {status}")
    result = stack.run("apply", "--auto-approve")
    assert result.code == 6
    assert f" answered {status}: {word}" in result.out
    assert "Error: the apply failed and was rolled back whole\n" in result.err
    assert images(stack) == BEFORE
    assert [(one["address"], one["id"]) for one in stack.state()["resources"]] == [
        (one["address"], one["id"]) for one in state
    ]
    whole(stack)
    assert images(stack) == AFTER


@pytest.mark.parametrize("how", ['drop = "before"', 'drop = "after"', "status = 500", "status = 503"])
@pytest.mark.parametrize("on", [f'"{POST}", nth = [2]', f'"{PUT}", nth = [1]', f'"{DELETE}", nth = [1]'])
def test_a_lost_answer_is_settled_by_looking(stack: Project, on: str, how: str) -> None:
    """Dropped before or after the effect, or an answer that says nothing: done once, no more."""
    faults(stack, f"on = {on}, {how}")
    result = stack.run("apply", "--auto-approve").succeeded()
    assert "Apply complete! Resources: 3 added, 1 changed, 1 destroyed.\n" in result.out
    assert images(stack) == AFTER
    assert agree(stack)
    whole(stack)


@pytest.mark.parametrize("on", [POST, PUT, DELETE])
@pytest.mark.parametrize("when", ["before", "after"])
def test_answers_that_are_always_lost_leave_nothing_doubled(stack: Project, on: str, when: str) -> None:
    """However often: what happened is known in the end, and the next apply brings the rest."""
    faults(stack, f'on = "{on}", drop = "{when}"')
    stack.run("apply", "--auto-approve")
    stack.config()
    stack.run("plan").succeeded()
    assert agree(stack)
    whole(stack)
    assert images(stack) == AFTER


def test_a_write_that_takes_too_long_is_settled_by_looking(stack: Project) -> None:
    """No answer in time to a POST: asked for, not repeated blindly."""
    faults(
        stack,
        f'on = "{POST}", nth = [1], latency = 0.2',
        more="timeout_seconds = 0.1\n[apply]\nparallelism = 1\n",
    )
    stack.run("apply", "--auto-approve").succeeded()
    assert images(stack) == AFTER
    whole(stack)


@pytest.mark.parametrize("on", [READ, LIST])
def test_a_platform_that_is_lost_in_the_middle_leaves_an_open_run_at_worst(stack: Project, on: str) -> None:
    """Answers are lost and questions fail too: exit code 7, and the next command settles it."""
    # The plan and the first create get their answers; what comes after the lost one does not.
    first = 2 if on == LIST else 3
    calls = list(range(first, 40))
    faults(stack, f'on = "{POST}", nth = [2], drop = "after"', f'on = "{on}", nth = {calls}, status = 403')
    result = stack.run("apply", "--auto-approve")
    assert result.code == 7
    stack.config()
    stack.run("plan").succeeded()
    assert agree(stack)
    whole(stack)
    assert images(stack) == AFTER


# --- a platform that does not show everything ---


def test_what_a_listing_leaves_out_is_asked_for(stack: Project) -> None:
    """Absence in a list is no absence: nothing is created twice or forgotten, and it is said."""
    faults(stack, f'on = "{LIST}", hide = 3')
    result = stack.run("apply", "--auto-approve").succeeded()
    assert result.out.startswith("Warning: runai: the listing of environment left out 3 that exist; ")
    assert images(stack) == AFTER
    assert agree(stack)
    whole(stack)


def test_a_listing_that_cannot_be_completed_is_exit_code_8(stack: Project) -> None:
    """Left out, and not to be read either: nobody knows whether it is there, so nothing is decided."""
    state = state_bytes(stack)
    faults(stack, f'on = "{LIST}", hide = 3', f'on = "{READ}", status = 403')
    for words in READING:
        if words == ("list",):
            continue
        result = stack.run(*words)
        assert (result.code, result.out) == (8, "")
        assert " is not in the listing, and reading it is not permitted\n" in result.err
        assert "Nothing was decided. Give the access key a role that may read it.\n" in result.err
    untouched(stack, state)


def test_a_listing_that_lags_doubles_nothing(project: Project) -> None:
    """Lists that show changes only an hour later: two applies, three objects."""
    faults(project, f'on = "{LIST}", lag = 3600.0')
    for name in NEW:
        project.write(f"{name}.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.write("a.toml", LAB.replace("3.11", "3.12"))
    (project.path / "b.toml").unlink()
    project.run("apply", "--auto-approve").succeeded()
    assert (
        project.run("plan", "--detailed-exitcode")
        .succeeded()
        .out.endswith("No changes. Your infrastructure matches the configuration.\n")
    )
    assert images(project) == {"a": "python:3.12", "c": "python:3.11"}
    assert agree(project)


# --- a disk that is full ---


@contextlib.contextmanager
def served(project: Project) -> Iterator[Project]:
    """The stack's platform in a process of its own; the stack that uses it, in another directory."""
    server = project.spawn("serve", "--port", "0")
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        client = Project(project.path.parent / "client", project.capture)
        client.path.mkdir()
        client.environment.update(RUNAI_CLIENT_ID="embedded", RUNAI_CLIENT_SECRET="embedded")
        client.write(
            "reconciler.toml",
            f'[stack]\nname = "test"\n[platforms.runai]\nprovider = "runai"\nendpoint = "{url}"\n'
            "patience_seconds = 0.2\n[apply]\nparallelism = 1\n",
        )
        yield client
    finally:
        server.kill()
        server.communicate()


def limited(project: Project, size: int, *words: str) -> Result:
    """Run a command that cannot make a file longer than *size* bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = project.spawn(*words, preexec_fn=limit)
    out, err = process.communicate()
    return Result(process.returncode, out, err)


def recovered(project: Project, client: Project) -> None:
    """With room again: what happened is known, the rest is done, nothing twice."""
    client.run("plan").succeeded()
    assert sorted(client.remembered().values()) == sorted(project.live().values())
    client.run("apply", "--auto-approve").succeeded()
    assert project.hand().names() == sorted(["old", *NEW])
    assert client.run("plan", "--detailed-exitcode").code == 0
    assert client.run("state", "verify").code == 0


def test_a_full_disk_loses_nothing(project: Project) -> None:
    """Wherever in a run the room ends, from before the lock to the last record of the journal."""
    with served(project) as client:
        client.write("old.toml", LAB)
        client.run("apply", "--auto-approve").succeeded()
        for name in NEW:
            client.write(f"{name}.toml", LAB)
        client.run("apply", "--auto-approve").succeeded()
        size = max((client.path / ".reconciler" / "runs").glob("*.journal")).stat().st_size
        codes = []
        for room in (0, 100, size // 2, size * 7 // 8, size - 300, size - 1):
            client.run("destroy", "--auto-approve", "--exclude", "*.old").succeeded()
            result = limited(client, room, "apply", "--auto-approve")
            codes.append(result.code)
            if result.code:
                assert "File too large" in result.err, result
                assert "internal error" not in result.err, result
            recovered(project, client)
        # Refused before the first step, stopped in the middle, and at the very end: all were met.
        assert codes == [1, 1, 1, 7, 7, 7]


def test_a_state_that_finds_no_room_is_written_later(project: Project) -> None:
    """Everything is done and in the journal, and then the state does not fit: exit code 7, nothing lost."""
    with served(project) as client:
        client.write("old.toml", f'{LAB}[environment_variables]\nLONG = "{"x" * 9000}"\n')
        client.run("apply", "--auto-approve").succeeded()
        before = state_bytes(client)
        for name in NEW:
            client.write(f"{name}.toml", LAB)
        result = limited(client, 8000, "apply", "--auto-approve")
        assert (result.code, "the state cannot be written: File too large" in result.err) == (7, True), result
        assert state_bytes(client) == before
        recovered(project, client)


def test_a_plan_that_cannot_be_saved_leaves_the_old_one(project: Project) -> None:
    """--out on a full disk: the file that was there is whole, and nothing is left beside it."""
    with served(project) as client:
        client.write("lab.toml", LAB)
        client.run("plan", "--out", "plan.bin").succeeded()
        old = (client.path / "plan.bin").read_bytes()
        client.write("lab.toml", "description = 'x'\n" + LAB)
        result = limited(client, 300, "plan", "--out", "plan.bin")
        assert (result.code, "Error: plan.bin cannot be written: File too large\n" in result.err) == (1, True)
        assert (client.path / "plan.bin").read_bytes() == old
        assert [path.name for path in client.path.glob("plan*")] == ["plan.bin"]


# --- signals ---


def interrupted(project: Project, *numbers: signal.Signals, words: tuple[str, ...] = ()) -> Result:
    """An apply that gets *numbers*, one after another, while its second step waits for an answer."""
    process = project.spawn("apply", "--auto-approve", "--json", *words)
    assert process.stdout is not None
    said, started, left = "", 0, list(numbers)
    for line in process.stdout:
        said += line
        kind = json.loads(line)["type"]
        started += kind == "step_started"
        if left and (
            (kind == "step_started" and started == 2) or (kind == "note" and len(left) < len(numbers))
        ):
            process.send_signal(left.pop(0))
    err = process.stderr.read() if process.stderr is not None else ""
    process.communicate()
    return Result(process.returncode, said, err)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_apply_is_rolled_back(stack: Project, number: signal.Signals, code: int) -> None:
    """What is in flight is finished, nothing new is started, all is taken back, and said."""
    faults(stack, f'on = "{POST}", latency = 0.15')
    result = interrupted(stack, number)
    assert (result.code, result.err) == (code, "")
    events = result.events
    assert [e["text"] for e in events if e["type"] == "note"] == [
        "Interrupted: nothing new is started, what is in flight is finished first …"
    ]
    assert (events[-2]["summary"], events[-1]["outcome"]) == (
        "interrupted; the run is rolled back",
        "rolled back",
    )
    assert images(stack) == BEFORE
    assert agree(stack)
    whole(stack)
    assert images(stack) == AFTER


def test_an_interrupted_apply_may_keep_what_it_did(stack: Project) -> None:
    """--on-failure stop: done stays done, the rest is not started; exit code 130, and the state is true."""
    faults(stack, f'on = "{POST}", latency = 0.15')
    result = interrupted(stack, signal.SIGINT, words=("--on-failure", "stop"))
    assert (result.code, result.events[-1]["outcome"]) == (130, "interrupted")
    assert {step["outcome"] for step in result.events[-1]["steps"]} == {"done", "not started"}
    assert agree(stack)
    whole(stack)
    assert images(stack) == AFTER


def test_a_second_interrupt_loses_nothing(stack: Project) -> None:
    """Ctrl-C again and again: it finishes what is in flight all the same."""
    faults(stack, f'on = "{POST}", latency = 0.15')
    result = interrupted(stack, signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert result.code == 130
    notes = [e["text"] for e in result.events if e["type"] == "note"]
    assert notes[1:] == ["Still finishing what is in flight. Nothing is lost by waiting."] * (len(notes) - 1)
    assert len(notes) == 3
    assert images(stack) == BEFORE
    whole(stack)
    assert images(stack) == AFTER


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [("plan",), ("apply", "--auto-approve"), ("drift",)], ids=" ".join)
def test_an_interrupt_while_asking_ends_at_once(
    stack: Project, number: signal.Signals, code: int, words: tuple[str, ...]
) -> None:
    """Nothing was done yet, so nothing has to be finished."""
    state = state_bytes(stack)
    faults(stack, f'on = "{LIST}", latency = 60')
    process = stack.spawn(*words, "--json")
    while not is_locked(stack):
        time.sleep(0.02)
    time.sleep(0.2)  # from the lock to the listing
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    *_, error, summary = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err, summary) == (code, "", {"type": "summary", "exit_code": code})
    assert error["summary"] == {130: "interrupted", 143: "terminated"}[code]
    assert state_bytes(stack) == state
