"""Drift that is known already: what a file of an earlier ``drift --json-out`` has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.errors import ReconcilerError

__all__ = ["mark_known", "read_baseline"]


def read_baseline(name: str) -> list[Any]:
    """The findings in the file *name*. Raises `ReconcilerError` when it is not what drift wrote."""
    try:
        found = json.loads(Path(name).read_bytes())
        return [_finding(one) for one in found["drift"]]
    except OSError as error:
        raise ReconcilerError(
            f"{name} cannot be read: {error.strerror}",
            hint="`reconciler drift --json-out FILE` writes a baseline.",
        ) from error
    except (ValueError, LookupError, TypeError) as error:
        raise ReconcilerError(
            f"{name} is not what drift writes", hint="`reconciler drift --json-out FILE` writes a baseline."
        ) from error


def mark_known(view: dict[str, Any], baseline: list[Any]) -> dict[str, Any]:
    """*view*, as it would be written, with each finding known that *baseline* has.

    It has the same address, and the same fields with the same live values.
    Where a value may not be seen, nobody can say that it is the same one.
    """
    drift = [
        {**one, "known": not any(f["sensitive"] for f in one["fields"]) and _finding(one) in baseline}
        for one in view["drift"]
    ]
    return {**view, "drift": drift}


def _finding(one: Mapping[str, Any]) -> Any:
    return one["address"], one["gone"], [(change["path"], change["after"]) for change in one["fields"]]
