"""Many things at once: in order, bounded, and with nothing left running behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from engine.laboratory import run

from reconciler.engine.concurrency import together, walk

# --- together ---


async def value(number: int, turns: int = 1) -> int:
    """*number*, after some turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return number


@pytest.mark.parametrize("parallelism", [1, 3, 100])
def test_results_come_in_the_order_of_the_work(parallelism: int) -> None:
    """However long each takes."""
    work = [value(number, turns=10 - number) for number in range(10)]
    assert run(together(work, parallelism=parallelism)) == list(range(10))


def test_nothing_to_do_is_done() -> None:
    """No worker is started."""
    assert run(together([], parallelism=3)) == []


def test_no_more_than_allowed_at_once() -> None:
    """The rest waits its turn."""
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    run(together([work() for _ in range(20)], parallelism=4))
    assert most == 4


def test_the_first_error_stops_the_rest_and_is_raised_as_itself() -> None:
    """What runs is cancelled and ended, what waits is never started."""
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def never() -> None:
        ended.append("started")

    with pytest.raises(ValueError, match="no"):
        run(together([slow(), fail(), never(), never()], parallelism=2))
    assert ended == ["cancelled"]


def test_work_that_is_made_lazily_may_come_from_a_generator() -> None:
    """It is taken whole before anything starts."""

    def work() -> Iterator[Coroutine[Any, Any, int]]:
        yield from (value(number) for number in range(3))

    assert run(together(work(), parallelism=2)) == [0, 1, 2]


def test_a_cancelled_caller_leaves_nothing_running() -> None:
    """All that was started is cancelled with it."""

    async def main() -> None:
        task = asyncio.ensure_future(together([value(n, turns=1000) for n in range(5)], parallelism=2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


# --- walk ---


class Walker:
    """Work that is written down. ``a`` in *failing* does not succeed."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.order: list[int] = []
        self.running: set[int] = set()
        self.most = 0

    async def __call__(self, number: int) -> bool:
        self.order.append(number)
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        await asyncio.sleep(0)
        self.running.discard(number)
        return number not in self.failing


def walked(
    walker: Walker,
    waits: dict[int, set[int]],
    ranks: dict[int, int] | None = None,
    *,
    parallelism: int = 1,
    stop_after: int = 1000,
) -> list[int]:
    """The numbers that never started."""
    never = run(
        walk(
            waits,
            {number: (ranks or {}).get(number, 0) for number in waits},
            walker,
            parallelism=parallelism,
            go_on=lambda: len(walker.order) < stop_after,
        )
    )
    assert walker.running == set()
    return sorted(never)


def test_each_number_once_and_after_what_it_waits_for() -> None:
    """Small numbers first among those that may start."""
    walker = Walker()
    assert walked(walker, {0: {3}, 1: set(), 2: {0}, 3: set()}) == []
    assert walker.order == [1, 3, 0, 2]


def test_a_rank_starts_when_the_one_before_has_ended() -> None:
    """Also where nothing waits for anything."""
    walker = Walker()
    walked(walker, {n: set() for n in range(6)}, {0: 2, 1: 1, 2: 0, 3: 1, 4: 0, 5: 2}, parallelism=6)
    assert [sorted(walker.order[n : n + 2]) for n in (0, 2, 4)] == [[2, 4], [1, 3], [0, 5]]
    assert walker.most == 2


def test_what_waits_for_a_failure_never_starts() -> None:
    """Nor what waits for that; the rest goes on, through all ranks."""
    walker = Walker(1)
    waits = {0: set(), 1: set(), 2: {1}, 3: {2, 0}, 4: {0}, 5: {1}}
    assert walked(walker, waits, {5: 1, 4: 1}) == [2, 3, 5]
    assert walker.order == [0, 1, 4]


def test_nothing_more_starts_once_told_so() -> None:
    """What runs is waited for."""
    walker = Walker()
    assert walked(walker, {n: set() for n in range(9)}, parallelism=3, stop_after=3) == [3, 4, 5, 6, 7, 8]
    walker = Walker()
    assert walked(walker, {0: set(), 1: set()}, stop_after=0) == [0, 1]


@pytest.mark.parametrize("parallelism", [1, 2, 5])
def test_no_more_than_allowed_start_at_once(parallelism: int) -> None:
    """And as many as that do."""
    walker = Walker()
    walked(walker, {n: set() for n in range(20)}, parallelism=parallelism)
    assert walker.most == parallelism


def test_the_order_does_not_depend_on_hashes() -> None:
    """Of those that end at the same turn, the smaller number lets its dependents start first."""
    waits = {n: set() for n in range(8)} | {10 + n: {n} for n in range(8)}
    walker = Walker()
    walked(walker, waits, parallelism=8)
    assert walker.order == [*range(8), *range(10, 18)]


@pytest.mark.parametrize("how", ["error", "cancel"])
def test_a_walk_that_is_broken_off_leaves_nothing_running(how: str) -> None:
    """Work that raises against its contract, or a caller that is cancelled: the rest is ended first."""
    ended: list[int] = []

    async def work(number: int) -> bool:
        try:
            if number == 2 and how == "error":
                raise ValueError("a mistake")
            await asyncio.sleep(60)
        finally:
            ended.append(number)
        return True

    async def main() -> None:
        task = asyncio.ensure_future(
            walk(
                {n: set() for n in range(5)},
                dict.fromkeys(range(5), 0),
                work,
                parallelism=3,
                go_on=lambda: True,
            )
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if how == "cancel":
            task.cancel()
        with pytest.raises(ValueError if how == "error" else asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert sorted(ended) == [0, 1, 2]
