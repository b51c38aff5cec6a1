"""What a comment says for machines, in a line that nobody sees: which plan it shows, of which commits.

The line is JSON, packed and in base64, which has no character that ends an HTML comment.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

__all__ = ["Reviewed"]

_FORMAT: Final = 1
_LINE: Final = re.compile(r"^<!-- reconciler:reviewed ([A-Za-z0-9+/=]+) -->$", re.MULTILINE)
_LONGEST: Final = 4_000
_LARGEST: Final = 1_000_000
"""Bytes that a packed line may come to; somebody may have put another one there."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}|")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The plan that a comment shows.

    ``head`` is the last commit of the branch, ``base`` the one of the target
    branch that was merged with it for the plan; both empty where unknown.
    ``changes`` gives for each address a digest of its change, and is only
    there to say what differs later; it is empty when there are too many.
    ``onto`` is what the target branch was at before the merge; no comment knows it.
    """

    stack: str
    digest: str
    head: str = ""
    base: str = ""
    onto: str = ""
    changes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def line(self) -> str:
        """The hidden line, of at most some thousand characters."""
        packed = self._packed(self.changes)
        if len(packed) > _LONGEST:
            packed = self._packed({})
        return f"<!-- reconciler:reviewed {packed} -->"

    def _packed(self, changes: Mapping[str, str]) -> str:
        text = json.dumps({**self.as_json(), "changes": dict(changes)}, sort_keys=True, separators=(",", ":"))
        return base64.b64encode(zlib.compress(text.encode(), 9)).decode()

    def as_json(self) -> dict[str, Any]:
        """It for a file."""
        return {
            "format_version": _FORMAT,
            "stack": self.stack,
            "digest": self.digest,
            "head": self.head,
            "base": self.base,
            "onto": self.onto,
            "changes": dict(self.changes),
        }

    @classmethod
    def from_json(cls, told: Any) -> Self | None:
        """What `as_json` gave; None for anything else."""
        match told:
            case {
                "format_version": 1,
                "stack": str(stack),
                "digest": str(digest),
                "head": str(head),
                "base": str(base),
                "onto": str(onto),
                "changes": dict(changes),
            } if (
                _DIGEST.fullmatch(digest)
                and _COMMIT.fullmatch(head)
                and _COMMIT.fullmatch(base)
                and _COMMIT.fullmatch(onto)
                and all(isinstance(one, str) for pair in changes.items() for one in pair)
            ):
                return cls(stack, digest, head, base, onto, changes)
        return None

    @classmethod
    def in_text(cls, body: str) -> Self | None:
        """What the one hidden line of a comment says; None when there is none, or more than one."""
        lines = _LINE.findall(body.replace("\r\n", "\n"))
        if len(lines) != 1:
            return None
        try:
            unpacking = zlib.decompressobj()
            return cls.from_json(json.loads(unpacking.decompress(base64.b64decode(lines[0]), _LARGEST)))
        except (ValueError, zlib.error, binascii.Error):
            return None
