"""A table of a spec in, the draft of an environment and every problem out."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ValidationError

from reconciler.core.attributes import LOOKUP
from reconciler.core.model import Path
from reconciler.core.ports import Draft, Fact, Place, Problem, SpecReading
from reconciler.core.reading import read
from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.context import open_context, within
from reconciler.providers.azureml.documents import read_yaml
from reconciler.providers.azureml.spec.conda import conda_flaws, conda_of, pip_lines, unpinned
from reconciler.providers.azureml.spec.dockerfile import copies_files, dockerfile_flaws, images_in
from reconciler.providers.azureml.spec.environment import (
    CANNOT_CARRY,
    DEFINING,
    FROM_FILES,
    DockerfileText,
    Environment,
)
from reconciler.providers.azureml.spec.existing import Existing, open_document, read_existing
from reconciler.providers.azureml.spec.requirements import Requirements, is_pinned, name_of, requirement_flaw
from reconciler.providers.azureml.spec.wheels import wheel_context, wheel_flaws
from reconciler.providers.azureml.spec.words import Flaw, Values, listed, name_flaw
from reconciler.providers.images import what_moves

MODELS: Final[Mapping[str, type[BaseModel]]] = {"environment": Environment}

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "environment": frozenset(Environment.model_fields) | CANNOT_CARRY.keys()
}
"""What a spec may say, also when it is to be told where else to say it."""

_MOST_TAGS: Final = 15
_LONGEST_TAG: Final = (512, 256)
_LONGEST_CONDA: Final = 64 * 1024


def read_spec(kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
    """What one spec's table asks Azure ML for: an environment."""
    return _Reading(place).read(table)


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    found = MODELS[kind].model_json_schema()
    # What is refused unless it is left out may stand in a file.
    lost = {name: {"description": f"Azure ML has none. {hint}"} for name, (hint, _) in CANNOT_CARRY.items()}
    return {**found, "properties": {**found["properties"], **lost}}


