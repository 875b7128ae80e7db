"""Productions: triggered telescope images of many showers in ctapipe files, in parallel and resumable.

A fast air-shower model of this project (Sibyll 2.3e interactions, thinned cascades, weighted light), not
CORSIKA.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import override

import joblib
import numpy as np
from ctapipe.instrument import SubarrayDescription
from rich.console import Console
from rich.progress import Progress

from trigger_ml.core.config import SimulationConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.dl1_writer import write_dl1
from trigger_ml.events.runs import SimulatedRun
from trigger_ml.events.table import EventTable, Truth
from trigger_ml.simulation.blocks import DAYS, Blocks, NightSky, Submit
from trigger_ml.simulation.chunks import NIGHT_SKY, Chunk, Worker, read_chunk, write_chunk
from trigger_ml.simulation.interactions import load_library
from trigger_ml.simulation.registered import plug_ins, simulated_camera, simulated_trigger
from trigger_ml.simulation.shower import NUCLEONS

ACTIVITY = "trigger-ml simulate (fast shower model, not CORSIKA)"
# raise when the physics changes, so that chunks of an older program are not used
MODEL_VERSION = 1

_WORKER: Worker | None = None


def _start_worker(config: SimulationConfig, seed: int, library: Path | None) -> None:
    global _WORKER
    _WORKER = Worker(config, seed, library)


def _chunk_to_file(name: str, index: int, path: Path) -> Path:
    """Simulate a chunk in this process's worker and leave it in a file, unless the file is there."""
    assert _WORKER is not None
    with suppress(OSError, ValueError, KeyError):
        read_chunk(path)
        return path
    write_chunk(path, _WORKER.night_sky(index) if name == NIGHT_SKY else _WORKER.chunk(name, index))
    return path


