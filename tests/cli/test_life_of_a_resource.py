"""What becomes of resources over time: renamed, adopted, copied, rotated, protected, in use, taken away."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from harness import LAB, Project

NO_CHANGES = "No changes. Your infrastructure matches the configuration.\n"
HUB = """\
kind = "credential"
type = "generic-secret"

[data]
token = { file = "token" }

[on.runai]
scope = "tenant"
"""
USER = """\
image = "python:3.11"

[environment_variables]
HF_TOKEN = { credential = "hub", key = "token" }

[on.runai]
scope = "tenant"
"""


def with_lifecycle(spec: str, line: str) -> str:
    """A spec with a ``[lifecycle]`` of one line."""
    return f"{spec}\n[lifecycle]\n{line}\n"


def unchanged(project: Project) -> None:
    """Nothing is left to do, and state and platform agree."""
    assert project.run("plan", "--detailed-exitcode").succeeded().out == NO_CHANGES
    assert project.run("drift").code == 0


# --- renames ---


def test_a_rename_is_proposed_and_never_done_silently(project: Project) -> None:
    """A delete and a create of one content: the plan prints the lines that keep the object."""
    project.write("lab.toml", LAB)
    project.write("keep.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    (project.path / "lab.toml").rename(project.path / "hall.toml")
    out = project.run("plan").succeeded().out
    assert "Plan: 1 to add, 0 to change, 1 to destroy.\n" in out
    assert ('    [[moved]]\n    from = "runai.environment.lab"\n    to = "runai.environment.hall"\n') in out


def test_a_moved_resource_keeps_its_object(project: Project) -> None:
    """[[moved]]: one update of the name, the id stays; the entry may stay in the file."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    ours = project.remembered()["runai.environment.lab"]
    (project.path / "lab.toml").rename(project.path / "hall.toml")
    project.config('[[moved]]\nfrom = "runai.environment.lab"\nto = "runai.environment.hall"\n')
    out = project.run("plan").succeeded().out
    assert "~ runai.environment.hall: spec changed, moved from runai.environment.lab (hall.toml:3)\n" in out
    assert '    ~ name = "lab" -> "hall"\n' in out
    project.run("apply", "--auto-approve").succeeded()
    assert project.remembered() == {"runai.environment.hall": ours}
    assert project.live() == {"environment.hall": ours}
    unchanged(project)