@dataclass
class _Reading:
    """One table on its way to attributes."""

    place: Place
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[FilePath] = field(default_factory=list)
    _table: Mapping[str, Any] = field(default_factory=dict)
    _existing: list[Existing] = field(default_factory=list)
    _installed: tuple[Values | None, list[str]] = field(default_factory=lambda: (None, []))

    def read(self, table: Mapping[str, Any]) -> SpecReading:
        self._table = self._with_paths(table)
        whole = self._without_what_cannot_be_carried(self._with_existing(self._table))
        found, problems = read(Environment, whole)
        for problem in problems:
            self._say(problem.path, problem.summary, problem.hint)
        wrong = {str(problem.path[0]) for problem in problems if problem.path}
        if found is None:
            found = _sound(whole, wrong)
        wrong |= {source.key for source in self._existing if source.flaws}
        for conflict in found.conflicts():
            if len(conflict.path) > 1 or wrong.isdisjoint(conflict.fields):
                there = next(([name] for name in conflict.fields if name in whole), [])
                self._say(conflict.path or tuple(there), conflict.summary, conflict.hint)
        name = found.name or self.place.name
        if found.name is None and "name" not in wrong and (flaw := name_flaw(name)):
            self._say(("name",), *flaw)
        attributes, facts = self._attributes(found, name)
        if not self.problems:
            self._warn(found, attributes, facts)
            return SpecReading(
                (Draft("environment", attributes, tuple(facts)),),
                warnings=tuple(self.warnings),
                files=self._all_files(),
            )
        # Good for finding more problems beside other specs.
        known = {key: attributes[key] for key in ("name", "description", "tags") if key not in wrong}
        draft = Draft("environment", known, tuple(facts), is_sure="name" not in wrong)
        return SpecReading((draft,), tuple(dict.fromkeys(self.problems)), files=self._all_files())

    def _all_files(self) -> tuple[FilePath, ...]:
        return tuple(dict.fromkeys(self.files))

    def _path(self, text: Any) -> Any:
        """A path beside the spec, from the stack's directory; one that leads out of it stays for `within`."""
        if not isinstance(text, str) or not text or "://" in text or "\n" in text:
            return text
        folder = self.place.folder.relative_to(self.place.directory).as_posix()
        return posixpath.normpath(posixpath.join(folder, text))

    def _with_paths(self, table: Mapping[str, Any]) -> Values:
        """*table* with its paths from the stack's directory, as those are that other files say."""
        found = dict(table)
        for key in (*FROM_FILES, "conda_file", "pip_requirements", "dockerfile", "build"):
            if isinstance(found.get(key), str):
                found[key] = self._path(found[key])
        if isinstance(wheels := found.get("wheels"), list):
            found["wheels"] = [self._path(one) for one in wheels]
        if isinstance(build := found.get("build"), dict) and "path" in build:
            found["build"] = {**build, "path": self._path(build["path"])}
        return found

    # --- where things are said ---

    def _say(self, path: Path, summary: str, hint: str) -> None:
        """A problem with a field, where it is said: here, or in a file that is named here."""
        key = str(path[0]) if path else ""
        source = next((one for one in self._existing if key in one.fields and key not in self._table), None)
        if source is None:
            self.problems.append(Problem(path, summary, hint))
        else:
            inner = ".".join(map(str, path[1:]))
            what = f"{source.place(key)}: {f'{inner}: ' if inner else ''}{summary}"
            self.problems.append(Problem((source.key,), what, hint))

    def _with_existing(self, table: Mapping[str, Any]) -> Values:
        """*table* laid over what other files say that it names."""
        given = [key for key in FROM_FILES if isinstance(table.get(key), str) and table[key]]
        if len(given) > 1:
            self._say((given[1],), "`from_yaml` and `from_v1` exclude each other", "Keep one of them.")
        whole: Values = {}
        for key in given[:1]:
            found = read_existing(key, table[key], self.place.directory)
            self.files.append(self.place.directory / table[key])
            self.problems += [Problem((key,), summary, hint) for _, summary, hint in found.flaws]
            # What defines it here takes the place of what defines it there.
            out = DEFINING if any(name in table for name in DEFINING) else ()
            found.fields = {
                name: value
                for name, value in found.fields.items()
                if name not in self.place.ignored and name not in out
            }
            self._existing.append(found)
            whole |= found.fields
        return {**whole, **table}

    def _without_what_cannot_be_carried(self, whole: Values) -> Values:
        for name, (nearest, harmless) in CANNOT_CARRY.items():
            if name not in whole:
                continue
            value = whole.pop(name)
            if name not in self.place.ignored and not any(value is one or value == one for one in harmless):
                hint = f'{nearest} To leave it out: ignore = ["{name}"] in its [on.…] table.'
                self._say((name,), f"an environment of Azure ML cannot carry `{name}`", hint)
        return whole

    # --- attributes ---

    def _attributes(self, found: Environment, name: str) -> tuple[Values, list[Fact]]:
        image = found.full_image
        conda, pip = self._installed = self._packages(found)
        build: Values | None = None
        context: Values | None = None
        facts = []
        if image is not None:
            key = "image" if found.image is not None else "base_image"
            facts.append(self._image_fact(image, (key,)))
        if found.wheels is not None:
            flaws = list(wheel_flaws(found.wheels, self.place.directory))
            for path, summary, hint in flaws:
                self._say(("wheels", *path), summary, hint)
            if not flaws and image is not None and not self.problems:
                context = wheel_context(image, found.wheels, conda, pip, found.variables)
                build = self._local_build(context, "Dockerfile", ("wheels",))
            image = conda = None
        elif found.dockerfile is not None:
            context = self._single(found.dockerfile, facts)
            build = None if context is None else self._local_build(context, "Dockerfile", ("dockerfile",))
        elif found.build is not None and "://" in found.build.path:
            build = {"context_uri": found.build.path, "dockerfile": found.build.dockerfile_path}
        elif found.build is not None:
            context = {"directory": found.build.path}
            build = self._local_build(context, found.build.dockerfile_path, ("build",), facts)
        attributes: Values = {
            "name": name,
            "version": {LOOKUP: {"version": ""}} if found.version is None else found.version,
            "image": image,
            "conda": conda,
            "build": build,
            "inference_config": found.inference(),
            "os_type": found.os_type,
            "auto_rebuild": found.auto_rebuild,
            "description": found.description or "",
            "tags": found.tags or {},
        }
        for key in ("properties", "stage", "keep_versions"):
            if (value := getattr(found, key)) is not None:
                attributes[key] = value
        if context is not None:
            attributes["context"] = context
        return attributes, facts

    def _image_fact(self, image: str, path: Path) -> Fact:
        source = next((one for one in self._existing if path[0] in one.fields), None)
        return Fact("image", image, path if path[0] in self._table or source is None else (source.key,))

    def _packages(self, found: Environment) -> tuple[Values | None, list[str]]:
        """The conda definition; without one, the pip requirements for the Python of an image with wheels."""
        if found.conda_file is not None:
            return self._conda_file(found.conda_file), []
        if found.conda is not None:
            return self._checked(found.conda, ("conda",)), []
        pip: list[str] = []
        if found.pip_requirements is not None:
            requirements = Requirements(found.pip_requirements, self.place.directory)
            self.files += requirements.files
            for _, summary, hint in requirements.flaws:
                self._say(("pip_requirements",), summary, hint)
            pip += requirements.lines
        for number, line in enumerate(found.pip or ()):
            if flaw := requirement_flaw(line.strip()):
                self._say(("pip", number), *flaw)
            else:
                pip.append(line.strip())
        if found.python is None and found.packages is None and (found.wheels or not pip):
            return None, pip
        conda = conda_of(found.python, found.packages or [], found.channels, pip)
        # Its pip lines were looked at where they stand.
        packages = {**conda, "dependencies": [one for one in conda["dependencies"] if isinstance(one, str)]}
        flaws = list(conda_flaws(packages))
        skipped = found.python is not None
        for path, summary, hint in flaws:
            if path[:1] == ("channels",):
                self._say(path, summary, hint)
            elif len(path) > 1 and isinstance(path[1], int):
                self._say(("packages", path[1] - skipped), summary, hint)
        return (None if flaws else conda), pip

    def _conda_file(self, path: str) -> Values | None:
        self.files.append(self.place.directory / path)
        document = open_document(path, self.place.directory, read_yaml)
        if isinstance(document, Flaw):
            self._say(("conda_file",), document.summary, document.hint)
            return None
        flaws = list(conda_flaws(document.value))
        for inner, summary, hint in flaws:
            here = inner
            while here not in document.places and here:
                here = here[:-1]
            line, column = document.places.get(here, (1, 1))
            self._say(("conda_file",), f"{path} line {line}, column {column}: {summary}", hint)
        return None if flaws else dict(document.value)

    def _checked(self, conda: Mapping[str, Any], at: Path) -> Values | None:
        flaws = list(conda_flaws(conda))
        for path, summary, hint in flaws:
            self._say((*at, *path), summary, hint)
        return None if flaws else dict(conda)

    def _single(self, dockerfile: str | DockerfileText, facts: list[Fact]) -> Values | None:
        """The manifest of a context with one Dockerfile."""
        if isinstance(dockerfile, DockerfileText):
            text, source = dockerfile.text, {"text": dockerfile.text}
        else:
            self.files.append(self.place.directory / dockerfile)
            read_text = self._text(dockerfile, ("dockerfile",))
            if read_text is None:
                return None
            text, source = read_text, {"path": dockerfile}
        self._look_into(text, ("dockerfile",), "", facts)
        if copies_files(text):
            self.warnings.append(
                "the Dockerfile copies files, and a single Dockerfile has none beside it: name its directory "
                "in `build`"
            )
        return {"files": {"Dockerfile": source}}

    def _text(self, path: str, at: Path) -> str | None:
        try:
            return within(path, self.place.directory).read_text(encoding="utf-8-sig")
        except ReconcilerError as error:
            self._say(at, str(error), error.hint)
        except OSError as error:
            self._say(at, f"{path} cannot be read: {error.strerror}", "Check that it is a file.")
        except UnicodeDecodeError:
            self._say(at, f"{path} is not UTF-8", "Save the file as UTF-8.")
        return None

    def _look_into(self, text: str, at: Path, name: str, facts: list[Fact]) -> None:
        for _, summary, hint in dockerfile_flaws(text):
            self._say(at, f"{name or 'the Dockerfile'}: {summary}", hint)
        facts += [self._image_fact(image, at) for image in images_in(text)]

    def _local_build(
        self, manifest: Values, dockerfile: str, at: Path, facts: list[Fact] | None = None
    ) -> Values | None:
        """``build`` with a local context; with *facts*, its Dockerfile is looked into."""
        try:
            context = open_context(manifest, self.place.directory)
            digest = context.digest()
        except ReconcilerError as error:
            self._say(at, str(error), error.hint)
            return None
        except OSError as error:
            self._say(at, f"{error.filename} cannot be read: {error.strerror}", "Check its permissions.")
            return None
        files = manifest.get("files", {}).values()
        named = (
            [manifest["directory"]] if "directory" in manifest else [f["path"] for f in files if "path" in f]
        )
        self.files += (self.place.directory / path for path in named)
        if facts is not None:
            inside = next((one for one in context.files if one.name == dockerfile), None)
            if inside is None:
                summary = f"there is no {dockerfile!r} in the build context {manifest['directory']!r}"
                self._say(
                    at, summary, "Add it, or name it in `dockerfile_path`; see that .amlignore keeps it."
                )
                return None
            self._look_into(inside.read().decode(errors="replace"), at, dockerfile, facts)
        return {
            "context_uri": {LOOKUP: {"context": f"{digest}/{context.directory}"}},
            "dockerfile": dockerfile,
        }

    # --- what may go wrong later ---

    def _warn(self, found: Environment, attributes: Values, facts: Iterable[Fact]) -> None:
        self.warnings += _warnings(attributes, facts)
        if found.wheels is not None:
            conda, pip = self._installed
            loose = list(unpinned(conda)) if conda else [name_of(one) for one in pip if not is_pinned(one)]
            self.warnings += _of_unpinned(loose, attributes["name"])


