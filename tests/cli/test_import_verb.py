"""`import`: live objects come under management, with a spec that says what they are and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import rtoml
from harness import LAB, Project

SECRET = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
NO_CHANGES = "No changes. Your infrastructure matches the configuration.\n"


@pytest.fixture
def lived_in(project: Project) -> Project:
    """A tenant that people have clicked together, and one environment of ours."""
    project.write("ours.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    hand = project.hand()
    hand.create("plain")
    hand.create(
        "Rich One",
        description='said "so"',
        spec={
            "image": "nvcr.io/nvidia/pytorch:24.01-py3",
            "command": "bash -c 'echo hi'",
            "environmentVariables": [{"name": "NCCL_DEBUG", "value": "INFO"}, {"name": "N", "value": "1"}],
            "connections": [
                {
                    "name": "Jupyter",
                    "isExternal": False,
                    "internalToolInfo": {
                        "toolType": "jupyter-notebook",
                        "connectionType": "ExternalUrl",
                        "containerPort": 8888,
                        "externalUrlInfo": {"isCustomUrl": False},
                    },
                }
            ],
        },
    )
    hand.request(
        "POST",
        "/api/v1/asset/compute",
        {
            "meta": {"name": "plain", "scope": "tenant"},
            "spec": {"cpuCoreRequest": 2, "cpuMemoryRequest": "4G"},
        },
    )
    hand.request(
        "POST",
        "/api/v1/asset/credentials/password",
        {"meta": {"name": "git", "scope": "tenant"}, "spec": {"user": "ann", "password": "never-shown"}},
    )
    return project


def spec(project: Project, name: str) -> dict[str, Any]:
    """A file of the stack, as a table."""
    return dict(rtoml.loads((project.path / name).read_text()))


# --- one ---


def test_one_object_comes_under_management(lived_in: Project) -> None:
    """A spec that says what it is; the plan after it is empty, and no platform was written to."""
    hand = lived_in.hand()
    before = hand.named("Rich One")
    result = lived_in.run("import", "runai.environment.rich", before["meta"]["id"]).succeeded()
    assert (result.out, result.err) == (
        "<- runai.environment.rich: rich.toml\nImport complete! Resources: 1 imported.\n",
        "",
    )
    assert spec(lived_in, "rich.toml") == {
        "description": 'said "so"',
        "image": "nvcr.io/nvidia/pytorch:24.01-py3",
        "command": "bash -c 'echo hi'",
        "workload_types": [],
        "environment_variables": {"NCCL_DEBUG": "INFO", "N": "1"},
        "tools": ["jupyter"],
        "on": {"runai": {"scope": "tenant", "name": "Rich One"}},
    }
    assert hand.named("Rich One") == before
    assert lived_in.remembered()["runai.environment.rich"] == before["meta"]["id"]
    assert lived_in.run("plan").succeeded().out == NO_CHANGES
    lived_in.run("drift").succeeded()
    run = lived_in.run("history", "--json").events[0]
    assert (run["command"], run["outcome"]) == ("import", "applied")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runai.environment.ours", "{plain}"), "runai.environment.ours is managed already (id "),
        (("runai.environment.new", "{ours}"), "is managed already, as runai.environment.ours"),
        (
            ("runai.environment.new", "00000000-0000-4000-8000-000000000000"),
            "runai has no environment with the id",
        ),
        (("runai.environment.new", "{vendor}"), "belongs to the platform's vendor"),
        (("nowhere.environment.new", "{plain}"), "there is no platform nowhere"),
        (("runai.unheard.new", "{plain}"), "with a kind unheard"),
    ],
    ids=str,
)
def test_what_cannot_be_imported_is_told(lived_in: Project, words: tuple[str, str], said: str) -> None:
    """And nothing is written."""
    hand = lived_in.hand()
    ids = {name: hand.named(name)["meta"]["id"] for name in ("plain", "ours")}
    entries = hand.request("GET", "/api/v1/asset/environment")["entries"]
    ids["vendor"] = next(one["meta"]["id"] for one in entries if one["meta"]["createdBy"] == "Run:ai")
    files = sorted(lived_in.path.glob("*.toml"))
    result = lived_in.run("import", words[0], words[1].format(**ids))
    assert (result.code, said in result.err) == (1, True)
    assert sorted(lived_in.path.glob("*.toml")) == files


def test_a_spec_that_is_there_already_is_not_written_twice(lived_in: Project) -> None:
    """An apply takes its object over."""
    lived_in.write("plain.toml", LAB)
    remote_id = lived_in.hand().named("plain")["meta"]["id"]
    result = lived_in.run("import", "runai.environment.plain", remote_id)

    assert result.code == 1
    assert "the specs have runai.environment.plain already, in plain.toml:3" in result.err


# --- all ---


def test_everything_that_nobody_manages_is_imported(lived_in: Project) -> None:
    """One clean file each; what is the vendor's and what is ours stay as they are."""
    result = lived_in.run("import", "--all", "--out", "imported").succeeded()
    files = {path.name for path in (lived_in.path / "imported").iterdir()}
    assert files == {"plain.toml", "plain-2.toml", "Rich-One.toml", "git.toml"}
    assert result.out.splitlines()[-1] == "Import complete! Resources: 3 imported. 1 to be filled in."
    named = set(lived_in.remembered())
    assert named == {
        "runai.environment.ours",
        "runai.environment.plain",
        "runai.environment.Rich One",
        "runai.compute.plain",
    }
    kinds = {
        name: spec(lived_in, f"imported/{name}.toml").get("kind") for name in ("plain", "plain-2", "git")
    }
    assert sorted(map(str, kinds.values())) == ["None", "compute", "credential"]
    assert lived_in.run("import", "--all").succeeded().out.splitlines()[-1].endswith("0 imported.")


