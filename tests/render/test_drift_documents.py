"""Drift as Markdown, JUnit and metrics: what they look like, and what cannot get out of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from render.plans import DRIFT, address, field, golden

from reconciler.core.model import Cause
from reconciler.core.report import Drifted, DriftReport, Unread
from reconciler.render.drift_junit import drift_junit
from reconciler.render.drift_markdown import drift_markdown
from reconciler.render.metrics import Watched, drift_metrics
from reconciler.render.view import drift_view

MANAGED = ["compute.size", "environment.gone", "environment.lab", "environment.shared", "environment.stale"]
WATCHED = Watched(
    stack="dev",
    when=1704164645,
    exit_code=8,
    seconds=1.23456,
    managed={"runai": 6},
    calls={"runai": 12},
    throttled={"runai": 1},
    last_success="2024-01-01T03:04:05Z",
)
NASTY = [
    "`` ` ```",
    "</details><script>alert(1)</script>",
    "a | b",
    "line\nbreak\n/close\n- [x] done",
    "@everyone #1 !2 https://example.com/x",
    "<!-- reconciler -->",
    "]]>&amp;\"'",
    "\x1b[31m\u202e\x00",
    "[text](https://example.com) ![i](x)",
]


def viewed(report: DriftReport) -> dict[str, Any]:
    """The view as the command line completes it."""
    view = drift_view(report)
    for one in view["drift"]:
        one["first_seen"] = one["last_seen"] = "2024-01-01T03:04:05Z"
    view["run"] = {"at": "2024-01-02T03:04:05Z", "seconds": 1.5, "calls": {}, "throttled": {}}
    return view


def named(value: str) -> DriftReport:
    """A report with *value* wherever a platform or a person may have put it."""
    name = address(f"environment.{value}")
    change = field("image", value, f"{value}{value}", cause=Cause.DRIFT)
    keyed = replace(change, path=("environment_variables", value))
    drifted = Drifted(name, (change, keyed), changed_by=value, changed_at=value)
    return DriftReport(2, (drifted,), warnings=(value,), unread=(Unread("runai", value, value, name),))


def test_drift_as_markdown() -> None:
    """What counts first; since when, by whom, and by which decision."""
    golden("drift.md", drift_markdown(viewed(DRIFT), stack="dev"))


def test_no_drift_as_markdown_is_a_line() -> None:
    """In sync."""
    text = drift_markdown(viewed(DriftReport(3, ())), stack="dev")
    assert text == "## Drift of the stack `dev`\n\nNo drift: all 3 resources are as last applied.\n"


@pytest.mark.parametrize("value", NASTY, ids=ascii)
def test_values_cannot_get_out_of_markdown(value: str) -> None:
    """No line of their own, no tag, no comment, no table, no mention, no link."""
    text = drift_markdown(viewed(named(value)), stack=value)
    lines = text.splitlines()
    plain = drift_markdown(viewed(named("plain")), stack="plain").splitlines()
    assert len(lines) == len(plain)
    outside = re.sub(r"`[^`\n]*`|<code>[^<\n]*</code>", "", text)
    assert outside == re.sub(r"`[^`\n]*`|<code>[^<\n]*</code>", "", "\n".join(plain) + "\n")


@pytest.mark.parametrize("count", [1, 50, 5000])
def test_markdown_keeps_to_its_budget(count: int) -> None:
    """With the head whole, and how many more there are."""
    drifted = tuple(
        Drifted(address(f"environment.lab-{n}"), (field("image", "a" * 3000, "b" * 3000, cause=Cause.DRIFT),))
        for n in range(count)
    )
    text = drift_markdown(viewed(DriftReport(count, drifted)), stack="dev")
    assert len(text.encode()) <= 60_000
    assert text.startswith(f"## Drift of the stack `dev`\n\n**{count} of {count} resources are not")
    shown = text.count("\n### ")
    assert (f"… and {count - shown + 1} more" in text) == (shown < count)


def test_drift_as_junit() -> None:
    """A case for each resource: failed, skipped where it is accepted, an error where it was not read."""
    text = drift_junit(viewed(DRIFT), [f"runai.{name}" for name in (*MANAGED, "environment.ok")], stack="dev")
    golden("drift.junit.xml", text)


@pytest.mark.parametrize("value", NASTY, ids=ascii)
def test_values_cannot_get_out_of_junit(value: str) -> None:
    """It parses, and has the cases that it says it has."""
    suite = ElementTree.fromstring(drift_junit(viewed(named(value)), ["runai.environment.ok"], stack=value))
    assert [case.get("name") for case in suite][-1] == "runai.environment.ok"
    assert len(suite) == int(suite.get("tests", "")) == 2


def test_drift_as_metrics() -> None:
    """Every class of every platform, zeros included, so that a series never ends."""
    golden("drift.prom", drift_metrics(viewed(DRIFT), WATCHED))
    golden("drift-failed.prom", drift_metrics(None, replace(WATCHED, exit_code=1)))
