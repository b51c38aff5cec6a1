"""What can be the name of a container image, and what of it stays the same.

Lenient: a registry may accept more than the reference grammar says (capitals
in a path, say). Refused is what no registry and no runtime can take for one.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["image_flaw", "registry_of", "what_moves"]

_PART: Final = re.compile(r"[\w.-]+", re.ASCII)
_HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?", re.ASCII)
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"[A-Za-z][\w+.-]*:[0-9a-fA-F]+", re.ASCII)
_MOVING: Final = frozenset(
    {"latest", "main", "master", "dev", "develop", "edge", "nightly", "stable", "lts", "current", "devel"}
)


def image_flaw(text: str) -> str:
    """Why *text* can be no image; empty when it can."""
    if any(one.isspace() or not one.isprintable() for one in text):
        return "it has blanks or control characters"
    if "://" in text:
        return "an address with a scheme names none"
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return f"{digest!r} is no digest" if digest else "its digest is empty"
    path, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return f"{tag!r} is no tag" if tag else "its tag is empty"
    host, *parts = (*path.split("/"), last) if slash else (last,)
    if parts and not _HOST.fullmatch(host):
        parts = [host, *parts]
    for part in parts or [host]:
        if not _PART.fullmatch(part):
            return f"{part!r} cannot be part of its name" if part else "a part of its name is empty"
    return ""


def registry_of(image: str) -> str:
    """The registry in front of an image, ``registry.example.com:5000``; empty for one without."""
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else ""


def what_moves(image: str) -> str:
    """Why another image may be behind the same words tomorrow; empty when they pin it down.

    Only tags that are known to move count: any other may be a release.
    """
    name, at, _ = image.rpartition("/")[2].partition("@")
    if at:
        return ""
    tag = name.partition(":")[2]
    if not tag:
        return "it has no tag, which means latest"
    if tag.lower() in _MOVING or tag.lower().endswith("-latest"):
        return f"its tag {tag!r} moves"
    return ""