def test_a_secret_that_nobody_can_read_is_to_be_filled_in(lived_in: Project) -> None:
    """The spec refers to a variable; with its value, an apply takes the credential over."""
    result = lived_in.run("import", "--all").succeeded()
    assert "runai.credential.git: nobody can read password; git.toml refers to a variable." in result.err
    assert spec(lived_in, "git.toml") == {
        "kind": "credential",
        "user": "ann",
        "password": {"env": "GIT_PASSWORD"},
        "lifecycle": {"adopt": True},
        "on": {"runai": {"type": "password", "scope": "tenant"}},
    }
    assert "runai.credential.git" not in lived_in.remembered()
    lived_in.environment["GIT_PASSWORD"] = "never-shown"
    lived_in.run("apply", "--auto-approve").succeeded()
    assert "runai.credential.git" in lived_in.remembered()
    assert lived_in.run("plan").succeeded().out == NO_CHANGES


def test_an_empty_stack_can_be_filled(project: Project) -> None:
    """Where there is no spec yet."""
    project.write("first.toml", LAB)
    project.run("plan").succeeded()
    (project.path / "first.toml").unlink()
    project.hand().create("plain")
    project.run("import", "--all", "--platform", "runai").succeeded()
    assert project.run("plan").succeeded().out == NO_CHANGES
    assert project.run("import", "--all", "--platform", "nowhere").code == 1


def test_two_of_one_name_get_addresses_of_their_own(project: Project) -> None:
    """The same name in two places, and in two spellings."""
    project.write("first.toml", LAB)
    project.run("plan").succeeded()
    (project.path / "first.toml").unlink()
    hand = project.hand()
    hand.create("lab")
    hand.create("Lab")
    hand.create("lab", scope="project", projectId=4501234)
    project.run("import", "--all").succeeded()
    files = sorted(path.name.lower() for path in project.path.glob("*.toml"))
    assert files == ["lab-2-2.toml", "lab-2.toml", "lab.toml", "reconciler.toml"]
    assert len(project.remembered()) == 3
    assert project.run("plan").succeeded().out.endswith(NO_CHANGES)


def test_a_secret_in_a_plain_field_does_not_land_in_a_spec(lived_in: Project) -> None:
    """The field is left out, by name and with why, and stays on the platform, unmanaged."""
    lived_in.hand().edit("plain", command="sleep 1", environmentVariables=[{"name": "MODE", "value": SECRET}])
    result = lived_in.run("import", "--all").succeeded()
    assert (
        "runai.environment.plain: left out, and not managed: environment_variables.MODE: looks like"
        in result.err
    )
    for path in [*lived_in.path.glob("*.toml"), *(lived_in.path / ".reconciler").rglob("*.journal")]:
        assert SECRET not in path.read_text(errors="replace")
    assert SECRET not in result.out + result.err
    changes = lived_in.run("plan", "--json").events[0]["changes"]
    assert [one["address"] for one in changes] == ["runai.credential.git"]
    variables = lived_in.hand().named("plain")["spec"]["environmentVariables"]
    assert [one["value"] for one in variables] == [SECRET]


