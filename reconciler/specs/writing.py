"""A table as the text of a spec that a person would like to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tomli_w

from reconciler.specs.folder import CONTROL

__all__ = ["spec_text"]


def spec_text(table: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The TOML of *table*, with *comments* in front, a paragraph each."""
    # A comment may hold no control character.
    lines = (CONTROL.sub("\ufffd", line) for text in comments for line in text.splitlines())
    head = "".join(f"# {line}\n" for line in lines)
    return f"{head}\n{_toml(table)}" if head else _toml(table)


def _toml(table: Mapping[str, Any]) -> str:
    return tomli_w.dumps(table, multiline_strings=True)