def _sound(table: Mapping[str, Any], wrong: Iterable[str]) -> Environment:
    """What *table* says without the fields that are *wrong*: none of them has to be there."""
    try:
        return Environment.model_validate({k: v for k, v in table.items() if k not in wrong})
    except ValidationError:  # the table as a whole is wrong
        return Environment()


def _of_unpinned(names: Iterable[str], name: str) -> Iterator[str]:
    found = list(dict.fromkeys(names))
    if found:
        yield (
            f"{name} does not pin {listed(found)}: Azure ML reuses the image that it built for an unchanged "
            "definition, so the versions of the first build stay until the definition changes"
        )


def _warnings(attributes: Mapping[str, Any], facts: Iterable[Fact]) -> Iterator[str]:
    name = attributes["name"]
    for fact in facts:
        if why := what_moves(fact.value):
            yield (
                f"{name} builds on {fact.value}, and {why}: Azure ML reuses the image that it built "
                "for an unchanged definition, so what is new there does not arrive; give a tag that "
                "stays, or a digest"
            )
    if (conda := attributes["conda"]) is not None:
        yield from _of_unpinned(unpinned(conda), name)
        if any(".blob.core." in line for line in pip_lines(conda)):
            yield (
                f"{name} installs from blob storage by its address: Azure ML signs no such address any more, "
                "so download the wheel and name it in `wheels`, unless everybody may read the blob"
            )
        if "prefix" in conda:
            yield f"the conda definition of {name} has a `prefix`, a path of one machine: remove it"
        if (size := len(msgspec.json.encode(conda))) > _LONGEST_CONDA:
            yield (
                f"the conda definition of {name} has {size} bytes; "
                f"Azure ML may refuse more than {_LONGEST_CONDA}"
            )
    tags = attributes["tags"]
    if len(tags) > _MOST_TAGS:
        yield f"{name} has {len(tags)} tags; Azure ML may refuse more than {_MOST_TAGS}"
    long = [key for key, value in tags.items() if len(key) > _LONGEST_TAG[0] or len(value) > _LONGEST_TAG[1]]
    if long:
        yield (
            f"tags of {name} are longer than Azure ML may take (key {_LONGEST_TAG[0]}, "
            f"value {_LONGEST_TAG[1]} characters): {listed(one[:40] for one in long)}"
        )
