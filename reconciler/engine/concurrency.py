"""Running many things at once, in the one order that their dependencies allow."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["together", "walk"]

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]], *, parallelism: int) -> list[T]:
    """The results of all of *work*, in its order, at most *parallelism* at once.

    The first error stops the rest and is raised as itself, not in a group.
    """
    todo = deque(enumerate(work))
    results: dict[int, T] = {}

    async def worker() -> None:
        while todo:
            place, coroutine = todo.popleft()
            results[place] = await coroutine

    workers = [asyncio.ensure_future(worker()) for _ in range(min(parallelism, len(todo)))]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for _, coroutine in todo:
            coroutine.close()
        raise
    return [results[place] for place in sorted(results)]


async def walk(
    waits: Mapping[int, Collection[int]],
    rank: Mapping[int, int],
    work: Callable[[int], Awaitable[bool]],
    *,
    parallelism: int,
    go_on: Callable[[], bool],
) -> frozenset[int]:
    """Do *work* on each number whose waits are done, at most *parallelism* at once.

    No number of a higher *rank* starts before every number of a lower one has
    ended. *work* says whether it succeeded; what waits for a failure never
    starts. When *go_on* turns false nothing more starts, and what runs is
    waited for. Returns the numbers that never started. *work* must not raise;
    should it, or should this be cancelled, what runs is cancelled and ended.
    """
    left = {number: len(needed) for number, needed in waits.items()}
    dependents: dict[int, list[int]] = defaultdict(list)
    for number, needed in waits.items():
        for other in needed:
            dependents[other].append(number)
    by_rank: dict[int, list[int]] = defaultdict(list)
    for number in sorted(waits):
        by_rank[rank[number]].append(number)
    started: set[int] = set()
    running: dict[asyncio.Task[bool], int] = {}
    try:
        for level in sorted(by_rank):
            ready = deque(number for number in by_rank[level] if not left[number])
            while ready or running:
                while ready and len(running) < parallelism and go_on():
                    number = ready.popleft()
                    started.add(number)
                    running[asyncio.ensure_future(_checked(work, number))] = number
                if not running:
                    break
                ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # In the order of their numbers: the same run again starts the same steps in the same order.
                for task in sorted(ended, key=running.__getitem__):
                    number = running.pop(task)
                    if not task.result():
                        continue
                    for dependent in dependents[number]:
                        left[dependent] -= 1
                        if not left[dependent] and rank[dependent] == level:
                            ready.append(dependent)
            if not go_on():
                break
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return frozenset(waits) - started


async def _checked(work: Callable[[int], Awaitable[bool]], number: int) -> bool:
    return await work(number)