class _Serial(Executor):
    """Runs jobs in this process."""

    @override
    def submit[**P, T](self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(function(*args, **kwargs))
        return future


class _Production:
    """One particle's file in the making."""

    def __init__(
        self, name: str, worker_count: int, config: SimulationConfig, seed: int, folder: Path
    ) -> None:
        self.name = name
        self.particle = config.particles[name]  # type: ignore[index]
        self.config = config
        self.folder = folder
        self.ahead = worker_count + 1 if worker_count > 1 else 1
        self.n_showers = 0
        self.energy_edges = np.geomspace(self.particle.energy_min, self.particle.energy_max, 61)
        self.core_edges = np.linspace(0, self.particle.max_core_distance, 51)
        self.thrown = np.zeros((60, 50))
        self.alt, self.az = math.radians(90 - config.zenith), math.radians(config.azimuth)
        self.blocks = Blocks(PRIMARY_IDS[name] + 1, DAYS * list(PRIMARY_IDS).index(name))

    def tables(self, submit: Submit) -> Iterator[EventTable]:
        """Tables of events in the order of the chunks, until there are enough."""
        wanted = self.particle.events
        pending: list[Future[Path]] = []
        index = 0
        while wanted > 0:
            while len(pending) < min(self.ahead, self._chunks_expected(wanted, index - len(pending))):
                path = self.folder / f"chunk-{index:06d}.npz"
                pending.append(submit(_chunk_to_file, self.name, index, path))
                index += 1
            chunk = read_chunk(pending.pop(0).result())
            n_showers, n_events = len(chunk.energy), len(chunk.shower)
            last_block = None
            if n_events >= wanted:
                # whole array events, and no shower after the last one kept
                keys = chunk.shower * 1000 + chunk.columns["use"]
                n_events = int(np.searchsorted(keys, keys[wanted - 1], side="right"))
                n_showers = int(chunk.shower[n_events - 1]) + 1
                last_block = int(chunk.columns["block"][n_events - 1])
            self.blocks.add(chunk, last_block)
            self.thrown += np.histogram2d(
                np.repeat(chunk.energy[:n_showers], self.particle.uses),
                chunk.core_distance[:n_showers].ravel(),
                (self.energy_edges, self.core_edges),
            )[0]
            if n_events:
                yield self._table(chunk, n_events)
            self.n_showers += n_showers
            wanted -= n_events
        for future in pending:
            future.cancel()

    def _chunks_expected(self, wanted: int, n_read: int) -> int:
        """Chunks that ``wanted`` events will take, by the yield of those read: few are made in vain."""
        found = self.particle.events - wanted
        return math.ceil(wanted * n_read / found) if found else self.ahead

    def _table(self, chunk: Chunk, n: int) -> EventTable:
        columns = {key: value[:n] for key, value in chunk.columns.items()}
        shower_id = chunk.shower[:n] + self.n_showers
        primary = PRIMARY_IDS[self.name]
        return EventTable(
            obs_id=np.full(n, primary + 1, dtype=np.int64),
            event_id=100 * (shower_id + 1) + columns["use"],
            tel_id=columns["tel_id"].astype(np.int64),
            image=columns["image"],
            peak_time=columns["peak_time"],
            pointing_alt=np.full(n, self.alt),
            pointing_az=np.full(n, self.az),
            truth=Truth(
                primary_id=np.full(n, primary, dtype=np.int64),
                shower_id=shower_id,
                **{
                    key: columns[key]
                    for key in ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max")
                },
            ),
            waveform=columns.get("waveform"),
            true_image=columns["true_image"],
            block=columns["block"],
        )

    def run(self) -> SimulatedRun:
        """Record of what was thrown."""
        particle = self.particle
        return SimulatedRun(
            obs_id=PRIMARY_IDS[self.name] + 1,
            n_showers=self.n_showers,
            n_reuse=particle.uses,
            energy_min=particle.energy_min,
            energy_max=particle.energy_max,
            spectral_index=particle.spectral_index,
            max_core_distance=particle.max_core_distance,
            pointing_alt=self.alt,
            pointing_az=self.az,
            view_cone=particle.view_cone,
            site_altitude=self.config.altitude,
            energy_edges=self.energy_edges,
            core_edges=self.core_edges,
            thrown=self.thrown,
        )

    def write(self, path: Path, subarray: SubarrayDescription, submit: Submit, bar: Progress) -> None:
        """Simulate until there are enough events and write the file."""
        task = bar.add_task(f"simulating {self.name}", total=self.particle.events)

        def counted() -> Iterator[EventTable]:
            for table in self.tables(submit):
                bar.advance(task, len(table))
                yield table

        write_dl1(
            path,
            counted(),
            subarray,
            runs=lambda: [self.run()],
            conditions=self.blocks.conditions,
            start=self.blocks.start,
            activity=ACTIVITY,
        )


def _key(name: str, config: SimulationConfig, seed: int, library: Path | None) -> str:
    """Identity of a production: everything that its events depend on."""
    shared = config.model_dump(mode="json", exclude={"particles", "workers", "night_sky_events"})
    particle = None if name == NIGHT_SKY else config.particles[name]  # type: ignore[index]
    content = {
        "shared": shared,
        "particle": particle.model_dump(mode="json", exclude={"events"}) if particle else None,
        "name": name,
        "seed": seed,
        "library": library.name if library and name in NUCLEONS else None,
        "version": [version("trigger-ml"), MODEL_VERSION],
    } | plug_ins(config)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def simulate(config: SimulationConfig, directory: Path, *, seed: int, progress: bool = True) -> list[Path]:
    """Simulate showers and write one ctapipe DL1 file for each particle.

    Interrupted, it goes on where it was: chunks are kept beside the files until these are complete, and a
    complete file of the same configuration and seed is not made again.

    Parameters
    ----------
    config : SimulationConfig
    directory : pathlib.Path
        Where ``<particle>.dl1.h5`` are written, atomically, and ``night_sky.dl1.h5`` of clocked events.
    seed : int
        The same seed gives the same events, whatever the number of workers.
    progress : bool
        Show a progress bar when on a terminal.

    Returns
    -------
    list of pathlib.Path
        In the order of the configuration's particles.

    Raises
    ------
    ConfigError
        If the camera or the trigger algorithm is unknown, broken or unfit; see
        `~trigger_ml.simulation.registered`.
    """
    subarray = simulated_camera(config).subarray(config.telescopes)
    # a wrong name is told here, not by every worker
    simulated_trigger(config)
    directory.mkdir(parents=True, exist_ok=True)
    workers = config.workers or joblib.cpu_count()
    hadrons = any(name in NUCLEONS for name in config.particles)
    library = load_library(config.library_scale, workers) if hadrons else None
    events: dict[str, int] = {name: particle.events for name, particle in config.particles.items()}
    if config.night_sky_events:
        events[NIGHT_SKY] = config.night_sky_events
    paths = {name: directory / f"{name}.dl1.h5" for name in events}
    keys = {name: _key(name, config, seed, library) for name in events}
    folders = {name: directory / f".chunks-{key}" for name, key in keys.items()}
    missing = [name for name in paths if not _complete(paths[name], keys[name], events[name])]
    if missing:
        console = Console(stderr=True)
        with (
            Progress(console=console, disable=not (progress and console.is_terminal), transient=True) as bar,
            _executor(workers, config, seed, library) as executor,
        ):
            for name in missing:
                if name == NIGHT_SKY:
                    sky = NightSky(config, folders[name], _chunk_to_file)
                    sky.write(paths[name], subarray, executor.submit, bar, ACTIVITY)
                else:
                    production = _Production(name, workers, config, seed, folders[name])
                    production.write(paths[name], subarray, executor.submit, bar)
                write_json(_receipt(paths[name]), _receipt_content(keys[name], events[name]))
    # only now that no worker is left can none of them still write a chunk that was made ahead
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
    # the night sky is no class: nothing that takes labelled events is to find it in the list
    return [path for name, path in paths.items() if name != NIGHT_SKY]


def _executor(workers: int, config: SimulationConfig, seed: int, library: Path | None) -> Executor:
    arguments = (config, seed, library)
    if workers > 1:
        # numba and TensorFlow in the parent do not survive a fork
        return ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=arguments
        )
    _start_worker(*arguments)
    return _Serial()


def _receipt(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _receipt_content(key: str, events: int) -> dict[str, object]:
    return {"production": key, "events": events}


def _complete(path: Path, key: str, events: int) -> bool:
    """Whether a file of just this production is there."""
    with suppress(OSError, ValueError):
        content = json.loads(_receipt(path).read_text())
        return path.exists() and content == _receipt_content(key, events)
    return False
