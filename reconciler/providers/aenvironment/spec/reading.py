"""A table of a spec in, drafts of resources and every problem out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from reconciler.core.attributes import ID, REF
from reconciler.core.ports import Draft, Place, Problem, SpecReading
from reconciler.core.reading import read
from reconciler.providers.aenvironment.conversion import environment_attributes
from reconciler.providers.aenvironment.spec.document import Document, read_config
from reconciler.providers.aenvironment.spec.environment import (
    IN_FILE,
    Environment,
    facts,
    status_named,
    wrong_status,
)
from reconciler.providers.aenvironment.spec.rules import doubts, mistakes
from reconciler.providers.aenvironment.spec.service import Service, ServiceFields, from_deployment
from reconciler.providers.aenvironment.spec.words import Finding, Values

MODELS: Mapping[str, type[BaseModel]] = {"environment": Environment, "service": Service}


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    return MODELS[kind].model_json_schema()


def read_spec(kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
    """What one spec's table asks AEnvironment for: an environment, perhaps with a service, or a service."""
    return _environment(table, place) if kind == "environment" else _service(table, place)


# --- environments ---


def _environment(table: Mapping[str, Any], place: Place) -> SpecReading:
    model, problems = _sound(Environment, table)
    document = Document({})
    files: tuple[FilePath, ...] = ()
    named = model.config if model is not None else table.get("config")
    if isinstance(named, str) and named:
        found, problem, path = read_config(named, place.folder)
        files = (path,)
        if found is None:
            assert problem is not None
            return SpecReading(problems=(*problems, problem), files=files)
        document = found
        for field in place.ignored:
            if path_in_file := IN_FILE.get(field):
                document.leave_out(path_in_file)
    if model is None:
        return SpecReading(problems=tuple(problems), files=files)
    in_file = _normalised(document)
    problems = [*problems, *(document.problem(one) for one in in_file)]
    others = "artifacts" in document.values or model.artifacts is not None
    model.lay_over(document, place)
    values = document.values
    wanted = model.service
    problems += [document.problem(one) for one in mistakes(values, with_service=wanted is not None)]
    problems += [Problem(*one) for one in model.conflicts()]
    problems += _unidentified(document, table)
    problems += _unreleased(document, model)
    if model.release:
        values["status"] = "Released"
    drafts: list[Draft] = []
    warnings: list[str] = []
    if not problems:
        attributes = environment_attributes(values, others=others)
        drafts.append(Draft("environment", attributes, tuple(facts(document, attributes))))
        warnings = [
            document.warning(one)
            for one in doubts(values, with_service=wanted is not None, from_file=bool(document.file))
        ]
        if wanted is not None:
            draft, wrong = _beside(wanted, values, place)
            problems += wrong
            drafts.append(draft)
    return SpecReading(
        tuple(drafts), tuple(dict.fromkeys(problems)), tuple(warnings) if not problems else (), files
    )


def _sound(model: type[Environment], table: Mapping[str, Any]) -> tuple[Environment | None, list[Problem]]:
    """The table, or as much of it as can be read in spite of its problems; and these."""
    found, problems = read(model, table)
    if found is None:
        wrong = {one.path[0] for one in problems if one.path}
        found, _ = read(model, {key: value for key, value in table.items() if key not in wrong})
    return found, list(problems)


def _normalised(document: Document) -> list[Finding]:
    """Bring what config.json may spell in several ways into one, and say what it spells in none."""
    values, wrong = document.values, []
    if not values.get("codeUrl", "?"):
        del values["codeUrl"]  # EnvHub keeps what it has
    if values.get("artifacts") == []:
        # As `aenv init` makes it: not built yet, and no wish to take away what a build put there.
        del values["artifacts"]
    status = values.get("status")
    if status == "":
        del values["status"]
    elif isinstance(status, str):
        known = status_named(status)
        if known is None:
            wrong.append(Finding(("status",), *wrong_status(status)))
            del values["status"]
        else:
            values["status"] = known
    return wrong


def _unidentified(document: Document, table: Mapping[str, Any]) -> Iterator[Problem]:
    if "version" not in document.values and "version" not in table:
        where = f", or `version` to {document.file}" if document.file else ""
        yield Problem(
            ("version",),
            "`version` is missing",
            f'Add version = "1.0.0"{where}: name and version are what an environment is known by.',
        )


def _unreleased(document: Document, model: Environment) -> Iterator[Problem]:
    """A release cannot be taken back, so it is said in one place, in so many words."""
    if document.values.get("status") == "Released" and not model.release:
        yield document.problem(
            Finding(
                ("status",),
                "Released is final: it has to be asked for",
                "Write release = true in the spec, or leave the status out.",
            )
        )


def _beside(fields: ServiceFields, values: Values, place: Place) -> tuple[Draft, list[Problem]]:
    """The service that comes with an environment."""
    name = fields.name or str(values["name"])
    wanted = fields.wanted(from_deployment(values.get("deployConfig") or {}), str(values["name"]))
    attributes = {
        "name": name,
        "environment": {REF: f"{place.platform}.environment.{place.name}"},
        **wanted,
    }
    wrong = [
        Problem(("service", *one.path) if one.path[0] in fields.model_fields_set else ("service",), *one[1:])
        for one in fields.conflicts(wanted, name)
    ]
    draft_facts = tuple(fields.facts(wanted, ("service",)))
    return Draft("service", attributes, draft_facts, is_sure=not wrong), wrong


# --- services ---


def _service(table: Mapping[str, Any], place: Place) -> SpecReading:
    model, problems = read(Service, table)
    if model is None:
        return SpecReading(problems=problems)
    name = model.name or place.name
    reference = model.reference(place)
    theirs = model.environment.partition("@")[0] if ID in reference else ""
    wanted = model.wanted({}, theirs)
    wrong = tuple(Problem(*one) for one in model.conflicts(wanted, name))
    draft = Draft(
        "service",
        {"name": name, "environment": reference, **wanted},
        tuple(model.facts(wanted, ())),
        is_sure=not wrong,
    )
    return SpecReading((draft,), wrong)
