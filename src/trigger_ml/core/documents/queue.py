"""What a simulation of the read-out in time found: the document that ``queue`` leaves."""

from dataclasses import dataclass

from trigger_ml.core.documents.base import Kind

__all__ = ["QUEUE", "Queue", "QueueRow", "Rate"]


@dataclass(frozen=True)
class Rate:
    """A part, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """One rate of level 0; latencies in clocks, from the event to the decision.

    Parameters
    ----------
    rate : float
        Events per second.
    events : int
        Simulated.
    load : float
        Events in one interval of the network.
    full : Rate
        Part of the events that find the FIFO full.
    full_exact : float
        The same of M/D/1/K.
    late, busy : Rate
        Parts of the accepted events whose samples were overwritten, and that find the read-out busy.
    read_rate, network_rate : float
        Events per second that are read out, and that the network judges.
    occupancy : float
        Mean number of events in the FIFO and on their way into the network.
    latency_mean, latency_half, latency_99, latency_longest : float
        ``half`` and ``99`` % of the events are decided within these.
    """

    rate: float
    events: int
    load: float
    full: Rate
    full_exact: float
    late: Rate
    busy: Rate
    read_rate: float
    network_rate: float
    occupancy: float
    latency_mean: float
    latency_half: float
    latency_99: float
    latency_longest: float


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A network's read-out over rates; ``clocks_from`` says where interval and latency come from.

    ``interval``, ``latency``, ``level0``, ``ring`` and ``dead_time`` are in clocks, ``depth`` in events.
    """

    clocks_from: str
    clock_mhz: float
    interval: int
    latency: int
    depth: int
    level0: int
    ring: int | None
    dead_time: int
    accepted: float
    seed: int
    rows: tuple[QueueRow, ...]


QUEUE = Kind(Queue, "read-out in time", 1, "queue", explicit=True)
