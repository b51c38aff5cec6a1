"""The specs of a stack: every ``*.toml`` below it but ``reconciler.toml``.

Two ways through, one result. A file whose bytes are known from last time
comes out of the cache without being parsed. Any other is parsed, merged with
what it extends, handed to the provider of each platform it is placed on, and
every complaint about it gets its place in the text.

What concerns several files (doubles, references, cycles, limits) is looked at
every time, over all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile
from pathlib import Path as FilePath
from typing import Any, Final, Literal

import msgspec

from reconciler.core.attributes import REF, Attributes, canonical, marked
from reconciler.core.model import Lifecycle, Path, Resource, ResourceAddress, Source, SpecSet
from reconciler.core.planner import shortest_cycle
from reconciler.core.policy import limits
from reconciler.core.ports import Fact, Place, Problem
from reconciler.errors import Complaint, LimitErrors, SpecErrors, UsageError
from reconciler.specs.cache import CachedResource, CachedSpec
from reconciler.specs.config import CONFIG_NAME, StackConfig
from reconciler.specs.text import TomlFile, parse, plain_secrets, unreadable

__all__ = ["complaint_for", "complaints_about_specs", "load_specs"]

_STRUCTURE: Final = frozenset({"kind", "name", "extends", "depends_on", "lifecycle", "on"})
_LIFECYCLE: Final[Mapping[str, type]] = {
    "prevent_destroy": bool,
    "create_before_destroy": bool,
    "adopt": bool,
    "ignore_changes": list,
}
_MOST_COMPARED: Final = 100_000
"""How many known words are compared with missing ones in all: about a second's worth."""
_REFERENCE: Final = frozenset({"env", "file", "command"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def load_specs(config: StackConfig, *, revision: str = "") -> SpecSet:
    """All that the stack wishes.

    Raises `SpecErrors` with every complaint about every file, or `LimitErrors`
    when the policy's limits are all that is wrong.
    """
    loader = _Loader(config)
    loader.load()
    complaints = loader.complaints
    if complaints:
        kind = LimitErrors if all(one.limit for one in complaints) else SpecErrors
        raise kind(complaints)
    config.cache.save()
    return SpecSet(
        resources=tuple(loader.resources),
        digest=loader.digest,
        revision=revision,
        moves=config.settings.moves,
        warnings=tuple(dict.fromkeys(loader.warnings)),
    )


def complaints_about_specs(config: StackConfig) -> list[Complaint]:
    """What is wrong with the specs of a stack that is not read for anything else."""
    loader = _Loader(config)
    loader.load()
    return [one for one in loader.complaints if one.file]


def complaint_for(config: StackConfig, resource: Resource, problem: Problem) -> Complaint:
    """A complaint about a resource, found after the specs were read, at its place in the spec."""
    source = resource.source
    files: list[TomlFile] = []
    following: str | None = source.file
    while following is not None and all(file.name != following for file in files):
        parsed = parse(config.directory / following, following)
        if isinstance(parsed, Complaint):
            return Complaint(problem.summary, source.file, source.line, hint=problem.hint)
        files.append(parsed)
        wanted = parsed.table.get("extends")
        candidates = _candidates(wanted, following) if isinstance(wanted, str) else ()
        following = next((name for name in candidates if (config.directory / name).is_file()), None)
    platform = resource.address.platform
    return _Merged.of(files).complaint(problem.path, problem.summary, problem.hint, platform=platform)


def _candidates(wanted: str, asking: str) -> tuple[str, ...]:
    """The files that ``extends = wanted`` may mean in the file *asking*; the first that exists is it."""
    beside = (FilePath(asking).parent / f"{wanted}.toml").as_posix()
    return tuple(dict.fromkeys((beside, f"{wanted}.toml")))


@dataclass
class _Merged:
    """A spec with all that it extends, nearest file first.

    ``needs`` are the files that it was made from besides its own, as in
    `CachedSpec`.
    """

    table: dict[str, Any]
    files: list[TomlFile]
    needs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, files: list[TomlFile], needs: tuple[tuple[str, str], ...] = ()) -> _Merged:
        """*files*, each of which extends the one behind it."""
        table: dict[str, Any] = {}
        for file in reversed(files):
            table |= {key: _overlaid(table.get(key), value, _depth(key)) for key, value in file.table.items()}
        if "name" in table and "name" not in files[0].table:
            del table["name"]  # a copy has a name of its own
        table.pop("extends", None)
        return cls(table, files, needs)

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
            own = (_at(file, ("on", platform)) for file in self.files)
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


def _at(file: TomlFile, path: Path) -> tuple[TomlFile, Path, Any] | None:
    """What *file* says at *path*, if it says anything."""
    value: Any = file.table
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return file, path, value


@dataclass
class _Loader:
    config: StackConfig
    resources: list[Resource] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""
    _data: dict[str, bytes] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _parsed: dict[str, TomlFile | None] = field(default_factory=dict)
    _identities: list[str] = field(default_factory=list)
    _facts: list[tuple[Resource, tuple[tuple[str, Any, Path], ...]]] = field(default_factory=list)
    _extended: set[str] = field(default_factory=set)
    _unread: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _meant: dict[str, str] = field(default_factory=dict)
    _compared: int = 0
    _specs: dict[str, CachedSpec] = field(default_factory=dict)

    def load(self) -> None:
        self._read_files()
        if not self._digests and not self.complaints:
            self.complaints.append(
                Complaint(
                    "no specs here",
                    "",
                    hint="A stack without specs is never taken for a wish to delete everything. Add a spec "
                    "(`reconciler init` shows one), or say `reconciler destroy`.",
                )
            )
            return
        missed = False
        sound: dict[str, CachedSpec] = {}
        for name in self._digests:
            known = self.config.cache.spec(name, self._digests[name])
            if known is not None and all(self._digests.get(other, "") == d for other, d in known.needs):
                self._specs[name] = sound[name] = known
                self._extended.update(other for other, _ in known.needs)
            else:
                missed = True
                if self._read_spec(name):
                    sound[name] = self._specs[name]
        for name, spec in self._specs.items():
            self._take(name, spec)
        self._check_placed()
        self._check_doubles()
        self._check_references()
        self._check_limits()
        self.config.cache.keep_specs(sound, changed=missed)

    # --- files ---

    def _read_files(self) -> None:
        whole = hashlib.sha256()
        for path, name in sorted(
            _spec_files(self.config.directory, self.config.state_directory, self._complain_of_folder),
            key=lambda found: found[1],
        ):
            if not name.isprintable() and (shown := _printable(name)) != name:
                self._miss(shown)
                self.complaints.append(
                    Complaint(
                        "this file has a name that cannot be shown",
                        shown,
                        hint="Rename it: UTF-8, without control characters.",
                    )
                )
                continue
            try:
                data = _read_bytes(path)
            except OSError as error:
                self._miss(name)
                self.complaints.append(unreadable(name, error))
                continue
            self._digests[name] = found = hashlib.sha256(data).hexdigest()
            if self.config.cache.spec(name, found) is None:
                self._data[name] = data  # to be parsed; the bytes of all others are not needed any more
            whole.update(f"{name}\0{found}\n".encode())
        whole.update(self.config.digest.encode())
        self.digest = f"sha256:{whole.hexdigest()}"

    def _miss(self, name: str) -> None:
        """Remember that the file *name* is there, whatever is in it."""
        self._unread.add(name)
        self._failed.add(FilePath(name).stem)

    def _complain_of_folder(self, name: str, summary: str, hint: str) -> None:
        self._miss(name)
        hint = f"Specs that cannot be seen are not taken for gone. {hint}"
        self.complaints.append(Complaint(summary, _printable(name), hint=hint))

    def _file(self, name: str) -> TomlFile | None:
        if name not in self._parsed:
            found = self._parse(name)
            if isinstance(found, Complaint):
                self._miss(name)
                self.complaints.append(found)
                self._parsed[name] = None
            else:
                self._parsed[name] = found
        return self._parsed[name]

    def _parse(self, name: str) -> TomlFile | Complaint:
        data = self._data.get(name)
        if data is None:
            try:
                data = _read_bytes(str(self.config.directory / name))
            except OSError as error:
                return unreadable(name, error)
            if hashlib.sha256(data).hexdigest() != self._digests[name]:
                # Or the cache would take this content for that of the digest.
                return Complaint("this file was changed while it was read", name, hint="Run again.")
        return parse(self.config.directory / name, name, data)

    # --- one spec ---

    def _read_spec(self, name: str) -> bool:
        """Read the file *name*; whether there is nothing to complain of.

        What it gives in spite of mistakes is looked at beside all other specs.
        """
        file = self._file(name)
        if file is None:
            return False
        before = len(self.complaints)
        merged = self._merge(file)
        if merged is not None:
            reader = _SpecReader(self.config, name, merged)
            reader.read()
            self.complaints += reader.complaints
            self._specs[name] = CachedSpec(
                self._digests[name],
                tuple(reader.resources),
                tuple(reader.warnings),
                merged.needs,
                reader.placed,
            )
        said = self.complaints[before:]
        self.complaints += plain_secrets(file, self.config.settings.not_secret, said)
        if merged is not None and len(self.complaints) == before:
            return True
        self._failed.add(str(file.table.get("name", FilePath(name).stem)))
        return False

    def _merge(self, file: TomlFile) -> _Merged | None:
        """The file with what it extends below it."""
        files = [file]
        needs: list[tuple[str, str]] = []
        while (wanted := files[-1].table.get("extends")) is not None:
            here = files[-1]
            if not isinstance(wanted, str):
                self.complaints.append(
                    here.complaint(("extends",), "`extends` must be the name of another spec, in quotes")
                )
                return None
            target = self._named(wanted, here.name)
            if target is None:
                self._complain_of_extends(here, wanted)
                return None
            if any(target == other.name for other in files):
                self._complain_of_ring(files, target)
                return None
            for candidate in _candidates(wanted, here.name):
                needs.append((candidate, self._digests.get(candidate, "")))
                if candidate == target:
                    break
            self._extended.add(target)
            base = self._file(target)
            if base is None:
                return None
            files.append(base)
        return _Merged.of(files, tuple(needs))

    def _complain_of_ring(self, files: list[TomlFile], target: str) -> None:
        """Say it once, however many specs are in the circle or lead into it."""
        ring = list(dropwhile(lambda file: file.name != target, files))
        first = min(range(len(ring)), key=lambda number: ring[number].name)
        ring = [*ring[first:], *ring[:first]]
        names = " -> ".join(file.name for file in (*ring, ring[0]))
        self.complaints.append(
            ring[0].complaint(
                ("extends",),
                f"specs extend one another in a circle: {names}",
                "Remove one of these `extends`.",
            )
        )

    def _named(self, wanted: str, asking: str) -> str | None:
        return next((name for name in _candidates(wanted, asking) if name in self._digests), None)

    def _complain_of_extends(self, file: TomlFile, wanted: str) -> None:
        if any(name in self._unread for name in _candidates(wanted, file.name)):
            return  # it is there and cannot be read, which is said already
        meant = self._nearest(wanted, wanted, lambda: [name.removesuffix(".toml") for name in self._digests])
        hint = (
            f"Did you mean {meant!r}?" if meant else "Name a spec of this stack by its file, without .toml."
        )
        self.complaints.append(file.complaint(("extends",), f"there is no spec {wanted!r}", hint))

    def _nearest(self, missing: str, word: str, known: Callable[[], list[str]]) -> str:
        """Which of the *known* words was meant by *word*, in the name of something *missing*.

        Thousands may name what somebody took away, and each is compared with all that is there: after a
        while, no more suggestions are looked for.
        """
        from reconciler.core.reading import nearest

        if missing not in self._meant:
            words = known() if self._compared < _MOST_COMPARED else []
            self._compared += len(words)
            self._meant[missing] = nearest(word, words)
        return self._meant[missing]

    # --- all specs ---

    def _take(self, name: str, spec: CachedSpec) -> None:
        self.warnings += spec.warnings
        for one in spec.resources:
            resource = Resource(
                address=ResourceAddress(one.platform, one.kind, one.name),
                attributes=Attributes.from_raw(bytes(one.attributes)),
                source=Source(name, one.line),
                depends_on=_parsed_addresses(one.depends_on) if one.depends_on else (),
                lifecycle=Lifecycle(*one.lifecycle) if one.lifecycle != _PLAIN else _DEFAULT,
            )
            self.resources.append(resource)
            self._identities.append(one.identity)
            if one.facts:
                self._facts.append((resource, one.facts))

    def _check_placed(self) -> None:
        """A spec on no platform is a pattern for others, or a mistake."""
        if self._unread:
            return  # what cannot be read may extend it
        for name, spec in self._specs.items():
            if spec.placed or name in self._extended:
                continue
            known = ", ".join(f"[on.{platform}]" for platform in sorted(self.config.settings.platforms))
            file = self._file(name)
            if file is not None:
                self.complaints.append(
                    file.complaint(
                        (), "this spec is placed on no platform", f"Say where it is to be: {known}."
                    )
                )

    def _check_doubles(self) -> None:
        seen: dict[ResourceAddress, Resource] = {}
        for resource in self.resources:
            first = seen.setdefault(resource.address, resource)
            if first is not resource:
                merged = self._merged(resource)
                named = merged is not None and "name" in merged.table
                self.complaints.append(
                    self._complaint(
                        resource,
                        ("name",) if named else (),
                        f"{resource.address} is defined twice; the other one is in {first.source}",
                        "Give one of them another `name`, or remove it.",
                    )
                )
        identities: dict[tuple[str, str, str], Resource] = {}
        for resource, identity in zip(self.resources, self._identities, strict=True):
            address = resource.address
            first = identities.setdefault((address.platform, address.kind, identity), resource)
            if first.address != address:  # the same address is said above
                self.complaints.append(
                    self._complaint(
                        resource,
                        ("name",),
                        f"{resource.address} and {first.address} ({first.source}) would be the same object "
                        f"on {resource.address.platform}",
                        "Give one of them another name or scope.",
                    )
                )

    def _check_references(self) -> None:
        known = {resource.address: resource for resource in self.resources}
        edges: dict[ResourceAddress, tuple[ResourceAddress, ...]] = {}
        named: dict[str, list[str]] = {}
        for address, resource in known.items():
            if not resource.depends_on:
                continue
            edges[address] = tuple(needed for needed in resource.depends_on if needed in known)
            for needed in resource.depends_on:
                # What a spec with another mistake would have defined is not missing.
                if needed not in known and needed.name not in self._failed:
                    if not named:
                        named[""] = list(map(str, known))
                        for one in known:
                            named.setdefault(f"{one.platform}.{one.kind}.", []).append(one.name)
                    self._complain_of_reference(resource, needed, named)
        if not edges:
            return
        for needs in list(edges.values()):
            for needed in needs:
                edges.setdefault(needed, ())
        ring = shortest_cycle(edges)
        if ring:
            hops = []
            for here, following in zip(ring, (*ring[1:], ring[0]), strict=True):
                at = self._complaint(known[here], self._path_of(known[here], following), "")
                hops.append(f"{here} needs {following} ({at.file}:{at.line})")
            first = known[ring[0]]
            self.complaints.append(
                self._complaint(
                    first,
                    self._path_of(first, (*ring[1:], ring[0])[0]),
                    "specs need one another in a circle: " + "; ".join(hops),
                    "Remove one of these references.",
                )
            )

    def _complain_of_reference(
        self, resource: Resource, needed: ResourceAddress, named: Mapping[str, list[str]]
    ) -> None:
        # By name alone, where the rest is right: what addresses have in common makes all of them look alike.
        place = f"{needed.platform}.{needed.kind}."
        if place not in named:
            place = ""
        name = self._nearest(str(needed), str(needed).removeprefix(place), lambda: named[place])
        meant = place + name if name else ""
        hint = f"Did you mean {meant}? " if meant else ""
        if needed.kind == "credential":
            hint += (
                "A credential of this name has to be a spec of this stack; one that is not can be given "
                'by its id: { credential_id = "…", key = "…" }.'
            )
        elif not hint:
            hint = "Write the address of a spec of this stack: PLATFORM.KIND.NAME."
        self.complaints.append(
            self._complaint(
                resource, self._path_of(resource, needed), f"there is no {needed} in the specs", hint.rstrip()
            )
        )

    def _path_of(self, resource: Resource, needed: ResourceAddress) -> Path:
        """Where a resource says that it needs another."""
        for path, text in marked(resource.attributes.values_, REF):
            if text == str(needed):
                return path
        merged = self._merged(resource)
        listed = [] if merged is None else merged.table.get("depends_on", [])
        return ("depends_on", listed.index(str(needed))) if str(needed) in listed else ("depends_on",)

    def _check_limits(self) -> None:
        policy = self.config.settings.policy
        if not policy.limits_specs:
            return
        for resource, facts in self._facts:
            for fact, message in limits(policy, (Fact(*fact) for fact in facts)):
                self.complaints.append(
                    self._complaint(
                        resource,
                        fact.path,
                        f"{resource.address} asks for {message}",
                        "Ask for less, or have [policy] in reconciler.toml changed.",
                        limit=True,
                    )
                )

    def _merged(self, resource: Resource) -> _Merged | None:
        file = self._file(resource.source.file)
        return None if file is None else self._merge(file)

    def _complaint(
        self, resource: Resource, path: Path, summary: str, hint: str = "", *, limit: bool = False
    ) -> Complaint:
        merged = self._merged(resource)
        if merged is None:  # changed since it was read
            return Complaint(summary, resource.source.file, resource.source.line, hint=hint, limit=limit)
        return merged.complaint(path, summary, hint, platform=resource.address.platform, limit=limit)


_PLAIN: Final = (False, False, False, ())
_DEFAULT: Final = Lifecycle()


def _parsed_addresses(texts: tuple[str, ...]) -> tuple[ResourceAddress, ...]:
    return tuple(ResourceAddress.parse(text) for text in texts)


class _SpecReader:
    """Reads one merged spec for each platform that it is placed on."""

    def __init__(self, config: StackConfig, name: str, merged: _Merged) -> None:
        self._config = config
        self._name = name
        self._merged = merged
        self._attributes: set[str] = set()
        self._fields: set[str] = set()
        self._unset: set[str] = set()
        self.complaints: list[Complaint] = []
        self.resources: list[CachedResource] = []
        self.warnings: list[str] = []
        self.placed = True

    def read(self) -> None:
        table = self._merged.table
        kind = table.get("kind", "environment")
        name = table.get("name", FilePath(self._name).stem)
        if not self._is_word("kind", kind) or not self._is_word("name", name):
            return
        self._conceal(kind)
        placements = table.get("on", {})
        if not isinstance(placements, dict):
            self._complain(("on",), "`on` must be tables, such as [on.runai]")
            return
        lifecycle = self._lifecycle(table.get("lifecycle", {}))
        depends_on = self._depends_on(table.get("depends_on", []))
        self._check_keys(kind, list(placements))
        self.placed = bool(placements)
        for platform, own in placements.items():
            if self._known(platform, kind, own):
                self._place(platform, kind, name, own, lifecycle, depends_on)
        self._check_ignored_changes(lifecycle.ignore_changes)

    def _complain(self, path: Path, summary: str, hint: str = "", platform: str = "") -> None:
        self.complaints.append(self._merged.complaint(path, summary, hint, platform=platform))

    def _is_word(self, key: str, value: Any) -> bool:
        if not isinstance(value, str):
            self._complain((key,), f"`{key}` must be text in quotes")
        elif not value.strip():
            self._complain((key,), f"`{key}` must not be empty")
        elif found := _CONTROL.search(value):
            self._complain((key,), f"`{key}` must not have the character U+{ord(found[0]):04X} in it")
        else:
            return True
        return False

    def _conceal(self, kind: str) -> None:
        """Where secrets belong, also a mistake is not to be shown: it may be the secret."""
        plugins = [self._config.plugin(name) for name in self._config.settings.platforms]
        kinds = [plugin.kinds[kind] for plugin in plugins if kind in plugin.kinds]
        if not any(one.write_only for one in kinds):
            return
        public = {key for plugin in plugins if kind in plugin.kinds for key in plugin.spec_fields(kind)}
        public -= {key for one in kinds for key in one.write_only}
        placements = self._merged.table.get("on")
        tables = [self._merged.table, *(placements.values() if isinstance(placements, dict) else ())]
        for table in tables:
            for key in table if isinstance(table, dict) else ():
                if key not in public and key not in _STRUCTURE and key != "ignore":
                    self._merged.conceal(key)

    def _known(self, platform: str, kind: str, own: Any) -> bool:
        from reconciler.core.reading import nearest

        platforms = self._config.settings.platforms
        if platform not in platforms:
            meant = nearest(platform, platforms)
            hint = f"Did you mean [on.{meant}]? " if meant else ""
            self._complain(
                ("on", platform),
                f"there is no platform {platform!r}",
                f"{hint}{CONFIG_NAME} has: {', '.join(sorted(platforms))}.",
            )
            return False
        plugin = self._config.plugin(platform)
        if kind not in plugin.kinds:
            meant = nearest(kind, plugin.kinds)
            hint = f"Did you mean {meant!r}? " if meant else ""
            self._complain(
                ("kind",),
                f"{platform} has no kind {kind!r}",
                f"{hint}It has: {', '.join(sorted(plugin.kinds))}.",
            )
            return False
        if not isinstance(own, dict):
            self._complain(("on", platform), f"`on.{platform}` must be a table")
            return False
        return True

    def _fields_of(self, kind: str) -> set[str]:
        """The fields that a spec of *kind* may have on any platform of the stack."""
        plugins = map(self._config.plugin, self._config.settings.platforms)
        return {key for plugin in plugins if kind in plugin.kinds for key in plugin.spec_fields(kind)}

    def _check_keys(self, kind: str, platforms: list[str]) -> None:
        """Complain of keys at the top that nobody knows."""
        from reconciler.core.reading import nearest

        fields = self._fields_of(kind)
        if not fields:
            return  # an unknown kind is said elsewhere
        here: set[str] = set()
        for platform in platforms:
            if platform in self._config.settings.platforms:
                plugin = self._config.plugin(platform)
                if kind in plugin.kinds:
                    here |= plugin.spec_fields(kind)
        here = (here or fields) | _STRUCTURE
        for key in self._merged.table:
            if key not in fields and key not in _STRUCTURE:
                meant = nearest(key, here)
                hint = f"Did you mean `{meant}`?" if meant else f"Known here: {', '.join(sorted(here))}."
                self._complain((key,), f"unknown key `{key}`", hint)

    def _place(
        self,
        platform: str,
        kind: str,
        name: str,
        own: dict[str, Any],
        lifecycle: Lifecycle,
        depends_on: tuple[str, ...],
    ) -> None:
        plugin = self._config.plugin(platform)
        fields = plugin.spec_fields(kind)
        ignored = self._ignored(platform, kind, own)
        # A copy may leave out what the original says, on this platform too.
        said = (_at(self._merged.files[0], ("on", platform)) or (None, None, {}))[2]
        left_out = ignored if "ignore" in said else ()
        own = {k: v for k, v in own.items() if k != "ignore" and (k in said or k not in left_out)}
        shared: dict[str, Any] = {}
        for key, value in self._merged.table.items():
            if key in _STRUCTURE or key in ignored:
                continue
            if key in fields:
                shared[key] = value
            elif key in self._fields_of(kind):
                self._complain(
                    (key,),
                    f"{platform} cannot carry `{key}`",
                    f'Remove it, or leave it out there: [on.{platform}] ignore = ["{key}"]',
                )
        self._warn_of_shadows(platform, shared, own)
        table = _overlaid(shared, own, 2)
        reading = plugin.read_spec(kind, table, Place(platform, name, self._config.directory))
        for problem in reading.problems:
            self._complain(problem.path, problem.summary, problem.hint, platform)
        self.warnings += [f"{self._name}: {text}" for text in reading.warnings]
        line = self._merged.files[0].line_of_table("on", platform)
        self._fields |= fields
        # What a mistake kept from being read might have any attribute.
        self._unset |= fields if reading.problems else fields - table.keys()
        for draft in reading.drafts:
            self._attributes |= draft.attributes.keys()
            needs = {text for _, text in marked(draft.attributes, REF)} | set(depends_on)
            if draft.kind != kind:
                needs.discard(f"{platform}.{draft.kind}.{name}")  # what comes with a spec may be named in it
            self.resources.append(
                CachedResource(
                    platform=platform,
                    kind=draft.kind,
                    name=name,
                    line=line,
                    attributes=msgspec.Raw(msgspec.json.encode(draft.attributes)),
                    depends_on=tuple(sorted(needs)),
                    lifecycle=(
                        lifecycle.prevent_destroy,
                        lifecycle.create_before_destroy,
                        lifecycle.adopt,
                        lifecycle.ignore_changes,
                    ),
                    facts=tuple((fact.name, fact.value, fact.path) for fact in draft.facts),
                    identity=canonical(
                        [draft.attributes.get(key) for key in plugin.kinds[draft.kind].identity]
                    ).decode(),
                )
            )

    def _ignored(self, platform: str, kind: str, own: Mapping[str, Any]) -> frozenset[str]:
        """The fields that are left out on *platform*."""
        from reconciler.core.reading import nearest

        ignored = own.get("ignore", [])
        if not isinstance(ignored, list) or not all(isinstance(key, str) for key in ignored):
            self._complain(("ignore",), "`ignore` must be a list of field names", platform=platform)
            return frozenset()
        fields = self._fields_of(kind)
        for number, key in enumerate(ignored):
            if key not in fields:
                meant = nearest(key, fields)
                hint = f"Did you mean {meant!r}?" if meant else "Name shared fields, those at the top."
                self._complain(("ignore", number), f"there is no field {key!r}", hint, platform)
        return frozenset(ignored)

    def _warn_of_shadows(self, platform: str, shared: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """A copy that sets a shared field which the original sets for this very platform sets nothing."""
        file, *bases = self._merged.files
        for key in file.table.keys() & shared.keys() & own.keys():
            said = _at(file, ("on", platform, key))
            merges = isinstance(shared[key], dict) and isinstance(own[key], dict)
            if said is None and not merges:
                by = next(base.name for base in bases if _at(base, ("on", platform, key)) is not None)
                self.warnings.append(
                    f"{self._name}: `{key}` has no effect on {platform}: [on.{platform}] of {by} sets it"
                )

    def _lifecycle(self, table: Any) -> Lifecycle:
        if not isinstance(table, dict):
            self._complain(("lifecycle",), "`lifecycle` must be a table")
            return _DEFAULT
        values: dict[str, Any] = {}
        for key, value in table.items():
            wanted = _LIFECYCLE.get(key)
            if wanted is None:
                from reconciler.core.reading import nearest

                meant = nearest(key, _LIFECYCLE)
                hint = f"Did you mean `{meant}`?" if meant else f"Known here: {', '.join(_LIFECYCLE)}."
                self._complain(("lifecycle", key), f"unknown key `{key}`", hint)
            elif not isinstance(value, wanted):
                what = "true or false" if wanted is bool else "a list of field names"
                self._complain(("lifecycle", key), f"`{key}` must be {what}")
            elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
                self._complain(("lifecycle", key), f"`{key}` must be a list of field names")
            else:
                values[key] = tuple(value) if isinstance(value, list) else value
        return Lifecycle(**values)

    def _check_ignored_changes(self, names: tuple[str, ...]) -> None:
        """A name that stops nothing from being changed is a mistake that somebody would find out too late."""
        from reconciler.core.reading import nearest

        if not self._fields:
            return  # it is placed nowhere, or nowhere that is known
        known = self._attributes | self._unset
        for number, name in enumerate(names):
            if name not in known:
                # A field that the spec sets, and that no attribute has the name of, becomes something else.
                meant = nearest(name, known) if name not in self._fields else ""
                here = ", ".join(sorted(self._attributes or known))
                hint = f"Did you mean {meant!r}?" if meant else f"Known here: {here}."
                at = ("lifecycle", "ignore_changes", number)
                self._complain(at, f"there is no field {name!r} to leave alone", hint)

    def _depends_on(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._complain(("depends_on",), "`depends_on` must be a list of addresses")
            return ()
        good = []
        for number, text in enumerate(value):
            try:
                good.append(str(ResourceAddress.parse(text)))
            except UsageError as error:
                self._complain(("depends_on", number), str(error), error.hint)
        return tuple(good)


def _depth(key: str | int) -> int:
    """How deep the tables at a key of a file merge: a field by its keys, ``on`` by platforms and fields."""
    return 3 if key == "on" else 1


def _merges(value: Any) -> bool:
    """Whether a table adds to one below it, instead of taking its place as a reference to a secret does."""
    return isinstance(value, dict) and not (value and value.keys() <= _REFERENCE)


def _overlaid(under: Any, over: Any, depth: int) -> Any:
    """*over* laid over *under*: tables merge key by key to *depth*, anything else takes the place."""
    if depth == 0 or not _merges(under) or not _merges(over):
        return over
    return {**under, **{key: _overlaid(under.get(key), value, depth - 1) for key, value in over.items()}}


def _spec_files(
    directory: FilePath, state_directory: FilePath, failed: Callable[[str, str, str], None]
) -> Iterator[tuple[str, str]]:
    """Every TOML file of the stack, with its name in it, but hidden folders and stacks below this one.

    *failed* is told of folders that are not looked into: which, why, and what to do.
    """
    waiting = [(str(directory), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            why = f"this folder cannot be read: {error.strerror}"
            failed(prefix.rstrip("/") or ".", why, "Check its permissions.")
            continue
        if prefix and any(entry.name == CONFIG_NAME for entry in entries):
            continue
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(".toml"):
                if name != CONFIG_NAME:
                    yield entry.path, prefix + name
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{prefix}{name}/"))
            elif entry.is_symlink() and _may_hold_specs(FilePath(entry.path), state_directory):
                failed(
                    f"{prefix}{name}",
                    "this folder is a link, which is not followed",
                    "Put the folder itself here, or begin the name of the link with a dot.",
                )


def _may_hold_specs(link: FilePath, state_directory: FilePath) -> bool:
    """Whether *link* leads to a folder, neither of another stack nor of our own state."""
    if not link.is_dir() or (link / CONFIG_NAME).exists():
        return False
    return not state_directory.resolve().is_relative_to(link.resolve())


def _printable(name: str) -> str:
    """A file's name as it can be shown: what is not text, or would move the cursor, is replaced."""
    return _CONTROL.sub("\ufffd", os.fsencode(name).decode(errors="replace"))


def _read_bytes(path: str) -> bytes:
    # A hundred thousand times in a row: the bare calls take a third of what a file object does.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    try:
        parts = []
        while part := os.read(handle, 1 << 16):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(handle)