def test_what_is_no_secret_after_all_can_be_said_to_be_none(lived_in: Project) -> None:
    """As in any spec."""
    lived_in.hand().edit("plain", environmentVariables=[{"name": "PAD_TOKEN", "value": SECRET}])
    lived_in.config('\n[policy]\nnot_secret = ["environment_variables.PAD_TOKEN"]\n')
    remote_id = lived_in.hand().named("plain")["meta"]["id"]
    lived_in.run("import", "runai.environment.plain", remote_id).succeeded()
    assert spec(lived_in, "plain.toml")["environment_variables"] == {"PAD_TOKEN": SECRET}


def test_a_value_that_is_a_secret_of_the_stack_is_left_out(lived_in: Project) -> None:
    """Whatever it looks like."""
    lived_in.environment["HUB"] = "harmless looking"
    lived_in.write(
        "hub.toml",
        'kind = "credential"\ntype = "password"\nuser = "a"\npassword = { env = "HUB" }\n'
        'on.runai.scope = "tenant"\n',
    )
    lived_in.run("apply", "--auto-approve").succeeded()
    lived_in.hand().edit("plain", command="harmless looking")
    remote_id = lived_in.hand().named("plain")["meta"]["id"]
    result = lived_in.run("import", "runai.environment.plain", remote_id).succeeded()
    assert "command: it holds a secret of this stack" in result.err
    assert "command" not in spec(lived_in, "plain.toml")


def test_a_reference_to_a_credential_of_ours_is_by_its_name(lived_in: Project) -> None:
    """To any other it is by its id."""
    lived_in.environment["HUB"] = "hub-password"
    lived_in.write(
        "hub.toml",
        'kind = "credential"\ntype = "generic-secret"\ndata = { token = { env = "HUB" } }\n'
        'on.runai.scope = "tenant"\n',
    )
    lived_in.run("apply", "--auto-approve").succeeded()
    ours, theirs = lived_in.hand().named("hub", "credential"), lived_in.hand().named("git", "credential")
    lived_in.hand().edit(
        "plain",
        environmentVariables=[
            {"name": "A", "credential": {"assetId": ours["meta"]["id"], "key": "token"}},
            {"name": "B", "credential": {"assetId": theirs["meta"]["id"], "key": "password"}},
        ],
    )
    lived_in.run(
        "import", "runai.environment.plain", lived_in.hand().named("plain")["meta"]["id"]
    ).succeeded()
    assert spec(lived_in, "plain.toml")["environment_variables"] == {
        "A": {"credential": "hub", "key": "token"},
        "B": {"credential_id": theirs["meta"]["id"], "key": "password"},
    }
    assert lived_in.run("plan").succeeded().out == NO_CHANGES


