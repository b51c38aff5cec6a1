"""No value of a secret in any byte that a command writes, to the screen or to the disk, whatever happens."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from harness import LAB, Project

VALUES = {
    "env": "env value/of+the &first",
    "file": 'file "value" of\nthe second',
    "command": "command-value-of-the-third",
    "key": "embedded-client-secret-0",
}
"""With characters that are spelled otherwise in JSON, URLs and forms."""

SPECS = {
    "first": 'data = { token = { env = "FIRST" } }',
    "second": 'data = { token = { file = "second.secret" } }',
    "third": 'data = { token = { command = ["cat", "third.secret"] } }',
}


def spellings(value: str) -> set[bytes]:
    """How a value may stand in a file."""
    texts = {
        value,
        json.dumps(value)[1:-1],
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(value.encode()).decode(),
    }
    return {text.encode() for text in texts}


@pytest.fixture
def secretive(project: Project) -> Project:
    """Three credentials, each with its secret from elsewhere, and an environment that takes one."""
    project.environment["FIRST"] = VALUES["env"]
    project.write("second.secret", VALUES["file"])
    project.write("third.secret", VALUES["command"])
    for name, data in SPECS.items():
        project.write(
            f"{name}.toml",
            f'kind = "credential"\ntype = "generic-secret"\n{data}\non.runai.scope = "tenant"\n',
        )
    used = 'environment_variables = { T = { credential = "first", key = "token" } }\n'
    project.write("lab.toml", used + LAB)
    return project


def leaks(project: Project, *said: str) -> list[str]:
    """Where a value was written, or said."""
    sources = {"second.secret", "third.secret", "reconciler.toml"}
    found = []
    for name, value in VALUES.items():
        for spelling in spellings(value):
            found += [f"{name}: said" for text in said if spelling in text.encode()]
            found += [
                f"{name}: {path.relative_to(project.path)}"
                for path in project.path.rglob("*")
                if path.is_file() and path.name not in sources and spelling in path.read_bytes()
            ]
    return found


FAULTS = {
    "nothing fails": "",
    "refused, in the words of the secret": f"status = 400, message = {json.dumps('no: ' + VALUES['env'])}",
    "broken": "status = 500",
    "the answer is lost": 'drop = "after"',
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("loud", [(), ("-v", "--debug"), ("-v", "--debug", "--json")], ids=" ".join)
def test_nothing_is_written_of_a_secret(secretive: Project, loud: tuple[str, ...], fault: str) -> None:
    """Every verb, quiet and at its loudest, in good times and bad."""
    what = FAULTS[fault]
    if what:
        rule = f'{{ on = "POST */credentials/*", nth = [2], {what} }}'
        secretive.config(f"faults = [{rule}]\n")
    said = []
    for words in (
        ("validate",),
        (
            "plan",
            "--out",
            "saved.plan",
            "--json-out",
            "plan.json",
            "--markdown-out",
            "c.md",
            "--html-out",
            "r.html",
        ),
        ("apply", "saved.plan"),
        ("apply", "--auto-approve"),
        ("plan",),
        ("list",),
        ("list", "--format", "json"),
        ("show", "runai.credential.first"),
        ("show", "saved.plan"),
        *(
            ("show", "saved.plan", "--format", form)
            for form in ("json", "terraform-json", "markdown", "html")
        ),
        ("drift", "--json-out", "d.json", "--markdown-out", "d.md", "--junit-out", "d.xml"),
        ("drift", "--metrics-out", "d.prom"),
        ("drift", "--heal", "--auto-approve"),
        ("apply", "--refresh-only", "--auto-approve"),
        ("import", "--all"),
        ("import", "--update", "runai.credential.first"),
        ("history",),
        ("state", "pull"),
        ("state", "show", "runai.credential.second"),
        ("graph",),
    ):
        result = secretive.run(*words, *loud)
        said += [result.out, result.err]
    secretive.config()  # what it is no longer, nobody can know in the words of others
    secretive.environment["FIRST"] = VALUES["env"] + " changed"
    for words in (("plan",), ("apply", "--auto-approve"), ("destroy", "--auto-approve")):
        result = secretive.run(*words, *loud)
        said += [result.out, result.err]
    runs = [one["id"] for one in secretive.run("history", "--json").events if one["type"] == "run"]
    for run in runs:
        result = secretive.run("show", run, *loud)
        said += [result.out, result.err]
    assert len(runs) >= 3
    assert leaks(secretive, *said) == []


@pytest.mark.parametrize("loud", [(), ("-v", "--debug")], ids=" ".join)
def test_nothing_is_written_of_the_access_key(secretive: Project, loud: tuple[str, ...]) -> None:
    """A tenant that is not there, one that cannot be signed in to."""
    secretive.environment["KEY"] = VALUES["key"]
    text = (secretive.path / "reconciler.toml").read_text()
    text = text.replace('"embedded"', '"http://127.0.0.1:1"')
    secretive.write(
        "reconciler.toml",
        text + 'client_id = "someone"\nclient_secret = { env = "KEY" }\ntimeout_seconds = 0.5\n',
    )
    result = secretive.run("plan", *loud)
    assert result.code == 1
    assert leaks(secretive, result.out, result.err) == []


def test_the_harness_finds_a_leak(secretive: Project) -> None:
    """In each spelling."""
    for name, value in VALUES.items():
        for spelling in spellings(value):
            leak = secretive.path / "leak.txt"
            leak.write_bytes(b"x" + spelling + b"y")
            assert f"{name}: leak.txt" in leaks(secretive)
            leak.unlink()
