"""`drift` for a cron job: what is known already, and numbers for Prometheus."""

from __future__ import annotations

import json
import os
import re
import stat

import pytest
from harness import LAB, Project

NOW = "1700000000"


@pytest.fixture
def watched(project: Project) -> Project:
    """*lab* and *other*, applied; *lab* was changed since, and a baseline has that."""
    project.environment["SOURCE_DATE_EPOCH"] = NOW
    project.write("lab.toml", LAB)
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.10")
    assert project.run("drift", "--json-out", "known.json").code == 2
    return project


# --- the baseline ---


def test_what_the_baseline_has_is_known(watched: Project) -> None:
    """It is shown, and is no news."""
    result = watched.run("drift", "--baseline", "known.json").succeeded()
    assert re.sub(r"    last changed .*\n", "", result.out) == (
        "~ runai.environment.lab was changed outside (known)\n"
        '    ~ image = "python:3.11" -> "python:3.10"\n'
        "\n"
        "No new drift. 1 of 2 resources not as last applied, as the baseline has it.\n"
    )
    drift, summary = watched.run("drift", "--baseline", "known.json", "--json").events
    assert ([one["known"] for one in drift["drift"]], drift["in_sync"]) == ([True], False)
    assert summary == {
        "type": "summary",
        "exit_code": 0,
        "checked": 2,
        "drifted": 1,
        "known": 1,
        "accepted": 0,
        "unread": 0,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"image": "python:3.9"},
        {"image": "python:3.10", "command": "sh"},
        {"image": None},
    ],
    ids=str,
)
def test_other_drift_of_the_same_resource_is_news(watched: Project, change: dict[str, str]) -> None:
    """Another value, another field, or no object any more."""
    hand = watched.hand()
    if change["image"] is None:
        hand.delete("lab")
    else:
        watched.write("lab.toml", LAB.replace("\n\n", '\ncommand = "bash"\n\n', 1))
        watched.run("apply", "--auto-approve").succeeded()
        hand.edit("lab", **change)
    assert watched.run("drift", "--baseline", "known.json").code == 2


def test_drift_of_another_resource_is_news(watched: Project) -> None:
    """The known one does not count, the new one does."""
    watched.hand().delete("other")
    result = watched.run("drift", "--baseline", "known.json")
    assert (result.code, result.out.splitlines()[-1]) == (
        2,
        "Drift: 2 of 2 resources not as last applied, 1 of them known.",
    )


def test_what_is_written_with_a_baseline_is_one_again(watched: Project) -> None:
    """So a job may go on from its last findings."""
    watched.run("drift", "--baseline", "known.json", "--json-out", "known.json").succeeded()
    watched.run("drift", "--baseline", "known.json").succeeded()


def test_a_value_that_may_not_be_shown_is_never_known(watched: Project) -> None:
    """Nobody can say that it is the same one."""
    watched.write("lab.toml", LAB.replace("\n\n", '\n\n[environment_variables]\nMODE = "a"\n\n', 1))
    watched.run("apply", "--auto-approve").succeeded()
    secret = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
    watched.hand().edit("lab", environmentVariables=[{"name": "MODE", "value": secret}])
    result = watched.run("drift", "--json-out", "known.json")
    assert "MODE changed (secret)" in result.out
    assert watched.run("drift", "--baseline", "known.json").code == 2


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"drift": [1]}', '{"drift": {"a": {}}}', "\xff"])
def test_what_is_no_baseline_is_an_error(watched: Project, text: str | None) -> None:
    """It is found before anything is compared."""
    if text is not None:
        (watched.path / "bad.json").write_text(text, encoding="latin-1")
    result = watched.run("drift", "--baseline", "bad.json")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: bad.json ")
    assert result.err.endswith("  `reconciler drift --json-out FILE` writes a baseline.\n")


# --- metrics ---


def samples(project: Project) -> dict[str, int]:
    """What the file of metrics says."""
    lines = (project.path / "drift.prom").read_text().splitlines()
    assert all(line.split()[1] in ("HELP", "TYPE") for line in lines if line.startswith("#"))
    return {name: int(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


def test_drift_in_numbers(watched: Project) -> None:
    """By platform; when, and how it ended. For another user to read, and nothing else left behind."""
    before = {path.name for path in watched.path.iterdir()}
    usual = os.umask(0o022)
    code = watched.run("drift", "--baseline", "known.json", "--metrics-out", "drift.prom").code
    os.umask(usual)
    assert (code, {path.name for path in watched.path.iterdir()} - before) == (0, {"drift.prom"})
    runai = '{stack="test",platform="runai"}'
    assert samples(watched) == {
        'reconciler_drift_last_run_timestamp_seconds{stack="test"}': int(NOW),
        'reconciler_drift_exit_code{stack="test"}': 0,
        f"reconciler_managed_resources{runai}": 2,
        f"reconciler_drift_resources{runai}": 1,
        f"reconciler_drift_known_resources{runai}": 1,
    }
    assert stat.S_IMODE((watched.path / "drift.prom").stat().st_mode) == 0o644
    text = (watched.path / "drift.prom").read_text()
    assert text.count("# TYPE ") == text.count("# HELP ") == 5
    assert watched.run("drift", "--metrics-out", "drift.prom").code == 2
    assert samples(watched)['reconciler_drift_exit_code{stack="test"}'] == 2


@pytest.mark.parametrize(
    ("config", "labels", "code"),
    [
        ('faults = [{ on = "GET /api/v1/asset/*", status = 503 }]\n', '{stack="test"}', 1),
        ("nonsense\n", "", 1),
    ],
)
def test_a_failure_is_in_the_numbers_too(watched: Project, config: str, labels: str, code: int) -> None:
    """How it ended and when, but no numbers of resources: nobody counted them."""
    watched.run("drift", "--metrics-out", "drift.prom")
    watched.config(config)
    assert watched.run("drift", "--metrics-out", "drift.prom").code == code
    assert samples(watched) == {
        f"reconciler_drift_last_run_timestamp_seconds{labels}": int(NOW),
        f"reconciler_drift_exit_code{labels}": code,
    }


def test_a_name_is_escaped(watched: Project) -> None:
    """Whatever a stack is called, its file can be parsed."""
    config = (watched.path / "reconciler.toml").read_text()
    name = json.dumps('a "b" \\ c')
    watched.write("reconciler.toml", config.replace('"test"', name))
    watched.run("drift", "--metrics-out", "drift.prom")
    assert 'exit_code{stack="a \\"b\\" \\\\ c"} ' in (watched.path / "drift.prom").read_text()
