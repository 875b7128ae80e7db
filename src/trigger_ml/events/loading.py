"""From event files to the arrays that models train and are tested on."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import CameraMismatchError, InputError
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.camera_input import NOT_FINITE, CameraInput
from trigger_ml.events.dataset import Dataset, RunEvents
from trigger_ml.events.dl1 import Dl1Reader, open_dl1
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.light import cleaned_charge
from trigger_ml.events.quantize import Counts, count_dtype
from trigger_ml.events.table import EventTable, Truth
from trigger_ml.instrument.bilinear import BilinearMap
from trigger_ml.instrument.camera import AxialGrid

__all__ = ["NOT_FINITE", "TOO_SMALL", "load_dataset", "telescopes_of_camera"]

Indices = NDArray[np.int64]
TOO_SMALL = "below min_size"
STEPS = ("read", "usable", "kept")


class _Collector:
    """What is kept of each chunk: counts and small columns, never float images."""

    def __init__(self, config: EventsConfig, grid: AxialGrid | BilinearMap) -> None:
        self.config = config
        self.grid = grid
        # of the file being read
        self.parameters: ImageParameters | None = None
        self.input: CameraInput | None = None
        self.sources: list[str] = []
        self.conditions: list[dict[str, NDArray[np.float64]]] = []
        self.dropped: dict[str, int] = {}
        self.kept = {0: 0, 1: 0}
        # by file, observation and particle: events read, usable, kept
        self.accounts: dict[str, Counter[tuple[int, int, int]]] = {key: Counter() for key in STEPS}
        self.tables: list[EventTable] = []
        self.sizes: list[NDArray[np.float64]] = []
        self.file_index: list[Indices] = []
        shape = (0, *grid.shape, len(config.input.channels))
        self.counts: Counts = np.empty(shape, dtype=count_dtype(config.input.bits))

    @property
    def n_kept(self) -> int:
        return self.kept[0] + self.kept[1]

    def make_room(self, n: int, files_left: int) -> None:
        """Room for the ``n`` events of a file, and for as many of each file that follows.

        Memory that is never written costs nothing; the array grows where it lies, so nothing is held twice.
        """
        if self.n_kept == 0:
            shape = (n * (1 + files_left), *self.counts.shape[1:])
            self.counts = np.empty(shape, dtype=self.counts.dtype)
        elif self.n_kept + n > len(self.counts):
            self._resize(self.n_kept + n * (1 + files_left))

    def finish(self) -> Counts:
        """The counts of all events kept."""
        self._resize(self.n_kept)
        return self.counts

    def _resize(self, n: int) -> None:
        self.counts.resize((n, *self.counts.shape[1:]), refcheck=False)

    def start_file(self, feed: CameraInput, parameters: ImageParameters) -> None:
        """What the file that is read next needs."""
        self.grid, self.input, self.parameters = feed.grid, feed, parameters
        self.sources.append(feed.noise_source or "not needed")

    def take(self, table: EventTable, number: int) -> None:
        """Keep the usable events of a table of file ``number``."""
        assert self.input is not None
        table, good = self.input.prepare(table)
        self._account("read", table, number)
        table, size = self._select(table, good, number)
        self._account("kept", table, number)
        assert table.truth is not None
        self.sizes.append(size)
        start, n_signal = self.n_kept, int((table.truth.primary_id == PRIMARY_IDS["gamma"]).sum())
        self.kept[1] += n_signal
        self.kept[0] += len(table) - n_signal
        counts = self.input.counts(table, out=self.counts[start : self.n_kept])
        self.conditions.append(self.input.conditions(table, counts))
        nothing = np.zeros((len(table), 0), dtype=np.float32)
        self.tables.append(replace(table, image=nothing, peak_time=None))
        self.file_index.append(np.full(len(table), number, dtype=np.int64))

    def _select(
        self, table: EventTable, good: NDArray[np.bool_], number: int
    ) -> tuple[EventTable, NDArray[np.float64]]:
        """The events that are kept, and their sizes."""
        self._drop(NOT_FINITE, int((~good).sum()))
        table = table if good.all() else table[good]
        assert self.parameters is not None
        size = None
        if self.config.min_size > 0:
            size = cleaned_charge(table.image, self.parameters)
            large = size >= self.config.min_size
            self._drop(TOO_SMALL, int((~large).sum()))
            table, size = table[large], size[large]
        self._account("usable", table, number)
        if self.config.max_events is not None:
            assert table.truth is not None
            signal = table.truth.primary_id == PRIMARY_IDS["gamma"]
            rank = np.where(signal, np.cumsum(signal), np.cumsum(~signal))
            rank = rank + np.where(signal, self.kept[1], self.kept[0])
            first = rank <= self.config.max_events
            table, size = table[first], None if size is None else size[first]
        return table, cleaned_charge(table.image, self.parameters) if size is None else size

    def _account(self, step: str, table: EventTable, number: int) -> None:
        assert table.truth is not None
        if not len(table):
            return
        pairs = np.stack([table.obs_id, table.truth.primary_id])
        found, counts = np.unique(pairs, axis=1, return_counts=True)
        for (obs_id, primary), count in zip(found.T.tolist(), counts.tolist(), strict=True):
            self.accounts[step][number, obs_id, primary] += count

    def _drop(self, reason: str, number: int) -> None:
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + number


def telescopes_of_camera(reader: Dl1Reader, config: EventsConfig) -> list[int]:
    """Telescopes of a file that have the configured camera.

    Raises
    ------
    InputError
        If a telescope asked for has no images.
    CameraMismatchError
        If one asked for, or all of them, have another camera.
    """
    reader.require(config.tel_ids)
    cameras = {tel_id: reader.subarray.tel[tel_id].camera.name for tel_id in reader.telescopes}
    if config.tel_ids:
        chosen = list(config.tel_ids)
        wrong = [tel_id for tel_id in chosen if cameras[tel_id] != config.camera]
    else:
        chosen = [tel_id for tel_id in cameras if cameras[tel_id] == config.camera]
        wrong = [] if chosen else list(cameras)
    if wrong:
        raise CameraMismatchError(
            f"{reader.path}: telescope {wrong[0]}",
            f"has camera {cameras[wrong[0]]}, the configuration asks for {config.camera}",
            "Set `events.camera`, or give files of that camera",
        )
    return chosen


def _check_channels(table: EventTable, path: Path, config: EventsConfig) -> None:
    for channel in config.input.channels:
        if channel == "peak_time" and table.peak_time is None:
            raise InputError(
                str(path),
                "has no peak_time, which `events.input.channels` asks for",
                "Take it from the channels",
            )
    if table.truth is None:
        raise InputError(
            str(path), "has no simulated showers, so its events have no label", "Train on simulated events"
        )


def _ahead[T](items: Iterator[T]) -> Generator[T]:
    """The same items, the next one read by another thread while one is used (HDF5 needs no Python lock)."""
    with ThreadPoolExecutor(max_workers=1) as worker:
        end = object()
        waiting = worker.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = worker.submit(next, items, end)
            yield cast("T", item)


def load_dataset(paths: Sequence[Path], config: EventsConfig) -> Dataset:
    """Read event files into network input, chunk by chunk.

    Memory is that of the counts (one or two bytes for each cell) plus one chunk of float images.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        ctapipe DL1 files with images and simulated showers.
    config : EventsConfig

    Returns
    -------
    Dataset
        In the order of the files.

    Raises
    ------
    InputError
        If a file cannot be read, is given twice, or a class has no events.
    CameraMismatchError
        If a file has another camera, or the same one on another grid.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise InputError("events", "no files are given", "Set `events.files`, or run the simulate stage")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("events.files", "names a file twice", "Name each file once")
    collector: _Collector | None = None
    next_shower = 0
    for number, path in enumerate(paths):
        with open_dl1(path) as h5:
            reader = Dl1Reader(h5, path)
            tel_ids = telescopes_of_camera(reader, config)
            geometry = reader.subarray.tel[tel_ids[0]].camera.geometry
            feed = CameraInput.of_reader(reader, tel_ids, config)
            grid = feed.grid
            if collector is None:
                collector = _Collector(config, grid)
            elif not collector.grid.same_layout(grid):  # type: ignore[arg-type]
                raise CameraMismatchError(
                    str(path),
                    f"its {config.camera} lies on another grid than that of {paths[0]}",
                    "Use files of one camera version together",
                )
            collector.start_file(feed, ImageParameters(geometry))
            collector.make_room(reader.n_images(tel_ids), len(paths) - number - 1)
            highest = next_shower
            tables = reader.tables(tel_ids, peak_time="peak_time" in config.input.channels)
            # closed before the file is, whatever happens: the other thread must not read a closed file
            with closing(_ahead(tables)) as ahead:
                for table in ahead:
                    _check_channels(table, path, config)
                    assert table.truth is not None
                    shower_id = table.truth.shower_id + next_shower
                    highest = max(highest, int(shower_id.max(initial=-1)) + 1)
                    table = replace(table, truth=replace(table.truth, shower_id=shower_id))
                    collector.take(table, number)
            next_shower = highest
    assert collector is not None
    return _dataset(collector, paths)


