"""What can be the name of a container image.

Lenient: a registry may accept more than the reference grammar says (capitals
in a path, say). Refused is what no registry and no runtime can take for one.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from reconciler.core.reading import refuse
from reconciler.providers.runai.spec.words import Text

_PART = re.compile(r"[\w.-]+", re.ASCII)
_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][\w+.-]*:[0-9a-fA-F]+", re.ASCII)


def _image(text: str) -> str:
    if why := _flaw(text):
        raise refuse(
            f"{text!r} is no image: {why}",
            'Write NAME:TAG or NAME@DIGEST, with its registry in front when it needs one: "python:3.12", '
            '"nvcr.io/nvidia/pytorch:24.01-py3".',
        )
    return text


def _flaw(text: str) -> str:
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


Image = Annotated[Text, AfterValidator(_image)]
