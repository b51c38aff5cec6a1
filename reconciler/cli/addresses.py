"""Addresses that a command line names, and those that were probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from reconciler.core.model import ResourceAddress

__all__ = ["meant"]


def meant(text: str, known: Iterable[ResourceAddress], otherwise: str) -> str:
    """A hint: which of the *known* addresses *text*, an address or a name, was to be; or *otherwise*."""
    by_name: dict[str, list[str]] = {}
    for address in known:
        by_name.setdefault(address.name, []).append(str(address))
    # By name alone: what addresses have in common would make all of them look alike.
    names = [text, text.split(".", 2)[-1], text.rpartition(".")[2]]
    close = next(
        (found for name in names if (found := [name] if name in by_name else _close(name, by_name))), []
    )
    addresses = sorted(address for name in close for address in by_name[name])
    return f"Did you mean {' or '.join(addresses)}?" if addresses else otherwise


def _close(name: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, sorted(names), n=3)