@pytest.mark.parametrize("file", ["other.toml", "reconciler.toml"])
def test_broken_specs_are_no_ground_to_build_on(lived_in: Project, file: str) -> None:
    """They are told first, and no file is written."""
    lived_in.write(file, "nonsense")
    files = sorted(lived_in.path.glob("*.toml"))
    assert lived_in.run("import", "--all").code == 1
    assert sorted(lived_in.path.glob("*.toml")) == files


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("runai.environment.a",),
        ("runai.environment.a", "1", "--all"),
        ("--all", "--update"),
        ("runai.environment.a", "1", "--platform", "runai"),
        ("runai.environment.a", "1", "--update"),
        ("lab", "1"),
        ("--all", "--out", "../elsewhere"),
        ("--all", "--out", ".hidden"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_means_nothing_is_refused(lived_in: Project, words: tuple[str, ...]) -> None:
    """With what to write instead."""
    assert lived_in.run("import", *words).code == 64


def test_every_line_is_json(lived_in: Project) -> None:
    """What was imported, where it stands, what is to fill in, and a summary."""
    events = lived_in.run("import", "--all", "--json").succeeded().events
    imported = [event for event in events if event["type"] == "imported"]
    assert {one["address"]: one["to_fill"] for one in imported}["runai.credential.git"] == ["password"]
    assert events[-1] == {"type": "summary", "exit_code": 0, "imported": 3, "to_fill": 1}


# --- update ---

COMMENTED = """\
# What the team uses; see the wiki.
description = "old"   # short
image = "python:3.11"

[environment_variables]
# for the network
NCCL_DEBUG = "INFO"   # or WARN
GONE = "x"

[on.runai]
scope = "tenant"   # everybody
"""


@pytest.fixture
def edited(project: Project) -> Project:
    """*lab*, with comments in its spec, changed outside."""
    project.write("lab.toml", COMMENTED)
    project.run("apply", "--auto-approve").succeeded()
    hand = project.hand()
    variables = [{"name": "NCCL_DEBUG", "value": "WARN"}, {"name": "NEW", "value": "1"}]
    hand.edit("lab", image="python:3.12", environmentVariables=variables)
    return project


def test_what_is_live_is_written_into_the_spec(edited: Project) -> None:
    """Only what differs, where it stands; comments, order and blanks stay. The plan after it is empty."""
    result = edited.run("import", "--update", "runai.environment.lab").succeeded()
    assert result.out == "~ lab.toml: environment_variables, image\n"
    text = (edited.path / "lab.toml").read_text()
    assert text == COMMENTED.replace("3.11", "3.12").replace('"INFO"', '"WARN"').replace(
        'GONE = "x"\n', 'NEW = "1"\n'
    )
    assert edited.run("plan").succeeded().out == NO_CHANGES
    again = edited.run("import", "--update", "runai.environment.lab").succeeded()
    assert (again.out, (edited.path / "lab.toml").read_text()) == ("lab.toml says what is there.\n", text)


def test_a_field_that_was_cleared_is_taken_out(project: Project) -> None:
    """And only that."""
    project.write("lab.toml", 'command = "sh" # why\n' + LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", command=None)
    project.run("import", "--update", "runai.environment.lab").succeeded()
    assert (project.path / "lab.toml").read_text() == LAB


def test_a_spec_that_others_are_made_from_is_not_changed_behind_their_backs(project: Project) -> None:
    """What a copy has of it would change, too: that is for people to say."""
    project.write("lab.toml", LAB)
    project.write("copy.toml", 'extends = "lab"\n')
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.12")
    result = project.run("import", "--update", "runai.environment.lab")
    assert (result.code, (project.path / "lab.toml").read_text()) == (1, LAB)
    assert "lab.toml is also what runai.environment.copy is made from, which would change" in result.err
    project.hand().edit("copy", image="python:3.13")
    project.run("import", "--update", "runai.environment.copy")
    project.write("copy.toml", 'extends = "lab"\n[on.runai]\n')
    project.run("import", "--update", "runai.environment.copy").succeeded()
    assert spec(project, "copy.toml") == {"extends": "lab", "on": {"runai": {"image": "python:3.13"}}}


def test_what_stands_for_several_platforms_is_overridden_for_this_one(project: Project) -> None:
    """The other keeps what it had."""
    second = '\n[platforms.other]\nprovider = "runai"\nendpoint = "embedded"\n'
    project.config(second)
    project.write("lab.toml", LAB + '\n[on.other]\nscope = "tenant"\n')
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.12")
    project.run("import", "--update", "runai.environment.lab").succeeded()
    found = spec(project, "lab.toml")
    assert (found["image"], found["on"]["runai"], found["on"]["other"]) == (
        "python:3.11",
        {"scope": "tenant", "image": "python:3.12"},
        {"scope": "tenant"},
    )
    assert project.run("plan").succeeded().out == NO_CHANGES


def test_what_cannot_be_written_leaves_the_spec_as_it_was(edited: Project) -> None:
    """A secret that somebody typed in, or what a spec cannot say."""
    before = (edited.path / "lab.toml").read_bytes()
    edited.hand().edit("lab", environmentVariables=[{"name": "MODE", "value": SECRET}])
    result = edited.run("import", "--update", "runai.environment.lab")
    assert (result.code, "environment_variables.MODE: looks like a Hugging Face token" in result.err) == (
        1,
        True,
    )
    assert SECRET not in result.err
    assert (edited.path / "lab.toml").read_bytes() == before
    edited.hand().delete("lab")
    result = edited.run("import", "--update", "runai.environment.lab")
    assert (result.code, "runai.environment.lab is not on the platform" in result.err) == (1, True)
    assert edited.run("import", "--update", "runai.environment.lob").code == 64


def test_nothing_that_an_import_writes_has_a_traceback_of_its_maker(lived_in: Project) -> None:
    """Files are as any other of the stack: UTF-8, one line end, nothing about us."""
    lived_in.run("import", "--all").succeeded()
    for path in lived_in.path.glob("*.toml"):
        data = path.read_bytes()
        assert data.endswith(b"\n")
        assert not re.search(rb"[ \t]\n|\r", data)
    assert json.dumps(lived_in.state())