def test_a_file_may_be_renamed_when_the_name_stays(project: Project) -> None:
    """The name is the address, wherever it stands: nothing changes."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    (project.path / "lab.toml").unlink()
    project.write("hall.toml", 'name = "lab"\n' + LAB)
    unchanged(project)


@pytest.mark.parametrize(
    ("moved", "specs", "said"),
    [
        ("lab -> hall", ("lab", "hall"), "[[moved]]: runai.environment.lab is still in the specs"),
        (
            "lab -> other",
            ("other",),
            "[[moved]]: runai.environment.lab cannot become runai.environment.other",
        ),
    ],
)
def test_a_move_that_contradicts_is_an_error(
    project: Project, moved: str, specs: tuple[str, ...], said: str
) -> None:
    """What is moved cannot stay, and cannot take the place of another."""
    project.write("lab.toml", LAB)
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    for path in project.path.glob("*.toml"):
        path.unlink()
    for name in specs:
        project.write(f"{name}.toml", LAB)
    old, new = moved.split(" -> ")
    project.config(f'[[moved]]\nfrom = "runai.environment.{old}"\nto = "runai.environment.{new}"\n')
    result = project.run("plan")
    assert (result.code, result.err.startswith(f"Error: {said}")) == (1, True)


# --- adoption ---


def made_by_hand(project: Project, image: str) -> str:
    """The environment *lab*, made on the platform without us. Returns its id."""
    return project.hand().create(
        "lab",
        workloadSupportedTypes={"workspace": True, "training": True},
        spec={"image": image, "imagePullPolicy": "IfNotPresent"},
    )


def test_what_is_there_and_equal_is_adopted(project: Project) -> None:
    """Nothing is written to it; it is counted as an import."""
    theirs = made_by_hand(project, "python:3.11")
    before = project.hand().named("lab")
    project.write("lab.toml", LAB)
    out = project.run("apply", "--auto-approve").succeeded().out
    assert "<- runai.environment.lab: already on the platform, equal (lab.toml:3)\n" in out
    assert "Plan: 1 to import, 0 to add, 0 to change, 0 to destroy.\n" in out
    assert "Apply complete! Resources: 1 imported, 0 added, 0 changed, 0 destroyed.\n" in out
    assert project.remembered() == {"runai.environment.lab": theirs}
    assert project.hand().named("lab") == before
    unchanged(project)


def test_what_is_there_and_differs_is_not_taken_without_a_word(project: Project) -> None:
    """The error prints what to write; with it, the object is adopted and brought into line."""
    theirs = made_by_hand(project, "python:3.9")
    project.write("lab.toml", LAB)
    refused = project.run("apply", "--auto-approve")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        f"Error: runai.environment.lab: an object of this name exists (id {theirs}) and differs in image\n"
        "  To take it under management, say so in the spec:\n"
        "\n"
        "      [lifecycle]\n"
        "      adopt = true\n"
        "\n"
    )
    assert project.hand().named("lab")["spec"]["image"] == "python:3.9"
    project.write("lab.toml", with_lifecycle(LAB, "adopt = true"))
    out = project.run("apply", "--auto-approve").succeeded().out
    assert "<- runai.environment.lab: already on the platform (lab.toml:3)\n" in out
    assert '    ~ image = "python:3.9" -> "python:3.11"\n' in out
    assert project.remembered() == {"runai.environment.lab": theirs}
    assert project.hand().named("lab")["spec"]["image"] == "python:3.11"
    unchanged(project)


def test_what_the_vendor_owns_is_never_adopted(project: Project) -> None:
    """Not even when the spec asks for it."""
    project.write("jupyter-lab.toml", with_lifecycle(LAB, "adopt = true"))
    result = project.run("apply", "--auto-approve")
    assert result.code == 1
    assert result.err == (
        "Error: runai.environment.jupyter-lab: the platform's vendor owns an object of this name\n"
        "  Choose another name; what belongs to the vendor is never touched.\n"
    )


# --- copies ---


def test_a_copy_has_overrides_and_a_name_of_its_own(project: Project) -> None:
    """`extends`: the guide's "make a copy"; tables merge, anything else takes its place."""
    project.write(
        "lab.toml",
        'name = "base-lab"\ndescription = "Base"\nimage = "python:3.11"\ntools = ["jupyter", "tensorboard"]\n'
        '[environment_variables]\nA = "1"\nB = "2"\n[on.runai]\nscope = "tenant"\n',
    )
    project.write(
        "copy.toml",
        'extends = "lab"\nimage = "python:3.12"\ntools = ["vscode"]\n[environment_variables]\nB = "3"\n',
    )
    project.run("apply", "--auto-approve").succeeded()
    assert project.hand().names() == ["base-lab", "copy"]
    copy = project.hand().named("copy")
    assert copy["meta"]["description"] == "Base"
    assert copy["spec"]["image"] == "python:3.12"
    assert {v["name"]: v["value"] for v in copy["spec"]["environmentVariables"]} == {"A": "1", "B": "3"}
    assert [c["internalToolInfo"]["toolType"] for c in copy["spec"]["connections"]] == ["visual-studio-code"]
    project.write("lab.toml", (project.path / "lab.toml").read_text().replace('A = "1"', 'A = "9"'))
    changed = project.run("plan", "--json").succeeded().events[0]["changes"]
    assert [change["address"] for change in changed] == [
        "runai.environment.base-lab",
        "runai.environment.copy",
    ]


def test_a_copy_of_nothing_is_an_error(project: Project) -> None:
    """With the nearest name."""
    project.write("lab.toml", LAB)
    project.write("copy.toml", 'extends = "lap"\n')
    result = project.run("validate")
    assert result.code == 1
    assert result.err.startswith("Error: there is no spec 'lap'\n  on copy.toml line 1, column 11:\n")
    assert "Did you mean 'lab'?" in result.err


# --- secrets ---


def secret(number: int) -> str:
    """A value that stands nowhere else."""
    return f"hf_{number}dKq8vXwTz0nR4"


