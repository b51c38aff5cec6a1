"""`reconciler state` and `unlock`: look at and repair what is remembered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import LAB, Project

USER = """\
image = "python:3.11"
depends_on = ["runai.environment.lab"]

[lifecycle]
prevent_destroy = true

[on.runai]
scope = "tenant"
"""


@pytest.fixture
def two(project: Project) -> Project:
    """*lab*, and *user*, which needs it and is protected; applied."""
    project.write("lab.toml", LAB)
    project.write("user.toml", USER)
    project.run("apply", "--auto-approve").succeeded()
    return project


def state_file(project: Project) -> Path:
    """The state's file."""
    return project.path / ".reconciler" / "state.json"


def runs(project: Project) -> list[tuple[str, str]]:
    """Command and outcome of each run, newest first."""
    events = project.run("history", "--json").succeeded().events[:-1]
    return [(run["command"], run["outcome"]) for run in events]


# --- list, show ---


def test_the_state_is_listed(two: Project) -> None:
    """Address and id, sorted; globs choose."""
    ids = two.remembered()
    assert two.run("state", "list").succeeded().out == (
        "ADDRESS                 ID\n"
        f"runai.environment.lab   {ids['runai.environment.lab']}\n"
        f"runai.environment.user  {ids['runai.environment.user']}\n"
    )
    chosen = two.run("state", "list", "*.user", "nothing", "--json").succeeded().events[:-1]
    assert chosen == [
        {"type": "resource", "address": "runai.environment.user", "id": ids["runai.environment.user"]}
    ]


def test_a_state_without_resources_says_so(project: Project) -> None:
    """Before the first apply, and where no glob matches."""
    assert project.run("state", "list").succeeded().out == "Nothing is remembered.\n"


def test_one_record_is_shown(two: Project) -> None:
    """What was last applied, what it needs, whether it is protected."""
    out = two.run("state", "show", "runai.environment.user").succeeded().out
    assert out == (
        "runai.environment.user\n"
        f'  id = "{two.remembered()["runai.environment.user"]}"\n'
        '  name = "user"\n'
        '  scope = "tenant"\n'
        '  workload_types = ["training", "workspace"]\n'
        '  image = "python:3.11"\n'
        '  image_pull_policy = "IfNotPresent"\n'
        "  depends on runai.environment.lab\n"
        "  prevent_destroy\n"
    )


@pytest.mark.parametrize(
    "words", [("show", "runai.environment.ghost"), ("mv", "runai.environment.ghost", "runai.environment.x")]
)
def test_what_the_state_does_not_know_is_said(two: Project, words: tuple[str, ...]) -> None:
    """Wrong usage, with where to look."""
    result = two.run("state", *words)
    assert (result.code, result.err) == (
        64,
        "Error: the state does not know runai.environment.ghost\n"
        "  `reconciler state list` shows what it knows.\n",
    )


@pytest.mark.parametrize("what", ["lab", "lap", "runai.environment.lap", "runai.enviroment.lab", "x.lab"])
def test_the_nearest_address_that_the_state_knows_is_named(two: Project, what: str) -> None:
    """A bare name is enough to know what is meant."""
    result = two.run("state", "show", what)
    assert (result.code, result.err) == (
        64,
        f"Error: the state does not know {what}\n  Did you mean runai.environment.lab?\n",
    )


# --- mv, rm ---


