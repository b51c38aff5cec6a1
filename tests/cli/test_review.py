"""Plans as documents to review: written by one run, printed again later, the same bytes."""

from __future__ import annotations

import json

import pytest
from harness import LAB, Project

FORMS = {"json": "v.json", "markdown": "c.md", "html": "r.html"}
ALL = ("--out", "p.json", "--json-out", "v.json", "--markdown-out", "c.md", "--html-out", "r.html")
HUB = """\
kind = "credential"
type = "generic-secret"
data = { token = { env = "HUB" } }
on.runai.scope = "tenant"
"""


@pytest.fixture
def stack(project: Project) -> Project:
    """A stack in which one of everything happens: create, update, replace, delete, nothing."""
    project.environment["HUB"] = "the-secret-of-the-hub"
    for name in ("changed", "gone", "same"):
        project.write(f"{name}.toml", LAB)
    project.write("hub.toml", HUB)
    project.write(
        "user.toml", 'environment_variables = { T = { credential = "hub", key = "token" } }\n' + LAB
    )
    project.config("[policy]\nmax_delete_fraction = 1.0\n")
    project.run("apply", "--auto-approve").succeeded()
    project.write("changed.toml", LAB.replace("3.11", "3.12"))
    (project.path / "gone.toml").unlink()
    project.write("new.toml", LAB)
    project.write("hub.toml", HUB.replace("HUB", "HUB2"))
    project.environment["HUB2"] = "the-other-secret-of-the-hub"
    return project


def test_one_run_writes_every_document_and_show_prints_the_same_bytes(stack: Project) -> None:
    """Also without the stack beside the plan."""
    stack.run("plan", *ALL).succeeded()
    elsewhere = Project(stack.path.parent / "elsewhere", stack.capture)
    elsewhere.path.mkdir()
    (elsewhere.path / "p.json").write_bytes((stack.path / "p.json").read_bytes())
    for form, name in FORMS.items():
        written = (stack.path / name).read_text()
        assert stack.run("show", "p.json", "--format", form).succeeded().out == written
        assert elsewhere.run("show", "p.json", "--format", form).succeeded().out == written
    stack.run("apply", "p.json").succeeded()
    assert stack.run("show", "p.json", "--format", "markdown").out == (stack.path / "c.md").read_text()


def test_all_documents_have_the_digest_that_apply_expects(stack: Project) -> None:
    """Whichever of them was reviewed."""
    stack.run("plan", *ALL).succeeded()
    digest = json.loads((stack.path / "v.json").read_text())["digest"]
    assert all(digest in (stack.path / name).read_text() for name in FORMS.values())
    stack.run("apply", "--expect", digest, "--auto-approve").succeeded()


def test_terraform_json_has_every_object_of_the_stack(stack: Project) -> None:
    """Also those that stay as they are, so that a policy judges all of them."""
    stack.run("plan", "--out", "p.json").succeeded()
    shown = stack.run("show", "p.json", "--format", "terraform-json").succeeded().out
    assert shown.count("\n") == 1  # as Terraform writes it, and as tools read it
    view = json.loads(shown)
    actions = {row["address"]: row["change"]["actions"] for row in view["resource_changes"]}
    assert actions == {
        "runai_credential.hub": ["delete", "create"],
        "runai_environment.changed": ["update"],
        "runai_environment.gone": ["delete"],
        "runai_environment.new": ["create"],
        "runai_environment.same": ["no-op"],
        "runai_environment.user": ["update"],
    }
    planned = {one["name"]: one["values"] for one in view["planned_values"]["root_module"]["resources"]}
    assert planned.keys() == {"hub", "changed", "new", "same", "user"}
    assert (planned["changed"]["image"], planned["same"]["image"]) == ("python:3.12", "python:3.11")
    changed = next(row["change"] for row in view["resource_changes"] if row["name"] == "changed")
    assert changed["before"]["image"] == "python:3.11"
    assert (
        changed["before"]["id"] == changed["after"]["id"] == stack.remembered()["runai.environment.changed"]
    )


