"""``[[accept_drift]]``: drift that people decided to live with, until a day."""

from __future__ import annotations

import re

import pytest
from harness import LAB, Project

ENTRY = """
[[accept_drift]]
address = "runai.environment.lab"
field = "image"
reason = "the vision team tries 3.10"
owner = "ann@example.com"
expires = 2023-11-14
"""
THE_DAY, THE_DAY_AFTER = "1699999999", "1700006400"
"""2023-11-14 and 2023-11-15, in UTC."""


@pytest.fixture
def drifted(project: Project) -> Project:
    """*lab* and *other*, applied; the image of *lab* was changed since."""
    project.environment["SOURCE_DATE_EPOCH"] = THE_DAY
    project.write("lab.toml", LAB)
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.10")
    return project


def told(text: str) -> str:
    """What drift said, without when things were changed."""
    return re.sub(r"    last changed .*\n", "", text)


def test_accepted_drift_is_shown_and_does_not_count(drifted: Project) -> None:
    """Exit code 0 until the end of the day that it names, with who answers for it and why."""
    drifted.config(ENTRY)
    result = drifted.run("drift").succeeded()
    assert told(result.out) == (
        "~ runai.environment.lab was changed outside\n"
        '    ~ image = "python:3.11" -> "python:3.10"\n'
        "      accepted until 2023-11-14 by ann@example.com: the vision team tries 3.10\n"
        "\n"
        "No new drift. 1 of 2 resources not as last applied, 1 of them accepted.\n"
    )
    found, summary = drifted.run("drift", "--json").events
    assert (found["drift"][0]["class"], found["in_sync"]) == ("accepted", True)
    assert found["drift"][0]["fields"][0]["accepted"] == {
        "reason": "the vision team tries 3.10",
        "owner": "ann@example.com",
        "expires": "2023-11-14",
        "expired": False,
    }
    assert summary == {
        "type": "summary",
        "exit_code": 0,
        "checked": 2,
        "drifted": 1,
        "known": 0,
        "accepted": 1,
        "unread": 0,
    }


def test_an_expired_entry_counts_again_and_says_so(drifted: Project) -> None:
    """From midnight on, with the decision that it was."""
    drifted.config(ENTRY)
    drifted.environment["SOURCE_DATE_EPOCH"] = THE_DAY_AFTER
    result = drifted.run("drift")
    assert (result.code, told(result.out)) == (
        2,
        "~ runai.environment.lab was changed outside\n"
        '    ~ image = "python:3.11" -> "python:3.10"\n'
        "      was accepted until 2023-11-14, which is over, by ann@example.com: the vision team tries 3.10\n"
        "\n"
        "Drift: 1 of 2 resources not as last applied.\n",
    )
    assert drifted.run("drift", "--json").events[0]["drift"][0]["class"] == "expired"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ({"command": "sh"}, 2),
        ({"image": "python:3.9"}, 0),
    ],
)
def test_other_drift_of_the_same_resource_counts(drifted: Project, edit: dict[str, str], code: int) -> None:
    """The entry is about its field, whatever value that has, and about no other."""
    drifted.write("lab.toml", 'command = "bash"\n' + LAB)
    drifted.run("apply", "--auto-approve").succeeded()
    drifted.config(ENTRY)
    drifted.hand().edit("lab", **{"image": "python:3.10", **edit})
    assert drifted.run("drift").code == code


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY.replace('"runai.environment.lab"', '"runai.environment.*"'),
        ENTRY.replace('field = "image"', 'fields = ["command", "image"]'),
        ENTRY.replace('"image"', '"im*"'),
    ],
)
def test_addresses_and_fields_may_be_globs_and_several(drifted: Project, entry: str) -> None:
    """One decision for many resources, or for many fields."""
    drifted.config(entry)
    drifted.run("drift").succeeded()


def test_an_entry_that_no_drift_needs_says_so(drifted: Project) -> None:
    """A decision that has done its work is to be removed; nothing is hidden by it meanwhile."""
    drifted.config(ENTRY.replace("lab", "other"))
    result = drifted.run("drift")
    assert (result.code, result.out.splitlines()[0]) == (
        2,
        "Warning: [[accept_drift]] runai.environment.other image: no drift needs it; remove it",
    )


WRONG = {
    "no field": (("field", ""), "which field? `field` is missing", ""),
    "both forms": (("field", 'fields = ["a"]\nfield = "b"'), "`field` and `fields` exclude each other", ""),
    "a day in quotes": (("expires", 'expires = "2023-11-14"'), "`expires` is a day", "expires"),
    "a moment": (("expires", "expires = 2023-11-14T10:00:00Z"), "`expires` is a day", "expires"),
    "no such day": (("expires", "expires = 2023-02-31"), "", ""),
    "no reason": (("reason", ""), "`reason` is missing", ""),
    "an empty owner": (("owner", 'owner = ""'), "`owner`", "owner"),
    "no expiry": (("expires", ""), "`expires` is missing", ""),
    "no address": (
        ("address", 'address = "lab"'),
        "'lab' is no address and no glob over addresses",
        "address",
    ),
    "a slip": (("reason", 'reson = "x"'), "unknown key `reson`", "reson"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place(drifted: Project, case: str) -> None:
    """By `validate` and by `drift` alike: file, line and what to do; nothing is compared."""
    (key, line), summary, at = WRONG[case]
    drifted.config(
        "".join(f"{line}\n" if part.startswith(f"{key} =") else f"{part}\n" for part in ENTRY.splitlines())
    )
    lines = (drifted.path / "reconciler.toml").read_text().splitlines()
    for verb in ("validate", "drift"):
        result = drifted.run(verb)
        assert (result.code, result.out) == (1, "")
        assert f"Error: {summary}" in result.err
        number = next((n for n, text in enumerate(lines, 1) if at and text.startswith(f"{at} =")), 0)
        assert f" on reconciler.toml line {number or ''}" in result.err


def test_the_schema_knows_it(project: Project) -> None:
    """Editors help with it."""
    schema = project.run("schema", "reconciler").out
    assert '"accept_drift"' in schema
