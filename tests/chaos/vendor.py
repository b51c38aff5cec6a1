"""What the harness has to know of one vendor: its part of a stack, what is on it, and what may not be.

What is on a platform is read out of the file of its embedded one, without the
product: what that sees wrong is not to be hidden by it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import httpx
from chaos.wishes import Wishes


@dataclass(frozen=True)
class Found:
    """One object on a platform.

    ``text`` is all that there is of it. ``line`` is what a spec can wish of
    it, ids as the names of what they mean. ``exact`` is what it has besides
    and an undo brings back, ``besides`` what only a rollback does: of an
    archived object that is made again nobody knows which old versions were
    active. ``stays``: the platform never removes it.
    """

    name: str
    text: str
    line: str
    exact: str = ""
    besides: str = ""
    stays: bool = False


@dataclass(frozen=True)
class Proof:
    """What a vendor may look at beside the objects: what the state says, and what was wished for."""

    store: Path
    state: Mapping[str, Any]
    wishes: Wishes


def line(kind: str, name: str, facts: Mapping[str, Any]) -> str:
    """An object in words: what it is called, and what is not empty of *facts*."""
    said = " ".join(f"{key}={facts[key]}" for key in sorted(facts) if facts[key] not in (None, "", [], {}))
    return f"{kind}.{name} {said}"


class Vendor(ABC):
    """One vendor, for as many worlds as there are.

    ``platform`` is its name in a stack and in addresses, ``provider`` the
    name of its code. ``profiles`` are ways in which the platform misbehaves,
    by name: the same names for all vendors. ``calls`` matches what a sweep
    breaks. ``variables`` are those that a stack needs. ``swept_variables``
    are secrets of the specs that a sweep goes through.
    """

    platform: ClassVar[str]
    provider: ClassVar[str]
    profiles: ClassVar[Mapping[str, str]]
    calls: ClassVar[str]
    variables: ClassVar[Mapping[str, str]] = MappingProxyType({})
    swept_variables: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def wishes(self, chance: random.Random, size: int) -> Wishes:
        """What a world with this chance wishes for."""

    def served(self, faults: str) -> str:
        """``[platforms.NAME]`` of the platform in a process of its own."""
        return self._embedded(f"faults = [{faults}]\n")

    def inside(self, faults: str) -> str:
        """``[platforms.NAME]`` of a stack whose platform is inside the command, for a sweep."""
        return self._embedded(f"patience_seconds = 0.3\n{faults}")

    def _embedded(self, more: str) -> str:
        return f'[platforms.{self.platform}]\nprovider = "{self.provider}"\nendpoint = "embedded"\n{more}'

    @abstractmethod
    def outside(self, url: str) -> str:
        """``[platforms.NAME]`` of a stack whose platform is served at *url*."""

    @abstractmethod
    def live(self, store: Path) -> dict[str, Found]:
        """What is there beside the vendor's own, by id."""

    @abstractmethod
    def meet_others(self, store: Path) -> None:
        """Let other people make three objects, named ``of-others-N``."""

    @abstractmethod
    def wished(self, specs: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> Iterator[str]:
        """What should be there by *specs*, read by their stem, as lines; without the product."""

    @abstractmethod
    def swept(self, *, after: bool) -> dict[str, str]:
        """The specs before and after the plan that a sweep breaks: steps of every kind lie between."""

    def flaws(self, proof: Proof, live: Mapping[str, Found]) -> Iterator[str]:
        """What else may never be, once a dead run is settled."""
        return iter(())

    def shortcomings(self, proof: Proof, variables: Mapping[str, str]) -> Iterator[str]:
        """What else has to be, once the specs are applied."""
        return iter(())


def rows(store: Path, query: str) -> list[Any]:
    """What *query* finds in the file of a platform; nothing where there is none yet."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as db:
        return db.execute(query).fetchall()


def ask(app: Any, requests: Sequence[tuple[str, str, Any]], headers: Mapping[str, str]) -> list[Any]:
    """The decoded answers to requests inside this process, each of which has to succeed."""

    async def run() -> list[Any]:
        answers = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hand") as client:
            for method, path, body in requests:
                sent = {"data": body} if isinstance(body, dict) and "grant_type" in body else {"json": body}
                answer = await client.request(method, path, headers=dict(headers), **sent)
                assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
                answers.append(answer.json() if answer.content else None)
        return answers

    return asyncio.run(run())
