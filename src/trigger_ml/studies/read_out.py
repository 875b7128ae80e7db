"""A network's read-out in time, over rates of level 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.queue import Queue, Rate
from trigger_ml.core.documents.resources import RESOURCES, Clocks
from trigger_ml.core.errors import ConfigError, StageError
from trigger_ml.trigger.queueing import ReadOut, simulate_queue

__all__ = ["RATES", "NetworkClocks", "print_queue", "queue_over_rates"]

RATES = (1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 2e6)
"""Hz."""
MEASURED = "simulation"
"""Source of clocks that were counted."""


@dataclass(frozen=True)
class NetworkClocks:
    """How fast a network answers.

    Parameters
    ----------
    source : str
        Where the numbers come from.
    interval, latency : int
        Clocks.
    mhz : float
    """

    source: str
    interval: int
    latency: int
    mhz: float

    @classmethod
    def choose(
        cls, run: Path | None, interval: int | None, latency: int | None, mhz: float | None
    ) -> "NetworkClocks":
        """From a run, from the user, or from both: what the user gives counts.

        Raises
        ------
        ConfigError
            If something is missing, or the clock is impossible.
        StageError
            If the run has no firmware whose clocks are known.
        """
        source = "given"
        if run is not None:
            clocks, period = _of_run(run)
            source = f"{run}: {clocks.source}, {clocks.tool}"
            interval = clocks.interval if interval is None else interval
            latency = clocks.latency if latency is None else latency
            mhz = 1000 / period if mhz is None else mhz
        if interval is None or latency is None or mhz is None:
            missing = [
                name
                for name, value in (("--interval", interval), ("--latency", latency), ("--clock", mhz))
                if value is None
            ]
            raise ConfigError(
                ", ".join(missing), "not known without a run", "Give them, or a run directory with firmware"
            )
        if not (math.isfinite(mhz) and mhz > 0):
            raise ConfigError("--clock", f"is {mhz}", "Give MHz, more than 0")
        return cls(source, interval, latency, mhz)


def _of_run(run: Path) -> tuple[Clocks, float]:
    """Clocks and clock period (ns) of a run's firmware, counted ones before predicted."""
    for project in read(run / layout.RESOURCES, RESOURCES).projects.values():
        counted = [clocks for clocks in project.clocks if clocks.source == MEASURED]
        for clocks in (*counted, *project.clocks):
            return clocks, project.clock_period_ns
    raise StageError(
        str(run / layout.RESOURCES), "knows no clocks of the firmware", "Run `trigger-ml synthesize`"
    )


def queue_over_rates(
    path: ReadOut, network: NetworkClocks, rates: Sequence[float], n: int, seed: int
) -> Queue:
    """Simulate the read-out at each rate (Hz), ``n`` events each."""
    return Queue(
        clocks_from=network.source,
        clock_mhz=network.mhz,
        interval=path.interval,
        latency=path.latency,
        depth=path.depth,
        level0=path.level0,
        ring=path.ring,
        dead_time=path.dead_time,
        accepted=path.accepted,
        seed=seed,
        rows=tuple(simulate_queue(path, network.mhz * 1e6, rate, n, seed) for rate in rates),
    )


def _part(found: Rate) -> str:
    if found.value == 0:
        return f"< {found.high:.1e}"
    return f"{found.value:.3g} +- {(found.high - found.low) / 2:.1g}"


def print_queue(found: Queue, console: Console) -> None:
    """Print a row for each rate."""
    console.print(
        f"{found.clock_mhz:g} MHz, an event every {found.interval} clocks, decided after {found.latency} "
        f"({found.clocks_from}); FIFO of {found.depth}",
        highlight=False,
        markup=False,
    )
    columns = (
        "level 0, Hz",
        "load",
        "FIFO full",
        "M/D/1/K",
        "overwritten",
        "busy",
        "read out, Hz",
        "99 % within",
    )
    table = Table(*columns)
    for row in found.rows:
        table.add_row(
            f"{row.rate:g}",
            f"{row.load:.3g}",
            _part(row.full),
            f"{row.full_exact:.3g}",
            _part(row.late),
            _part(row.busy),
            f"{row.read_rate:.5g}",
            f"{row.latency_99 / found.clock_mhz:.3g} us",
        )
    console.print(table)
