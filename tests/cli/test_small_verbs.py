"""`init`, `validate`, `graph`, `schema` and `version`."""

from __future__ import annotations

import json
import os
import signal
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from harness import LAB, Project

import reconciler

STATES = Path(reconciler.__file__).parent.parent / "states"


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """A directory with nothing in it."""
    project = Project(tmp_path / "here", capsys)
    project.path.mkdir()
    return project


# --- init ---


def test_a_new_stack_works_as_it_is(empty: Project) -> None:
    """init, validate, plan, apply, plan: the first five minutes."""
    made = empty.run("init").succeeded()
    assert made.out == (
        "Made the stack here in .: reconciler.toml, notebook.toml, .gitignore.\n"
        "\nNext:\n  reconciler plan\n  reconciler apply\n"
    )
    empty.run("validate").succeeded()
    assert "Plan: 1 to add" in empty.run("plan").succeeded().out
    empty.run("apply", "--auto-approve").succeeded()
    assert empty.run("plan", "--detailed-exitcode").code == 0
    assert (empty.path / ".gitignore").read_text().splitlines()[-1] == ".reconciler/"


def test_a_new_stack_may_get_a_directory(empty: Project) -> None:
    """The commands that are printed next are those that work, blanks or not."""
    made = empty.run("init", "my lab").succeeded().out
    assert made.endswith("\nNext:\n  reconciler -C 'my lab' plan\n  reconciler -C 'my lab' apply\n")
    assert "Plan: 1 to add" in empty.run("-C", "my lab", "plan").succeeded().out
    assert (
        empty.run("-C", "my lab", "init", "inner")
        .succeeded()
        .out.startswith("Made the stack inner in my lab/inner")
    )


@pytest.mark.parametrize("name", ['a "quoted" name', "back\\slash", "größe", "{braces}", "%s", "0", "-dash"])
def test_any_directory_gives_a_name_that_can_be_read(empty: Project, name: str) -> None:
    """The name of the stack is that of its directory, whatever is in it."""
    empty.run("init", f"./{name}").succeeded()
    config = tomllib.loads((empty.path / name / "reconciler.toml").read_text())
    assert config["stack"]["name"] == name
    empty.run("validate", "-C", name).succeeded()


def test_init_overwrites_nothing(empty: Project) -> None:
    """A stack that is there is left alone; other files of these names are too."""
    empty.write("notebook.toml", "mine")
    result = empty.run("init").succeeded()
    assert result.err == "notebook.toml exists and was left as it is.\n"
    assert "reconciler.toml, .gitignore.\n" in result.out
    assert (empty.path / "notebook.toml").read_text() == "mine"
    before = {path.name: path.read_bytes() for path in empty.path.iterdir()}
    again = empty.run("init")
    assert (again.code, again.err) == (1, "Error: reconciler.toml exists already\n  Nothing was written.\n")
    assert {path.name: path.read_bytes() for path in empty.path.iterdir()} == before


def test_init_where_it_cannot_be(empty: Project) -> None:
    """Below a file there is no directory."""
    empty.write("file", "")
    result = empty.run("init", "file/stack")
    assert (result.code, result.err) == (1, "Error: file/stack cannot be written: Not a directory\n")
    assert empty.run("init", "file").code == 64


# --- validate ---


def test_sound_specs_are_said_to_be(project: Project) -> None:
    """How many there are, and that no platform was asked: it is not even there."""
    project.write(
        "reconciler.toml",
        (project.path / "reconciler.toml")
        .read_text()
        .replace('"embedded"', '"https://no-such-host.invalid"'),
    )
    project.write("lab.toml", LAB)
    project.write("user.toml", LAB)
    assert project.run("validate").succeeded().out == "Success! 2 resources in the specs, no problems.\n"


def test_every_complaint_of_every_file_comes_at_once(project: Project) -> None:
    """File, line, column, the line with a caret, what to do; how many there are."""
    project.write("a.toml", LAB + "colour = 1\n")
    project.write("b.toml", 'image = "x"\n\n[on.runai]\nscope = "planet"\n')
    result = project.run("validate")
    assert (result.code, result.out) == (1, "")
    first, second, last = result.err.split("\n\n")
    assert first.startswith(
        "Error: unknown key `colour`\n  on a.toml line 5, column 1:\n    5 | colour = 1\n      | ^\n"
    )
    assert second.startswith(
        "Error: 'planet' is not allowed here\n  on b.toml line 4, column 9:\n"
        '    4 | scope = "planet"\n      |         ^\n'
    )
    assert last == "2 problems in the specs.\n"


def test_a_broken_limit_stops_an_apply_as_a_refusal(project: Project) -> None:
    """An error for validate and plan (1), a refusal of policy for apply (3), whatever the stack is called."""
    project.config('[policy]\nallowed_images = ["nvcr.io/*"]\n')
    project.write("lab.toml", LAB)
    codes = {verb: project.run(verb).code for verb in ("validate", "plan", "apply")}
    assert codes == {"validate": 1, "plan": 1, "apply": 3}
    project.path.rename(project.path.parent / "apply")
    assert Project(project.path.parent, project.capture).run("-C", "apply", "plan").code == 1


