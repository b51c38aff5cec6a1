"""One write to a platform, carried out once, and read back.

A call without an answer is settled by reading, never by hoping: it is sent
again only where a read shows that it did not happen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from reconciler.core.attributes import Attributes
from reconciler.core.diff import fingerprint
from reconciler.core.model import Remote, ResourceAddress, Step, Verb
from reconciler.core.ports import Archive, Provider, Readiness, ResourceKind
from reconciler.errors import AlreadyExists, OutcomeUnknown, ProviderError, WriteNotApplied

__all__ = ["Writes", "asked", "differing", "look", "place"]

T = TypeVar("T")

_ATTEMPTS: Final = 3


def differing(kind: ResourceKind, wanted: Attributes, live: Remote, *, new: bool = False) -> tuple[str, ...]:
    """The managed attributes in which *live* is not as *wanted*, as far as it can be seen.

    Of a *new* object, which may not be ready yet, without those that come late.
    """
    seen, unseen = live.attributes.values_, kind.write_only | kind.local
    if new:
        unseen |= kind.late

    def meant(key: str, value: Any) -> Any:
        return kind.defaults.get(key) if value is None else value

    def is_so(key: str, value: Any) -> bool:
        live_value, value = meant(key, seen.get(key)), meant(key, value)
        if key in kind.additive and isinstance(live_value, Mapping) and isinstance(value, Mapping):
            # What else is in the table is not ours.
            return all(name in live_value and live_value[name] == one for name, one in value.items())
        return bool(live_value == value)

    return tuple(key for key, value in wanted.values_.items() if key not in unseen and not is_so(key, value))


async def look(
    ask: Callable[[], Awaitable[Remote | None]], accept: Callable[[Remote | None], bool], *, patience: float
) -> Remote | None:
    """What *ask* says as soon as *accept* takes it, or its last answer after *patience* seconds.

    Some platforms show a write only a while after they accepted it.
    """
    deadline = time.monotonic() + patience
    pause = 0.05
    while True:
        found = await ask()
        if accept(found) or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, 2.0)


def place(address: ResourceAddress, remote_id: str) -> tuple[str, str, str]:
    """An object told from all others: two platforms, or two kinds, may use the same ids."""
    return address.platform, address.kind, remote_id


async def asked(question: Awaitable[T]) -> T:
    """The answer to a question about an unsettled write; no answer leaves it unsettled."""
    try:
        return await question
    except (OutcomeUnknown, WriteNotApplied):
        raise
    except ProviderError as error:
        raise OutcomeUnknown(
            f"it is not known whether a write happened: {error}",
            platform=error.platform,
            call=error.call,
            status=error.status,
            hint="The next `reconciler plan` asks the platform again.",
        ) from error


class Writes:
    """Creates, updates and deletes objects.

    *owner* says whose an object is that the state knows; *may_write* whether
    a write may be sent, again where its argument is true.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        owner: Callable[[str, str, str], ResourceAddress | None],
        may_write: Callable[[bool], bool],
    ) -> None:
        self._providers = providers
        self._owner = owner
        self._may_write = may_write

    async def create(self, step: Step, sent: Attributes, key: str) -> str:
        """Create the object, once. Returns its id."""
        provider, kind = self._provider(step), self._kind(step)
        unsure = False
        for _ in self._attempts():
            try:
                return await provider.create(step.address, sent, key=key)
            except OutcomeUnknown:
                unsure = True
            except AlreadyExists:
                if not unsure:
                    raise
                # Our own first attempt, most likely.
            # Not seen at once is not proof: a platform may list an object a while after it was made.
            found = await look(
                lambda: asked(provider.find(kind.name, sent)),
                lambda seen: seen is not None,
                patience=provider.patience,
            )
            if found is None:
                continue
            if (owner := self._owner(*place(step.address, found.id))) is not None:
                raise AlreadyExists(
                    f"{step.address}: the object of this name (id {found.id}) is {owner}",
                    platform=step.address.platform,
                )
            if different := differing(kind, sent, found, new=True):
                raise OutcomeUnknown(
                    f"{step.address}: the answer to its creation was lost, and the object of this name "
                    f"(id {found.id}) differs in {', '.join(different)}",
                    platform=step.address.platform,
                    hint="Somebody else may have made it. Look at it, then adopt or rename.",
                )
            return found.id
        raise self._unanswered(step, "creation")

    async def update(self, step: Step, sent: Attributes, current: Remote) -> None:
        """Write over *current*; again only when a read shows that it did not happen."""
        provider, kind = self._provider(step), self._kind(step)
        for _ in self._attempts():
            try:
                await provider.update(step.address, current.id, sent, previous=current)
                return
            except OutcomeUnknown:
                found = await asked(provider.read(kind.name, current.id))
            if found is not None and fingerprint(found) == fingerprint(current):
                # It did not happen, or shows in nothing (a secret): writing it again does no harm.
                continue
            if found is not None and not differing(kind, sent, found):
                return
            raise OutcomeUnknown(
                f"{step.address}: the answer to its update was lost, and the object is neither as it was "
                "nor as it should be",
                platform=step.address.platform,
                hint="Somebody else may be changing it. Look at it, then make the plan again.",
            )
        raise self._unanswered(step, "update")

    async def delete(self, step: Step, remote_id: str) -> None:
        """Remove the object, with what the step says goes with it; of one that we just made, nothing does."""
        provider, kind = self._provider(step), self._kind(step)
        parting = step.attributes if step.verb is Verb.DELETE and step.attributes is not None else {}
        for _ in self._attempts():
            try:
                await provider.delete(step.address, remote_id, parting=parting)
            except OutcomeUnknown:
                if await asked(provider.read(kind.name, remote_id)) is None:
                    return
                continue
            left = await look(
                lambda: asked(provider.read(kind.name, remote_id)),
                lambda seen: seen is None,
                patience=provider.patience,
            )
            if left is None:
                return
            raise WriteNotApplied(
                f"{step.address}: the platform accepted the deletion, and the object is still there",
                platform=step.address.platform,
            )
        raise self._unanswered(step, "deletion")

    async def restore(self, step: Step, remote_id: str) -> Remote:
        """Take an object out of the archive; what it is then. Twice does no harm."""
        provider, kind = self._provider(step), self._kind(step)
        assert isinstance(provider, Archive), "a kind that archives, of a provider that does not"
        for _ in self._attempts():
            try:
                await provider.restore(step.address, remote_id)
            except OutcomeUnknown:
                if (found := await asked(provider.read(kind.name, remote_id))) is not None:
                    return found
                continue
            found = await look(
                lambda: asked(provider.read(kind.name, remote_id)),
                lambda seen: seen is not None,
                patience=provider.patience,
            )
            if found is not None:
                return found
            raise WriteNotApplied(
                f"{step.address}: the platform accepted to restore {remote_id}, and does not show it",
                platform=step.address.platform,
            )
        raise self._unanswered(step, "restoration")

    def _attempts(self) -> Iterator[int]:
        """The tries of one write. None is left once journal or lock is lost: others may be at work."""
        for number in range(_ATTEMPTS):
            if not self._may_write(number > 0):
                return
            yield number

    def _unanswered(self, step: Step, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{step.address}: no answer to its {what}, and nothing shows what came of it",
            platform=step.address.platform,
            hint="The next `reconciler plan` asks the platform again.",
        )

    async def read_back(self, step: Step, remote_id: str, wanted: Attributes, *, new: bool = False) -> Remote:
        """The object as the write left it, working; *new* when that made it.

        Raises `WriteNotApplied` when it is not as *wanted*, or does not work in time.
        """
        provider = self._provider(step)
        live = await self._shown(step, remote_id, wanted, new=new)
        if isinstance(provider, Readiness):
            await provider.await_ready(step.address, remote_id, wanted)
            if new and differing(self._kind(step), wanted, live):
                live = await self._shown(step, remote_id, wanted)
        return live

    async def _shown(self, step: Step, remote_id: str, wanted: Attributes, *, new: bool = False) -> Remote:
        """The object, as soon as the platform shows it as *wanted*."""
        provider, kind = self._provider(step), self._kind(step)
        live = await look(
            lambda: provider.read(kind.name, remote_id),
            lambda seen: seen is not None and not differing(kind, wanted, seen, new=new),
            patience=provider.patience,
        )
        if live is None:
            raise WriteNotApplied(
                f"{step.address}: the platform accepted it as {remote_id}, and does not show it "
                f"after {provider.patience:g} s",
                platform=step.address.platform,
            )
        if different := differing(kind, wanted, live, new=new):
            raise WriteNotApplied(
                f"{step.address}: the platform accepted the write, and {', '.join(different)} "
                f"{'is' if len(different) == 1 else 'are'} not as written",
                platform=step.address.platform,
                hint="The platform may not support this value, or a policy of its own changes it.",
            )
        return live

    def _provider(self, step: Step) -> Provider:
        return self._providers[step.address.platform]

    def _kind(self, step: Step) -> ResourceKind:
        return self._provider(step).kinds[step.address.kind]
