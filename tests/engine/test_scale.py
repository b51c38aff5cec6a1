"""Cost grows in proportion to the work: four times the resources, four times the lines that are run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from engine.laboratory import Laboratory, Platform, run, specs

from reconciler.engine.drift import drift as compare_live
from reconciler.engine.history import past_run
from reconciler.engine.stack import Planned
from reconciler.errors import Rejected


class Quiet(Platform):
    """A platform that does not look at the journal at each write."""

    def _announced(self, what: str) -> bool:
        return True


def stack(count: int, size: int = 1, *, hub: str = "") -> str:
    """So many boxes, each tenth without one to wait for; with a *hub*, all refer to that."""
    chain = [
        f"box n{n:04} size={size} "
        + (f"uses=@box.{hub}" if hub else f"after=box.n{n - 1:04}" if n % 10 else "")
        for n in range(count)
    ]
    return "\n".join([f"box {hub} shape=s{size}"] * bool(hub) + chain)


def made(count: int, **options: Any) -> Laboratory:
    """A stack of so many boxes."""
    lab = Laboratory(provider=Quiet(), parallelism=10)
    lab.apply(stack(count, **options))
    return lab


def plan_creation(count: int) -> Callable[[], Any]:
    lab = made(0)
    return lambda: lab.plan(stack(count))


def create(count: int) -> Callable[[], Any]:
    lab = made(0)
    planned = lab.plan(stack(count))
    return lambda: lab.carry_out(planned)


def plan_nothing(count: int) -> Callable[[], Any]:
    lab = made(count)
    return lambda: lab.plan(stack(count))


def verify_creation(count: int) -> Callable[[], Any]:
    lab = made(0)
    planned = lab.plan(stack(count))
    return lambda: lab.verify(planned, stack(count))


def changed(count: int) -> tuple[Laboratory, Planned]:
    lab = made(count)
    return lab, lab.plan(stack(count, 2))


def plan_changes(count: int) -> Callable[[], Any]:
    lab = made(count)
    return lambda: lab.plan(stack(count, 2))


def verify_changes(count: int) -> Callable[[], Any]:
    lab, planned = changed(count)
    return lambda: lab.verify(planned, stack(count, 2))


def roll_back(count: int) -> Callable[[], Any]:
    lab, planned = changed(count)
    lab.provider.fail[f"update box.n{count - 1:04}"] = Rejected("no")
    return lambda: lab.carry_out(planned)


def plan_replacement(count: int) -> Callable[[], Any]:
    lab = made(count, hub="hub")
    return lambda: lab.plan(stack(count, 2, hub="hub"))


def replace_hub(count: int) -> Callable[[], Any]:
    lab = made(count, hub="hub")
    planned = lab.plan(stack(count, 2, hub="hub"))
    return lambda: lab.carry_out(planned)


def plan_part(count: int) -> Callable[[], Any]:
    lab = made(count)
    return lambda: lab.plan("", targets=("fake.box.*5",), excludes=("fake.box.*05",))


def destroy(count: int) -> Callable[[], Any]:
    lab = made(count)
    planned = lab.plan("", destroy=True)
    return lambda: lab.carry_out(planned)


def settle(count: int) -> Callable[[], Any]:
    lab, planned = changed(count)
    last = f"after update box.n{count - 1:04}"
    lab.provider.watch = lambda what: lab.remember(what) if what == last else None
    lab.carry_out(planned)
    later = lab.after_power_cut(lab.moments[0])
    return later.settle


def drift(count: int) -> Callable[[], Any]:
    lab = made(count)
    for remote_id in list(lab.provider.objects):
        lab.provider.edit(remote_id, size=7)
    return lambda: run(compare_live(lab.stack().planner(), lab.backend.load()))


def list_all(count: int) -> Callable[[], Any]:
    lab = made(count)
    wished = specs(stack(count, 2))
    return lambda: run(lab.stack().inventory("box", wished))


def tell_the_past(count: int) -> Callable[[], Any]:
    lab = made(count)
    records = lab.backend.records("run-001")
    return lambda: past_run(records)


def lines_run(work: Callable[[], Any]) -> int:
    """How many lines of our own *work* goes through, each turn of a comprehension counted."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if "reconciler" not in frame.f_code.co_filename:
            return None
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "what",
    [
        plan_creation,
        create,
        plan_nothing,
        verify_creation,
        plan_changes,
        verify_changes,
        roll_back,
        plan_replacement,
        replace_hub,
        plan_part,
        destroy,
        settle,
        drift,
        list_all,
        tell_the_past,
    ],
)
def test_four_times_the_resources_take_four_times_the_work(what: Callable[[int], Callable[[], Any]]) -> None:
    """Whatever is done with them."""
    small, large = lines_run(what(60)), lines_run(what(240))
    assert large / small < 4.6
