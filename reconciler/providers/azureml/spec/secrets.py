"""Secrets that stand in clear in a line of a conda file, a requirements file or a Dockerfile.

A definition is shown to everybody who may see the workspace, and its files are
in git.
"""

from __future__ import annotations

import re
from typing import Final

from reconciler.core.plaintext import suspicions

__all__ = ["CONNECTION", "secret_in", "secret_named"]

CONNECTION: Final = (
    "Take it out and give the workspace a connection (category PythonFeed for an index, ContainerRegistry "
    "for a registry), which keeps the credentials; or build a wheel and name it in `wheels`."
)
"""What to do instead."""

_PLACEHOLDER: Final = r"(?:\$\{\w+\}|\$\(\w+\)|\$[A-Z_][A-Z0-9_]*)"
_SHAPES: Final = (
    # A token may stand alone before the @, as in the addresses of package feeds.
    (rf"https?://(?!{_PLACEHOLDER}?(?::{_PLACEHOLDER})?@)[^\s/@]+@", "credentials in an address"),
    (r"[?&](?:sig|signature|token|access_token|X-Amz-Signature)=(?!\$)[^&\s]+", "a signature in an address"),
    (r"://[^\s/]+/t/(?!\$)[\w-]{8,}/", "a token in the address of a channel"),
)


def secret_in(line: str) -> str:
    """What secret *line* seems to hold, in fixed words; empty when none."""
    for shape, words in _SHAPES:
        if re.search(shape, line):
            return words
    found = suspicions({"": line})
    return f"something that {found[0].why}" if found else ""


def secret_named(name: str, value: str) -> str:
    """As `secret_in`, for a *value* that has a *name*, which may say that it is one."""
    found = suspicions({name: value})
    return secret_in(value) or (f"a secret: {found[0].why}" if found else "")
