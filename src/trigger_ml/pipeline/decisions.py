"""A network's decisions, chunk by chunk: whatever is done with them, they come from here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from trigger_ml.core.config import EventsConfig, InputConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.core.task import TASKS, Task
from trigger_ml.events.camera_input import CameraInput
from trigger_ml.events.dead_pixels import DeadPixels
from trigger_ml.events.domain import DomainGuard, Tally
from trigger_ml.events.sources import EventSource, open_events, require_camera
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.camera import AxialGrid
from trigger_ml.pipeline.emulators import FirmwareEmulator, open_emulator

__all__ = ["CHUNK", "Decider", "Decisions", "load_emulator"]

CHUNK = 1024
"""Events evaluated together: their images stay in a processor's caches from step to step."""


def load_emulator(network: Path, console: Console | None = None, *, threads: int = 2) -> FirmwareEmulator:
    """The emulator of a run directory, a network file or an ONNX file.

    Raises
    ------
    InputError
        If there is none, or it does not tell how events become its input.
    """
    emulator = open_emulator(network, console, threads=threads)
    missing = {"grid", "input", "task"} - set(emulator.metadata)
    if missing:
        raise InputError(
            str(network),
            f"does not say how events become its input (no {', '.join(sorted(missing))})",
            "Give an emulator that a run of trigger-ml left",
        )
    if emulator.metadata["task"] not in list(TASKS):
        raise InputError(
            str(network),
            f"its task is {emulator.metadata['task']}, not one of {', '.join(TASKS)}",
            "Give an emulator that a run of trigger-ml left",
        )
    return emulator


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a network says of some events.

    Parameters
    ----------
    events : EventTable
        Usable ones, with their images.
    output : numpy.ndarray of float64, shape (events, outputs)
        See `trigger_ml.pipeline.answers.answers_of`.
    domain : numpy.ndarray of int8, shape (events,)
        Numbers of `trigger_ml.events.domain.Place`.
    tallies : dict of str to Tally
        What these events add to the judgement of their file.
    read : int
        Events read; those that are not among ``events`` are not usable.
    """

    events: EventTable
    output: NDArray[np.float64]
    domain: NDArray[np.int8]
    tallies: dict[str, Tally]
    read: int


@dataclass(frozen=True, eq=False)
class Decider:
    """A network, and how the events of a camera become its input.

    Parameters
    ----------
    emulator : FirmwareEmulator
    config : InputConfig
    dead_pixels : {"interpolate", "zero", "refuse"}
    grid : AxialGrid
    guard : DomainGuard
    """

    emulator: FirmwareEmulator
    config: InputConfig
    dead_pixels: DeadPixels
    grid: AxialGrid
    guard: DomainGuard

    @classmethod
    def open(cls, network: Path, console: Console | None = None, *, threads: int = 2) -> Self:
        """Of a run directory, a network file or an ONNX file.

        Raises
        ------
        InputError
            If it is no emulator, or its metadata contradict it.
        """
        emulator = load_emulator(network, console, threads=threads)
        metadata = emulator.metadata
        with reading(network, "emulator", "Give an emulator that a run of trigger-ml left"):
            config = InputConfig.of_network(metadata["input"])
            if config.mapping != "axial":
                raise InputError(
                    str(network),
                    f"its input is interpolated between pixels (mapping: {config.mapping}), as in no trigger",
                    "Give a network of the axial mapping; `trigger-ml evaluate` judges this one",
                )
            # older networks do not tell: zero was the only way
            dead_pixels = EventsConfig.model_validate(
                {"dead_pixels": metadata.get("dead_pixels", "zero")}
            ).dead_pixels
            guard = DomainGuard.of_network(metadata)
            grid = AxialGrid.from_dict(metadata["grid"])
            if emulator.input_shape != (*grid.shape, len(config.channels)):
                raise ValueError(f"its input {emulator.input_shape} is not the camera's grid")
            if metadata.get("camera", grid.camera) != grid.camera:
                raise ValueError(f"its grid is that of {grid.camera}, not of {metadata['camera']}")
        return cls(emulator, config, dead_pixels, grid, guard)

    @property
    def task(self) -> Task:
        """What the network was asked."""
        task: Task = self.emulator.metadata["task"]
        return task

    @property
    def needs_times(self) -> bool:
        """Whether the input has the pixels' times."""
        return "peak_time" in self.config.channels

    @property
    def needs_pointing(self) -> bool:
        """Whether an answer needs to know where the telescope pointed."""
        return self.task == "direction"

    def source(self, path: Path) -> EventSource:
        """A file of events of the network's camera.

        Raises
        ------
        InputError
            If it cannot be read.
        CameraMismatchError
            If its camera is another.
        """
        source = open_events(path, camera=self.grid.camera, chunk_size=CHUNK)
        require_camera(source, self.grid)
        return source

    def feed(self, source: EventSource) -> CameraInput:
        """How the events of a file become the input; the noise of its pixels is found here."""
        return CameraInput.of_source(source, self.config, self.dead_pixels)

    def decisions(self, tables: Iterable[EventTable], feed: CameraInput) -> Iterator[Decisions]:
        """Decisions on events, table by table.

        Parameters
        ----------
        tables : iterable of EventTable
            Of one file: the file itself, or pieces of it.
        feed : CameraInput
            Of that file.
        """
        for table in tables:
            events, counts, conditions, _ = feed.read_out(table)
            domain, tallies = self.guard.places(conditions)
            yield Decisions(events, self.emulator.answer(counts), domain, tallies, len(table))
