"""What the commands share that talk to a forge: their flags, and the forge that flags and variables mean."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler import __version__
from reconciler.cli.context import Context
from reconciler.cli.options import option
from reconciler.core.ports import SecretSource
from reconciler.engine.secrets import Secrets
from reconciler.errors import UsageError
from reconciler.forges.github import GitHub
from reconciler.forges.gitlab import GitLab
from reconciler.forges.pipeline import Pipeline, find_token, read_pipeline

__all__ = ["Place", "about_a_request", "find_place", "open_forge", "say_rehearsed"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a forge, and what reaches it."""

    pipeline: Pipeline
    token: str | None
    account: str | None
    secrets: SecretSource

    @property
    def number(self) -> int:
        """The request. Raises `UsageError` when nobody says which."""
        if not self.pipeline.number:
            raise UsageError(
                "which pull or merge request? this is no pipeline of one",
                hint="Give --number, or run it where a request starts the pipeline.",
            )
        return self.pipeline.number


def about_a_request(function: F) -> F:
    """The flags of whatever is about a request on a forge. Without them, the pipeline's variables say it."""
    flags = [
        option("--forge", type=click.Choice(["github", "gitlab"]), help="Which forge."),
        option(
            "--api-url", help="The forge's API: https://HOST/api/v3 (GitHub Enterprise), https://HOST/api/v4."
        ),
        option("--repository", metavar="NAME", help="OWNER/NAME on GitHub; id or GROUP/NAME on GitLab."),
        option("--number", type=click.IntRange(min=1), help="The number of the pull or merge request."),
        option(
            "--account", metavar="LOGIN", help="Who writes the comments, where the token cannot be asked."
        ),
    ]
    for flag in reversed(flags):
        function = flag(function)
    return function


def find_place(
    context: Context,
    options: Mapping[str, Any],
    *,
    rehearse: bool = False,
    secrets: SecretSource | None = None,
) -> Place:
    """What flags and variables say. Without a token, only to *rehearse*."""
    if secrets is None:
        ours = Secrets(Path(), os.environ)
        context.output.mask = ours.mask
        secrets = ours
    found = read_pipeline(
        os.environ, lambda file: Path(file).read_text(encoding="utf-8"), forge=options["forge"]
    )
    found = replace(
        found,
        api=options["api_url"] or found.api,
        repository=options["repository"] or found.repository,
        number=options["number"] or found.number,
    )
    if not found.repository:
        raise UsageError("which repository? no variable says it", hint="Give --repository.")
    token = None if rehearse and not _has_token(found.forge) else find_token(found.forge, os.environ)
    if token is None and not rehearse:
        names = "GH_TOKEN or GITHUB_TOKEN" if found.forge == "github" else "GITLAB_TOKEN"
        raise UsageError(f"there is no token: {names} is not set", hint="--dry-run needs none.")
    return Place(found, token, options["account"], secrets)


def _has_token(forge: str) -> bool:
    return bool(os.environ.get("GITLAB_TOKEN")) if forge == "gitlab" else True


@asynccontextmanager
async def open_forge(place: Place, *, rehearse: bool = False) -> AsyncIterator[GitHub | GitLab]:
    """The forge of *place*."""
    where = place.pipeline
    shared: dict[str, Any] = {
        "account": place.account,
        "secrets": place.secrets,
        "user_agent": f"reconciler/{__version__}",
        "rehearse": rehearse,
    }
    forge: GitHub | GitLab
    if where.forge == "github":
        forge = GitHub(where.api, where.repository, place.token, app=where.app, **shared)
    else:
        forge = GitLab(where.api, where.repository, place.token, **shared)
    try:
        yield forge
    finally:
        await forge.close()


def say_rehearsed(context: Context, forge: GitHub | GitLab) -> None:
    """Print the requests that were not sent."""
    for one in forge.sent:
        context.output.lines([f"{one.method} {one.url}"])
        if one.body:
            context.output.lines([json.dumps(one.body, ensure_ascii=False, indent=2), ""])
        context.output.record("request", method=one.method, url=one.url, body=one.body)
