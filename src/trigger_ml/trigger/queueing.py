"""Events in time: a queue before the network, its clocks, the read-out's dead time and the ring of samples.

Level 0 fires at random times. Each event waits in a FIFO until the network takes it; the network takes one
every ``interval`` clocks and decides ``latency`` clocks after it began. Meanwhile the event's samples stay in
a ring that is written on: if the decision comes after ``ring`` clocks they are gone. An accepted event is
read out, which takes ``dead_time`` clocks; what is accepted while the read-out is busy is lost.

Random arrivals, one server with a constant time and K places are the queue M/D/1/K, whose losses `blocked`
knows exactly.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.stats import poisson, t

from trigger_ml.core.documents.queue import QueueRow, Rate
from trigger_ml.core.errors import ConfigError

__all__ = ["BATCHES", "ReadOut", "blocked", "simulate_queue"]

BATCHES = 20
"""Parts of a simulation whose spread tells its uncertainty."""
BINS = 32
"""Of the waiting time, in one interval of the network."""
WARM_UP = 0.02
"""Part of the arrivals that fills the queue before any is counted."""

# what is counted in each batch
_OFFERED, _FULL, _LATE, _BUSY, _ACCEPTED, _READ, _CLOCKS, _IN_SYSTEM = range(8)


@dataclass(frozen=True)
class ReadOut:
    """The way of an event; all times in clocks.

    Parameters
    ----------
    interval, latency : int
        Of the network: between events, and from an event's first beat to its decision.
    depth : int
        Events that the FIFO holds, beside the one that the network takes in.
    level0 : int
        From the event to the decision of level 0.
    ring : int or None
        For which samples stay; None for ever.
    dead_time : int
        Of the read-out, for each event.
    accepted : float
        Part of the events that the network accepts.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    interval: int
    latency: int
    depth: int
    level0: int = 0
    ring: int | None = None
    dead_time: int = 0
    accepted: float = 1.0

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise self._wrong("interval", self.interval, "at least 1 clock")
        for name in ("latency", "depth", "level0", "dead_time"):
            if getattr(self, name) < 0:
                raise self._wrong(name, getattr(self, name), "0 or more")
        if not 0 <= self.accepted <= 1:
            raise self._wrong("accepted", self.accepted, "from 0 to 1")
        shortest = self.level0 + self.latency
        if self.ring is not None and self.ring < shortest:
            raise ConfigError(
                "ring",
                f"samples stay for {self.ring} clocks, a decision takes {shortest} without any waiting: "
                "every event would be lost",
                "Give a deeper ring or a faster network",
            )

    def _wrong(self, name: str, value: float, allowed: str) -> ConfigError:
        return ConfigError(name, f"is {value}", f"Give {allowed}")


def blocked(load: float, places: int) -> float:
    """Part of the arrivals that M/D/1/K turns away.

    From the chain of the numbers of customers that departures leave behind: with ``a(j)`` the Poisson
    probabilities of ``j`` arrivals in one service, ``p(j+1) a(0) = p(j) - p(0) a(j) - sum_i p(i) a(j-i+1)``
    for ``0 <= j < K - 1``; then ``1 - 1 / (p(0) + load)`` (Gross and Harris, Fundamentals of Queueing Theory,
    M/G/1/K).

    Parameters
    ----------
    load : float
        Arrivals in the time of one service.
    places : int
        K, the one in service included.

    Returns
    -------
    float
    """
    if load == 0:
        return 0.0
    arrivals = poisson.pmf(np.arange(places + 1), load)
    behind = np.zeros(places)
    behind[0] = 1.0
    for j in range(places - 1):
        inner = sum(behind[i] * arrivals[j - i + 1] for i in range(1, j + 1))
        # rounding may leave less than nothing where next to nothing is
        behind[j + 1] = max((behind[j] - behind[0] * arrivals[j] - inner) / arrivals[0], 0.0)
        # what grows without bound at high loads is a ratio in the end
        if behind[j + 1] > 1e200:
            behind /= behind[j + 1]
    idle = behind[0] / behind.sum()
    return max(float(1 - 1 / (idle + load)), 0.0)


