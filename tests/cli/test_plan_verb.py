"""`reconciler plan`: what it prints, saves and leaves out."""

from __future__ import annotations

import json
import os
import stat

import pytest
from harness import LAB, Project

NO_CHANGES = "No changes. Your infrastructure matches the configuration.\n"
DEPENDENT = """\
image = "python:3.11"
depends_on = ["runai.environment.lab"]

[on.runai]
scope = "tenant"
"""


@pytest.fixture
def three(project: Project) -> Project:
    """A stack with *lab*, *user*, which needs it, and *other*; nothing applied."""
    project.write("lab.toml", LAB)
    project.write("user.toml", DEPENDENT)
    project.write("other.toml", LAB)
    return project


def addresses(project: Project, *words: str) -> dict[str, str]:
    """The actions of a plan, by name."""
    view = project.run("plan", "--json", *words).succeeded().events[0]
    return {
        change["address"].removeprefix("runai.environment."): change["action"] for change in view["changes"]
    }


def test_a_plan_says_what_where_and_how_many(project: Project) -> None:
    """Symbol, address, reason, file and line; each field; the line that tools parse; the digest."""
    project.write("lab.toml", LAB)
    result = project.run("plan").succeeded()
    digest = project.run("plan", "--json").events[0]["digest"]
    assert result.err == ""
    assert result.out == (
        "+ runai.environment.lab: new (lab.toml:3)\n"
        '    + name = "lab"\n'
        '    + scope = "tenant"\n'
        '    + workload_types = ["training", "workspace"]\n'
        '    + image = "python:3.11"\n'
        '    + image_pull_policy = "IfNotPresent"\n'
        "\n"
        "Plan: 1 to add, 0 to change, 0 to destroy.\n"
        f"Digest: {digest}\n"
    )


def test_a_plan_changes_nothing(three: Project) -> None:
    """No state, no journal, nothing on the platform."""
    three.run("plan").succeeded()
    assert not (three.path / ".reconciler" / "state.json").exists()
    assert list((three.path / ".reconciler" / "runs").iterdir()) == []
    assert three.hand().names() == []


def test_the_same_plan_has_the_same_bytes(three: Project) -> None:
    """Twice, in another process with another hash seed: one digest, one file, one text."""
    first = three.run("plan", "--out", "a.bin").succeeded()
    texts, files = {first.out.replace("a.bin", "X")}, {(three.path / "a.bin").read_bytes()}
    for seed in ("1", "2"):
        three.environment["PYTHONHASHSEED"] = seed
        process = three.spawn("plan", "--out", f"{seed}.bin")
        texts.add(process.communicate()[0].replace(f"{seed}.bin", "X"))
        files.add((three.path / f"{seed}.bin").read_bytes())
    assert (len(texts), len(files)) == (1, 1)


@pytest.mark.parametrize(("applied", "code"), [(False, 2), (True, 0)])
def test_the_exit_code_tells_whether_there_are_changes(three: Project, applied: bool, code: int) -> None:
    """--detailed-exitcode: 2 with changes, 0 without; 0 in any case without the flag."""
    if applied:
        three.run("apply", "--auto-approve").succeeded()
    assert three.run("plan").code == 0
    result = three.run("plan", "--detailed-exitcode")
    assert (result.code, result.out == NO_CHANGES) == (code, applied)
    assert three.run("plan", "--detailed-exitcode", "--json").events[-1]["exit_code"] == code


@pytest.mark.parametrize(
    ("words", "planned"),
    [
        (("--target", "runai.environment.lab"), {"lab": "create"}),
        (("--target", "runai.environment.user"), {"lab": "create", "user": "create"}),
        (("--target", "*.o*"), {"other": "create"}),
        (("--target", "*.lab", "--target", "*.other"), {"lab": "create", "other": "create"}),
        (("--exclude", "*.lab"), {"other": "create"}),
        (("--exclude", "*.user"), {"lab": "create", "other": "create"}),
        (("--exclude", "*.user", "--exclude", "*.other"), {"lab": "create"}),
        (
            ("--target", "*.user", "--target", "*.other", "--exclude", "*.other"),
            {"lab": "create", "user": "create"},
        ),
    ],
)
def test_a_plan_may_be_partial(three: Project, words: tuple[str, ...], planned: dict[str, str]) -> None:
    """--target takes what is needed along, --exclude what needs it; what is left out is named."""
    assert addresses(three, *words) == planned
    left_out = sorted({"lab", "user", "other"} - set(planned))
    text = three.run("plan", *words).succeeded().out
    assert (
        "This plan is partial. Left out by --target or --exclude:\n"
        + "".join(f"  create runai.environment.{name}\n" for name in left_out)
        in text
    )
    three.run("apply", "--auto-approve", *words).succeeded()
    assert sorted(three.hand().names()) == sorted(planned)


def test_a_target_that_means_nothing_is_an_error(three: Project) -> None:
    """A typing error is no empty plan."""
    result = three.run("plan", "--target", "runai.environment.lba")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: --target runai.environment.lba: no resource has such an address\n")


def test_an_object_may_be_made_anew(three: Project) -> None:
    """--replace: one change, two steps, a new id; the rest stays."""
    three.run("apply", "--auto-approve").succeeded()
    before = three.remembered()
    words = ("--replace", "runai.environment.other")
    text = three.run("plan", *words).succeeded().out
    assert "-/+ runai.environment.other: replacement was asked for (other.toml:3)\n" in text
    assert "Plan: 1 to add, 0 to change, 1 to destroy.\n" in text
    three.run("apply", "--auto-approve", *words).succeeded()
    after = three.remembered()
    assert {name for name in before if before[name] != after[name]} == {"runai.environment.other"}
    assert three.run("plan", "--detailed-exitcode").code == 0


