"""Drift as numbers, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

__all__ = ["Watched", "drift_metrics"]

_CLASSES: Final = ("changed", "gone", "accepted", "expired", "known")
"""What a drifted resource may be: what the view says, or known by the baseline."""
_PREFIX: Final = "reconciler_"

Samples = Iterable[tuple[Mapping[str, str], float]]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a comparison besides its view.

    ``managed`` is how many resources each platform has, ``last_success`` when
    everything could last be read (RFC 3339; empty for never).
    """

    stack: str = ""
    when: int = 0
    exit_code: int = 0
    seconds: float = 0.0
    managed: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    throttled: Mapping[str, int] = field(default_factory=dict)
    last_success: str = ""


def drift_metrics(view: Mapping[str, Any] | None, watched: Watched) -> str:
    """The gauges of one comparison: how it ended, and when, *view* or no view.

    Where nothing could be compared there are no numbers of resources: an old
    one is worse than none.
    """
    ours = {"stack": watched.stack} if watched.stack else {}
    lines = [
        *_gauge(
            "drift_last_run_timestamp_seconds", "When drift was last looked for.", [(ours, watched.when)]
        ),
        *_gauge(
            "drift_exit_code",
            "How that ended: 0 in sync, 2 drift, 1 error, 4 locked, 8 not seen whole.",
            [(ours, watched.exit_code)],
        ),
        *_gauge("drift_duration_seconds", "How long that took.", [(ours, round(watched.seconds, 3))]),
    ]
    if watched.last_success:
        lines += _gauge(
            "drift_last_success_timestamp_seconds",
            "When everything could last be read.",
            [(ours, _seconds(watched.last_success))],
        )
    by_platform = [({**ours, "platform": name}, name) for name in sorted(watched.managed)]
    if watched.calls:
        lines += _gauge(
            "drift_api_calls",
            "Requests that were sent to the platform, repeated ones included.",
            [(labels, watched.calls.get(name, 0)) for labels, name in by_platform],
        )
        lines += _gauge(
            "drift_throttled_calls",
            "Those of them that the platform answered with 429, to go slower.",
            [(labels, watched.throttled.get(name, 0)) for labels, name in by_platform],
        )
    if view is not None:
        lines += _resources(view, watched, ours)
    return "".join(f"{line}\n" for line in lines)


def _resources(view: Mapping[str, Any], watched: Watched, ours: Mapping[str, str]) -> Iterator[str]:
    drifted = [(_platform(one), "known" if one["known"] else one["class"]) for one in view["drift"]]
    every = [({**ours, "platform": name}, name) for name in sorted(watched.managed)]
    yield from _gauge(
        "drift_in_sync",
        "1 when everything was read and nothing differs but what is accepted.",
        [(ours, int(view["in_sync"]))],
    )
    yield from _gauge(
        "managed_resources",
        "Resources that the state remembers.",
        [(labels, watched.managed[name]) for labels, name in every],
    )
    yield from _gauge(
        "drift_resources",
        "Resources that are not as last applied.",
        [
            ({**labels, "class": kind}, drifted.count((name, kind)))
            for labels, name in every
            for kind in _CLASSES
        ],
    )
    unread = [one["platform"] for one in view["unread"] if one["address"] is not None]
    yield from _gauge(
        "drift_unread_resources",
        "Resources that could not be read.",
        [(labels, unread.count(name)) for labels, name in every],
    )
    if view["pending"] is not None:
        pending = [_platform(one) for one in view["pending"]]
        yield from _gauge(
            "drift_pending_resources",
            "Resources whose specs are ahead of the last apply.",
            [(labels, pending.count(name)) for labels, name in every],
        )
    unmanaged = [one["platform"] for one in view["unmanaged"]]
    yield from _gauge(
        "drift_unmanaged_objects",
        "Objects that no spec names, of the kinds that are managed.",
        [(labels, unmanaged.count(name)) for labels, name in every],
    )
    counted = [one for one in view["drift"] if one["class"] != "accepted" and not one["known"]]
    ages = [watched.when - _seconds(one["first_seen"]) for one in counted]
    yield from _gauge(
        "drift_oldest_age_seconds",
        "Since when the oldest drift that counts is known; 0 when there is none.",
        [(ours, max(ages, default=0))],
    )


def _platform(one: Mapping[str, Any]) -> str:
    return str(one["address"]).partition(".")[0]


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _gauge(name: str, meaning: str, samples: Samples) -> Iterator[str]:
    name = _PREFIX + name
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