@njit(cache=True)
def _run(
    rng: np.random.Generator,
    per_clock: float,
    n: int,
    warm_up: int,
    interval: int,
    latency: int,
    depth: int,
    level0: int,
    ring: float,
    dead_time: int,
    accepted: float,
    waits: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> float:
    """Follow arrivals one by one; returns the longest time from an event to its decision."""
    batches = counts.shape[0]
    # when those that are in the system leave the FIFO's side of the network
    leaves = np.zeros(depth + 1)
    head, inside = 0, 0
    now, free, busy_until, started = 0.0, 0.0, 0.0, 0.0
    longest = 0.0
    mean = 1.0 / per_clock
    for i in range(n + warm_up):
        now += rng.standard_exponential() * mean
        counting = i >= warm_up
        batch = (i - warm_up) * batches // n
        if i == warm_up:
            started = now
        while inside > 0 and leaves[head] <= now:
            head = (head + 1) % (depth + 1)
            inside -= 1
        if counting:
            counts[batch, _OFFERED] += 1
            counts[batch, _CLOCKS] += now - started
            started = now
        if inside > depth:
            if counting:
                counts[batch, _FULL] += 1
            continue
        begin = max(now, free)
        free = begin + interval
        leaves[(head + inside) % (depth + 1)] = free
        inside += 1
        wait = begin - now
        if counting:
            counts[batch, _IN_SYSTEM] += wait + interval
            waits[min(int(wait * BINS / interval), len(waits) - 1)] += 1
            longest = max(longest, level0 + wait + latency)
        if rng.random() >= accepted:
            continue
        decided = begin + latency
        counts[batch, _ACCEPTED] += counting
        if level0 + wait + latency > ring:
            counts[batch, _LATE] += counting
        elif decided < busy_until:
            counts[batch, _BUSY] += counting
        else:
            busy_until = decided + dead_time
            counts[batch, _READ] += counting
    return longest


def _rate(counts: NDArray[np.float64], part: int, of: int) -> Rate:
    """A ratio with its 95 % interval: from the spread of batches, a binomial's where nothing was lost."""
    whole = counts[:, of].sum()
    if whole == 0:
        return Rate(0.0, 0.0, 1.0)
    value = float(counts[:, part].sum() / whole)
    if counts[:, part].sum() == 0:
        return Rate(0.0, 0.0, float(-math.log(0.05) / whole))
    each = counts[:, part] / np.maximum(counts[:, of], 1)
    half = float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / math.sqrt(len(each)))
    return Rate(value, max(value - half, 0.0), min(value + half, 1.0))


def _quantile(waits: NDArray[np.int64], part: float, interval: int) -> float:
    """Upper edge of the bin of the waiting time where a part of the events has waited less, clocks."""
    reached = int(np.searchsorted(np.cumsum(waits), part * waits.sum()))
    return 0.0 if reached == 0 else (reached + 1) * interval / BINS


def simulate_queue(path: ReadOut, frequency: float, rate: float, n: int, seed: int) -> QueueRow:
    """Random arrivals at one rate.

    Parameters
    ----------
    path : ReadOut
    frequency : float
        Clocks per second.
    rate : float
        Events of level 0 per second.
    n : int
        Events, at least `BATCHES`.
    seed : int

    Returns
    -------
    QueueRow

    Raises
    ------
    ConfigError
        If the rate is not positive or the events are too few.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise ConfigError("rate", f"is {rate}", "Give events per second, more than 0")
    if n < BATCHES:
        raise ConfigError("events", f"are {n}", f"Give at least {BATCHES}")
    waits = np.zeros((path.depth + 1) * BINS + 1, dtype=np.int64)
    counts = np.zeros((BATCHES, 8))
    longest = _run(
        np.random.default_rng(seed),
        rate / frequency,
        n,
        int(n * WARM_UP),
        path.interval,
        path.latency,
        path.depth,
        path.level0,
        math.inf if path.ring is None else float(path.ring),
        path.dead_time,
        path.accepted,
        waits,
        counts,
    )
    seconds = counts[:, _CLOCKS].sum() / frequency
    load = rate / frequency * path.interval
    fixed = path.level0 + path.latency
    taken = counts[:, _OFFERED].sum() - counts[:, _FULL].sum()
    return QueueRow(
        rate=rate,
        events=n,
        load=load,
        full=_rate(counts, _FULL, _OFFERED),
        full_exact=blocked(load, path.depth + 1),
        late=_rate(counts, _LATE, _ACCEPTED),
        busy=_rate(counts, _BUSY, _ACCEPTED),
        read_rate=float(counts[:, _READ].sum() / seconds),
        network_rate=float(taken / seconds),
        occupancy=float(counts[:, _IN_SYSTEM].sum() / counts[:, _CLOCKS].sum()),
        latency_mean=float(counts[:, _IN_SYSTEM].sum() / taken - path.interval + fixed),
        latency_half=fixed + _quantile(waits, 0.5, path.interval),
        latency_99=fixed + _quantile(waits, 0.99, path.interval),
        latency_longest=longest,
    )
