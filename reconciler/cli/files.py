"""Writing a file that a command was asked for."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import ReconcilerError

__all__ = ["write_private"]


def write_private(name: str, data: bytes) -> None:
    """Write *data* to the file *name*, for its owner's eyes: all of it, or an error and the old file."""
    fresh = Path(f"{name}.new")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(name)
    except OSError as error:
        raise ReconcilerError(
            f"{name} cannot be written: {error.strerror}", hint="Nothing else was done."
        ) from error
