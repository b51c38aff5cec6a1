"""What is in a build context, and the hash that its address has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from azureml_specs import write

from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.context import open_context

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "contexts.json").read_text(encoding="utf-8"))


def complaint(manifest: dict[str, Any], stack: Path) -> str:
    """Why there is no such context; with something to do about it."""
    with pytest.raises(ReconcilerError) as caught:
        open_context(manifest, stack)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("name", VECTORS)
def test_the_hash_is_that_of_the_vendors_client(name: str, tmp_path: Path) -> None:
    """Of files, directories, links and what an ignore file leaves out; computed by azure-ai-ml 1.35.2."""
    write(tmp_path / "ctx", VECTORS[name]["tree"])
    context = open_context({"directory": "ctx"}, tmp_path)
    assert (context.digest(), context.directory) == (VECTORS[name]["hash"], "ctx")


def test_files_that_are_made_have_the_hash_of_the_same_files_in_a_directory(tmp_path: Path) -> None:
    """Whether they are texts of ours or files of the stack."""
    tree = VECTORS["directories"]["tree"]
    write(tmp_path / "elsewhere", {"main.py": tree["src/pkg/main.py"]})
    files = {name: {"text": text} for name, text in tree.items()}
    files["src/pkg/main.py"] = {"path": "elsewhere/main.py"}
    context = open_context({"files": files}, tmp_path)
    assert (context.digest(), context.directory) == (VECTORS["directories"]["hash"], "context")


def test_every_file_is_there_in_the_order_of_the_hash(tmp_path: Path) -> None:
    """Names with slashes, and their bytes; what is left out is not."""
    write(
        tmp_path / "docker" / "train",
        {
            "Dockerfile": "FROM x\n",
            "src/b.py": "b",
            "src/A.py": "a",
            "notes/todo": "1",
            ".amlignore": "notes/\n.amlignore\n",
            "link": "->src",
        },
    )
    context = open_context({"directory": "docker/train"}, tmp_path)
    assert [(file.name, file.read()) for file in context.files] == [
        ("Dockerfile", b"FROM x\n"),
        ("link/A.py", b"a"),
        ("link/b.py", b"b"),
        ("src/A.py", b"a"),
        ("src/b.py", b"b"),
    ]
    assert context.directory == "train"


def test_what_is_below_an_ignored_directory_cannot_be_brought_back(tmp_path: Path) -> None:
    """As in git: the hash of the vendor's client does not look there either."""
    write(tmp_path / "ctx", {"Dockerfile": "F", "data/keep": "1", ".amlignore": "data\n!data/keep\n"})
    assert [one.name for one in open_context({"directory": "ctx"}, tmp_path).files] == [
        ".amlignore",
        "Dockerfile",
    ]


def test_a_change_between_plan_and_upload_shows_in_the_hash(tmp_path: Path) -> None:
    """The bytes are read when they are asked for."""
    write(tmp_path / "ctx", {"Dockerfile": "FROM a\n"})
    context = open_context({"directory": "ctx"}, tmp_path)
    before = context.digest()
    write(tmp_path / "ctx", {"Dockerfile": "FROM b\n"})
    assert context.digest() != before


LINKS = {
    "out of the stack": ("->/etc/hostname", "the link 'x' leads out of the build context"),
    "out of the context": ("->../outside", "the link 'x' leads out of the build context"),
    "nowhere": ("->nothing", "the link 'x' leads nowhere"),
    "to itself": ("->x", "the link 'x' leads nowhere"),
    "in a circle": ("->.", "the link 'x' leads to a directory that it is in"),
}


@pytest.mark.parametrize(("target", "summary"), LINKS.values(), ids=LINKS)
def test_links_are_not_followed_out_of_the_context(target: str, summary: str, tmp_path: Path) -> None:
    """What they lead to is in nobody's review."""
    write(tmp_path, {"outside": "1", "ctx/Dockerfile": "F", "ctx/x": target})
    assert complaint({"directory": "ctx"}, tmp_path) == summary
    write(tmp_path, {"ctx/.amlignore": "x\n"})
    assert len(open_context({"directory": "ctx"}, tmp_path).files) == 2


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Reading it would never end."""
    write(tmp_path, {"ctx/Dockerfile": "F"})
    os.mkfifo(tmp_path / "ctx" / "pipe")
    assert complaint({"directory": "ctx"}, tmp_path) == "'pipe' is neither a file nor a directory"


PATHS = {
    "missing": "there is no 'missing'",
    "file": "'file' is no directory",
    ".": "the build context would be the whole stack",
    "../elsewhere": "'../elsewhere' leads out of the directory of the stack",
    "/etc": "'/etc' is an absolute path",
    "out": "'out' leads out of the directory of the stack",
    "empty": "there is no file in 'empty'",
    "ignored": "there is no file in 'ignored'",
}


@pytest.mark.parametrize(("path", "summary"), PATHS.items(), ids=PATHS)
def test_what_is_no_context_is_refused(path: str, summary: str, tmp_path: Path) -> None:
    """Before anything is uploaded."""
    stack = write(tmp_path / "stack", {"file": "", "out": "->../elsewhere", "ignored/.gitignore": "*\n"})
    (stack / "empty").mkdir()
    write(tmp_path / "elsewhere", {"Dockerfile": "F"})
    assert complaint({"directory": path}, stack) == summary


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    """One of a context that is made of files."""
    manifest = {"files": {"wheels/x.whl": {"path": "dist/x.whl"}}}
    assert complaint(manifest, tmp_path) == "there is no 'dist/x.whl'"
