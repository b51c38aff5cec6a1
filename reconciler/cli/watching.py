"""What `drift` keeps and writes: since when a drift is known, and its documents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.cli.baseline import mark_known
from reconciler.cli.files import write_private
from reconciler.cli.output import json_text
from reconciler.cli.session import Session, now, seconds_now
from reconciler.core.model import State
from reconciler.core.report import DriftReport
from reconciler.render.metrics import Watched, drift_metrics
from reconciler.render.view import drift_view
from reconciler.state.drift_record import DriftRecord

__all__ = ["Gauges", "counts", "found_in", "view_of", "write_documents"]


def counts(one: Mapping[str, Any]) -> bool:
    """Whether a drift is one to act on: neither known by the baseline nor accepted."""
    return not one["known"] and one["class"] != "accepted"


def found_in(view: Mapping[str, Any], *, counted: bool = False) -> set[str]:
    """The keys of the drifts in *view*, see `DriftRecord`; only those that count, if so asked."""
    keys: set[str] = set()
    for one in view["drift"]:
        if one["gone"]:
            keys.add(one["address"])
        for change in one["fields"]:
            accepted = change["accepted"]
            is_quiet = one["known"] or (accepted is not None and not accepted["expired"])
            if not (counted and is_quiet):
                keys.add(f"{one['address']}\t{change['path']}")
    return keys


def view_of(
    session: Session, report: DriftReport, baseline: list[Any], record: DriftRecord, began: float
) -> tuple[dict[str, Any], DriftRecord]:
    """*report* as everybody may see it, and the record that has it."""
    written: dict[str, Any] = json.loads(json_text(drift_view(report), session.secrets.mask))
    view = mark_known(written, baseline)
    unread = {one["address"] for one in view["unread"] if one["address"] is not None}
    record = record.at(now(), found_in(view), unread)
    for one in view["drift"]:
        mine = [record.seen[key] for key in found_in({"drift": [one]})]
        one["first_seen"] = min(seen.first for seen in mine)
        one["last_seen"] = max(seen.last for seen in mine)
    view["run"] = {
        "at": now(),
        "seconds": round(seconds_now() - began, 3),
        "calls": {name: traffic.calls for name, traffic in sorted(session.traffic.items())},
        "throttled": {name: traffic.throttled for name, traffic in sorted(session.traffic.items())},
    }
    return view, record


def write_documents(
    session: Session, view: Mapping[str, Any], state: State, options: Mapping[str, Any]
) -> None:
    """The files of ``--json-out``, ``--markdown-out`` and ``--junit-out``."""
    mask, stack = session.secrets.mask, session.config.name
    if name := options["json_out"]:
        write_private(name, json_text(view, mask).encode())
    if name := options["markdown_out"]:
        from reconciler.render.drift_markdown import drift_markdown

        write_private(name, mask(drift_markdown(view, stack=stack)).encode())
    if name := options["junit_out"]:
        from reconciler.render.drift_junit import drift_junit

        write_private(name, mask(drift_junit(view, map(str, state.resources), stack=stack)).encode())


@dataclass
class Gauges:
    """What goes into the file of ``--metrics-out``, as far as it is known."""

    file: str | None
    watched: Watched = field(default_factory=Watched)
    view: Mapping[str, Any] | None = None
    _session: Session | None = None
    _began: float = field(default_factory=seconds_now)

    def open(self, session: Session, record: DriftRecord) -> None:
        """The stack is known, and what earlier comparisons were."""
        self._session = session
        self.watched = replace(self.watched, stack=session.config.name, last_success=record.last_success)

    def compared(self, view: Mapping[str, Any], state: State, record: DriftRecord) -> None:
        """The comparison is made."""
        assert self._session is not None
        found = Counter(address.platform for address in state.resources)
        managed = {name: found[name] for name in self._session.config.settings.platforms}
        self.watched = replace(self.watched, managed=managed, last_success=record.last_success)
        self.view = view

    def write(self, code: int) -> None:
        """Write the file, if it is asked for."""
        if self.file is None:
            return
        traffic = self._session.traffic if self._session is not None else {}
        watched = replace(
            self.watched,
            when=int(seconds_now()),
            exit_code=code,
            seconds=seconds_now() - self._began,
            managed=self.watched.managed or dict.fromkeys(traffic, 0),
            calls={name: one.calls for name, one in traffic.items()},
            throttled={name: one.throttled for name, one in traffic.items()},
        )
        # The collector is another user; there are only names and numbers in it.
        write_private(self.file, drift_metrics(self.view, watched).encode(), mode=0o644)
