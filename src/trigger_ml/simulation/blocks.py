"""The files' blocks of equal conditions, and the file of the night sky alone."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import fields
from pathlib import Path
from typing import Protocol

import numpy as np
from astropy.time import TimeDelta
from ctapipe.containers import EventType
from ctapipe.instrument import SubarrayDescription
from rich.progress import Progress

from trigger_ml.core.config import SimulationConfig
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.dl1_writer import write_dl1
from trigger_ml.events.monitoring import SIMULATION_START, Conditions, concatenate_conditions, slot
from trigger_ml.events.runs import SimulatedRun
from trigger_ml.events.table import EventTable, no_showers
from trigger_ml.simulation.chunks import NIGHT_SKY, NIGHT_SKY_BLOCKS, NIGHT_SKY_EVENTS, Chunk, read_chunk
from trigger_ml.simulation.clocked import N_WINDOWS, Pedestal

NIGHT_SKY_OBS = 900
"""Observation of the clocked events."""
DAYS = 30.0
"""Between the first blocks of the files of two particles."""


class Submit(Protocol):
    """How an executor takes a job."""

    def __call__[**P, T](self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """What is asked for its result."""


class Blocks:
    """Conditions of the blocks of a file in the making.

    Parameters
    ----------
    obs_id : int
    days : float
        From the start of all simulations to the file's block 0: files of several particles can be merged.
    """

    def __init__(self, obs_id: int, days: float) -> None:
        self.obs_id = obs_id
        self.start = SIMULATION_START + TimeDelta(days, format="jd")
        self._parts: list[Conditions] = []

    def add(self, chunk: Chunk, last: int | None) -> None:
        """Take the blocks of a chunk; ``last`` is the number of the last one that the file needs."""
        columns = dict(chunk.blocks)
        block, tel_id = columns.pop("block"), columns.pop("tel_id")
        time_start, time_end = slot(block, self.start)
        pedestal = {item.name: columns.pop(item.name) for item in fields(Pedestal)}
        part = Conditions(
            block=block,
            obs_id=np.full(len(block), self.obs_id),
            tel_id=tel_id,
            time_start=time_start,
            time_end=time_end,
            n_events=np.full(len(block), N_WINDOWS),
            pedestal_mean=pedestal["mean"],
            pedestal_median=pedestal["median"],
            pedestal_std=pedestal["std"],
            baseline_mean=pedestal["baseline_mean"],
            baseline_std=pedestal["baseline_std"],
            dead=pedestal["dead"],
            nuisances=columns,
        )
        self._parts.append(part if last is None else part[block <= last])

    def conditions(self) -> Conditions:
        """Of all blocks taken."""
        return concatenate_conditions(self._parts)


class NightSky:
    """The file of clocked events in the making.

    Parameters
    ----------
    config : SimulationConfig
    folder : pathlib.Path
        Where chunks are left.
    job : function
        Of the production's name, a chunk's index and its path; makes the chunk's file and returns the path.
    """

    def __init__(self, config: SimulationConfig, folder: Path, job: Callable[[str, int, Path], Path]) -> None:
        self.job = job
        self.events = config.night_sky_events
        self.folder = folder
        self.alt, self.az = math.radians(90 - config.zenith), math.radians(config.azimuth)
        self.blocks = Blocks(NIGHT_SKY_OBS, DAYS * len(PRIMARY_IDS))
        self.per_chunk = NIGHT_SKY_BLOCKS * NIGHT_SKY_EVENTS

    def tables(self, submit: Submit) -> Iterator[EventTable]:
        """Tables of events, until there are enough; each array event counts once."""
        n_chunks = math.ceil(self.events / self.per_chunk)
        jobs = [
            submit(self.job, NIGHT_SKY, index, self.folder / f"chunk-{index:06d}.npz")
            for index in range(n_chunks)
        ]
        for index, job in enumerate(jobs):
            chunk = read_chunk(job.result())
            columns = chunk.columns
            number = columns["block"] * NIGHT_SKY_EVENTS + columns["use"]
            wanted = number < self.events
            self.blocks.add(chunk, int(columns["block"][wanted].max()) if index == n_chunks - 1 else None)
            n = int(wanted.sum())
            yield EventTable(
                obs_id=np.full(n, NIGHT_SKY_OBS, dtype=np.int64),
                event_id=number[wanted] + 1,
                tel_id=columns["tel_id"][wanted].astype(np.int64),
                image=columns["image"][wanted],
                peak_time=columns["peak_time"][wanted],
                pointing_alt=np.full(n, self.alt),
                pointing_az=np.full(n, self.az),
                # ctapipe's event source wants a shower and true images of every simulated event
                truth=no_showers(n),
                true_image=columns["true_image"][wanted],
                waveform=columns["waveform"][wanted] if "waveform" in columns else None,
                event_type=np.full(n, EventType.SKY_PEDESTAL.value, dtype=np.int64),
                block=columns["block"][wanted],
            )

    def run(self) -> SimulatedRun:
        """Record of what was thrown: nothing."""
        nan = math.nan
        return SimulatedRun(NIGHT_SKY_OBS, 0, 0, nan, nan, nan, nan, self.alt, self.az)

    def write(
        self, path: Path, subarray: SubarrayDescription, submit: Submit, bar: Progress, activity: str
    ) -> None:
        """Simulate and write the file."""
        task = bar.add_task("simulating the night sky", total=self.events)

        def counted() -> Iterator[EventTable]:
            for table in self.tables(submit):
                bar.advance(task, len(np.unique(table.event_id)))
                yield table

        write_dl1(
            path,
            counted(),
            subarray,
            # ctapipe's event source wants a configuration of every simulated file
            runs=[self.run()],
            conditions=self.blocks.conditions,
            start=self.blocks.start,
            activity=activity,
        )
