"""One stack over two platforms that give their objects the same ids: nothing is taken for the other's."""

from __future__ import annotations

import itertools
from dataclasses import replace

from engine.laboratory import Laboratory, Platform, run, specs

from reconciler.core.attributes import ID, REF, Attributes, replace_markers
from reconciler.core.model import Resource, ResourceAddress, SpecSet
from reconciler.core.report import RunReport
from reconciler.engine.stack import PlanOptions, Stack
from reconciler.errors import Rejected

OTHER = "other"


def elsewhere(resource: Resource) -> Resource:
    """*resource* on the other platform, with all that it refers to."""

    def moved(address: ResourceAddress) -> ResourceAddress:
        return address._replace(platform=OTHER)

    values = replace_markers(
        resource.attributes.values_, REF, lambda text: {REF: str(moved(ResourceAddress.parse(text)))}
    )
    return replace(
        resource,
        address=moved(resource.address),
        attributes=Attributes(values),
        depends_on=tuple(map(moved, resource.depends_on)),
    )


class TwoPlatforms(Laboratory):
    """A laboratory with a second platform beside the first."""

    def __init__(self) -> None:
        super().__init__(parallelism=1)
        self.other = Platform(OTHER)
        self.other.durable = self.provider.durable

    def stack(self) -> Stack:
        return replace(super().stack(), providers={"fake": self.provider, OTHER: self.other})

    def apply_both(self, here: str, there: str) -> RunReport:
        """``apply`` for specs on the one and specs on the other."""
        both = (*specs(here).resources, *map(elsewhere, specs(there).resources))

        async def work() -> RunReport:
            with self.locked("apply") as lock:
                stack = self.stack()
                planned = await stack.plan(SpecSet(both, "digest"), PlanOptions())
                return await stack.apply(planned, lock, command="apply", on_failure="rollback")

        return run(work())


def test_an_object_is_not_taken_for_one_of_the_same_id_elsewhere() -> None:
    """Both are id-1, and each is checked against what was planned on it."""
    lab = TwoPlatforms()
    assert lab.apply_both("box a size=1", "box b size=1").outcome == "applied"
    report = lab.apply_both("box a size=2", "box b size=2")
    assert (report.outcome, report.steps.errors) == ("applied", {})
    assert (lab.provider.world()["box.a"]["size"], lab.other.world()["box.b"]["size"]) == (2, 2)


def test_what_was_made_again_on_one_platform_leaves_the_ids_of_another_alone() -> None:
    """Each platform has an id-1 that something refers to; one of them comes back as another object."""
    lab = TwoPlatforms()
    specs_here = "box base size=1\nbox user uses=@box.base size=1"
    assert lab.apply_both(specs_here, "box gone size=1").outcome == "applied"
    lab.other._ids = itertools.count(50)
    lab.provider.fail["delete box.base"] = Rejected("no")
    report = lab.apply_both("", "")
    assert (report.outcome, sorted(lab.other.objects)) == ("rolled back", ["id-50"])
    assert lab.provider.world()["box.user"]["uses"] == {ID: "id-1"}
    user = lab.resources[ResourceAddress("fake", "box", "user")]
    assert user.attributes["uses"] == {ID: "id-1"}
    assert (user.remote_id, lab.resources[ResourceAddress(OTHER, "box", "gone")].remote_id) == (
        lab.id_of("box.user"),
        "id-50",
    )
