"""A stack, opened for one command: its files, its platforms, its state, and the clock."""

from __future__ import annotations

import asyncio
import os
import random
import secrets as tokens
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from reconciler import __version__
from reconciler.cli.context import Context
from reconciler.cli.output import Output
from reconciler.core.model import Path as FieldPath
from reconciler.core.model import Resource, SpecSet
from reconciler.core.ports import Lock, PlatformContext, Problem, Provider, Reporter, Traffic
from reconciler.engine.decisions import Planner
from reconciler.engine.read_only import ReadOnly
from reconciler.engine.secrets import Secrets
from reconciler.engine.stack import Stack
from reconciler.errors import Complaint, StateError, UsageError
from reconciler.providers import discover
from reconciler.render.characters import printable
from reconciler.specs import StackConfig, complaint_for, load_config, load_specs
from reconciler.specs.config import CONFIG_NAME
from reconciler.state.backends.local import LocalBackend
from reconciler.state.lock import seems_alive
from reconciler.state.records import Begun

__all__ = ["Session", "find_stack", "may_be_shown", "now", "run_async", "seconds_now"]

T = TypeVar("T")

_ATTEMPTS: Final = 5


def find_stack(chdir: str | None) -> Path:
    """The stack's directory: *chdir*, else here, else the only one below ``states``."""
    if chdir is not None:
        directory = Path(chdir)
        if not directory.is_dir():
            raise UsageError(f"there is no directory {chdir}")
        return directory
    here = Path()
    if (here / CONFIG_NAME).is_file():
        return here
    found = sorted(path.parent for path in Path("states").glob(f"*/{CONFIG_NAME}"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(map(str, found))
        raise UsageError(f"which stack? there are {names}", hint="Name one with -C DIR.")
    raise UsageError(
        f"this directory is not a stack: it has no {CONFIG_NAME}",
        hint="Name one with -C DIR, or make one with `reconciler init DIR`.",
    )


def seconds_now() -> float:
    """The time, as what is written says it."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(epoch) if epoch.isdecimal() else time.time()


def now() -> str:
    """The same, as RFC 3339 text in UTC."""
    return datetime.fromtimestamp(seconds_now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _new_run() -> str:
    """A run id that sorts by time."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{tokens.token_hex(2)}"


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())


@dataclass
class Session:
    """Everything that a command needs of its stack."""

    config: StackConfig
    output: Output
    secrets: Secrets
    backend: LocalBackend
    lock_timeout: float
    parallelism: int
    traffic: dict[str, Traffic] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        context: Context,
        *,
        lock_timeout: float = 300.0,
        parallelism: int | None = None,
        **_: Any,
    ) -> Session:
        """The stack that the flags mean. Reads ``reconciler.toml`` and nothing else."""
        directory = find_stack(context.chdir)
        config = load_config(directory, discover(), version=__version__)
        secrets = Secrets(config.directory, os.environ)
        context.output.mask = secrets.mask
        backend = LocalBackend(
            config.state_directory, config.name, now=now, new_id=lambda: tokens.token_hex(4)
        )
        return cls(
            config, context.output, secrets, backend, lock_timeout, parallelism or config.settings.parallelism
        )

    def specs(self, *, exact_revision: bool = False) -> SpecSet:
        """The specs. With *exact_revision*, git is asked whether files differ from the revision."""
        return load_specs(self.config, revision=self._revision(exact=exact_revision))

    def no_specs(self) -> SpecSet:
        """What a destroy wishes for: nothing, at an exact revision."""
        return replace(SpecSet.empty(), revision=self._revision(exact=True))

    def _revision(self, *, exact: bool) -> str:
        from reconciler.specs.revision import revision

        return revision(self.config.directory, exact=exact)

    def lock(self, command: str) -> AbstractContextManager[Lock]:
        """The stack for ourselves."""
        return self.backend.lock(command, timeout=self.lock_timeout, waiting=self.output.note)

    def reading(self) -> AbstractContextManager[None]:
        """The stack without writers."""
        return self.backend.reading(timeout=self.lock_timeout, waiting=self.output.note)

    def undisturbed(self, read: Callable[[], T]) -> T:
        """What *read* finds in what is stored, without a lock: nobody is waited for.

        The state is replaced whole, and a journal only grows; so all that can
        come in between is a run that begins or ends, and then *read* is asked
        again. One that goes on is named.
        """
        moment = self._moment(say=True)
        for _ in range(_ATTEMPTS):
            try:
                found = read()
            except (StateError, OSError):
                if moment == (moment := self._moment()):
                    raise
            else:
                if moment == (moment := self._moment()):
                    return found
        return read()

    def _moment(self, *, say: bool = False) -> tuple[object, ...]:
        """What is other when a run began or ended. With *say*, the user is told of an open one."""
        try:
            run, stamp = self.backend.open_run(), self.backend.stored_stamp()
            if run is not None and say:
                self.output.note(self.about(run))
        except StateError as error:
            return (str(error),)
        return (run, stamp)

    def about(self, run: str) -> str:
        """A line about a run that has not ended."""
        begun = next((one for one in self.backend.records(run) if isinstance(one, Begun)), None)
        alive = seems_alive(begun.holder) if begun is not None else False
        who = "" if begun is None else f" ({begun.command} by {begun.holder.who}@{begun.holder.host})"
        run = printable(run + who)
        if alive:
            return f"Run {run} is in progress; this is what stands there so far."
        if alive is None:
            return f"Run {run} has not ended: it is in progress, or was cut off."
        return f"Run {run} was cut off; `reconciler plan` settles it."

    def platform_context(self, platform: str) -> PlatformContext:
        """What a plugin gets to open a platform."""
        return PlatformContext(
            platform=platform,
            directory=self.config.state_directory / "embedded",
            stack=self.config.directory,
            secrets=self.secrets,
            clock=time.time,
            new_id=_new_id,
            random=random.random,
            parallelism=self.parallelism,
            user_agent=f"reconciler/{__version__}",
            traffic=self.traffic.setdefault(platform, Traffic()),
        )

    @asynccontextmanager
    async def _platforms(self) -> AsyncIterator[dict[str, Provider]]:
        """Every platform of the stack, open."""
        providers: dict[str, Provider] = {}
        try:
            for name, platform in self.config.settings.platforms.items():
                plugin = self.config.plugin(name)
                providers[name] = plugin.open(platform.settings, self.platform_context(name))
            yield providers
        finally:
            for provider in providers.values():
                await provider.close()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Planner]:
        """What comparing and planning need, over platforms that can be read and not be written to."""
        async with self._platforms() as providers:
            yield Planner(
                {name: ReadOnly(one) for name, one in providers.items()},
                self.config.settings.policy,
                self.secrets,
                self.parallelism,
                f"reconciler {__version__}",
                self._complain,
                may_be_shown,
            )

    @asynccontextmanager
    async def stack(
        self, report: Reporter, *, stop: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[Stack]:
        """The use cases over this stack, platforms open."""
        async with self._platforms() as providers:
            yield Stack(
                name=self.config.name,
                backend=self.backend,
                providers=providers,
                policy=self.config.settings.policy,
                secrets=self.secrets,
                report=report,
                now=now,
                new_run=_new_run,
                new_lineage=_new_id,
                new_key=lambda: tokens.token_hex(32),
                complain=self._complain,
                shown=may_be_shown,
                parallelism=self.parallelism,
                tool=f"reconciler {__version__}",
                config_digest=self.config.digest,
                stop=stop,
            )

    def _complain(self, resource: Resource, problem: Problem) -> Complaint:
        return complaint_for(self.config, resource, problem)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine."""
    return asyncio.run(work)


def may_be_shown(path: FieldPath, value: Any) -> bool:
    """Whether a value of a live object may be shown: not when somebody typed a secret into it."""
    if value is None or isinstance(value, bool | int | float):
        return True
    from reconciler.core.plaintext import suspicions

    name = next((str(part) for part in reversed(path) if part != "value"), "")
    table: Mapping[str, Any] = {name: value}
    return not suspicions(table)
