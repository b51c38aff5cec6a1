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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import dropwhile
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec

from reconciler.core.attributes import REF, Attributes, marked
from reconciler.core.model import Lifecycle, Path, Resource, ResourceAddress, Source, SpecSet
from reconciler.core.planner import shortest_cycle
from reconciler.core.policy import Policy, limits
from reconciler.core.ports import Fact, Problem
from reconciler.errors import Complaint, LimitErrors, SpecErrors
from reconciler.specs.cache import CachedResource, CachedSpec
from reconciler.specs.config import StackConfig
from reconciler.specs.folder import content_digest, printable, read_bytes, spec_files
from reconciler.specs.merged import Merged, extended_names
from reconciler.specs.reader import SpecReader
from reconciler.specs.text import TomlFile, parse, plain_secrets, unreadable

__all__ = ["complaint_for", "complaints_about_specs", "load_specs", "places_of"]

_MOST_COMPARED: Final = 100_000
"""How many known words are compared with missing ones in all: about a second's worth."""


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
    merged = _merged_from(config.directory, source.file)
    if merged is None:
        return Complaint(problem.summary, source.file, source.line, hint=problem.hint)
    platform = resource.address.platform
    return merged.complaint(problem.path, problem.summary, problem.hint, platform=platform)


def places_of(
    directory: FilePath, wanted: Iterable[tuple[str, str, Sequence[Path]]]
) -> Iterator[list[tuple[str, int]]]:
    """Where fields are written: for each spec file, platform and paths, a file and line for each path.

    Of a field that no file says, the place is that of what should say it.
    Nothing comes for a file that cannot be read.
    """
    known: dict[str, Merged | None] = {}
    for file, platform, paths in wanted:
        if file not in known:
            known[file] = _merged_from(directory, file)
        merged = known[file]
        if merged is None:
            yield []
            continue
        found = [merged.complaint(path, "", platform=platform) for path in paths]
        yield [(one.file, one.line) for one in found]


