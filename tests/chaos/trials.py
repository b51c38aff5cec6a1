"""What happens to a `World`, drawn from a seed: which command dies, how, and what comes next."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from chaos.edits import let_go, move, push
from chaos.hands import interfere
from chaos.harm import KILLED, cut_off, killed, out_of_room
from chaos.vendor import Vendor
from chaos.vendors import VENDORS
from chaos.ways_back import resume, undo
from chaos.world import World

TRIALS_A_WORLD = 20
"""A world starts anew so often, so that a trial that went wrong is soon reached again."""


def _seconds(world: World) -> float:
    """About as long as an apply of this world takes."""
    return 0.1 + 0.02 * world.size


@dataclass
class Tally:
    """How many trials there were, how many commands were hit in them, and what was wrong.

    Trials and hits are counted by platform and kind.
    """

    trials: Counter[tuple[str, str]] = field(default_factory=Counter)
    hit: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def commands(self) -> int:
        """How many commands were killed, cut off or broken, all in all."""
        return self.hit.total()


def _kill(world: World, chance: random.Random) -> int:
    return killed(world, chance, *_doing(chance))


def _kill_at_random_instant(world: World, chance: random.Random) -> int:
    command = world.command(*_doing(chance))
    command.kill_after(chance.uniform(0, _seconds(world)))
    code = command.wait()
    world.log.append(f"killed at a random instant: {code}")
    return int(code == KILLED)


def _kill_and_kill_what_settles_it(world: World, chance: random.Random) -> int:
    hit = _kill(world, chance)
    return hit + sum(killed(world, chance, "plan", calls=60) for _ in range(chance.randint(1, 3)))


def _power_cut(world: World, chance: random.Random) -> int:
    return cut_off(world, chance, *_doing(chance))


def _full_disk(world: World, chance: random.Random) -> int:
    return out_of_room(world, chance, *_doing(chance))


def _signals(world: World, chance: random.Random) -> int:
    command = world.command(*_doing(chance))
    first = chance.choice((signal.SIGINT, signal.SIGTERM))
    time.sleep(chance.uniform(0.1, _seconds(world)))
    os.kill(command.pid, first)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.02))
        os.kill(command.pid, signal.SIGINT)
    code = command.wait()
    world.log.append(f"{first.name}: {code}")
    return int(code in (130, 143))


def _doing(chance: random.Random) -> list[str]:
    verb = "destroy" if chance.random() < 0.1 else "apply"
    return [verb, "--auto-approve"]


KINDS: dict[str, Callable[[World, random.Random], int]] = {
    "SIGKILL at a numbered call": _kill,
    "SIGKILL at a random instant": _kill_at_random_instant,
    "SIGKILL, and again while it is settled": _kill_and_kill_what_settles_it,
    "SIGKILL, and objects changed by hand": interfere,
    "SIGKILL while a run is undone, and undone again": undo,
    "SIGKILL, and again while it is resumed": resume,
    "power cut, unsynced writes gone": _power_cut,
    "disk full from a numbered call on": _full_disk,
    "`state mv` killed, cut off or without room": move,
    "`state rm` killed, cut off or without room": let_go,
    "`state push` killed, cut off or without room": push,
    "SIGINT or SIGTERM, once or twice": _signals,
}
"""What happens in a trial, and how many commands were killed, cut off or broken in it."""


ONLY = {"SIGKILL, and objects changed by hand": "runai"}
"""Kinds of trials that make sense on one platform only."""


def kinds_of(vendor: Vendor) -> list[str]:
    """The kinds of trials that a platform of *vendor* goes through."""
    return [kind for kind in KINDS if ONLY.get(kind, vendor.platform) == vendor.platform]


@dataclass(frozen=True)
class Trial:
    """One trial: where, what happened, how many commands were hit, and what was wrong after it."""

    platform: str
    kind: str
    hit: int
    wrong: tuple[str, ...]


def place_of(number: int) -> tuple[Vendor, str]:
    """The vendor of a world, and how its platform misbehaves: all vendors have a profile before the next."""
    vendors = list(VENDORS.values())
    vendor = vendors[number % len(vendors)]
    profiles = list(vendor.profiles)
    return vendor, profiles[number // len(vendors) % len(profiles)]


def trials_of(number: int, *, seed: str, size: int) -> Iterator[Trial]:
    """The trials in one world, until something goes wrong; then it is kept on disk."""
    vendor, profile = place_of(number)
    world = World(f"{seed}.{number}", vendor, profile, size)
    broken = False
    with world:
        for trial in range(TRIALS_A_WORLD):
            # Apart from the world's own chance, which may not depend on how a command ended.
            chance = random.Random(f"{seed}.{number + 1}.{trial}")
            kind = chance.choice(kinds_of(vendor))
            world.wish()
            hit = KINDS[kind](world, chance)
            wrong = world.settled()
            at = f"seed {seed}, world {number}, trial {trial}, {vendor.platform}, {profile}, {kind}"
            log = "; ".join(world.log[-12:])
            told = tuple(f"{at}: {one} (in {world.directory}; {log})" for one in wrong)
            yield Trial(vendor.platform, kind, hit, told)
            if broken := bool(wrong):
                break
    if not broken:
        world.forget()


def _whole(number: int, seed: str, size: int) -> list[Trial]:
    return list(trials_of(number, seed=seed, size=size))


def _numbers(platform: str) -> Iterator[int]:
    """The worlds to live through: those of one platform, or all."""
    return (one for one in itertools.count() if platform in ("", place_of(one)[0].platform))


def run_trials(
    count: int, *, seed: str, size: int = 24, jobs: int = 1, platform: str = ""
) -> Iterator[Tally]:
    """Run trials until *count* commands were hit; the tally after each. What went wrong is kept on disk.

    With several *jobs* that many worlds are lived through at a time; they count in their order, so that
    the same seed gives the same trials. With *platform*, only its worlds are.
    """
    tally = Tally()
    numbers = _numbers(platform)
    trials = _one_by_one(numbers, seed, size) if jobs == 1 else _side_by_side(numbers, seed, size, jobs)
    for trial in trials:
        tally.trials[trial.platform, trial.kind] += 1
        tally.hit[trial.platform, trial.kind] += trial.hit
        tally.wrong += trial.wrong
        yield tally
        if tally.commands >= count:
            break


def _one_by_one(numbers: Iterator[int], seed: str, size: int) -> Iterator[Trial]:
    for number in numbers:
        with closing(trials_of(number, seed=seed, size=size)) as trials:
            yield from trials


def _side_by_side(numbers: Iterator[int], seed: str, size: int, jobs: int) -> Iterator[Trial]:
    with ProcessPoolExecutor(jobs) as pool:
        running = deque(pool.submit(_whole, next(numbers), seed, size) for _ in range(jobs + 1))
        try:
            while True:
                found = running.popleft().result()
                running.append(pool.submit(_whole, next(numbers), seed, size))
                yield from found
        finally:
            for one in running:
                one.cancel()
