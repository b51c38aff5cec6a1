"""`reconciler fmt`: which files it takes, what it says, and what it leaves alone."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from harness import CONFIG, LAB, Project

UGLY = "[on.runai]\nscope='tenant'\n"
LAID_OUT = '[on.runai]\nscope = "tenant"\n'


@pytest.fixture
def stack(project: Project) -> Project:
    """A stack with two files that are not laid out, and one that is."""
    project.write("ugly.toml", UGLY)
    project.write("teams/ugly.toml", UGLY)
    project.write("lab.toml", LAB)
    return project


def test_all_files_of_a_stack_are_laid_out(stack: Project) -> None:
    """Those that change are named; a second run has nothing to do."""
    stack.write("reconciler.toml", CONFIG.replace(" = ", "="))
    result = stack.run("fmt").succeeded()
    assert (result.out, result.err) == ("reconciler.toml\nteams/ugly.toml\nugly.toml\n", "")
    assert (stack.path / "ugly.toml").read_text() == LAID_OUT
    assert (stack.path / "reconciler.toml").read_text() == CONFIG
    assert (stack.path / "lab.toml").read_text() == LAB
    assert stack.run("fmt").succeeded().out == ""


@pytest.mark.parametrize("flags", [("--check",), ("--diff",), ("--check", "--diff")])
def test_looking_changes_nothing(stack: Project, flags: tuple[str, ...]) -> None:
    """Exit code 1 while something is not laid out, 0 after."""
    assert stack.run("fmt", *flags).code == 1
    assert (stack.path / "ugly.toml").read_text() == UGLY
    stack.run("fmt").succeeded()
    assert stack.run("fmt", *flags).succeeded().out == ""


def test_check_lists_files(stack: Project) -> None:
    """A line for each, for a log."""
    assert stack.run("fmt", "--check").out == "teams/ugly.toml\nugly.toml\n"


@pytest.mark.parametrize(
    "text", [UGLY, UGLY.replace("\n", "\r\n"), UGLY.rstrip(), "\tname\t=\t'a' # é\n" + UGLY]
)
def test_a_diff_can_be_applied(stack: Project, text: str) -> None:
    """In the form that git reads, whatever the line ends are."""
    (stack.path / "ugly.toml").write_bytes(text.encode())
    patch = stack.run("fmt", "--diff", "ugly.toml").out
    assert patch.startswith("--- a/ugly.toml\n+++ b/ugly.toml\n@@ ")
    subprocess.run(["git", "apply", "-"], cwd=stack.path, input=patch.encode(), check=True)
    assert (stack.path / "ugly.toml").read_bytes().endswith(LAID_OUT.encode())
    assert stack.run("fmt", "ugly.toml").succeeded().out == ""


def test_named_files_and_folders(stack: Project) -> None:
    """Only those, each once."""
    result = stack.run("fmt", "teams", "teams/ugly.toml").succeeded()
    assert result.out == "teams/ugly.toml\n"
    assert (stack.path / "ugly.toml").read_text() == UGLY


def test_a_file_of_no_stack_is_left_alone(tmp_path: Path, stack: Project) -> None:
    """pre-commit names all that changed, pyproject.toml too."""
    outside = Project(tmp_path, stack.capture)
    outside.write("pyproject.toml", UGLY)
    result = outside.run("fmt", "pyproject.toml", "stack/ugly.toml").succeeded()
    assert result.out == "stack/ugly.toml\n"
    assert (tmp_path / "pyproject.toml").read_text() == UGLY


def test_a_stack_that_is_named(stack: Project) -> None:
    """With -C, from above; files are named from here."""
    above = Project(stack.path.parent, stack.capture)
    assert above.run("-C", "stack", "fmt").succeeded().out == "stack/teams/ugly.toml\nstack/ugly.toml\n"


def test_what_does_not_parse_is_complained_of_as_elsewhere(stack: Project) -> None:
    """Each at its place; the other files are laid out all the same."""
    stack.write("broken.toml", "image = \n")
    stack.write("odd.toml", "")
    (stack.path / "odd.toml").write_bytes(b'image = "\xff"\n')
    result = stack.run("fmt")
    assert (result.code, result.out) == (1, "teams/ugly.toml\nugly.toml\n")
    assert result.err.count("Error: ") == 2
    assert (
        " on broken.toml line 1, column 9:\n    1 | image = \n" in result.err
        or " on broken.toml line 1" in result.err
    )
    assert "this byte is not UTF-8" in result.err
    complaint = stack.run("validate").err
    assert all(line in complaint for line in result.err.splitlines()[:2])


def test_what_is_not_there_is_wrong_usage(stack: Project) -> None:
    """A typing error is not silence."""
    result = stack.run("fmt", "lba.toml")
    assert (result.code, result.err) == (64, "Error: there is no file lba.toml\n")


def test_a_file_keeps_its_mode_and_a_link_stays_one(stack: Project) -> None:
    """Only the text changes."""
    (stack.path / "ugly.toml").chmod(0o640)
    (stack.path / "link.toml").symlink_to("teams/ugly.toml")
    stack.run("fmt").succeeded()
    assert stat.filemode((stack.path / "ugly.toml").stat().st_mode) == "-rw-r-----"
    assert (stack.path / "link.toml").is_symlink()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"\n\n", b""),
        (b"\xef\xbb\xbfimage = 'a'\r\n", b'image = "a"\n'),
        (b"image = 'a'", b'image = "a"\n'),
        (b"# only this", b"# only this\n"),
    ],
)
def test_odd_files(stack: Project, before: bytes, after: bytes) -> None:
    """Nothing, a byte order mark, line ends of Windows, none at the end."""
    (stack.path / "odd.toml").write_bytes(before)
    stack.run("fmt", "odd.toml").succeeded()
    assert (stack.path / "odd.toml").read_bytes() == after


def test_events(stack: Project) -> None:
    """With --json: a line for each file, and how many."""
    *files, summary = stack.run("fmt", "--check", "--json").events
    assert files == [{"type": "file", "file": "teams/ugly.toml"}, {"type": "file", "file": "ugly.toml"}]
    assert summary == {"type": "summary", "exit_code": 1, "files": 2}


def test_a_plan_does_not_change_by_it(stack: Project) -> None:
    """The digest of what was reviewed stays."""
    stack.write("user.toml", "working_dir='/w'\nimage='python:3.11' # why\n[on.runai]\nscope='tenant'\n")
    for name in ("ugly.toml", "teams/ugly.toml"):
        (stack.path / name).unlink()
    before = json.loads(stack.run("plan", "--json").succeeded().out.splitlines()[0])["digest"]
    stack.run("fmt").succeeded()
    assert json.loads(stack.run("plan", "--json").succeeded().out.splitlines()[0])["digest"] == before