def _merged_from(directory: FilePath, name: str) -> Merged | None:
    """The spec in the file *name* with what it extends; None when one of the files cannot be read."""
    files: list[TomlFile] = []
    following: str | None = name
    while following is not None and all(file.name != following for file in files):
        parsed = parse(directory / following, following)
        if isinstance(parsed, Complaint):
            return None
        files.append(parsed)
        wanted = parsed.table.get("extends")
        candidates = extended_names(wanted, following) if isinstance(wanted, str) else ()
        following = next((one for one in candidates if (directory / one).is_file()), None)
    return Merged.of(files)


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
    _guesses: list[Resource] = field(default_factory=list)
    _spelled: dict[tuple[str, str], str] = field(default_factory=dict)
    _facts: list[tuple[Resource, tuple[tuple[str, Any, Path], ...]]] = field(default_factory=list)
    _keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _asks: list[tuple[Resource, tuple[tuple[str, str, Path], ...]]] = field(default_factory=list)
    _extended: set[str] = field(default_factory=set)
    _unread: dict[str, str | None] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _meant: dict[str, str] = field(default_factory=dict)
    _compared: int = 0
    _specs: dict[str, CachedSpec] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)

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
            if (
                known is not None
                and all(self._digests.get(other, "") == d for other, d in known.needs)
                and all(self._file_digest(other) == d for other, d in known.files)
            ):
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
        self._check_keys()
        self._check_limits()
        self.config.cache.keep_specs(sound, changed=missed)
        self.digest = self._whole_digest()

    # --- files ---

    def _read_files(self) -> None:
        for path, name in sorted(
            spec_files(self.config.directory, self.config.state_directory, self._complain_of_folder),
            key=lambda found: found[1],
        ):
            if not name.isprintable() and (shown := printable(name)) != name:
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
                data = read_bytes(path)
            except OSError as error:
                self._miss(name)
                self.complaints.append(unreadable(name, error))
                continue
            self._digests[name] = found = hashlib.sha256(data).hexdigest()
            if self.config.cache.spec(name, found) is None:
                self._data[name] = data  # to be parsed; the bytes of all others are not needed any more

    def _whole_digest(self) -> str:
        """The digest of all that the wish comes from: specs, files that they name, ``reconciler.toml``."""
        whole = hashlib.sha256()
        for name, found in self._digests.items():
            whole.update(f"{name}\0{found}\n".encode())
        for name, found in sorted({one for spec in self._specs.values() for one in spec.files}):
            whole.update(f"{name}\0\0{found}\n".encode())
        whole.update(self.config.digest.encode())
        return f"sha256:{whole.hexdigest()}"

    def _file_digest(self, name: str) -> str:
        """The digest of a file, or folder, that a spec names, *name* being relative to the stack."""
        if name not in self._files:
            self._files[name] = content_digest(self.config.directory / name)
        return self._files[name]

    def _miss(self, name: str, text: str | None = None) -> None:
        """Remember that the file *name* is there, whatever is in it; *text* is what can be seen of that."""
        self._unread[name] = text
        self._failed.add(FilePath(name).stem)

    def _complain_of_folder(self, name: str, summary: str, hint: str) -> None:
        self._miss(name)
        hint = f"Specs that cannot be seen are not taken for gone. {hint}"
        self.complaints.append(Complaint(summary, printable(name), hint=hint))

    def _file(self, name: str) -> TomlFile | None:
        if name not in self._parsed:
            found = self._parse(name)
            if isinstance(found, Complaint):
                seen = self._data.get(name)
                self._miss(name, None if seen is None else seen.decode(errors="replace"))
                self.complaints.append(found)
                self._parsed[name] = None
            else:
                self._parsed[name] = found
        return self._parsed[name]

    def _parse(self, name: str) -> TomlFile | Complaint:
        data = self._data.get(name)
        if data is None:
            try:
                data = read_bytes(str(self.config.directory / name))
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
            reader = SpecReader(self.config, name, merged)
            reader.read(guess=merged.is_guess)
            self.complaints += reader.complaints
            for spelling, one in reader.guesses:
                resource = self._resource(name, one)
                self._guesses.append(resource)
                self._asks.append((resource, one.asks))
                self._spelled[name, one.platform] = spelling
                self._facts.append((resource, one.facts))
            files = tuple((one, self._file_digest(one)) for one in self._relative(reader.files))
            if files and self._reads_otherwise(name, merged, reader):
                self.complaints.append(
                    Complaint(
                        "a file that this spec names was changed while it was read", name, hint="Run again."
                    )
                )
            self._specs[name] = CachedSpec(
                self._digests[name],
                tuple(reader.resources),
                tuple(reader.warnings),
                merged.needs,
                files,
                reader.placed,
            )
        said = self.complaints[before:]
        self.complaints += plain_secrets(file, self.config.settings.not_secret, said)
        if merged is not None and len(self.complaints) == before:
            return True
        self._failed.add(str(file.table.get("name", FilePath(name).stem)))
        return False

    def _reads_otherwise(self, name: str, merged: Merged, first: SpecReader) -> bool:
        """Whether the spec comes to something else now that the files that it names are digested.

        Or the cache would take what they said for what is in the digest.
        """
        again = SpecReader(self.config, name, merged)
        again.read(guess=merged.is_guess)
        return msgspec.json.encode(again.resources) != msgspec.json.encode(first.resources)

    def _relative(self, files: Iterable[FilePath]) -> list[str]:
        return sorted({os.path.relpath(file, self.config.directory) for file in files})

    def _merge(self, file: TomlFile) -> Merged | None:
        """The file with what it extends below it, or with what it probably means to extend."""
        files = [file]
        needs: list[tuple[str, str]] = []
        is_guess = False
        while (wanted := files[-1].table.get("extends")) is not None:
            here = files[-1]
            if not isinstance(wanted, str):
                self.complaints.append(
                    here.complaint(
                        ("extends",),
                        "`extends` must be the name of another spec, in quotes",
                        "Name a spec of this stack by its file, without .toml.",
                    )
                )
                return None
            target = self._named(wanted, here.name)
            if target is None:
                target, is_guess = self._complain_of_extends(here, wanted), True
                if target is None:
                    return None
            if any(target == other.name for other in files):
                if not is_guess:
                    self._complain_of_ring(files, target)
                return None
            for candidate in extended_names(wanted, here.name):
                needs.append((candidate, self._digests.get(candidate, "")))
                if candidate == target:
                    break
            self._extended.add(target)
            base = self._file(target)
            if base is None:
                return None
            files.append(base)
        return Merged.of(files, tuple(needs), is_guess=is_guess)

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
        return next((name for name in extended_names(wanted, asking) if name in self._digests), None)

    def _complain_of_extends(self, file: TomlFile, wanted: str) -> str | None:
        """Say that there is nothing of that name; the file that was probably meant."""
        if any(name in self._unread for name in extended_names(wanted, file.name)):
            return None  # it is there and cannot be read, which is said already
        meant = self._nearest(wanted, wanted, lambda: [name.removesuffix(".toml") for name in self._digests])
        hint = (
            f"Did you mean {meant!r}?" if meant else "Name a spec of this stack by its file, without .toml."
        )
        self.complaints.append(file.complaint(("extends",), f"there is no spec {wanted!r}", hint))
        return f"{meant}.toml" if meant else None

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
            resource = self._resource(name, one)
            self.resources.append(resource)
            self._identities.append(one.identity)
            if one.facts:
                self._facts.append((resource, one.facts))
            if one.keys is not None:
                self._keys.setdefault(str(resource.address), one.keys)
            if one.asks:
                self._asks.append((resource, one.asks))

    @staticmethod
    def _resource(name: str, one: CachedResource) -> Resource:
        return Resource(
            address=ResourceAddress(one.platform, one.kind, one.name),
            attributes=Attributes.from_raw(bytes(one.attributes)),
            source=Source(name, one.line),
            depends_on=_parsed_addresses(one.depends_on) if one.depends_on else (),
            lifecycle=Lifecycle(*one.lifecycle) if one.lifecycle != _PLAIN else _DEFAULT,
        )

    def _check_placed(self) -> None:
        """A spec on no platform is a pattern for others, or a mistake."""
        if any(text is None or "\\" in text for text in self._unread.values()):
            return  # what cannot be read may extend any
        for name, spec in self._specs.items():
            if spec.placed or name in self._extended:
                continue
            stem = FilePath(name).stem
            if any(text and "extends" in text and stem in text for text in self._unread.values()):
                continue  # what is no TOML yet may extend it
            platforms = sorted(self.config.settings.platforms) or ["PLATFORM"]
            known = ", ".join(f"[on.{platform}]" for platform in platforms)
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
            if not identity:
                continue  # a mistake leaves it open
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
        known = {resource.address for resource in self.resources}
        edges: dict[ResourceAddress, tuple[ResourceAddress, ...]] = {}
        saying: dict[tuple[ResourceAddress, ResourceAddress], Resource] = {}
        named: dict[str, list[str]] = {}
        for resource in self.resources:
            if not resource.depends_on:
                continue
            address = resource.address
            # An address that is defined twice needs what either definition says.
            needs = (*edges.get(address, ()), *(one for one in resource.depends_on if one in known))
            edges[address] = tuple(dict.fromkeys(needs))
            for needed in resource.depends_on:
                saying.setdefault((address, needed), resource)
        for resource in (*self.resources, *self._guesses):
            for needed in resource.depends_on:
                # What a spec with another mistake would have defined is not missing.
                if (
                    needed not in known
                    and needed.name not in self._failed
                    and not self.config.may_have(needed.platform)
                ):
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
                says = saying[here, following]
                at = self._complaint(says, self._path_of(says, following), "")
                hops.append(f"{here} needs {following} ({at.file}:{at.line})")
            following = (*ring[1:], ring[0])[0]
            first = saying[ring[0], following]
            complaint = self._complaint(
                first,
                self._path_of(first, following),
                "specs need one another in a circle",
                "Remove one of these references.",
            )
            self.complaints.append(replace(complaint, parts=tuple(hops)))

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

    def _check_keys(self) -> None:
        """A key that is not in what it is asked of would be missed when a workload starts."""
        for resource, asks in self._asks:
            for address, key, path in asks:
                known = self._keys.get(address)
                if known is None or key in known:
                    continue
                meant = self._nearest(f"{address} {key}", key, partial(list, known))
                hint = f"Did you mean {meant!r}? " if meant else ""
                hint += f"It has: {', '.join(known)}."
                self.complaints.append(self._complaint(resource, path, f"{address} has no key {key!r}", hint))

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
                        f"{_within(policy, fact)} or have [policy] in reconciler.toml changed.",
                        limit=True,
                    )
                )

    def _merged(self, resource: Resource) -> Merged | None:
        file = self._file(resource.source.file)
        return None if file is None else self._merge(file)

    def _complaint(
        self, resource: Resource, path: Path, summary: str, hint: str = "", *, limit: bool = False
    ) -> Complaint:
        merged = self._merged(resource)
        if merged is None:  # changed since it was read
            return Complaint(summary, resource.source.file, resource.source.line, hint=hint, limit=limit)
        platform = resource.address.platform
        platform = self._spelled.get((resource.source.file, platform), platform)
        return merged.complaint(path, summary, hint, platform=platform, limit=limit)


def _within(policy: Policy, fact: Fact) -> str:
    """What to do for *policy* to allow *fact*."""
    allowed = {"scope": policy.allowed_scopes, "image": policy.allowed_images}.get(fact.name)
    if fact.name not in ("scope", "image"):
        return "Ask for less,"
    return f"Choose one of {', '.join(allowed)};" if allowed else "None is allowed: remove it,"


_PLAIN: Final = (False, False, False, ())


_DEFAULT: Final = Lifecycle()


def _parsed_addresses(texts: tuple[str, ...]) -> tuple[ResourceAddress, ...]:
    return tuple(ResourceAddress.parse(text) for text in texts)
