"""The end of a run: state from journal, compare-and-swap, journal closed. One order for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.model import ResourceAddress, Stamp, State
from reconciler.core.ports import Journal, Lock, StateBackend
from reconciler.state.records import Closed
from reconciler.state.replay import Replay

__all__ = ["close_run"]


async def close_run(
    backend: StateBackend,
    lock: Lock,
    journal: Journal,
    state: State,
    result: Replay,
    *,
    run: str,
    outcome: str,
    ended: str,
    counts: Mapping[str, int] | None = None,
    wire_digests: Mapping[ResourceAddress, str] | None = None,
) -> State:
    """Commit what *result* makes of *state*, close the journal of *run*, and make it history.

    A state that this run committed already, or has nothing to add to, is left
    as it is. *wire_digests* are those of resources that were seen to be as
    the state says.
    """
    if state.last_run != run and (result.has_effect or wire_digests):
        resources = dict(result.resources)
        for address, wire_digest in (wire_digests or {}).items():
            known = resources.get(address)
            if known is not None and known.wire_digest != wire_digest:
                resources[address] = replace(known, wire_digest=wire_digest)
        begun = result.begun
        committed = replace(
            state,
            stamp=Stamp(begun.lineage if begun is not None else state.stamp.lineage, state.stamp.serial + 1),
            last_run=run,
            secret_key=begun.secret_key if begun is not None else state.secret_key,
            resources=resources,
        )
        await journal.flush()
        backend.commit(committed, expected=state.stamp, lock=lock)
        state = committed
    await journal.append(Closed(outcome, ended, state.stamp.serial, dict(counts or {})))
    await journal.close()
    backend.seal(run, lock)
    return state
