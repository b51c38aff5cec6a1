"""What happens to a `World`, drawn from a seed: which command dies, how, and what comes next."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaos.victim import Trouble
from chaos.world import PROFILES, World

TRIALS_A_WORLD = 20
"""A world starts anew so often, so that a trial that went wrong is soon reached again."""


def _calls(world: World) -> int:
    """About as many calls as an apply of this world makes."""
    return 60 + 16 * world.size


def _seconds(world: World) -> float:
    """About as long as an apply of this world takes."""
    return 0.1 + 0.02 * world.size


@dataclass
class Tally:
    """How many trials of each kind there were, how many commands were hit, and what was wrong after."""

    trials: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def _kill(world: World, chance: random.Random) -> bool:
    trouble = Trouble("kill", chance.randint(1, _calls(world)), chance.choice(("before", "after")))
    return world.run(*_doing(chance), trouble=trouble) == -signal.SIGKILL


def _kill_at_random_instant(world: World, chance: random.Random) -> bool:
    command = world.command(*_doing(chance))
    command.kill_after(chance.uniform(0, _seconds(world)))
    code = command.wait()
    world.log.append(f"killed at a random instant: {code}")
    return code == -signal.SIGKILL


def _kill_and_kill_what_settles_it(world: World, chance: random.Random) -> bool:
    hit = _kill(world, chance)
    for _ in range(chance.randint(1, 3)):
        trouble = Trouble("kill", chance.randint(1, 60), chance.choice(("before", "after")))
        world.run("plan", trouble=trouble)
    return hit


def _kill_while_a_run_is_undone(world: World, chance: random.Random) -> bool:
    """The specs are applied, and that is taken back: a later apply has to do it again."""
    world.run("apply", "--auto-approve")
    if world.run("undo", world.last_run(), "--out", "back.plan", "--allow-deletes") != 0:
        return False
    trouble = Trouble("kill", chance.randint(1, _calls(world)), chance.choice(("before", "after")))
    return world.run("apply", "back.plan", trouble=trouble) == -signal.SIGKILL


def _power_cut(world: World, chance: random.Random) -> bool:
    seed = str(chance.random())
    trouble = Trouble("power cut", chance.randint(1, _calls(world)), chance.choice(("before", "after")), seed)
    return world.run(*_doing(chance), trouble=trouble) == -signal.SIGKILL


def _full_disk(world: World, chance: random.Random) -> bool:
    return world.run(*_doing(chance), trouble=Trouble("full disk", chance.randint(1, _calls(world)))) != 0


def _signals(world: World, chance: random.Random) -> bool:
    command = world.command(*_doing(chance))
    first = chance.choice((signal.SIGINT, signal.SIGTERM))
    time.sleep(chance.uniform(0.1, _seconds(world)))
    os.kill(command.pid, first)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.02))
        os.kill(command.pid, signal.SIGINT)
    code = command.wait()
    world.log.append(f"{first.name}: {code}")
    return code in (130, 143)


def _doing(chance: random.Random) -> list[str]:
    verb = "destroy" if chance.random() < 0.1 else "apply"
    return [verb, "--auto-approve"]


KINDS: dict[str, Callable[[World, random.Random], bool]] = {
    "SIGKILL at a numbered call": _kill,
    "SIGKILL at a random instant": _kill_at_random_instant,
    "SIGKILL, and again while it is settled": _kill_and_kill_what_settles_it,
    "SIGKILL while a run is undone": _kill_while_a_run_is_undone,
    "power cut, unsynced writes gone": _power_cut,
    "disk full from a numbered call on": _full_disk,
    "SIGINT or SIGTERM, once or twice": _signals,
}


def run_trials(count: int, *, seed: str) -> Iterator[Tally]:
    """Run *count* trials, and give the tally after each. What went wrong is kept in directories."""
    tally = Tally()
    profiles = list(PROFILES)
    done = 0
    number = 0
    while done < count:
        profile = profiles[number % len(profiles)]
        world = World(f"{seed}.{number}", profile)
        number += 1
        with world:
            for trial in range(min(TRIALS_A_WORLD, count - done)):
                # Apart from the world's own chance, which may not depend on how a command ended.
                chance = random.Random(f"{seed}.{number}.{trial}")
                kind = chance.choice(list(KINDS))
                world.wish()
                tally.trials[kind] += 1
                tally.hit[kind] += KINDS[kind](world, chance)
                done += 1
                wrong = world.settled()
                if wrong:
                    at = f"seed {seed}, world {number}, trial {trial}, {profile}, {kind}"
                    log = "; ".join(world.log[-8:])
                    tally.wrong += [f"{at}: {one} (in {world.directory}; {log})" for one in wrong]
                yield tally
                if wrong:
                    break
            else:
                world.log.clear()
        if not any(str(world.directory) in one for one in tally.wrong):
            world.forget()
