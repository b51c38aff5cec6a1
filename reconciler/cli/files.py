"""Files that a command line names: those to write, and saved plans to read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from reconciler.core.model import Plan
from reconciler.errors import ReconcilerError

__all__ = ["read_plan", "write_private"]


def write_private(name: str, data: bytes) -> None:
    """Write *data* to the file *name*, for its owner's eyes: all of it, or an error and the old file.

    What is there and no plain file (a pipe, ``/dev/stdout``) is written to as it is.
    """
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        # Beside what a link points at, so that the link stays one.
        path = path.resolve()
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ReconcilerError(
            f"{name} cannot be written: {error.strerror}", hint="Nothing else was done."
        ) from error


def read_plan(name: str) -> Plan:
    """The saved plan in the file *name*. Raises `PlanAltered` when it is not as it was written."""
    from reconciler.state.codec import decode_plan

    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise ReconcilerError(
            f"{name} cannot be read: {error.strerror}",
            hint="Give the file that `reconciler plan --out FILE` wrote.",
        ) from error
    return decode_plan(data, file=name)
