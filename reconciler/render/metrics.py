"""Drift as numbers, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["drift_metrics"]

_RESOURCES = {
    "reconciler_managed_resources": "Resources that the state remembers.",
    "reconciler_drift_resources": "Resources that are not as last applied.",
    "reconciler_drift_known_resources": "Those of them that the baseline has.",
}


def drift_metrics(
    view: Mapping[str, Any] | None, managed: Mapping[str, int], *, stack: str, when: int, exit_code: int
) -> str:
    """The gauges of one comparison: how it ended, and when, *view* or no view.

    *managed* is how many resources each platform has. Where nothing could be
    compared there are no numbers of resources: an old one is worse than none.
    """
    ours = {"stack": stack} if stack else {}
    lines = [
        *_gauge(
            "reconciler_drift_last_run_timestamp_seconds",
            "When drift was last looked for.",
            [_sample("reconciler_drift_last_run_timestamp_seconds", ours, when)],
        ),
        *_gauge(
            "reconciler_drift_exit_code",
            "How that ended: 0 in sync, 2 drift, 1 error, 4 locked, 8 not seen whole.",
            [_sample("reconciler_drift_exit_code", ours, exit_code)],
        ),
    ]
    if view is not None:
        drifted = [(one["address"].partition(".")[0], one["known"]) for one in view["drift"]]
        for name, meaning in _RESOURCES.items():
            samples = []
            for platform, count in sorted(managed.items()):
                found = [known for where, known in drifted if where == platform]
                value = {"managed": count, "drift": len(found), "known": sum(found)}[name.split("_")[-2]]
                samples.append(_sample(name, {**ours, "platform": platform}, value))
            lines += _gauge(name, meaning, samples)
    return "".join(f"{line}\n" for line in lines)


def _gauge(name: str, meaning: str, samples: list[str]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} gauge"
    yield from samples


def _sample(name: str, labels: Mapping[str, str], value: int) -> str:
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