def holds(value: str, *files: Path) -> list[str]:
    """The files, at or below the paths given, that hold the value in one of its usual spellings."""
    spellings = [value.encode(), base64.b64encode(value.encode())]
    found = [
        path
        for root in files
        for path in ([root] if root.is_file() else sorted(root.rglob("*")))
        if path.is_file()
    ]
    return [str(path) for path in found if any(spelling in path.read_bytes() for spelling in spellings)]


@pytest.fixture
def rotated(project: Project) -> Project:
    """A credential that an environment uses, applied; then its secret file got another value."""
    project.write("hub.toml", HUB)
    project.write("lab.toml", USER)
    project.write("token", secret(1))
    project.run("apply", "--auto-approve").succeeded()
    project.write("token", secret(2))
    return project


def test_a_rotated_secret_is_noticed_without_being_shown(rotated: Project) -> None:
    """The plan says "changed (secret)", what uses the credential, and that it comes back only so."""
    out = rotated.run("plan").succeeded().out
    assert "-/+ runai.credential.hub: data can only be set at creation (hub.toml:7)\n" in out
    assert "    ! used by environment lab\n" in out
    assert "    ~ data changed (secret)   (forces replacement)\n" in out
    assert "~ runai.environment.lab: refers to an object that gets a new id (lab.toml:6)\n" in out
    assert "Plan: 1 to add, 1 to change, 1 to destroy.\n" in out


def test_a_rotated_secret_in_use_is_replaced_and_its_users_follow(rotated: Project) -> None:
    """Detached, replaced, attached again: the user ends up with the new object."""
    before = rotated.remembered()
    rotated.run("apply", "--auto-approve").succeeded()
    after = rotated.remembered()
    assert after["runai.environment.lab"] == before["runai.environment.lab"]
    assert after["runai.credential.hub"] != before["runai.credential.hub"]
    (variable,) = rotated.hand().named("lab")["spec"]["environmentVariables"]
    assert variable["credential"]["assetId"] == after["runai.credential.hub"]
    assert sorted(rotated.live().values()) == sorted(after.values())
    unchanged(rotated)


def test_a_rotation_that_fails_half_way_leaves_nothing_unsaid(rotated: Project) -> None:
    """The new credential cannot be made: the old one comes back only with its old value, which is gone."""
    rotated.config('faults = [{ on = "POST /api/v1/asset/credentials/*", status = 403 }]\n')
    result = rotated.run("apply", "--auto-approve")
    assert result.code == 7
    assert "could not be rolled back" in result.out
    rotated.config()
    rotated.run("apply", "--auto-approve").succeeded()
    unchanged(rotated)
    (variable,) = rotated.hand().named("lab")["spec"]["environmentVariables"]
    assert variable["credential"]["assetId"] == rotated.remembered()["runai.credential.hub"]


@pytest.mark.parametrize("fails", [False, True])
def test_no_secret_value_is_written_anywhere(rotated: Project, fails: bool) -> None:
    """Not in a plan, state, journal, cache or output; not with -v, not with --debug, not on failure."""
    if fails:
        rotated.config('faults = [{ on = "PUT *", nth = [2], status = 403 }]\n')
    said = []
    for words in (
        ("validate", "--debug"),
        ("plan", "--out", "plan.bin", "--json-out", "plan.json", "--debug"),
        ("plan", "--json"),
        ("show", "plan.bin"),
        ("apply", "plan.bin", "-v", "--debug"),
        ("show", "runai.credential.hub"),
        ("state", "show", "runai.credential.hub"),
        ("state", "pull"),
        ("history", "--json"),
        ("drift", "--json"),
        ("list", "--format", "csv"),
        ("destroy", "--auto-approve", "-v", "--debug", "--json"),
    ):
        result = rotated.run(*words)
        said.append(result.out + result.err)
    for run in rotated.run("history", "--json").events[:-1]:
        said.append(rotated.run("show", run["id"], "--format=json").out)
    for value in (secret(1), secret(2)):
        assert [text for text in said if value in text] == []
        assert holds(value, rotated.path) == ([str(rotated.path / "token")] if value == secret(2) else [])