def test_what_is_not_there_cannot_be_replaced(three: Project) -> None:
    """--replace of an unknown address is an error, not nothing."""
    result = three.run("plan", "--replace", "runai.environment.ghost")
    assert (result.code, result.err) == (
        1,
        "Error: --replace runai.environment.ghost: the specs have no such resource\n",
    )


def test_a_plan_without_refresh_asks_no_platform(project: Project) -> None:
    """--refresh=none compares with the state alone: no drift, and no connection."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.12")
    assert "(drift: changed outside)" in project.run("plan").out
    assert project.run("plan", "--refresh=none").succeeded().out == NO_CHANGES
    project.write("lab.toml", LAB.replace("3.11", "3.10"))
    project.write(
        "reconciler.toml",
        (project.path / "reconciler.toml").read_text().replace('"embedded"', '"http://127.0.0.1:9"'),
    )
    project.environment.update(RUNAI_CLIENT_ID="a", RUNAI_CLIENT_SECRET="long-enough")
    text = project.run("plan", "--refresh", "none").succeeded().out
    assert '    ~ image = "python:3.11" -> "python:3.10"\n' in text


def test_a_plan_without_refresh_never_overwrites_what_it_did_not_see(project: Project) -> None:
    """Applied, it finds the hand edit at the last moment, and writes nothing."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.12")
    project.write("lab.toml", LAB.replace("3.11", "3.10"))
    result = project.run("apply", "--auto-approve", "--refresh=none")
    assert result.code == 6
    assert "runai.environment.lab was changed on the platform since the plan was made (image)" in result.out
    assert project.hand().named("lab")["spec"]["image"] == "python:3.12"


# --- what it writes ---


def test_a_saved_plan_says_how_to_apply_it(three: Project) -> None:
    """The command that is printed is the one that works, also with -C."""
    above = Project(three.path.parent, three.capture)
    out = above.run("-C", "stack", "plan", "--out", "my plan").succeeded().out
    assert out.endswith(
        "\nSaved the plan to: my plan\nApply exactly it: reconciler -C stack apply 'my plan'\n"
    )
    above.run("-C", "stack", "apply", "my plan").succeeded()


def test_files_of_a_plan_are_for_their_owner(three: Project) -> None:
    """0600, whatever the umask, and nothing is left beside them."""
    before = os.umask(0)
    try:
        three.run("plan", "--out", "plan.bin", "--json-out", "plan.json").succeeded()
    finally:
        os.umask(before)
    made = {path.name: stat.filemode(path.stat().st_mode) for path in three.path.glob("plan*")}
    assert made == {"plan.bin": "-rw-------", "plan.json": "-rw-------"}


def test_a_plan_may_be_written_into_a_pipe(three: Project) -> None:
    """--json-out /dev/stdout writes there and does not put a file in its place."""
    done = three.spawn("plan", "--json-out", "/dev/stdout")
    said = done.communicate()[0]
    assert said.startswith("+ runai.environment.lab")
    assert json.loads(said[said.index("\n{") :])["stack"] == "test"
    device = os.stat("/dev/null")
    three.run("plan", "--out", "/dev/null").succeeded()
    assert os.stat("/dev/null").st_ino == device.st_ino


def test_a_link_stays_a_link(three: Project) -> None:
    """--out through a symbolic link writes what it points at."""
    (three.path / "link").symlink_to("real.bin")
    three.run("plan", "--out", "link").succeeded()
    assert (three.path / "link").is_symlink()
    three.run("apply", "real.bin").succeeded()


@pytest.mark.parametrize("flag", ["--out", "--json-out"])
def test_a_file_that_cannot_be_written_is_an_error(three: Project, flag: str) -> None:
    """Exit code 1, and what was in the way."""
    result = three.run("plan", flag, "no/such/folder/plan")
    assert result.code == 1
    assert result.err == (
        "Error: no/such/folder/plan cannot be written: No such file or directory\n  Nothing else was done.\n"
    )


def test_quiet_says_what_it_comes_to(project: Project) -> None:
    """On every verb that lists changes: no changes, no steps; the counts, the digest, and what went wrong."""
    project.write("lab.toml", LAB)
    count, digest = project.run("plan", "-q").succeeded().out.splitlines()
    assert (count, digest[:15]) == ("Plan: 1 to add, 0 to change, 0 to destroy.", "Digest: sha256:")
    applied = project.run("apply", "-q", "--auto-approve").succeeded()
    assert applied.err == ""
    assert applied.out.splitlines() == [
        count,
        digest,
        "",
        "Apply complete! Resources: 1 added, 0 changed, 0 destroyed.",
    ]
    assert project.run("plan", "-q").succeeded().out == NO_CHANGES
    project.hand().edit("lab", image="python:3.10")
    assert project.run("drift", "-q").out == "Drift: 1 of 1 resource not as last applied.\n"
    destroyed = project.run("destroy", "-q", "--auto-approve").succeeded().out.splitlines()
    assert [line for line in destroyed if line and not line.startswith("Digest: ")] == [
        "Plan: 0 to add, 0 to change, 1 to destroy.",
        "Destroy complete! Resources: 1 destroyed.",
    ]


def test_quiet_does_not_hide_a_failure(project: Project) -> None:
    """Which step failed, and why, stands in the ledger."""
    project.config('faults = [{ on = "POST /api/v1/asset/environment", status = 400, message = "no" }]\n')
    project.write("lab.toml", LAB)
    result = project.run("apply", "-q", "--auto-approve", "--on-failure", "stop")
    assert result.code == 6
    assert "  failed                        1\n    create runai.environment.lab\n" in result.out
    assert "not started" not in result.out