def _dataset(collector: _Collector, paths: Sequence[Path]) -> Dataset:
    names = ", ".join(path.name for path in paths)
    for label, name in ((1, "gamma"), (0, "background")):
        if collector.kept[label] == 0:
            lost = ", ".join(f"{number} {reason}" for reason, number in collector.dropped.items())
            remedies = ["Give files of gammas and of hadrons"]
            if TOO_SMALL in collector.dropped:
                remedies.append("lower `events.min_size`")
            if NOT_FINITE in collector.dropped:
                remedies.append("set `events.dead_pixels: interpolate`")
            raise InputError(
                names,
                f"hold no usable {name} events" + (f" (dropped: {lost})" if lost else ""),
                ", or ".join(remedies),
            )

    def column(name: str) -> Any:
        return np.concatenate([getattr(table, name) for table in collector.tables])

    truths = [table.truth for table in collector.tables]
    names_of_conditions = dict.fromkeys(name for part in collector.conditions for name in part)
    truth = Truth(*(np.concatenate([getattr(part, item.name) for part in truths]) for item in fields(Truth)))
    return Dataset(
        counts=collector.finish(),
        label=(truth.primary_id == PRIMARY_IDS["gamma"]).astype(np.int8),
        energy=np.asarray(truth.energy, dtype=np.float64),
        size=np.concatenate(collector.sizes),
        obs_id=column("obs_id"),
        event_id=column("event_id"),
        tel_id=column("tel_id"),
        shower_id=truth.shower_id,
        truth=truth,
        pointing_alt=column("pointing_alt"),
        pointing_az=column("pointing_az"),
        file_index=np.concatenate(collector.file_index),
        files=tuple(paths),
        dropped=dict(collector.dropped),
        conditions={
            name: np.concatenate(
                [part.get(name, np.full(len(part["dark"]), np.nan)) for part in collector.conditions]
            )
            for name in names_of_conditions
        },
        event_type=np.concatenate([table.kinds for table in collector.tables]),
        noise_sources=tuple(collector.sources),
        grid=collector.grid,
        accounts=tuple(
            RunEvents(*key, *(collector.accounts[step][key] for step in STEPS))
            for key in sorted(collector.accounts["read"])
        ),
    )
