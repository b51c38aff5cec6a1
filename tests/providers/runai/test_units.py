"""Names of clusters, departments and projects become ids, and scopes cover one another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from loopback import failing, refusal, run
from tenants import (
    EAST,
    WEST,
    address,
    answer,
    opened,
    tenant,
)

from reconciler.core.attributes import LOOKUP, REF, Attributes
from reconciler.core.model import Resource, ResourceAddress, Source
from reconciler.core.ports import Problem, Resolution
from reconciler.errors import (
    ListingIncomplete,
)

SOURCE = Source("lab.toml", 1)


def placed(name: str, kind: str = "environment", **attributes: Any) -> Resource:
    """A resource with *attributes*; ``lookup`` is what its scope id is to be found by."""
    lookup = attributes.pop("lookup", None)
    values = {"name": name, **attributes}
    if lookup is not None:
        values["scope_id"] = {LOOKUP: lookup}
    depends = tuple(
        ResourceAddress.parse(one["credential"][REF])
        for one in attributes.get("environment_variables", {}).values()
        if isinstance(one, dict) and "credential" in one
    )
    return Resource(address(name, kind), Attributes(values), SOURCE, depends)


async def resolve(directory: Path, *resources: Resource) -> Resolution:
    """What the embedded platform makes of them."""
    provider = opened(directory)
    try:
        return await provider.resolve(resources)
    finally:
        await provider.close()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"kind": "project", "name": "nlp"}, "4501235"),
        ({"kind": "project", "name": "vision", "cluster": "gpu-east"}, "4501234"),
        ({"kind": "project", "name": "vision", "cluster": "gpu-west"}, "4501238"),
        ({"kind": "project", "name": "vision", "cluster": WEST}, "4501238"),
        ({"kind": "department", "name": "products"}, "4500002"),
        ({"kind": "department", "name": "field", "cluster": WEST}, "4500003"),
        ({"kind": "cluster", "name": "gpu-west"}, WEST),
        ({"kind": "cluster", "name": WEST}, WEST),
    ],
)
def test_a_name_becomes_an_id(tmp_path: Path, wanted: dict[str, Any], found: str) -> None:
    """Of a project, a department, a cluster; the cluster tells two of one name apart."""
    answered = run(resolve(tmp_path, placed("lab", scope=wanted["kind"], lookup=wanted)))
    assert (answered.problems, answered.warnings) == ((), ())
    assert answered.resources[0].attributes == {"name": "lab", "scope": wanted["kind"], "scope_id": found}


@pytest.mark.parametrize("scope", [{"scope": "tenant"}, {"scope": "project", "scope_id": "4501235"}])
def test_a_text_that_looks_like_a_lookup_is_none(tmp_path: Path, scope: dict[str, str]) -> None:
    """A variable may have any value."""
    lab = placed("lab", environment_variables={"HINT": LOOKUP}, **scope)
    assert run(resolve(tmp_path, lab)) == Resolution((lab,))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            {"kind": "project", "name": "vision"},
            (
                "scope_name",
                "there are 2 projects called 'vision': 4501234 on cluster gpu-east, "
                "4501238 on cluster gpu-west",
                'Say which: `cluster = "…"`, or the id as `scope_id`.',
            ),
        ),
        (
            {"kind": "project", "name": "visoin"},
            ("scope_name", "there is no project called 'visoin'", "Did you mean 'vision'?"),
        ),
        (
            {"kind": "project", "name": "nlp", "cluster": "gpu-west"},
            ("scope_name", "there is no project called 'nlp' on cluster 'gpu-west'", "It is on: gpu-east."),
        ),
        (
            {"kind": "project", "name": "vision", "cluster": "nowhere"},
            (
                "scope_name",
                "there is no project called 'vision' on cluster 'nowhere'",
                "It is on: gpu-east, gpu-west.",
            ),
        ),
        (
            {"kind": "department", "name": "zzz"},
            (
                "scope_name",
                "there is no department called 'zzz'",
                "There are: field, products, research.",
            ),
        ),
        (
            {"kind": "cluster", "name": None},
            (
                "scope",
                "which cluster? there are 2: gpu-east, gpu-west",
                'Add `scope_name = "…"` with one of these names, or its id as `scope_id`.',
            ),
        ),
    ],
)
def test_a_name_that_does_not_say_which_is_a_problem(
    tmp_path: Path, wanted: dict[str, Any], problem: tuple[str, str, str]
) -> None:
    """With where to look, and the nearest or all there are."""
    answered = run(resolve(tmp_path, placed("lab", scope=wanted["kind"], lookup=wanted)))
    where, summary, hint = problem
    assert answered.problems == (Problem((where,), summary, hint, address("lab")),)
    assert answered.resources == ()


def units(
    *,
    clusters: Sequence[Any] = ({"uuid": EAST, "name": "only"},),
    departments: Any = None,
    projects: Any = None,
) -> dict[str, Any]:
    """Routes of an organisation."""
    return {
        "GET /api/v1/clusters": answer(json.dumps(list(clusters)).encode()),
        "GET /api/v1/org-unit/departments": {"departments": []} if departments is None else departments,
        "GET /api/v1/org-unit/projects": {"projects": []} if projects is None else projects,
    }


def counts(departments: int, projects: int) -> dict[str, Any]:
    """Routes that say how many there are."""
    return {
        "GET /api/v1/org-unit/departments/count": {"count": departments},
        "GET /api/v1/org-unit/projects/count": {"count": projects},
    }


ON_A_CLUSTER = placed("lab", scope="cluster", lookup={"kind": "cluster", "name": None})
IN_LAST = placed("lab", scope="project", lookup={"kind": "project", "name": "p-1200"})


def test_a_single_cluster_is_found_by_itself(tmp_path: Path) -> None:
    """Nobody has to name what there is one of; and none is none."""

    async def check() -> None:
        async with tenant(tmp_path, units()) as (_, provider):
            answered = await provider.resolve([ON_A_CLUSTER])
        assert answered.resources[0].attributes["scope_id"] == EAST
        async with tenant(tmp_path, units(clusters=[])) as (_, provider):
            answered = await provider.resolve([ON_A_CLUSTER])
        assert [problem.summary for problem in answered.problems] == ["there is no cluster"]

    run(check())


def test_two_clusters_of_one_name_are_told_apart_by_id(tmp_path: Path) -> None:
    """There is no cluster that they would be on."""
    on_twin = placed("lab", scope="cluster", lookup={"kind": "cluster", "name": "twin"})

    async def check() -> None:
        clusters = [{"uuid": WEST, "name": "twin"}, {"uuid": EAST, "name": "twin"}]
        async with tenant(tmp_path, units(clusters=clusters)) as (_, provider):
            answered = await provider.resolve([on_twin])
        assert answered.problems == (
            Problem(
                ("scope_name",),
                f"there are 2 clusters called 'twin': {EAST}, {WEST}",
                "Say which: its id as `scope_id`.",
                address("lab"),
            ),
        )

    run(check())


def project(number: int) -> dict[str, Any]:
    """One of many."""
    return {"id": str(number), "name": f"p-{number}", "clusterId": EAST, "parentId": "45"}


def pages(*sizes: int, start: int = 1) -> list[dict[str, Any]]:
    """Pages of projects, each with the offset of the next one but the last."""
    found = []
    offset = 0
    for size in sizes:
        page: dict[str, Any] = {"projects": [project(start + offset + n) for n in range(size)]}
        offset += size
        found.append({**page, "next": offset})
    del found[-1]["next"]
    return found


def test_every_page_is_read(tmp_path: Path) -> None:
    """1,200 projects in three calls, departments as well; nothing is asked twice for many resources."""

    async def check() -> None:
        departments = [
            {"departments": [{"id": "1", "name": "d-1"}], "next": 1},
            {"departments": [{"id": 2, "name": "d-2", "clusterId": None}], "next": None},
        ]
        routes = units(departments=departments, projects=pages(500, 500, 200)) | counts(2, 1200)
        in_department = placed("two", scope="department", lookup={"kind": "department", "name": "d-2"})
        async with tenant(tmp_path, routes) as (server, provider):
            for _ in range(2):
                answered = await provider.resolve([IN_LAST, in_department, IN_LAST])
        assert [one.attributes["scope_id"] for one in answered.resources] == ["1200", "2", "1200"]
        assert server.calls == [
            "GET /api/v1/clusters?verbosity=metadata",
            "GET /api/v1/org-unit/departments?limit=500&offset=0",
            "GET /api/v1/org-unit/departments?limit=500&offset=1",
            "GET /api/v1/org-unit/departments/count",
            "GET /api/v1/org-unit/projects?limit=500&offset=0",
            "GET /api/v1/org-unit/projects?limit=500&offset=500",
            "GET /api/v1/org-unit/projects?limit=500&offset=1000",
            "GET /api/v1/org-unit/projects/count",
        ]

    run(check())


@pytest.mark.parametrize("count", [{"count": 3}, refusal(403, "no"), answer(b"<html>")])
def test_a_project_that_a_page_lost_is_found(tmp_path: Path, count: Any) -> None:
    """One before it was removed while we read, and it moved to a page that was read already."""

    async def check() -> None:
        lost = [{"projects": [project(1), project(2)], "next": 2}, {"projects": [project(4)]}]
        whole = [{"projects": [project(2), project(1200)], "next": 2}, {"projects": [project(4)]}]
        routes = units(projects=[*lost, *whole, *whole]) | {"GET /api/v1/org-unit/projects/count": count}
        if count == {"count": 3}:
            routes["GET /api/v1/org-unit/projects"] = [
                {"projects": [project(1), project(2)], "next": 2},
                {"projects": []},
                *whole,
            ]
        async with tenant(tmp_path, routes) as (_, provider):
            answered = await provider.resolve([IN_LAST])
        assert answered.problems == ()
        assert answered.resources[0].attributes["scope_id"] == "1200"

    run(check())


def test_projects_that_never_stand_still_are_an_error(tmp_path: Path) -> None:
    """Nothing is decided from half of them."""

    async def check() -> None:
        moving = [
            page
            for number in range(9)
            for page in ({"projects": [project(number)], "next": 1}, {"projects": [project(99)]})
        ]
        async with tenant(tmp_path, units(projects=moving)) as (_, provider):
            error = await failing(provider.resolve([IN_LAST]))
        assert (type(error), error.call) == (ListingIncomplete, "GET /api/v1/org-unit/projects")

    run(check())


def test_an_empty_page_before_the_last_does_not_end_it(tmp_path: Path) -> None:
    """What counts is whether there is a next one."""

    async def check() -> None:
        routes = units(projects=[{"projects": [], "next": 500}, {"projects": [project(1200)]}])
        async with tenant(tmp_path, routes) as (_, provider):
            answered = await provider.resolve([IN_LAST])
        assert answered.resources[0].attributes["scope_id"] == "1200"

    run(check())


def test_a_project_on_two_pages_is_one(tmp_path: Path) -> None:
    """Something was made while the pages were read, and moved it from one to the next."""

    async def check() -> None:
        routes = units(
            projects=[{"projects": [project(1199), project(1200)], "next": 2}, *pages(2, start=1200)]
        )
        async with tenant(tmp_path, routes) as (_, provider):
            answered = await provider.resolve([IN_LAST])
        assert answered.problems == ()
        assert answered.resources[0].attributes["scope_id"] == "1200"

    run(check())


@pytest.mark.parametrize(
    "projects",
    [
        pytest.param(
            [{"projects": [project(1)], "next": 1}, {"projects": [project(1)], "next": 1}], id="stuck"
        ),
        pytest.param([{"projects": [project(1)], "next": 9}, {"projects": [], "next": 4}], id="back"),
        pytest.param({"projects": [project(1)], "next": "1"}, id="next is text"),
        pytest.param({"projects": [project(1)], "next": {"offset": 1}}, id="next is a table"),
        pytest.param({"items": []}, id="no projects"),
        pytest.param({"projects": None}, id="null"),
        pytest.param({"projects": {"a": 1}}, id="by name"),
        pytest.param({"projects": ["p-1"]}, id="names alone"),
        pytest.param({"projects": [{"id": "1"}]}, id="no name"),
        pytest.param(answer(b"[]"), id="an array"),
        pytest.param(answer(b'{"projects":['), id="torn"),
        pytest.param(answer(b"<html>"), id="a page"),
        pytest.param(answer(b'{"projects":[{"id":"1","name":"\xe4"}]}'), id="another encoding"),
        pytest.param(answer(b""), id="nothing"),
    ],
)
def test_pages_that_make_no_whole_are_an_error(tmp_path: Path, projects: Any) -> None:
    """Never a shorter list, and never an endless one."""

    async def check() -> None:
        async with tenant(tmp_path, units(projects=projects)) as (server, provider):
            error = await failing(provider.resolve([IN_LAST]))
        assert (type(error), error.call) == (ListingIncomplete, "GET /api/v1/org-unit/projects")
        assert len(server.calls) <= 4

    run(check())


@pytest.mark.parametrize(
    "body", [b"{}", b"null", b"[1]", b'[{"uuid":"x"}]', b'[{"uuid":"x","name":"\xe4"}]', b"[", b""]
)
def test_clusters_that_make_no_list_are_an_error(tmp_path: Path, body: bytes) -> None:
    """As everywhere."""

    async def check() -> None:
        routes = {**units(), "GET /api/v1/clusters": answer(body)}
        async with tenant(tmp_path, routes) as (_, provider):
            error = await failing(provider.resolve([ON_A_CLUSTER]))
        assert (type(error), error.call) == (ListingIncomplete, "GET /api/v1/clusters")

    run(check())


def test_nothing_is_asked_when_there_is_nothing_to_find(tmp_path: Path) -> None:
    """Ids and the tenant need no listing."""

    async def check() -> None:
        async with tenant(tmp_path, {}) as (server, provider):
            resources = [placed("a", scope="tenant"), placed("b", scope="project", scope_id="77")]
            answered = await provider.resolve(resources)
        assert (answered, server.requests) == (Resolution(tuple(resources)), [])

    run(check())


SCOPES = {
    "tenant": {"scope": "tenant"},
    "east": {"scope": "cluster", "scope_id": EAST},
    "west": {"scope": "cluster", "scope_id": WEST},
    "research": {"scope": "department", "scope_id": "4500001"},
    "products": {"scope": "department", "scope_id": "4500002"},
    "vision": {"scope": "project", "scope_id": "4501234"},
    "speech": {"scope": "project", "scope_id": "4501236"},
    "vision-west": {"scope": "project", "scope_id": "4501238"},
}
COVERED = {
    "tenant": set(SCOPES),
    "east": {"east", "research", "products", "vision", "speech"},
    "west": {"west", "vision-west"},
    "research": {"research", "vision"},
    "products": {"products", "speech"},
    "vision": {"vision"},
    "speech": {"speech"},
    "vision-west": {"vision-west"},
}


@pytest.mark.parametrize("over", SCOPES)
def test_a_credential_reaches_what_is_below_its_scope(tmp_path: Path, over: str) -> None:
    """And an environment elsewhere that refers to it is a problem, with the place in the spec."""
    hub = placed("hub", "credential", type="password", **SCOPES[over])
    environments = [
        placed(
            under,
            environment_variables={"TOKEN": {"credential": {REF: "runai.credential.hub"}, "key": "k"}},
            **SCOPES[under],
        )
        for under in SCOPES
    ]
    answered = run(resolve(tmp_path, hub, *environments))
    assert len(answered.resources) == len(SCOPES) + 1
    unreached = {problem.address.name for problem in answered.problems if problem.address is not None}
    assert unreached == set(SCOPES) - COVERED[over]
    assert {problem.path for problem in answered.problems} <= {
        ("environment_variables", "TOKEN", "credential")
    }


def test_a_scope_that_is_resolved_by_name_is_checked_too(tmp_path: Path) -> None:
    """After the names have become ids."""
    hub = placed(
        "hub", "credential", type="password", scope="project", lookup={"kind": "project", "name": "nlp"}
    )
    lab = placed(
        "lab",
        scope="project",
        lookup={"kind": "project", "name": "speech"},
        environment_variables={"T": {"credential": {REF: "runai.credential.hub"}, "key": "k"}},
    )
    answered = run(resolve(tmp_path, lab, hub))
    assert [(problem.address, problem.summary) for problem in answered.problems] == [
        (
            address("lab"),
            "runai.credential.hub is placed on project nlp, which this environment (project speech) "
            "is not part of",
        )
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ("speech", "vision", "project vision (4501234), which this environment (project speech)"),
        ("tenant", "east", "cluster gpu-east, which this environment (tenant)"),
        ("unknown", "research", "department research, which this environment (project 99)"),
    ],
)
def test_scopes_are_told_by_name(tmp_path: Path, ours: str, theirs: str, said: str) -> None:
    """With the id where two have the name, and by the id alone where nobody knows one."""
    scopes = {**SCOPES, "unknown": {"scope": "project", "scope_id": "99"}}
    hub = placed("hub", "credential", type="password", **scopes[theirs])
    token = {"TOKEN": {"credential": {REF: "runai.credential.hub"}, "key": "k"}}
    (problem,) = run(
        resolve(tmp_path, hub, placed("lab", environment_variables=token, **scopes[ours]))
    ).problems
    assert problem.summary == f"runai.credential.hub is placed on {said} is not part of"


SAME_NAME = (
    "runai.environment.{} and runai.environment.{} have the name 'lab' in different scopes; "
    "some Run:ai versions want names to be unique"
)


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (["lab", "lab-vision"], [("lab-vision", "lab")]),
        (["lab-nlp", "lab-vision"], [("lab-vision", "lab-nlp")]),
        (["lab-nlp", "lab-vision", "lab"], [("lab-nlp", "lab"), ("lab-vision", "lab")]),
    ],
    ids=["by one spec", "by two specs", "by three"],
)
def test_one_name_in_two_scopes_is_warned_of(
    tmp_path: Path, names: list[str], warned: list[tuple[str, str]]
) -> None:
    """Whether the platform allows it is not documented; it is allowed here."""
    scopes = {"lab": None, "lab-vision": "4501234", "lab-nlp": "4501235"}
    resources = [
        Resource(
            address(name),
            Attributes(
                {"name": "lab", "scope": "project", "scope_id": scopes[name]}
                if scopes[name]
                else {"name": "lab", "scope": "tenant"}
            ),
            SOURCE,
        )
        for name in names
    ]
    unlike = [placed("lab", "compute", scope="tenant"), placed("other", scope="tenant")]
    answered = run(resolve(tmp_path, *resources, *unlike))
    assert answered.problems == ()
    assert answered.warnings == tuple(SAME_NAME.format(*pair) for pair in warned)
