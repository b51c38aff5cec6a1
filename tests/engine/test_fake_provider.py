"""The platform in memory keeps the contract of every provider, and its switches do what they say."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from reconciler.core.attributes import Attributes
from reconciler.core.model import ResourceAddress, UsedBy
from reconciler.errors import InUse, NotFound, OutcomeUnknown, Rejected, Unavailable
from reconciler.testing import FakeProvider, ProviderContract


@pytest.fixture
def provider() -> FakeProvider:
    """An empty platform."""
    return FakeProvider()


class TestBoxes(ProviderContract):
    """Objects that can be seen whole."""

    kind = "box"
    plugin = None
    change: ClassVar = {"colour": "red", "size": 2}
    clear = "colour"

    def attributes(self, name: str) -> Attributes:
        """A box."""
        return Attributes({"name": name, "size": 1, "shape": "round", "tags": {"a": "b"}})


class TestKeys(ProviderContract):
    """Objects with a secret that is never shown."""

    kind = "key"
    plugin = None
    change: ClassVar = {"note": "x"}
    clear = "note"

    def attributes(self, name: str) -> Attributes:
        """A key."""
        return Attributes({"name": name, "secret": "hidden", "note": "old"})


def box(name: str) -> ResourceAddress:
    """The address of a box."""
    return ResourceAddress("fake", "box", name)


def make(provider: FakeProvider, name: str, **attributes: Any) -> str:
    """A box."""
    return asyncio.run(provider.create(box(name), Attributes({"name": name, **attributes}), key=name))


def test_calls_are_counted_and_fail_as_told(provider: FakeProvider) -> None:
    """By number or by what they say, before their effect or after it."""
    provider.fail[1] = Unavailable("before")
    provider.fail_after[2] = OutcomeUnknown("after")
    provider.fail["create box.c"] = Rejected("always")
    for name, error in (("a", Unavailable), ("b", OutcomeUnknown), ("c", Rejected), ("c", Rejected)):
        with pytest.raises(error):
            make(provider, name)
    assert provider.calls == ["create box.a", "create box.b", "create box.c", "create box.c"]
    assert list(provider.world()) == ["box.b"]


def test_a_lie_is_accepted_and_dropped(provider: FakeProvider) -> None:
    """In creations and updates."""
    provider.lie = {"size"}
    made = make(provider, "a", size=1, colour="red")
    live = asyncio.run(provider.read("box", made))
    assert live is not None
    asyncio.run(provider.update(box("a"), made, Attributes({"size": 2, "colour": "blue"}), previous=live))
    assert provider.world() == {"box.a": {"name": "a", "colour": "blue"}}


def test_hidden_objects_are_there_for_whoever_knows_them(provider: FakeProvider) -> None:
    """Only listings leave them out."""
    made = make(provider, "a")
    provider.hidden = {made}

    async def listed() -> list[str]:
        return [remote.id async for remote in provider.list("box")]

    assert asyncio.run(listed()) == []
    assert asyncio.run(provider.read("box", made)) is not None
    assert asyncio.run(provider.find("box", Attributes({"name": "a"}))) is not None


def test_usage_is_told_to_whoever_asks(provider: FakeProvider) -> None:
    """And to nobody else."""
    made = make(provider, "a")
    provider.used[made] = (UsedBy("workspace", "w"),)
    asked, unasked = (asyncio.run(provider.read("box", made, usage=usage)) for usage in (True, False))
    assert asked is not None
    assert unasked is not None
    assert (asked.used_by, unasked.used_by) == ((UsedBy("workspace", "w"),), None)


def test_the_vendors_objects_are_marked(provider: FakeProvider) -> None:
    """So that nobody touches them."""
    ours, theirs = make(provider, "ours"), make(provider, "theirs")
    provider.foreign = {theirs}
    seen = [asyncio.run(provider.read("box", one)) for one in (ours, theirs)]
    assert [remote is not None and remote.foreign for remote in seen] == [False, True]


def test_references_are_kept_whole(provider: FakeProvider) -> None:
    """What is referred to cannot go, and what is not there cannot be referred to."""
    target = make(provider, "target")
    user = make(provider, "user", uses=[{"$id": target}])
    with pytest.raises(InUse):
        asyncio.run(provider.delete(box("target"), target))
    with pytest.raises(Rejected):
        make(provider, "other", uses={"$id": "nothing"})
    live = asyncio.run(provider.read("box", user))
    assert live is not None
    with pytest.raises(Rejected):
        asyncio.run(provider.update(box("user"), user, Attributes({"uses": {"$id": "x"}}), previous=live))
    asyncio.run(provider.update(box("user"), user, Attributes({"uses": None}), previous=live))
    asyncio.run(provider.delete(box("target"), target))
    assert list(provider.world()) == ["box.user"]


def test_an_update_of_what_is_gone_is_an_error(provider: FakeProvider) -> None:
    """Unlike a deletion."""
    made = make(provider, "a")
    live = asyncio.run(provider.read("box", made))
    assert live is not None
    del provider.objects[made]
    with pytest.raises(NotFound):
        asyncio.run(provider.update(box("a"), made, Attributes({"size": 2}), previous=live))


def test_a_name_is_free_again_once_its_object_is_gone_or_renamed(provider: FakeProvider) -> None:
    """Whoever took it away."""
    first = make(provider, "a")
    del provider.objects[first]
    second = make(provider, "a")
    provider.edit(second, name="b")
    third = make(provider, "a")
    assert [first, second, third] == ["id-1", "id-2", "id-3"]
    assert sorted(provider.world()) == ["box.a", "box.b"]


def test_closing_is_noted(provider: FakeProvider) -> None:
    """So that a test can ask."""
    asyncio.run(provider.close())
    assert provider.closed
