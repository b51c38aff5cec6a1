"""What `drift --notify` tells, and whom: transitions alone, each until it has arrived."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from reconciler import __version__
from reconciler.cli.session import Session, run_async
from reconciler.cli.watching import found_in
from reconciler.core.attributes import digest
from reconciler.core.model import State
from reconciler.errors import ReconcilerError
from reconciler.render.characters import printable
from reconciler.render.drift_markdown import drift_markdown
from reconciler.state.drift_record import DriftRecord

__all__ = ["notify"]


def notify(
    session: Session, view: Mapping[str, Any], state: State, record: DriftRecord
) -> tuple[DriftRecord, list[str]]:
    """Tell every ``[[notify]]`` what is new to it. The record of who knows what, and what failed.

    What could not be told is new to it the next time, too.
    """
    from reconciler.notify import Post, deliver

    post = Post(session.secrets, time.time, random.random, f"reconciler/{__version__}")
    failures: list[str] = []
    for one in session.config.settings.notifications:
        told = set(record.told.get(one.name, ()))
        still = {key for key in told if _is_unread(key, view)}
        now_open = found_in(view, counted=True) | still
        is_news = now_open != told or (one.is_issue and one.name not in record.told)
        if not is_news:
            continue
        try:
            run_async(deliver(one, _news(session, view, state, told, now_open), post))
        except ReconcilerError as error:
            said = str(error)
            named = said if said.startswith(one.name) else f"{one.name}: {said}"
            failures.append(session.secrets.mask(named))
        else:
            record = record.with_told(one.name, now_open)
    return record, failures


def _is_unread(key: str, view: Mapping[str, Any]) -> bool:
    return any(one["address"] == key.partition("\t")[0] for one in view["unread"])


def _news(session: Session, view: Mapping[str, Any], state: State, told: set[str], now_open: set[str]) -> Any:
    from reconciler.notify import News

    stack = session.config.name
    return News(
        stack=printable(stack),
        id=digest(stack.encode(), state.stamp.lineage.encode()).removeprefix("sha256:")[:16],
        new=_words(now_open - told),
        settled=_words(told - now_open),
        open=_words(now_open),
        markdown=session.secrets.mask(drift_markdown(view, stack=stack)),
        report=view,
    )


def _words(keys: set[str]) -> tuple[str, ...]:
    """Drifts for people: the address, and its field or that it is gone."""
    words = ((key.partition("\t")[0], key.partition("\t")[2]) for key in sorted(keys))
    return tuple(printable(f"{address} {path or 'is gone'}") for address, path in words)
