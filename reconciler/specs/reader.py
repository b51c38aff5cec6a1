"""One merged spec in: what it is on each platform, and every complaint about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec

from reconciler.core.attributes import REF, canonical, marked
from reconciler.core.model import Lifecycle, Path, ResourceAddress
from reconciler.core.ports import Place, SpecReading
from reconciler.errors import Complaint, UsageError
from reconciler.specs.cache import CachedResource
from reconciler.specs.config import CONFIG_NAME, StackConfig
from reconciler.specs.folder import CONTROL
from reconciler.specs.merged import Merged, overlaid, said_at
from reconciler.specs.text import leaves

_STRUCTURE: Final = frozenset({"kind", "name", "extends", "depends_on", "lifecycle", "on"})


_ADDRESS: Final = "PLATFORM.KIND.NAME"
_LIST_OF_FIELDS: Final = 'Write the names of fields in quotes: ["image"].'


_LIFECYCLE: Final[Mapping[str, type]] = {
    "prevent_destroy": bool,
    "create_before_destroy": bool,
    "adopt": bool,
    "ignore_changes": list,
}


class SpecReader:
    """Reads one merged spec for each platform that it is placed on.

    Where a name, kind or platform is wrong, the rest is read as what was
    probably meant: that gives ``guesses``, each with the platform as the spec
    spells it, to find more mistakes by and for nothing else.
    """

    def __init__(self, config: StackConfig, name: str, merged: Merged) -> None:
        self._config = config
        self._name = name
        self._merged = merged
        self._attributes: set[str] = set()
        self._fields: set[str] = set()
        self._unset: set[str] = set()
        self.complaints: list[Complaint] = []
        self.resources: list[CachedResource] = []
        self.guesses: list[tuple[str, CachedResource]] = []
        self.warnings: list[str] = []
        self.files: set[FilePath] = set()
        self.placed = True

    def read(self, *, guess: bool = False) -> None:
        """Read the spec; with *guess*, all that comes of it are ``guesses``."""
        table = self._merged.table
        kind = table.get("kind", "environment")
        name = table.get("name", FilePath(self._name).stem)
        placements = table.get("on", {})
        meant = self._meant_kind(kind) if isinstance(kind, str) else ""
        self._conceal(meant)
        lifecycle = self._lifecycle(table.get("lifecycle", {}))
        depends_on = self._depends_on(table.get("depends_on", []))
        if not self._is_word("name", name):
            name, guess = FilePath(self._name).stem, True
        if not isinstance(placements, dict):
            self._complain(
                ("on",),
                "`on` must be tables",
                "Write [on.PLATFORM], with the fields of that platform below it.",
            )
        else:
            self.placed = bool(placements)
        if not self._is_word("kind", kind) or not isinstance(placements, dict):
            return
        self._check_keys(meant, list(placements))
        is_read = False
        for platform, own in placements.items():
            wanted = self._meant_platform(platform, placements)
            if not wanted or not self._has_kind(wanted, kind, meant):
                continue
            if not isinstance(own, dict):
                self._complain(
                    ("on", platform), f"`on.{platform}` must be a table", f"Write [on.{platform}]."
                )
                continue
            is_guess = guess or (wanted, meant) != (platform, kind)
            self._place(wanted, meant, name, own, lifecycle, depends_on, said=platform, guess=is_guess)
            is_read = True
        if not is_read:
            self._read_shared(meant, name, placements.values())
        if not any(map(self._config.may_have, placements)):
            self._check_ignored_changes(lifecycle.ignore_changes)

    def _complain(self, path: Path, summary: str, hint: str = "", platform: str = "") -> None:
        self.complaints.append(self._merged.complaint(path, summary, hint, platform=platform))

    def _is_word(self, key: str, value: Any) -> bool:
        if not isinstance(value, str):
            self._complain((key,), f"`{key}` must be text in quotes", f'Write {key} = "…".')
        elif not value.strip():
            self._complain((key,), f"`{key}` must not be empty", "Give it a value, or remove it.")
        elif found := CONTROL.search(value):
            summary = f"`{key}` must not have the character U+{ord(found[0]):04X} in it"
            self._complain((key,), summary, "Write it without control characters.")
        else:
            return True
        return False

    def _conceal(self, kind: str) -> None:
        """Where secrets belong, also a mistake is not to be shown: it may be the secret."""
        plugins = [self._config.plugin(name) for name in self._config.settings.platforms]
        kinds = [plugin.kinds[kind] for plugin in plugins if kind in plugin.kinds]
        if not any(one.write_only - one.plain for one in kinds) and (
            kinds or kind == "environment" or not self._config.is_partial
        ):
            return
        public = set() if self._config.is_partial else self._fields_of(kind)
        public -= {key for one in kinds for key in one.write_only - one.plain}
        placements = self._merged.table.get("on")
        tables = [self._merged.table, *(placements.values() if isinstance(placements, dict) else ())]
        for table in tables:
            for key in table if isinstance(table, dict) else ():
                if key not in public and key not in _STRUCTURE and key != "ignore":
                    self._merged.conceal(key)

    def _meant_kind(self, kind: str) -> str:
        """*kind*, or the one that was probably meant by it; empty when there is none."""
        from reconciler.core.reading import nearest

        plugins = map(self._config.plugin, self._config.settings.platforms)
        known = {name for plugin in plugins for name in plugin.kinds}
        return kind if kind in known or self._config.is_partial else nearest(kind, known)

    def _meant_platform(self, platform: str, placements: Mapping[str, Any]) -> str:
        """*platform*, or the one that was probably meant by it; empty when there is none."""
        from reconciler.core.reading import nearest

        platforms = self._config.settings.platforms
        if platform in platforms:
            return platform
        if self._config.may_have(platform):
            return ""
        meant = nearest(platform, platforms)
        hint = f"Did you mean [on.{meant}]? " if meant else ""
        self._complain(
            ("on", platform),
            f"there is no platform {platform!r}",
            f"{hint}{CONFIG_NAME} has: {', '.join(sorted(platforms))}.",
        )
        return "" if meant in placements else meant

    def _has_kind(self, platform: str, kind: str, meant: str) -> bool:
        """Whether *platform* has the kind that was *meant*; with a complaint when it is not *kind*."""
        kinds = self._config.plugin(platform).kinds
        if kind not in kinds:
            hint = f"Did you mean {meant!r}? " if meant in kinds else ""
            self._complain(
                ("kind",),
                f"{platform} has no kind {kind!r}",
                f"{hint}It has: {', '.join(sorted(kinds))}.",
            )
        return meant in kinds

    def _read_shared(self, kind: str, name: str, placements: Iterable[Any]) -> None:
        """Read what platforms share in a spec that is on none that we know: what all of them complain of."""
        if self._config.is_partial or not placements:
            return
        own = {key: value for table in placements if isinstance(table, dict) for key, value in table.items()}
        found = []
        for platform in self._config.settings.platforms:
            plugin = self._config.plugin(platform)
            if kind in plugin.kinds:
                fields = plugin.spec_fields(kind) - _STRUCTURE
                shared = {key: value for key, value in self._merged.table.items() if key in fields}
                table = overlaid(shared, {key: value for key, value in own.items() if key in fields}, 2)
                reading = plugin.read_spec(kind, table, self._place_of(platform, name))
                at = shared.keys() - own.keys()
                found.append([one for one in reading.problems if one.path and one.path[0] in at])
        for problem in found[0] if found else ():
            if all(problem in others for others in found):
                self._complain(problem.path, problem.summary, problem.hint)

    def _fields_of(self, kind: str) -> set[str]:
        """The fields that a spec of *kind* may have on any platform of the stack."""
        plugins = map(self._config.plugin, self._config.settings.platforms)
        return {key for plugin in plugins if kind in plugin.kinds for key in plugin.spec_fields(kind)}

    def _check_keys(self, kind: str, platforms: list[str]) -> None:
        """Complain of keys at the top that nobody knows."""
        from reconciler.core.reading import nearest

        fields = self._fields_of(kind)
        if not fields or self._config.is_partial:
            return  # an unknown kind is said elsewhere; a platform that we do not know may know a key
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
        *,
        said: str,
        guess: bool,
    ) -> None:
        """Read the spec as a *kind* for *platform*; *said* is how it spells that."""
        plugin = self._config.plugin(platform)
        fields = plugin.spec_fields(kind)
        ignored = self._ignored(said, kind, own)
        # A copy may leave out what the original says, on this platform too.
        original = (said_at(self._merged.files[0], ("on", said)) or (None, None, {}))[2]
        left_out = ignored if "ignore" in original else ()
        own = {k: v for k, v in own.items() if k != "ignore" and (k in original or k not in left_out)}
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
        self._warn_of_shadows(said, shared, own)
        table = overlaid(shared, own, 2)
        reading = plugin.read_spec(kind, table, self._place_of(platform, name, ignored))
        self.files.update(reading.files)
        for problem in reading.problems:
            self._complain(problem.path, problem.summary, problem.hint, said)
        self.warnings += [f"{self._name}: {text}" for text in reading.warnings]
        if reading.files:
            self._check_files(reading, table, said)
        line = self._merged.files[0].line_of_table("on", said)
        self._fields |= fields
        # What a mistake kept from being read might have any attribute.
        self._unset |= fields if reading.problems else fields - table.keys()
        for draft in reading.drafts:
            self._attributes |= draft.attributes.keys()
            needs = {text for _, text in marked(draft.attributes, REF)} | set(depends_on)
            if draft.kind != kind:
                needs.discard(f"{platform}.{draft.kind}.{name}")  # what comes with a spec may be named in it
            identity = [draft.attributes.get(key) for key in plugin.kinds[draft.kind].identity]
            resource = CachedResource(
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
                identity=canonical(identity).decode() if draft.is_sure else "",
                keys=draft.keys,
                asks=tuple((ask.address, ask.key, ask.path) for ask in draft.asks),
            )
            if guess:
                self.guesses.append((said, resource))
            else:
                self.resources.append(resource)

    def _check_files(self, reading: SpecReading, table: Mapping[str, Any], platform: str) -> None:
        """Complain of likely secrets out of files that a spec names; the spec itself is looked at whole."""
        from reconciler.core.plaintext import suspicions

        here = {value for _, value in leaves(table)}
        folder = (self._config.directory / self._name).parent
        named = [
            key for key, value in table.items() if isinstance(value, str) and folder / value in reading.files
        ]
        for draft in reading.drafts:
            for found in suspicions(draft.attributes):
                name = ".".join(map(str, found.path))
                if any(fnmatchcase(name, glob) for glob in self._config.settings.not_secret):
                    continue
                value: Any = draft.attributes
                for part in found.path:
                    value = value[part]
                if value in here:
                    continue
                self._complain(
                    tuple(named[:1]),
                    f"a secret in plain text in a file that this spec names: {name}: {found.why}",
                    f'Keep its value out of git. If it is no secret: [policy] not_secret = ["{name}"]',
                    platform,
                )

    def _place_of(self, platform: str, name: str, ignored: frozenset[str] = frozenset()) -> Place:
        directory = self._config.directory
        return Place(platform, name, directory, (directory / self._name).parent, ignored)

    def _ignored(self, platform: str, kind: str, own: Mapping[str, Any]) -> frozenset[str]:
        """The fields that are left out on *platform*."""
        from reconciler.core.reading import nearest

        ignored = own.get("ignore", [])
        if not isinstance(ignored, list) or not all(isinstance(key, str) for key in ignored):
            summary = "`ignore` must be a list of field names"
            self._complain(("ignore",), summary, _LIST_OF_FIELDS, platform)
            return frozenset()
        fields = self._fields_of(kind)
        for number, key in enumerate(ignored):
            if key not in fields and not self._config.is_partial:
                meant = nearest(key, fields)
                hint = f"Did you mean {meant!r}?" if meant else "Name shared fields, those at the top."
                self._complain(("ignore", number), f"there is no field {key!r}", hint, platform)
        return frozenset(ignored)

    def _warn_of_shadows(self, platform: str, shared: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """A copy that sets a shared field which the original sets for this very platform sets nothing."""
        file, *bases = self._merged.files
        for key in file.table.keys() & shared.keys() & own.keys():
            said = said_at(file, ("on", platform, key))
            merges = isinstance(shared[key], dict) and isinstance(own[key], dict)
            if said is None and not merges:
                by = next(base.name for base in bases if said_at(base, ("on", platform, key)) is not None)
                self.warnings.append(
                    f"{self._name}: `{key}` has no effect on {platform}: [on.{platform}] of {by} sets it"
                )

    def _lifecycle(self, table: Any) -> Lifecycle:
        if not isinstance(table, dict):
            self._complain(("lifecycle",), "`lifecycle` must be a table", "Write [lifecycle].")
            return Lifecycle()
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
                hint = f"Write {key} = true, or false." if wanted is bool else _LIST_OF_FIELDS
                self._complain(("lifecycle", key), f"`{key}` must be {what}", hint)
            elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
                summary = f"`{key}` must be a list of field names"
                self._complain(("lifecycle", key), summary, _LIST_OF_FIELDS)
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
        if not isinstance(value, list):
            self._complain(
                ("depends_on",), "`depends_on` must be a list of addresses", f'Write ["{_ADDRESS}"].'
            )
            return ()
        good = []
        for number, text in enumerate(value):
            if not isinstance(text, str):
                at = ("depends_on", number)
                self._complain(at, "an address is text in quotes", f'Write "{_ADDRESS}".')
                continue
            try:
                good.append(str(ResourceAddress.parse(text)))
            except UsageError as error:
                self._complain(("depends_on", number), str(error), error.hint)
        return tuple(good)
