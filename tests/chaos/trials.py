"""What happens to a `World`, drawn from a seed: which command dies, how, and what comes next."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaos.edits import let_go, move, push
from chaos.hands import interfere
from chaos.harm import KILLED, cut_off, killed, out_of_room
from chaos.ways_back import resume, undo
from chaos.world import PROFILES, World

TRIALS_A_WORLD = 20
"""A world starts anew so often, so that a trial that went wrong is soon reached again."""


def _seconds(world: World) -> float:
    """About as long as an apply of this world takes."""
    return 0.1 + 0.02 * world.size


@dataclass
class Tally:
    """How many trials of each kind there were, how many commands were hit in them, and what was wrong."""

    trials: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
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


def run_trials(count: int, *, seed: str, size: int = 24) -> Iterator[Tally]:
    """Run trials until *count* commands were hit; the tally after each. What went wrong is kept on disk."""
    tally = Tally()
    profiles = list(PROFILES)
    number = 0
    while tally.commands < count:
        profile = profiles[number % len(profiles)]
        world = World(f"{seed}.{number}", profile, size)
        number += 1
        with world:
            for trial in range(TRIALS_A_WORLD):
                # Apart from the world's own chance, which may not depend on how a command ended.
                chance = random.Random(f"{seed}.{number}.{trial}")
                kind = chance.choice(list(KINDS))
                world.wish()
                tally.trials[kind] += 1
                tally.hit[kind] += KINDS[kind](world, chance)
                wrong = world.settled()
                if wrong:
                    at = f"seed {seed}, world {number}, trial {trial}, {profile}, {kind}"
                    log = "; ".join(world.log[-12:])
                    tally.wrong += [f"{at}: {one} (in {world.directory}; {log})" for one in wrong]
                yield tally
                if wrong or tally.commands >= count:
                    break
        if not any(str(world.directory) in one for one in tally.wrong):
            world.forget()
