"""Files that a command line names: those to write, and saved plans to read."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from reconciler.core.model import Plan, Surroundings
from reconciler.errors import PlanAltered, ReconcilerError

__all__ = ["read_plan", "read_whole_plan", "write_private"]


def write_private(name: str, data: bytes, *, mode: int = 0o600) -> None:
    """Write *data* to the file *name*, for its owner's eyes: all of it, or an error and the old file.

    Another *mode* opens it to more, as far as the user's umask permits.

    What is there and no plain file (a pipe, ``/dev/stdout``) is written to as it is.
    """
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            sys.stdout.flush()  # it may be the same pipe, and what was said first goes first
            path.write_bytes(data)
            return
        # Beside what a link points at, so that the link stays one.
        path = path.resolve()
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
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


def read_plan(name: str, *, key: str | None = None) -> Plan:
    """The saved plan in the file *name*.

    With *key*, a file with a public key, ``NAME.sig`` has to be the plan's
    signature. Raises `PlanAltered` when it is not, and when the plan is not as
    it was written.
    """
    from reconciler.state.codec import decode_plan

    data = _bytes(name)
    if key is not None:
        _check_signature(name, data, key)
    return decode_plan(data, file=name)


def read_whole_plan(name: str) -> tuple[Plan, Surroundings]:
    """The saved plan in the file *name*, with what it was made beside. Raises as `read_plan` does."""
    from reconciler.state.codec import decode_plan, decode_surroundings

    data = _bytes(name)
    return decode_plan(data, file=name), decode_surroundings(data)


def _bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ReconcilerError(
            f"{name} cannot be read: {error.strerror}",
            hint="Give the file that `reconciler plan --out FILE` wrote.",
        ) from error


def _check_signature(name: str, data: bytes, key: str) -> None:
    """Raise `PlanAltered` unless ``NAME.sig`` is a detached ed25519 signature (RFC 8032) of *data*."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(Path(key).read_bytes())
    except (OSError, ValueError) as error:
        raise ReconcilerError(
            f"{key} is no public key in PEM form", hint="`openssl pkey -pubout` writes one."
        ) from error
    if not isinstance(public, Ed25519PublicKey):
        raise ReconcilerError(
            f"{key} is no ed25519 key", hint="`openssl genpkey -algorithm ed25519` makes one."
        )
    try:
        signature = Path(f"{name}.sig").read_bytes()
    except OSError as error:
        raise PlanAltered(
            f"{name} is not signed: {name}.sig cannot be read: {error.strerror}",
            hint="Nothing was done. Whoever reviewed the plan signs it: "
            f"openssl pkeyutl -sign -rawin -inkey KEY -in {name} -out {name}.sig",
        ) from error
    try:
        public.verify(signature, data)
    except InvalidSignature as error:
        raise PlanAltered(
            f"{name}.sig is not the signature of {name} by {key}",
            hint="Nothing was done. The plan is another than was signed, or somebody else signed it.",
        ) from error
