"""What a world wishes for: specs that change, get other names and come back, and secrets that rotate."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

NEEDLE = "the-one-value-nobody-may-write"
"""Part of every secret."""

_ADOPT = "adopt = true\n"
_MOVED = "moved-"


@dataclass
class Wishes:
    """The specs, by the stem of their file, and the secrets that they take, by their variable.

    ``applied`` are the specs as they were last applied, ``ever`` is every
    value that a secret had. ``taken`` are names that are somebody else's now.
    """

    chance: random.Random
    size: int
    specs: dict[str, str] = field(default_factory=dict)
    applied: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    _renamed: dict[str, str] = field(default_factory=dict)
    _sent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(3):
            self._rotate(number)

    def _rotate(self, number: int) -> None:
        value = f"{NEEDLE}-{number}-{self.chance.randint(1, 99)}"
        self.secrets[f"SECRET_{number}"] = value
        self.ever.add(value)

    def change(self) -> str:
        """Other specs: some new, some gone, some different, some elsewhere. Returns their ``[[moved]]``."""
        chance = self.chance
        moves = "".join(self._called_as_before(old, new) for old, new in self._renamed.items())
        self._renamed.clear()
        for name, text in self.specs.items():
            self.specs[name] = text.replace(_ADOPT, "")
        for number in range(3):
            if chance.random() < 0.3:
                self.specs.pop(f"key-{number}", None)
            if chance.random() < 0.6:
                self.specs[f"key-{number}"] = (
                    f'kind = "credential"\ntype = "generic-secret"\n'
                    f'data = {{ token = {{ env = "SECRET_{number}" }} }}\n'
                    f'description = "{chance.randint(1, 9)}"\non.runai.scope = "tenant"\n'
                )
            if chance.random() < 0.2:
                self._rotate(number)
        keys = sorted(name for name in self.specs if name.startswith("key-"))
        names = [f"env-{number:02d}" for number in range(self.size)]
        for name in names:
            draw = chance.random()
            if name in self.taken:
                continue
            if draw < 0.15:
                self.specs.pop(name, None)
            elif draw < 0.6 or "credential =" in self.specs.get(name, ""):
                self.specs[name] = self._environment(keys)
        if not self.specs:
            name = next(one for one in names if one not in self.taken)
            self.specs[name] = self._environment(keys)
        return moves

    def _environment(self, keys: list[str]) -> str:
        chance = self.chance
        scope = chance.choice(
            ('scope = "tenant"',) * 3 + ('scope = "project"\nscope_id = "4501234"',)  # elsewhere: a replace
        )
        lines = [
            f'image = "python:3.{chance.randint(8, 13)}"',
            f'description = "{chance.randint(1, 3)}"',
            "[environment_variables]",
            f'SEED = "{chance.randint(1, 9)}"',
        ]
        if keys and chance.random() < 0.4:
            lines.append(f'TOKEN = {{ credential = "{chance.choice(keys)}", key = "token" }}')
        if chance.random() < 0.2:
            lines += ["[compute]", f"cpu_cores = {chance.randint(1, 4)}"]
        lines += ["[on.runai]", scope]
        if chance.random() < 0.3:
            lines += ["[lifecycle]", "create_before_destroy = true"]
        return "\n".join(lines) + "\n"

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

    # --- what people do to specs by hand ---

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
        text = self.specs.pop(old)
        place = "on.runai.scope" if _is_key(old) else "scope ="
        said = f'on.runai.name = "{old}"' if _is_key(old) else f'name = "{old}"'
        self.specs[new] = text.replace(place, f"{said}\n{place}", 1)
        self._refer(old, new)

    def name_of(self, address: str) -> str:
        """The name that an object has on the platform: the one that it was made with."""
        return address.rpartition(".")[2].removeprefix(_MOVED)

    def _called_as_before(self, old: str, new: str) -> str:
        text = self.specs.pop(new, None)
        if text is not None:
            kept = (line for line in text.splitlines(keepends=True) if f'name = "{old}"' not in line)
            self.specs[old] = "".join(kept)
        self._refer(new, old)
        # An environment may have got a compute asset under its new name meanwhile.
        kinds = ("credential",) if _is_key(old) else ("environment", "compute")
        return "".join(
            f'\n[[moved]]\nfrom = "runai.{kind}.{new}"\nto = "runai.{kind}.{old}"\n' for kind in kinds
        )

    def _refer(self, old: str, new: str) -> None:
        for name, text in self.specs.items():
            self.specs[name] = text.replace(f'credential = "{old}"', f'credential = "{new}"')


def _is_key(name: str) -> bool:
    return name.startswith("key-")