# --- graph ---


@pytest.fixture
def linked(project: Project) -> Project:
    """*user* needs *lab*."""
    project.write("lab.toml", LAB)
    project.write("user.toml", LAB.replace("image", 'depends_on = ["runai.environment.lab"]\nimage', 1))
    return project


def test_the_graph_is_mermaid(linked: Project) -> None:
    """What a pull request shows; an arrow points at what is needed."""
    assert linked.run("graph").succeeded().out == (
        'flowchart LR\n  n0["runai.environment.lab"]\n  n1["runai.environment.user"]\n  n1 --> n0\n'
    )


def test_the_graph_is_dot(linked: Project) -> None:
    """For Graphviz."""
    out = linked.run("graph", "--format", "dot").succeeded().out
    assert out.startswith("digraph")
    assert '"runai.environment.user" -> "runai.environment.lab"' in out
    assert out.rstrip().endswith("}")


def test_the_graph_is_svg(linked: Project) -> None:
    """Whole XML, with both names in it, that needs no network."""
    out = linked.run("graph", "--format", "svg").succeeded().out
    root = ElementTree.fromstring(out)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"runai.environment.lab", "runai.environment.user"} <= texts


def test_the_graph_in_json_is_a_record(linked: Project) -> None:
    """The drawing as a text, then the summary."""
    drawing, summary = linked.run("graph", "--json").succeeded().events
    assert drawing == {"type": "graph", "format": "mermaid", "text": linked.run("graph").out}
    assert summary == {"type": "summary", "exit_code": 0, "resources": 2}


# --- schema ---


@pytest.mark.parametrize("what", ["spec", "reconciler"])
def test_a_schema_is_a_schema(empty: Project, what: str) -> None:
    """Valid by its own rules, outside of any stack, and --json wraps it."""
    found = json.loads(empty.run("schema", what).succeeded().out)
    jsonschema.Draft202012Validator.check_schema(found)
    assert empty.run("schema", what, "--json").succeeded().events[0] == {
        "type": "schema",
        "what": what,
        "schema": found,
    }


@pytest.mark.parametrize("file", sorted(STATES.glob("*/*.toml")), ids=lambda path: path.name)
def test_our_own_stacks_fit_the_schemas(empty: Project, file: Path) -> None:
    """An editor that reads the schema underlines nothing in them."""
    what = "reconciler" if file.name == "reconciler.toml" else "spec"
    schema = json.loads(empty.run("schema", what).succeeded().out)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("spec", 'image = "a"\ncolour = "red"\n[on.runai]\nscope = "tenant"\n'),
        ("spec", 'image = "a"\ndepends_on = "b"\n[on.runai]\nscope = "tenant"\n'),
        ("spec", 'image = 1\n[on.runai]\nscope = "tenant"\n'),
        ("reconciler", '[stack]\nname = "a"\ncolour = 1\n[platforms.runai]\nprovider = "runai"\n'),
        ("reconciler", '[stack]\nname = "a"\n[apply]\nparallelism = 0\n'),
    ],
)
def test_a_schema_finds_what_is_wrong(empty: Project, what: str, text: str) -> None:
    """It is no schema that takes everything."""
    schema = json.loads(empty.run("schema", what).succeeded().out)
    assert not jsonschema.Draft202012Validator(schema).is_valid(tomllib.loads(text))


# --- version ---


def test_versions_are_told(empty: Project) -> None:
    """Ours, Python's, the providers', and those of the libraries that matter."""
    first, second, third, *_ = empty.run("version").succeeded().out.splitlines()
    assert first.startswith(f"reconciler {reconciler.__version__} on Python 3.")
    assert second.startswith("providers: ")
    assert "runai" in second
    assert third.startswith("libraries: click ")
    assert empty.run("--version").succeeded().out == f"reconciler, version {reconciler.__version__}\n"
    summary = empty.run("version", "--json").succeeded().events[0]
    assert (summary["reconciler"], "runai" in summary["providers"]) == (reconciler.__version__, True)
    assert "not installed" not in summary["libraries"].values()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_module_is_imported_is_no_mistake_of_ours(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """Modules are imported when they are needed. Python 3.11 wraps what comes up while one makes a class."""

    class Slow:
        def __set_name__(self, owner: type, name: str) -> None:
            os.kill(os.getpid(), number)

    @click.command("version")
    def command() -> None:
        type("Imported", (), {"field": Slow()})

    module = ModuleType("reconciler.cli.commands.version")
    monkeypatch.setattr(module, "command", command, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = project.run("version")
    word = {130: "interrupted", 143: "terminated"}[code]
    assert (found.code, found.err) == (code, f"Error: {word}\n  Nothing more was done.\n")
