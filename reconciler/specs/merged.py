"""A spec laid over what it extends, which still knows who said what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path as FilePath
from typing import Any, Final, Literal

from reconciler.core.model import Path
from reconciler.errors import Complaint
from reconciler.specs.text import TomlFile

_REFERENCE: Final = frozenset({"env", "file", "command"})


def extended_names(wanted: str, asking: str) -> tuple[str, ...]:
    """The files that ``extends = wanted`` may mean in the file *asking*; the first that exists is it."""
    beside = (FilePath(asking).parent / f"{wanted}.toml").as_posix()
    return tuple(dict.fromkeys((beside, f"{wanted}.toml")))


@dataclass
class Merged:
    """A spec with all that it extends, nearest file first.

    ``needs`` are the files that it was made from besides its own, as in
    `CachedSpec`. ``is_guess`` says that one of them is not named there, and was
    only probably meant.
    """

    table: dict[str, Any]
    files: list[TomlFile]
    needs: tuple[tuple[str, str], ...] = ()
    is_guess: bool = False

    @classmethod
    def of(
        cls, files: list[TomlFile], needs: tuple[tuple[str, str], ...] = (), *, is_guess: bool = False
    ) -> Merged:
        """*files*, each of which extends the one behind it."""
        table: dict[str, Any] = {}
        for file in reversed(files):
            table |= {key: overlaid(table.get(key), value, _depth(key)) for key, value in file.table.items()}
        if "name" in table and "name" not in files[0].table:
            del table["name"]  # a copy has a name of its own
        table.pop("extends", None)
        return cls(table, files, needs, is_guess)

    def complaint(
        self, path: Path, summary: str, hint: str = "", *, platform: str = "", limit: bool = False
    ) -> Complaint:
        """A complaint at *path* of the merged table, in the file that says it.

        With *platform*, the table is what that platform gets: its own fields
        laid over the shared ones.
        """
        want: Literal["key", "value"] = "key" if summary.startswith("unknown key") else "value"
        # Where the part of *path* that was followed so far is said, what counts most first.
        said: list[tuple[TomlFile, Path, Any]] = [(file, (), file.table) for file in self.files]
        depth = 1 if platform else _depth(path[0]) if path else 0
        if platform:
            own = (said_at(file, ("on", platform)) for file in self.files)
            said = [*(one for one in own if one is not None), *said]
        here: tuple[TomlFile, Path] = (self.files[0], ("on", platform) if platform else ())
        for part in path:
            said = [(file, (*at, part), value[part]) for file, at, value in said if _holds(value, part)]
            if not said:
                return here[0].complaint(here[1], summary, hint, want="key", limit=limit)
            here = said[0][:2]
            # Tables that merge say together what is in them; anything else is said once.
            said = list(takewhile(lambda one: _merges(one[2]), said))[: None if depth > 0 else 1] or said[:1]
            depth -= 1
        return here[0].complaint(here[1], summary, hint, want=want, limit=limit)

    def conceal(self, key: str) -> None:
        """Show nothing of what the field *key* holds, wherever it is said."""
        for file in self.files:
            file.conceal((key,))
            placements = file.table.get("on")
            for platform in placements if isinstance(placements, dict) else ():
                file.conceal(("on", platform, key))


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def said_at(file: TomlFile, path: Path) -> tuple[TomlFile, Path, Any] | None:
    """What *file* says at *path*, if it says anything."""
    value: Any = file.table
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return file, path, value


def _depth(key: str | int) -> int:
    """How deep the tables at a key of a file merge: a field by its keys, ``on`` by platforms and fields."""
    return 3 if key == "on" else 1


def _merges(value: Any) -> bool:
    """Whether a table adds to one below it, instead of taking its place as a reference to a secret does."""
    return isinstance(value, dict) and not (value and value.keys() <= _REFERENCE)


def overlaid(under: Any, over: Any, depth: int) -> Any:
    """*over* laid over *under*: tables merge key by key to *depth*, anything else takes the place."""
    if depth == 0 or not _merges(under) or not _merges(over):
        return over
    return {**under, **{key: overlaid(under.get(key), value, depth - 1) for key, value in over.items()}}
