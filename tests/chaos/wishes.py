"""What a world wishes for: specs that change, get other names and come back, and secrets that rotate.

What is wished for of one vendor is in the module of that vendor.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

NEEDLE = "the-one-value-nobody-may-write"
"""Part of every secret."""

_ADOPT = "adopt = true\n"
_MOVED = "moved-"


@dataclass
class Wishes(ABC):
    """The specs, by the stem of their file, and the secrets that they take, by their variable.

    Environments are called ``env-NN``; whatever else a vendor has is called
    otherwise. ``applied`` are the specs as they were last applied, ``ever`` is
    every value that a secret had. ``taken`` are names that are somebody else's
    now.

    ``platform`` is what addresses begin with. ``reference`` is the field in
    which one spec names another. ``beside`` is the kind of a second object
    that the spec of an environment may give. ``files`` are those that specs
    name, by their path in the stack.
    """

    platform: ClassVar[str]
    reference: ClassVar[str] = ""
    beside: ClassVar[str] = ""
    files: ClassVar[Mapping[str, str]] = MappingProxyType({})

    chance: random.Random
    size: int
    specs: dict[str, str] = field(default_factory=dict)
    applied: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    _renamed: dict[str, str] = field(default_factory=dict)
    _sent: dict[str, str] = field(default_factory=dict)

    def change(self) -> str:
        """Other specs: some new, some gone, some different, some elsewhere. Returns their ``[[moved]]``."""
        moves = "".join(self._called_as_before(old, new) for old, new in self._renamed.items())
        self._renamed.clear()
        for name, text in self.specs.items():
            if not self.is_always_adopted(name):
                self.specs[name] = text.replace(_ADOPT, "")
        self._change()
        if not self.specs:
            name = next(one for one in self._names() if one not in self.taken)
            self.specs[name] = self._environment(name)
        return moves

    def _names(self) -> list[str]:
        return [f"env-{number:02d}" for number in range(self.size)]

    def _change(self) -> None:
        """Other environments; a vendor adds what else it has."""
        for name in self._names():
            draw = self.chance.random()
            if name in self.taken:
                continue
            if draw < 0.15:
                self.specs.pop(name, None)
            elif draw < 0.6 or self._is_outdated(name):
                self.specs[name] = self._environment(name)

    def _is_outdated(self, name: str) -> bool:
        """Whether the spec of an environment may name what is no longer there."""
        return False

    @abstractmethod
    def _environment(self, name: str) -> str:
        """A spec of an environment. ``[lifecycle]``, where it has that, is its last section."""

    @property
    def is_as_named(self) -> bool:
        """Whether each spec has the file that it had from the beginning."""
        return not self._renamed

    def were_applied(self) -> None:
        """Keep the specs and the secrets as what was there in the end."""
        self.applied, self._sent = dict(self.specs), dict(self.secrets)

    def as_applied(self) -> None:
        """Wish for what was applied last, with the secrets of then."""
        self.specs, self.secrets = dict(self.applied), dict(self._sent)

    # --- names and addresses ---

    def kind_of(self, name: str) -> str:
        """The kind that a spec is mostly about."""
        return "environment"

    def address_of(self, name: str) -> str:
        """The address of what a spec is mostly about."""
        return f"{self.platform}.{self.kind_of(name)}.{name}"

    def has_beside(self, name: str, addresses: Mapping[str, object]) -> bool:
        """Whether one of *addresses* is a second object of the spec *name*."""
        return bool(self.beside) and f"{self.platform}.{self.beside}.{name}" in addresses

    def name_of(self, address: str) -> str:
        """The name that an object has on the platform: the one that it was made with."""
        return address.rpartition(".")[2].removeprefix(_MOVED)

    # --- what people do to specs by hand ---

    def is_always_adopted(self, name: str) -> bool:
        """Whether what is there already is taken over whatever it is like, as this spec says."""
        return False

    def is_blind(self, name: str) -> bool:
        """Whether an object of this spec cannot be told equal: to take it over, the spec has to say so."""
        return False

    def adopt(self, name: str) -> None:
        """Ask for what is there to be taken over."""
        text = self.specs[name].replace(_ADOPT, "")
        self.specs[name] = text + ("" if "[lifecycle]" in text else "[lifecycle]\n") + _ADOPT

    def let_go(self, name: str) -> None:
        """Wish for *name* no more, now or later: its object is somebody else's."""
        self.specs.pop(name, None)
        self.taken.add(name)

    def rename(self, old: str) -> None:
        """Give a spec another file, and its object the name that it has. The next change takes it back."""
        new = self._renamed[old] = _MOVED + old
        section = f"[on.{self.platform}]\n"
        self.specs[new] = self.specs.pop(old).replace(section, f'{section}name = "{old}"\n', 1)
        self._refer(old, new)

    def _called_as_before(self, old: str, new: str) -> str:
        text = self.specs.pop(new, None)
        if text is not None:
            self.specs[old] = text.replace(f'name = "{old}"\n', "", 1)
        self._refer(new, old)
        kinds = [self.kind_of(old)]
        if kinds == ["environment"] and self.beside:
            # It may have got a second object under its new name meanwhile.
            kinds.append(self.beside)
        return "".join(
            f'\n[[moved]]\nfrom = "{self.platform}.{kind}.{new}"\nto = "{self.platform}.{kind}.{old}"\n'
            for kind in kinds
        )

    def _refer(self, old: str, new: str) -> None:
        if self.reference:
            for name, text in self.specs.items():
                self.specs[name] = text.replace(f'{self.reference} = "{old}"', f'{self.reference} = "{new}"')
