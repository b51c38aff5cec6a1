"""What can be the name of a container image, as a type of spec models."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from reconciler.core.reading import refuse
from reconciler.providers.images import image_flaw
from reconciler.providers.runai.spec.words import Text


def _image(text: str) -> str:
    if why := image_flaw(text):
        raise refuse(
            f"{text!r} is no image: {why}",
            'Write NAME:TAG or NAME@DIGEST, with its registry in front when it needs one: "python:3.12", '
            '"nvcr.io/nvidia/pytorch:24.01-py3".',
        )
    return text


Image = Annotated[Text, AfterValidator(_image)]