def test_a_secret_that_somebody_typed_elsewhere_is_not_shown(project: Project) -> None:
    """A known value is taken out of every text, wherever a platform shows it."""
    project.write("token", secret(1))
    project.write("hub.toml", HUB)
    project.write("lab.toml", USER.replace("[on.runai]", 'NOTE = "plain"\n\n[on.runai]'))
    project.run("apply", "--auto-approve").succeeded()
    variables = project.hand().named("lab")["spec"]["environmentVariables"]
    typed = [{**one, "value": secret(1)} if one["name"] == "NOTE" else one for one in variables]
    project.hand().edit("lab", environmentVariables=typed)
    text = project.run("plan", "--json-out", "plan.json").succeeded().out
    assert '~ environment_variables.NOTE = "(secret)"' in text
    record = project.run("plan", "--json").succeeded().out
    assert secret(1) not in text + record + (project.path / "plan.json").read_text()


def test_a_missing_secret_stops_an_apply_before_its_first_step(project: Project) -> None:
    """Named by its reference; nothing was done."""
    project.write("hub.toml", HUB)
    project.write("lab.toml", LAB)
    result = project.run("apply", "--auto-approve")
    assert (result.code, project.hand().names(), project.hand().names("credential")) == (1, [], [])
    assert result.err == (
        "Error: runai.credential.hub: the secret file token cannot be read: No such file or directory\n"
        "  Nothing was done. Specs take their secrets from there; put them there and run again.\n"
    )


def test_a_secret_that_cannot_be_read_now_is_no_change(rotated: Project) -> None:
    """A reviewer without the secret gets a plan all the same, and is told what it cannot know."""
    (rotated.path / "token").unlink()
    out = rotated.run("plan").succeeded().out
    assert out.startswith("Warning: runai.credential.hub: cannot tell whether file token changed: ")
    assert out.endswith(NO_CHANGES)


# --- protection ---


def test_a_protected_resource_is_not_taken_away(project: Project) -> None:
    """prevent_destroy outlives its file: refused with 3, also for destroy and with --allow-deletes."""
    project.write("lab.toml", with_lifecycle(LAB, "prevent_destroy = true"))
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    (project.path / "lab.toml").unlink()
    reason = "runai.environment.lab has prevent_destroy, and this plan would delete it"
    assert f"\nThis plan may not be applied as it stands:\n  {reason}\n" in project.run("plan").out
    for words in (
        ("plan",),
        ("apply", "--auto-approve"),
        ("apply", "--auto-approve", "--allow-deletes"),
        ("destroy", "--auto-approve"),
    ):
        result = project.run(*words)
        assert (result.code, f"  - {reason}\n" in result.err) == (3, True)
    assert project.hand().names() == ["lab", "other"]


def test_protection_is_lifted_by_the_spec(project: Project) -> None:
    """Apply without it, then the file may go."""
    project.write("lab.toml", with_lifecycle(LAB, "prevent_destroy = true"))
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    assert project.run("apply", "--auto-approve", "--replace", "runai.environment.lab").code == 3
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    (project.path / "lab.toml").unlink()
    project.run("apply", "--auto-approve").succeeded()
    assert project.hand().names() == ["other"]


