"""`drift` for a cron job: what is known already, and numbers for Prometheus."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any
from xml.etree import ElementTree

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


def samples(project: Project) -> dict[str, float]:
    """What the file of metrics says, without zeros."""
    lines = (project.path / "drift.prom").read_text().splitlines()
    assert all(line.split()[1] in ("HELP", "TYPE") for line in lines if line.startswith("#"))
    found = {name: float(value) for name, value in (line.split() for line in lines if line[0] != "#")}
    return {name: value for name, value in found.items() if value}


def test_drift_in_numbers(watched: Project) -> None:
    """By platform and class; when, how it ended, at what cost. For another user to read, and nothing else."""
    before = {path.name for path in watched.path.iterdir()}
    watched.write("new.toml", LAB)
    watched.hand().create("stray")
    usual = os.umask(0o022)
    code = watched.run("drift", "--baseline", "known.json", "--metrics-out", "drift.prom").code
    os.umask(usual)
    assert (code, {path.name for path in watched.path.iterdir()} - before) == (0, {"drift.prom", "new.toml"})
    runai = 'stack="test",platform="runai"'
    assert samples(watched) == {
        'reconciler_drift_last_run_timestamp_seconds{stack="test"}': int(NOW),
        'reconciler_drift_last_success_timestamp_seconds{stack="test"}': int(NOW),
        f"reconciler_managed_resources{{{runai}}}": 2,
        f'reconciler_drift_resources{{{runai},class="known"}}': 1,
        f"reconciler_drift_pending_resources{{{runai}}}": 1,
        f"reconciler_drift_unmanaged_objects{{{runai}}}": 1,
        f"reconciler_drift_api_calls{{{runai}}}": 6,
    }
    assert stat.S_IMODE((watched.path / "drift.prom").stat().st_mode) == 0o644
    text = (watched.path / "drift.prom").read_text()
    assert text.count("# TYPE ") == text.count("# HELP ") == 13
    assert watched.run("drift", "--metrics-out", "drift.prom").code == 2
    found = samples(watched)
    assert found['reconciler_drift_exit_code{stack="test"}'] == 2
    assert found[f'reconciler_drift_resources{{{runai},class="changed"}}'] == 1
    (watched.path / "new.toml").unlink()
    watched.hand().delete("stray")
    watched.run("apply", "--auto-approve").succeeded()
    watched.run("drift", "--metrics-out", "drift.prom").succeeded()
    assert samples(watched)['reconciler_drift_in_sync{stack="test"}'] == 1


def test_the_age_is_that_of_the_oldest_drift_that_counts(watched: Project) -> None:
    """Since it was first found; what the baseline has or people accepted has no age."""
    watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 3600)
    watched.hand().delete("other")
    age = 'reconciler_drift_oldest_age_seconds{stack="test"}'
    watched.run("drift", "--metrics-out", "drift.prom")
    assert samples(watched)[age] == 3600
    watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 7200)
    watched.run("drift", "--metrics-out", "drift.prom", "--baseline", "known.json")
    assert samples(watched)[age] == 3600
    watched.hand().edit("lab", image="python:3.11")
    watched.run("drift", "--metrics-out", "drift.prom")
    assert samples(watched)[age] == 3600
    watched.hand().edit("lab", image="python:3.10")
    watched.run("drift", "--metrics-out", "drift.prom")
    assert samples(watched)[age] == 3600


def test_calls_that_were_to_go_slower_are_counted(watched: Project) -> None:
    """And repeated, which are calls as well."""
    watched.config('faults = [{ on = "GET */environment", nth = [1], status = 429, retry_after = 0.01 }]\n')
    watched.run("drift", "--metrics-out", "drift.prom")
    found = samples(watched)
    assert found['reconciler_drift_throttled_calls{stack="test",platform="runai"}'] == 1
    assert found['reconciler_drift_api_calls{stack="test",platform="runai"}'] == 7


@pytest.mark.parametrize(
    ("config", "stack", "calls"),
    [
        ('faults = [{ on = "GET /api/v1/asset/*", status = 503 }]\n', '{stack="test"}', 6),
        ("nonsense\n", "", 0),
    ],
)
def test_a_failure_is_in_the_numbers_too(watched: Project, config: str, stack: str, calls: int) -> None:
    """How it ended and when, and when all was well, but no numbers of resources: nobody counted them."""
    watched.run("drift", "--metrics-out", "drift.prom")
    later = watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 60)
    watched.config(config)
    assert watched.run("drift", "--metrics-out", "drift.prom").code == 1
    expected = {
        f"reconciler_drift_last_run_timestamp_seconds{stack}": int(later),
        f"reconciler_drift_exit_code{stack}": 1,
    }
    if stack:
        expected |= {
            f"reconciler_drift_last_success_timestamp_seconds{stack}": int(NOW),
            'reconciler_drift_api_calls{stack="test",platform="runai"}': calls,
        }
    assert samples(watched) == expected


def test_a_name_is_escaped(watched: Project) -> None:
    """Whatever a stack is called, its file can be parsed."""
    config = (watched.path / "reconciler.toml").read_text()
    name = json.dumps('a "b" \\ c')
    watched.write("reconciler.toml", config.replace('"test"', name))
    watched.run("drift", "--metrics-out", "drift.prom")
    assert 'exit_code{stack="a \\"b\\" \\\\ c"} ' in (watched.path / "drift.prom").read_text()


# --- since when ---


def kept(project: Project) -> dict[str, Any]:
    """The record of drift."""
    found: dict[str, Any] = json.loads((project.path / ".reconciler" / "drift.json").read_text())["record"]
    return found


def test_since_when_a_drift_is_known_is_kept_beside_the_state(watched: Project) -> None:
    """For each field, when it was first and last found; whatever else comes and goes."""
    later = watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 60)
    watched.hand().edit("lab", image="python:3.10", command="sh")
    watched.hand().delete("other")
    found = watched.run("drift", "--json").events[0]
    first, last = "2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"
    assert [(one["first_seen"], one["last_seen"]) for one in found["drift"]] == [(first, last), (last, last)]
    assert kept(watched)["seen"] == {
        "runai.environment.lab\timage": {"first": first, "last": last},
        "runai.environment.other": {"first": last, "last": last},
    }
    assert stat.S_IMODE((watched.path / ".reconciler" / "drift.json").stat().st_mode) == 0o600
    watched.run("apply", "--auto-approve").succeeded()
    watched.run("drift").succeeded()
    assert (kept(watched)["seen"], kept(watched)["last_success"]) == ({}, last)
    assert later


def test_what_cannot_be_read_keeps_its_age(watched: Project) -> None:
    """Nobody saw that it is over."""
    before = kept(watched)
    watched.write("size.toml", 'kind = "compute"\ncpu_cores = 1\non.runai.scope = "tenant"\n')
    watched.run("apply", "--auto-approve", "--target", "*.size").succeeded()
    watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 60)
    watched.config('faults = [{ on = "GET */environment", status = 403 }]\n')
    assert watched.run("drift").code == 8
    assert kept(watched) == before


@pytest.mark.parametrize("damage", ["", "{", '{"format_version": 1}', "torn", "altered", "newer"])
def test_a_damaged_record_is_said_and_made_anew(watched: Project, damage: str) -> None:
    """Drift is found all the same; how old it is counts from now on."""
    file = watched.path / ".reconciler" / "drift.json"
    text = file.read_text()
    damaged = {
        "torn": text[:-20],
        "altered": text.replace("13:20Z", "13:21Z", 1),
        "newer": text.replace('"format_version":1', '"format_version":2'),
    }
    file.write_text(damaged.get(damage, damage))
    watched.environment["SOURCE_DATE_EPOCH"] = str(int(NOW) + 60)
    result = watched.run("drift")
    said = "is of format 2, which this version does not know" if damage == "newer" else "is damaged"
    assert result.code == 2
    assert result.out.startswith("Warning: ")
    assert f"drift.json {said}: how old a drift is counts from now on\n" in result.out
    assert watched.run("drift").out.startswith("~ ")
    (seen,) = kept(watched)["seen"].values()
    assert seen["first"] == "2023-11-14T22:14:20Z"


def test_a_record_that_cannot_be_written_hides_no_drift(watched: Project) -> None:
    """A warning, and the result."""
    (watched.path / ".reconciler" / "drift.json").unlink()
    (watched.path / ".reconciler" / "drift.json").mkdir()
    result = watched.run("drift")
    assert (result.code, "Warning: since when a drift is known cannot be kept" in result.out) == (2, True)
    (watched.path / ".reconciler" / "drift.lock").unlink()
    (watched.path / ".reconciler" / "drift.lock").mkdir()
    result = watched.run("drift")
    assert (result.code, "Warning: since when a drift is known cannot be kept" in result.out) == (2, True)


# --- documents ---


def test_every_document_in_one_run(watched: Project) -> None:
    """And byte for byte the same when nothing changed but the clock's own fields."""
    files = {name: f"drift.{name}" for name in ("json", "markdown", "junit", "metrics")}
    words = [word for name, file in files.items() for word in (f"--{name}-out", file)]
    written = []
    for _ in range(2):
        assert watched.run("drift", *words).code == 2
        written.append({name: (watched.path / file).read_bytes() for name, file in files.items()})
    assert written[0] == written[1]
    assert b"## Drift of the stack `test`" in written[0]["markdown"]
    case = ElementTree.fromstring(written[0]["junit"]).find("testcase[@name='runai.environment.lab']/failure")
    assert case is not None
    assert case.text is not None
    assert '~ image = "python:3.11" -> "python:3.10"' in case.text
    del files["metrics"]
    assert {stat.S_IMODE((watched.path / name).stat().st_mode) for name in files.values()} == {0o600}


def test_no_document_has_a_secret_that_somebody_typed_in(watched: Project) -> None:
    """Nor what is kept beside the state: that it changed is all that is told."""
    secret = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
    watched.write("lab.toml", LAB.replace("\n\n", '\n\n[environment_variables]\nMODE = "a"\n\n', 1))
    watched.run("apply", "--auto-approve").succeeded()
    watched.hand().edit("lab", environmentVariables=[{"name": "MODE", "value": secret}])
    words = [f"--{name}-out={name}.out" for name in ("json", "markdown", "junit", "metrics")]
    said = watched.run("drift", "-v", *words)
    assert (said.code, "MODE changed (secret)" in said.out) == (2, True)
    written = [path.read_text() for path in watched.path.glob("*.out")]
    written.append((watched.path / ".reconciler" / "drift.json").read_text())
    assert len(written) == 5
    assert not any(secret in text for text in (*written, said.out, said.err))