def test_a_platform_is_known_by_its_provider(project: Project) -> None:
    """The type says the vendor, whatever the platform is called here."""
    text = (project.path / "reconciler.toml").read_text()
    project.write("reconciler.toml", text.replace("[platforms.runai]", "[platforms.west]"))
    project.write("lab.toml", LAB.replace("on.runai", "on.west"))
    project.run("plan", "--out", "p.json").succeeded()
    view = json.loads(project.run("show", "p.json", "--format", "terraform-json").succeeded().out)
    assert [row["address"] for row in view["resource_changes"]] == ["module.west.runai_environment.lab"]


@pytest.mark.parametrize("form", ["text", "json", "terraform-json", "markdown", "html"])
def test_each_form_is_the_same_bytes_each_time(stack: Project, form: str) -> None:
    """In another process, with another hash seed."""
    stack.run("plan", "--out", "p.json").succeeded()
    said = set()
    for seed in ("0", "77"):
        stack.environment["PYTHONHASHSEED"] = seed
        said.add(stack.spawn("show", "p.json", "--format", form).communicate()[0])
    assert len(said) == 1


def test_a_document_as_an_event(stack: Project) -> None:
    """With --json: one line that holds it, then the summary."""
    stack.run("plan", *ALL).succeeded()
    document, summary = stack.run("show", "p.json", "--format", "markdown", "--json").succeeded().events
    assert document == {"type": "document", "format": "markdown", "text": (stack.path / "c.md").read_text()}
    assert (summary["type"], summary["exit_code"]) == ("summary", 0)


def test_markdown_has_a_budget(stack: Project) -> None:
    """Kept by plan and by show alike; too small a one is wrong usage."""
    stack.run("plan", "--out", "p.json", "--markdown-out", "c.md", "--max-bytes", "2000").succeeded()
    text = (stack.path / "c.md").read_text()
    assert len(text.encode()) <= 2_000
    assert stack.run("show", "p.json", "--format", "markdown", "--max-bytes", "2000").out == text
    assert stack.run("plan", "--max-bytes", "1999").code == 64


def test_a_plan_that_policy_forbids_is_written_for_its_reviewers(stack: Project) -> None:
    """The documents say so; the plan itself is not saved."""
    stack.config("[policy]\nmax_delete_fraction = 0.01\n")
    assert stack.run("plan", *ALL).code == 3
    assert not (stack.path / "p.json").exists()
    assert "**Policy forbids this plan as it stands.**" in (stack.path / "c.md").read_text()
    assert "Policy forbids this plan as it stands" in (stack.path / "r.html").read_text()


@pytest.mark.parametrize("form", ["markdown", "html", "terraform-json"])
def test_only_plans_have_these_forms(stack: Project, form: str) -> None:
    """A resource or a run does not."""
    result = stack.run("show", "runai.environment.same", "--format", form)
    assert result.code == 64
    assert result.err == (
        f"Error: --format {form} is for plans, and there is no file runai.environment.same\n"
        "  `reconciler plan --out FILE` saves a plan.\n"
    )


def test_no_document_has_a_secret(stack: Project) -> None:
    """Neither what was written nor what is shown."""
    stack.run("plan", *ALL).succeeded()
    texts = [(stack.path / name).read_text() for name in ("p.json", *FORMS.values())]
    texts += [
        stack.run("show", "p.json", "--format", form).out for form in (*FORMS, "terraform-json", "text")
    ]
    assert not [text for text in texts if "secret-of-the-hub" in text]
    assert all("secret" in text for text in texts[1:])


@pytest.mark.parametrize("flag", ["--markdown-out", "--html-out"])
def test_a_document_that_cannot_be_written_is_an_error(stack: Project, flag: str) -> None:
    """Exit code 1, and what was in the way."""
    result = stack.run("plan", flag, "no/such/folder/plan")
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        "Error: no/such/folder/plan cannot be written: No such file or directory",
    )


def test_undo_saves_a_plan_that_can_be_shown_whole(stack: Project) -> None:
    """As plan does."""
    stack.run("apply", "--auto-approve").succeeded()
    run = stack.run("history", "--json").events[0]["id"]
    stack.run("undo", run, "--out", "back.json").succeeded()
    view = json.loads(stack.run("show", "back.json", "--format", "terraform-json").succeeded().out)
    assert len(view["planned_values"]["root_module"]["resources"]) >= 5
