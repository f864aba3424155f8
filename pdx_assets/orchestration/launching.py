"""Which wanted runs to ask for now: in order, few at once, and a failed one only so often. Pure; no Dagster here."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from pdx_assets.risk.maturity import Run, Wanted

# A run that failed three times on the same content needs a person; other content has another key.
ATTEMPTS = 3
# What waits in the queue cannot be reordered: enough to keep the cores busy until the next tick, and no more.
IN_FLIGHT = 8
# A month's fits fill the cores by themselves; the second trains while the first decides.
DECIDING = 2


@dataclass(frozen=True)
class Tried:
    """What became of the runs already made for one key.

    Attributes:
        ended: how many ended, whatever they came to: what is still wanted after a success failed too.
        cancelled: a person ended one of them.
    """

    ended: int = 0
    cancelled: bool = False

    @property
    def is_given_up(self) -> bool:
        return self.cancelled or self.ended >= ATTEMPTS


@dataclass(frozen=True)
class Requests:
    """What to ask for, what is waiting and for what, and what is not asked for again.

    Attributes:
        now: each with the number of the attempt, from 1.
        waiting: runs that cannot start yet.
        given_up: runs a person has to look at.
    """

    now: tuple[tuple[Wanted, int], ...] = ()
    waiting: tuple[Wanted, ...] = ()
    given_up: tuple[Wanted, ...] = ()


@dataclass
class _Queue:
    """The runs in flight, those asked for in this tick among them."""

    in_flight: set[Run]
    undone: set[Run]
    given_up: set[Run] = field(default_factory=set)
    earlier: list[Wanted] = field(default_factory=list)

    def takes(self, action: Wanted) -> bool:
        if len(self.in_flight) >= IN_FLIGHT or action.after & self.undone:
            return False
        if action.job != "decide":
            return True
        if sum(job == "decide" for job, _ in self.in_flight) >= DECIDING:
            return False
        return all(self._is_behind(earlier, action) for earlier in self.earlier)

    def _is_behind(self, earlier: Wanted, action: Wanted) -> bool:
        """Whether an earlier production month that is wanted as well does not hold up this one."""
        if earlier.is_new:
            # Decided in order: the run before must be under way, or this one would hold a slot and wait for it.
            return action.is_new and earlier.run in self.in_flight
        # A decided month that is made again: done first, and one that cannot be must not stop lending.
        return earlier.run in self.given_up


def choose(actions: list[Wanted], in_flight: Set[Run], tried: Mapping[str, Tried]) -> Requests:
    """The runs to ask for now.

    A run is asked for once everything it rests on is there, and a production month only when every month before
    it is decided or under way: no run holds a place in the queue to wait for another that is not in it.

    Args:
        actions: what is wanted, in order.
        in_flight: runs queued or started, whoever launched them.
        tried: by key of a wanted run, what became of earlier ones.
    """
    queue = _Queue(set(in_flight), {a.run for a in actions} | set(in_flight))
    now: list[tuple[Wanted, int]] = []
    waiting: list[Wanted] = []
    given_up: list[Wanted] = []
    for action in actions:
        before = tried.get(action.key, Tried())
        if action.run in queue.in_flight:
            pass
        elif before.is_given_up:
            given_up.append(action)
            queue.given_up.add(action.run)
        elif queue.takes(action):
            now.append((action, before.ended + 1))
            queue.in_flight.add(action.run)
        else:
            waiting.append(action)
        if action.job == "decide":
            queue.earlier.append(action)
    return Requests(tuple(now), tuple(waiting), tuple(given_up))
