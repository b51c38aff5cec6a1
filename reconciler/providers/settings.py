"""What ``[platforms.NAME]`` may say for any vendor: addresses, and faults to rehearse with."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

__all__ = ["is_private", "sound_address", "sound_fault"]


def is_private(address: str) -> bool:
    """Whether what is sent to *address* cannot be read on the way: https, or this very machine."""
    if address == "embedded":
        return True
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def sound_address(
    text: str, *, wrong: str, hint: str, credentials: str, secret: str = "", embedded: bool = False
) -> str:
    """*text* as an address of a server, without a slash at its end; for a validator of pydantic.

    What else it may be called, and what to give instead, *wrong* and *hint*
    say; *credentials* are the settings that hold what does not belong into
    an address. With *secret*, which would be sent there, it has to be private.
    Where *embedded* is true, it may be that word.
    """
    from reconciler.core.reading import refuse  # only where a file is checked

    if embedded and text == "embedded":
        return text
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        whole = False
    if whole and (parts.username is not None or parts.password is not None):
        raise refuse("credentials do not belong into an address", f"Use {credentials}.")
    if not whole or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f]", text):
        raise refuse(wrong, hint)
    if secret and not is_private(text):
        raise refuse(f"{secret} would cross the network in clear", "Use https.")
    return text.rstrip("/")


def sound_fault(table: dict[str, Any]) -> dict[str, Any]:
    """*table* as the rule of a fault; for a validator of pydantic."""
    from reconciler.core.reading import refuse  # as above
    from reconciler.providers.emulator import Fault

    try:
        Fault.from_table(table)
    except ValueError as error:
        raise refuse(str(error), 'Such as { on = "GET *", nth = [3], status = 503 }.') from error
    return table
