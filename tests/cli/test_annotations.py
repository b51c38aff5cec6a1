"""`validate --format` and `show --format github`: what forges show beside the lines of a pull request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from harness import LAB, Project
from jsonschema import Draft202012Validator

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parent / "sarif-subset.schema.json").read_text()))
WRONG = 'imag = "python:3.11"\n\n[on.runai]\nscope = "nowhere"\n'


@pytest.fixture
def broken(project: Project) -> Project:
    """A sound spec, and one with two mistakes."""
    project.write("lab.toml", LAB)
    project.write("teams/wrong.toml", WRONG)
    return project


def test_mistakes_become_workflow_commands(broken: Project) -> None:
    """One for each, and nothing else anywhere: the log and the pull request show the same line."""
    result = broken.run("validate", "--format", "github")
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert [re.findall(r",file=(.*?),line=(\d+),col=(\d+)::", line)[0] for line in lines] == [
        ("teams/wrong.toml", "1", "1"),
        ("teams/wrong.toml", "3", "5"),
        ("teams/wrong.toml", "4", "9"),
    ]
    assert "unknown key `imag`" in lines[0]
    assert lines[0].endswith("Did you mean `image`?")


def test_files_are_named_from_the_root_of_the_checkout(broken: Project) -> None:
    """Wherever the command runs: as GitHub and GitLab say, or from here."""
    above = Project(broken.path.parent, broken.capture)
    for environment in ({}, {"GITHUB_WORKSPACE": str(above.path)}, {"CI_PROJECT_DIR": str(above.path)}):
        above.environment = environment
        assert (
            "file=stack/teams/wrong.toml,line=1"
            in above.run("-C", "stack", "validate", "--format", "github").out
        )
    broken.environment = {"GITHUB_WORKSPACE": str(above.path)}
    assert "file=stack/teams/wrong.toml,line=1" in broken.run("validate", "--format", "github").out


def test_mistakes_become_sarif(broken: Project) -> None:
    """A valid log with each mistake at its place; the text is on standard error all the same."""
    result = broken.run("validate", "--format", "sarif")
    log = json.loads(result.out)
    SCHEMA.validate(log)
    places = [
        (one["level"], one["ruleId"], one["locations"][0]["physicalLocation"]["region"]["startLine"])
        for one in log["runs"][0]["results"]
    ]
    assert places[0] == ("error", "spec", 1)
    assert result.code == 1
    assert result.err == broken.run("validate").err


def test_mistakes_become_a_test_report(broken: Project) -> None:
    """A failed case for each mistake, a passed one for the sound file."""
    result = broken.run("validate", "--format", "junit")
    assert result.code == 1
    suite = ElementTree.fromstring(result.out)
    failed = [case for case in suite.iter("testcase") if len(case)]
    assert {case.attrib["classname"] for case in failed} == {"teams/wrong.toml"}
    assert [case.attrib["classname"] for case in suite.iter("testcase") if not len(case)] == ["lab.toml"]
    assert (
        int(suite.attrib["failures"])
        == len(failed)
        == len(broken.run("validate", "--format", "github").out.splitlines())
    )


def test_sound_specs_give_an_empty_report(project: Project) -> None:
    """A log without results closes the findings of earlier ones."""
    project.write("lab.toml", LAB)
    assert project.run("validate", "--format", "github").succeeded().out == ""
    log = json.loads(project.run("validate", "--format", "sarif").succeeded().out)
    SCHEMA.validate(log)
    assert log["runs"][0]["results"] == []
    suite = ElementTree.fromstring(project.run("validate", "--format", "junit").succeeded().out)
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0")


def test_a_warning_is_a_remark_and_no_failure(project: Project) -> None:
    """At its file; the exit code is 0."""
    project.write("lab.toml", LAB.replace("image", 'workload_types = ["inference"]\nimage'))
    text = project.run("validate", "-q").err.removeprefix("Warning: lab.toml: ").rstrip("\n")
    [command] = project.run("validate", "--format", "github").succeeded().out.splitlines()
    assert command.startswith("::warning title=")
    assert command.endswith(",file=lab.toml::")
    log = json.loads(project.run("validate", "--format", "sarif").succeeded().out)
    SCHEMA.validate(log)
    [result] = log["runs"][0]["results"]
    assert (result["level"], result["ruleId"], result["message"]["text"]) == ("warning", "warning", text)


def test_a_limit_is_a_rule_of_its_own(project: Project) -> None:
    """What policy forbids can be told from what is wrong."""
    project.config('[policy]\nallowed_images = ["nvcr.io/*"]\n')
    project.write("lab.toml", LAB)
    log = json.loads(project.run("validate", "--format", "sarif").out)
    SCHEMA.validate(log)
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == ["limit"]


def test_a_wrong_configuration_is_reported_in_the_same_form(project: Project) -> None:
    """At its line of reconciler.toml."""
    project.config("nonsense = 1\n")
    project.write("lab.toml", LAB)
    assert "file=reconciler.toml,line=" in project.run("validate", "--format", "github").out


def test_a_report_as_an_event(broken: Project) -> None:
    """With --json, a line that holds it comes before the errors and the summary."""
    events = broken.run("validate", "--format", "sarif", "--json").events
    assert (events[0]["type"], events[0]["format"], events[-1]["type"]) == ("document", "sarif", "summary")
    SCHEMA.validate(json.loads(events[0]["text"]))


# --- plans ---


def test_a_plan_marks_the_lines_that_cause_changes(project: Project) -> None:
    """Each field at its line, also of an inherited file; first, as a warning, what is taken away."""
    project.config("[policy]\nmax_delete_fraction = 1.0\n")
    project.write("base.toml", 'description = "one"\n' + LAB)
    project.write("copy.toml", 'extends = "base"\nworking_dir = "/a"\n')
    project.write("gone.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.write("base.toml", 'description = "two"\n' + LAB)
    project.write("copy.toml", 'extends = "base"\n\nworking_dir = "/b"\n')
    (project.path / "gone.toml").unlink()
    project.write("new.toml", LAB)
    project.hand().edit("base", image="python:3.9")
    project.run("plan", "--out", "p.json").succeeded()
    both, own = "spec changed, and changed outside", "spec changed"
    assert project.run("show", "p.json", "--format", "github").succeeded().out.splitlines() == [
        "::warning title=delete runai.environment.gone::no longer in the specs",
        "::notice title=update runai.environment.base,file=base.toml,line=1::"
        + both
        + '%0Adescription: "one" -> "two"',
        "::notice title=update runai.environment.base,file=base.toml,line=2::"
        + both
        + '%0Aimage: "python:3.9" -> "python:3.11"   (drift: changed outside)',
        "::notice title=update runai.environment.copy,file=base.toml,line=1::"
        + own
        + '%0Adescription: "one" -> "two"',
        "::notice title=update runai.environment.copy,file=copy.toml,line=3::"
        + own
        + '%0Aworking_dir: "/a" -> "/b"',
        "::notice title=create runai.environment.new,file=new.toml,line=3::new",
    ]


def test_a_plan_is_marked_from_the_root_of_the_checkout(project: Project) -> None:
    """With -C, from above."""
    project.write("lab.toml", LAB)
    project.run("plan", "--out", "p.json").succeeded()
    above = Project(project.path.parent, project.capture)
    out = above.run("-C", "stack", "show", "stack/p.json", "--format", "github").succeeded().out
    assert out == "::notice title=create runai.environment.lab,file=stack/lab.toml,line=3::new\n"


def test_a_plan_is_marked_though_a_spec_went_since(project: Project) -> None:
    """Then at the resource."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.write("lab.toml", LAB.replace("3.11", "3.12"))
    project.run("plan", "--out", "p.json").succeeded()
    (project.path / "lab.toml").unlink()
    assert ",file=lab.toml,line=3::" in project.run("show", "p.json", "--format", "github").succeeded().out


def test_a_secret_that_changed_is_marked_without_a_value(project: Project) -> None:
    """In the words of the text."""
    project.environment["HUB"] = "the-first-secret"
    kind = 'kind = "credential"\ntype = "generic-secret"\n'
    project.write("hub.toml", kind + 'data = { t = { env = "HUB" } }\non.runai.scope = "tenant"\n')
    project.run("apply", "--auto-approve").succeeded()
    project.environment["HUB"] = "the-second-secret"
    project.run("plan", "--allow-deletes", "--out", "p.json").succeeded()
    out = project.run("show", "p.json", "--format", "github").succeeded().out
    assert "changed (secret)" in out
    assert "second-secret" not in out