def test_too_many_deletes_are_refused(project: Project) -> None:
    """More than max_delete_fraction needs --allow-deletes; destroy is what it says."""
    project.config("[policy]\nmax_delete_fraction = 0.3\n")
    for name in ("a", "b", "c"):
        project.write(f"{name}.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    (project.path / "a.toml").unlink()
    result = project.run("apply", "--auto-approve")
    refused = (
        "Error: policy forbids this plan\n"
        "  - 1 of 3 managed resources would be deleted or replaced, more than max_delete_fraction = 0.3 "
        "(--allow-deletes permits it)\n"
        "  Change the specs or the policy, or make the plan with --allow-deletes where that is said.\n"
    )
    assert (result.code, result.err) == (3, refused)
    # What may not be applied is shown and told of, and is no plan to apply.
    for flag in ([], ["--detailed-exitcode"]):
        result = project.run("plan", "--out", "no.bin", "--json-out", "no.json", *flag)
        assert (result.code, result.err) == (3, f"{refused}The plan is not saved to no.bin.\n")
        assert result.out.startswith("- runai.environment.a: no longer in the specs\n")
        assert "Apply exactly it" not in result.out
        assert not (project.path / "no.bin").exists()
        assert len(json.loads((project.path / "no.json").read_text())["policy"]) == 1
    plan, error, summary = project.run("plan", "--json").events
    assert (len(plan["policy"]), error["type"]) == (1, "error")
    assert (summary["exit_code"], summary["digest"]) == (3, plan["digest"])
    project.run("plan", "--allow-deletes", "--out", "yes.bin").succeeded()
    project.run("apply", "yes.bin").succeeded()
    assert project.hand().names() == ["b", "c"]
    project.run("destroy", "--auto-approve").succeeded()
    assert project.hand().names() == []


def test_what_an_update_would_lose_is_in_the_plan(project: Project) -> None:
    """The platform may be newer than this program, and PUT replaces the whole."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    with closing(sqlite3.connect(project.store)) as store, store:
        (text,) = store.execute("SELECT text FROM runai_asset WHERE name = 'lab'").fetchone()
        newer = text.replace(b'"spec":{', b'"spec":{"sidecars":["x"],')
        assert newer != text
        store.execute("UPDATE runai_asset SET text = ? WHERE name = 'lab'", (newer,))
    assert "No changes." in project.run("plan").succeeded().out
    project.write("lab.toml", LAB.replace("python:3.11", "python:3.12"))
    assert "    ! loses what this program does not know: sidecars\n" in project.run("plan").succeeded().out


def test_what_is_in_use_is_not_taken_away(project: Project) -> None:
    """A running workload counts, a finished one does not; what uses it is in the plan in any case."""
    for name in ("a", "b", "c", "d"):
        project.write(f"{name}.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().use("a", workload="lab-1")
    project.hand().use("b", workload="done-1", kind="training", status="Completed")
    (project.path / "b.toml").unlink()
    out = project.run("apply", "--auto-approve").succeeded().out
    assert "    ! used by training done-1 (Completed)\n" in out
    (project.path / "a.toml").unlink()
    result = project.run("apply", "--auto-approve")
    assert result.code == 3
    assert (
        "  - runai.environment.a is in use by workspace lab-1 (Running) (--allow-deletes permits it)\n"
        in result.err
    )
    assert "a" in project.hand().names()
    project.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    assert project.hand().names() == ["c", "d"]


def test_an_ignored_field_belongs_to_somebody_else(project: Project) -> None:
    """ignore_changes: set at creation, not compared and not overwritten after."""
    project.write("lab.toml", with_lifecycle(LAB, 'ignore_changes = ["image"]'))
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.9")
    assert project.run("plan").succeeded().out == NO_CHANGES
    project.write("lab.toml", with_lifecycle("description = 'new'\n" + LAB, 'ignore_changes = ["image"]'))
    project.run("apply", "--auto-approve").succeeded()
    assert project.hand().named("lab")["spec"]["image"] == "python:3.9"


def test_gone_from_the_platform_is_made_again_or_forgotten(project: Project) -> None:
    """With a spec it is created anew; without one, forgotten."""
    for name in ("a", "b", "c"):
        project.write(f"{name}.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().delete("a")
    project.hand().delete("b")
    (project.path / "b.toml").unlink()
    out = project.run("apply", "--auto-approve").succeeded().out
    assert "+ runai.environment.a: gone from the platform (a.toml:3)\n" in out
    assert "x runai.environment.b: gone from the platform, and from the specs\n" in out
    assert "Plan: 1 to add, 0 to change, 0 to destroy, 1 to forget.\n" in out
    assert sorted(project.remembered()) == ["runai.environment.a", "runai.environment.c"]
    unchanged(project)


def test_a_plan_view_keeps_every_field_of_a_change(project: Project) -> None:
    """A change of several fields: each with its cause, and conflict where both changed."""
    project.write("lab.toml", "description = 'old'\n" + LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.9")
    project.write("lab.toml", "description = 'new'\n" + LAB.replace("3.11", "3.12"))
    out = project.run("plan").succeeded().out
    assert out.startswith(
        "~ runai.environment.lab: spec changed, and changed outside (lab.toml:4)\n"
        '    ~ description = "old" -> "new"\n'
    )
    assert "(conflict: spec changed, and changed outside)" in out
    view = project.run("plan", "--json").events[0]
    assert {one["path"]: one["cause"] for one in view["changes"][0]["fields"]} == {
        "description": "spec",
        "image": "both",
    }