def test_an_address_may_be_moved(two: Project) -> None:
    """The object stays, under another address; the plan agrees when the spec moved too; it is journalled."""
    ours = two.remembered()["runai.environment.lab"]
    result = two.run("state", "mv", "runai.environment.lab", "runai.environment.hall").succeeded()
    assert result.out == "runai.environment.lab is runai.environment.hall now.\n"
    assert two.remembered()["runai.environment.hall"] == ours
    assert runs(two)[0] == ("state mv runai.environment.lab runai.environment.hall", "edited")
    (two.path / "lab.toml").rename(two.path / "hall.toml")
    two.write("hall.toml", LAB.replace("image", 'name = "hall"\nimage'))
    two.write("user.toml", USER.replace("runai.environment.lab", "runai.environment.hall"))
    user = two.run("state", "show", "runai.environment.user").succeeded().out
    assert "depends on runai.environment.hall" in user
    out = two.run("plan").succeeded().out
    assert "0 to add" in out or "No changes" in out
    assert two.hand().names() == ["lab", "user"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("runai.environment.lab", "runai.environment.user", "the state knows runai.environment.user already"),
        ("runai.environment.lab", "runai.credential.lab", "an object cannot change its platform or kind"),
        ("runai.environment.lab", "azureml.environment.lab", "an object cannot change its platform or kind"),
        ("runai.environment.lab", "lab", "'lab' is not an address"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(two: Project, old: str, new: str, said: str) -> None:
    """And changes nothing, journals included."""
    before = two.state(), runs(two)
    result = two.run("state", "mv", old, new)
    assert (result.code, result.err.startswith(f"Error: {said}\n")) == (64, True)
    assert (two.state(), runs(two)) == before


def test_forgetting_leaves_the_object_alone(two: Project) -> None:
    """It is unmanaged from then on; the next plan would take it back."""
    result = two.run("state", "rm", "*.user").succeeded()
    assert result.out == "Forgot runai.environment.user; its object is unmanaged now.\n"
    assert sorted(two.remembered()) == ["runai.environment.lab"]
    assert two.hand().names() == ["lab", "user"]
    assert "<- runai.environment.user: already on the platform, equal" in two.run("plan").succeeded().out
    assert two.run("state", "rm", "*.user").code == 64


# --- pull, push, verify ---


def test_the_state_goes_out_and_in_again(two: Project) -> None:
    """pull prints the file as it is; pushing it back keeps everything and counts on."""
    pulled = two.run("state", "pull").succeeded().out
    assert pulled == state_file(two).read_text()
    assert two.run("state", "pull", "--json").succeeded().events[0] == {"type": "state", "text": pulled}
    two.write("copy.json", pulled)
    before = two.remembered()
    result = two.run("state", "push", "copy.json").succeeded()
    assert result.out == "Pushed 2 resources; the state is at serial 2.\n"
    assert (two.remembered(), runs(two)[0]) == (before, ("state push copy.json", "pushed"))
    assert two.run("plan", "--detailed-exitcode").code == 0


def test_a_state_may_come_from_standard_input(two: Project) -> None:
    """`state pull | ... | state push -`."""
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "state", "push", "-"],
        cwd=two.path,
        input=two.run("state", "pull").out,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "Pushed 2 resources; the state is at serial 2.\n"


def test_an_older_state_is_pushed_only_with_force(two: Project) -> None:
    """Serials are named; --force puts it back, ahead of both."""
    two.write("old.json", two.run("state", "pull").out)
    two.run("state", "rm", "*.user").succeeded()
    result = two.run("state", "push", "old.json")
    assert (result.code, result.err) == (
        1,
        "Error: the pushed state has serial 1, the stored one 2\n  --force puts the older one back.\n",
    )
    assert two.run("state", "push", "old.json", "--force").succeeded().out.endswith("serial 3.\n")
    assert len(two.remembered()) == 2


def test_a_state_of_another_lineage_is_pushed_only_with_force(two: Project) -> None:
    """It may be that of another stack of this name."""
    two.write("old.json", two.run("state", "pull").out)
    (two.path / ".reconciler").rename(two.path / "away")
    two.write("user.toml", LAB)
    two.run("apply", "--auto-approve").succeeded()
    result = two.run("state", "push", "old.json")
    assert (result.code, result.err) == (
        1,
        "Error: the pushed state is of another lineage than the stored one\n"
        "  --force pushes it all the same.\n",
    )


@pytest.mark.parametrize("damage", ["empty", "torn", "altered", "other"])
def test_a_damaged_state_is_repaired_by_a_push(two: Project, damage: str) -> None:
    """verify says what is wrong, every verb refuses, the previous state goes in, and all is well."""
    two.write("lab.toml", LAB.replace("3.11", "3.12"))
    two.run("apply", "--auto-approve").succeeded()
    whole = state_file(two).read_text()
    two.write("good.json", whole)
    state_file(two).write_text(
        {
            "empty": "",
            "torn": whole[: len(whole) // 2],
            "altered": whole.replace("3.12", "3.13"),
            "other": whole.replace('"stack":"test"', '"stack":"prod"'),
        }[damage]
    )
    for words in (
        ("state", "verify"),
        ("plan",),
        ("apply", "--auto-approve"),
        ("drift",),
        ("state", "rm", "*"),
    ):
        assert two.run(*words).code == 1
    assert two.hand().names() == ["lab", "user"]
    two.run("state", "push", "good.json").succeeded()
    assert two.run("plan", "--detailed-exitcode").code == 0
    assert (
        two.run("state", "verify").succeeded().out.startswith("The state is sound: serial 3, 2 resources, ")
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format_version": 99}', "\x00"])
def test_what_is_no_state_is_not_pushed(two: Project, text: str) -> None:
    """Nothing is changed by it, with --force either."""
    two.write("bad.json", text)
    before = two.state()
    result = two.run("state", "push", "bad.json", "--force")
    assert (result.code, result.err.startswith("Error: bad.json ")) == (1, True)
    assert two.state() == before


def test_a_state_that_is_not_there_cannot_be_pushed(two: Project) -> None:
    """A missing file is an error of one line."""
    result = two.run("state", "push", "missing.json")
    assert (result.code, result.err) == (1, "Error: missing.json cannot be read: No such file or directory\n")


def test_verify_counts_what_it_read(two: Project) -> None:
    """A sound state says how much of it there is."""
    assert two.run("state", "verify").succeeded().out == (
        "The state is sound: serial 1, 2 resources, 1 run readable.\n"
    )


@pytest.mark.parametrize("record", [0, 1, 2, 3, -2])
def test_verify_reads_every_journal(two: Project, record: int) -> None:
    """A record that a person changed is found, wherever it is."""
    (journal,) = (two.path / ".reconciler" / "runs").glob("*.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[record] = lines[record].replace(b'"type":"', b'"type":" ')
    journal.write_bytes(b"".join(lines))
    result = two.run("state", "verify")
    assert (result.code, f"Error: {journal.name} is damaged at record " in result.err) == (1, True)


# --- unlock ---


HOLD = """\
import sys, time
from pathlib import Path
from reconciler.state.backends.local import LocalBackend

now = "2026-01-01T00:00:00Z"
backend = LocalBackend(Path(".reconciler"), "test", now=lambda: now, new_id=lambda: "4f2a9c1d")
with backend.lock("apply", timeout=0, waiting=print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_is_broken_by_its_id(two: Project) -> None:
    """Only by the right one; says who held it, and that it is alive; the next command goes on."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=two.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        held = two.run("apply", "--auto-approve", "--lock-timeout", "0s")
        assert (
            held.code,
            f"process {holder.pid}, apply, since 2026-01-01T00:00:00Z, id 4f2a9c1d" in held.err,
        ) == (4, True)
        wrong = two.run("unlock", "11111111")
        assert (wrong.code, wrong.err.startswith("Error: the lock's id is not 11111111: it is held by ")) == (
            1,
            True,
        )
        broken = two.run("unlock", "4f2a9c1d").succeeded()
        assert broken.out.startswith("Broke the lock held by ")
        assert broken.out.endswith(
            "\nThat process seems to be alive. It writes nothing more here; stop it before you plan.\n"
        )
        two.run("apply", "--auto-approve", "--lock-timeout", "0s").succeeded()
    finally:
        holder.communicate("\n")


def test_a_lock_that_nobody_holds_is_not_broken(two: Project) -> None:
    """A dead process has let go by dying."""
    result = two.run("unlock", "4f2a9c1d")
    assert result.code == 1
    assert result.err.startswith("Error: the stack is not locked\n")


def test_a_state_in_json_has_all_of_a_record(two: Project) -> None:
    """state show --json: what the text says, in fields."""
    (record, _) = two.run("state", "show", "runai.environment.user", "--json").succeeded().events
    assert record == {
        "type": "resource",
        "address": "runai.environment.user",
        "id": two.remembered()["runai.environment.user"],
        "attributes": json.loads(state_file(two).read_text())["resources"][1]["attributes"],
        "depends_on": ["runai.environment.lab"],
        "protected": True,
        "deposed": [],
    }
