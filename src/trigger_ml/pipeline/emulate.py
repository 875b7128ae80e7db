"""The trigger filter, emulated over files: what the firmware would decide for each event."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ctapipe.instrument import SubarrayDescription
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from scipy.special import expit

from trigger_ml.core.config import EventsConfig, InputConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.events.camera_input import NOT_FINITE, CameraInput
from trigger_ml.events.dead_pixels import DeadPixels
from trigger_ml.events.domain import DomainGuard
from trigger_ml.events.joins import equal_pair
from trigger_ml.events.predictions import write_dl2
from trigger_ml.events.sources import EventSource, open_events, require_camera
from trigger_ml.events.table import NO_TIME, EventTable
from trigger_ml.instrument.camera import AxialGrid
from trigger_ml.pipeline.emulators import FirmwareEmulator, open_emulator

__all__ = ["EmulationSummary", "emulate_files", "load_emulator"]


@dataclass(frozen=True)
class EmulationSummary:
    """What an emulation did.

    Parameters
    ----------
    output : Path
    events : int
        Events written.
    dropped : dict of str to int
        Events left out, by reason.
    accepted : int
        Events with gammaness of at least one half.
    noise : dict of str to str
        For each file, how the noise of its pixels was found.
    warnings : tuple of str
        What of the events lies outside the training's conditions.
    """

    output: Path
    events: int
    accepted: int
    dropped: dict[str, int] = field(default_factory=dict)
    noise: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The summary in words."""
        share = f" ({100 * self.accepted / self.events:.1f} %)" if self.events else ""
        return [
            f"{self.events} events, {self.accepted}{share} with gammaness of at least 0.5",
            *(f"{number} events dropped: {reason}" for reason, number in self.dropped.items()),
            *(f"noise of the pixels of {name}: {source}" for name, source in self.noise.items()),
            *(f"warning: {text}" for text in self.warnings),
            f"written to {self.output}",
        ]


def load_emulator(network: Path) -> FirmwareEmulator:
    """The emulator of a run directory, a network file or an ONNX file.

    Raises
    ------
    InputError
        If there is none, or it does not classify.
    """
    emulator = open_emulator(network, Console(stderr=True))
    missing = {"grid", "input", "task"} - set(emulator.metadata)
    if missing:
        raise InputError(
            str(network),
            f"does not say how events become its input (no {', '.join(sorted(missing))})",
            "Give an emulator that a run of trigger-ml left",
        )
    if emulator.metadata["task"] != "type":
        raise InputError(
            str(network),
            f"its task is {emulator.metadata['task']}, not type",
            "Give a network that classifies",
        )
    return emulator


@dataclass(eq=False)
class _Columns:
    """What is kept of each event."""

    parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    # number of the file that is read
    file: int = 0

    def append(self, table: EventTable, logit: NDArray[np.float64], place: NDArray[np.int8]) -> None:
        ids = {name: getattr(table, name) for name in ("obs_id", "event_id", "tel_id")}
        ids["event_type"] = table.kinds
        ids["time"] = np.full(len(table), NO_TIME) if table.time is None else table.time
        ids["file"] = np.full(len(table), self.file, dtype=np.int64)
        self.parts.append({**ids, "logit": logit, "domain": place})

    def column(self, name: str) -> NDArray[Any]:
        return np.concatenate([part[name] for part in self.parts])

    def require_unique(self, paths: Sequence[Path]) -> None:
        """Refuse events that two files both have: in one output they could not be told apart.

        Raises
        ------
        InputError
        """
        ids = [self.column(name) for name in ("obs_id", "event_id", "tel_id")]
        pair = equal_pair(*ids)
        if pair is None:
            return
        event = f"event {ids[1][pair[0]]} of observation {ids[0][pair[0]]}, telescope {ids[2][pair[0]]}"
        first, second = (paths[self.column("file")[row]] for row in pair)
        raise InputError(
            f"{first} and {second}",
            f"both hold {event}",
            "Emulate files that number their events alike apart, into an output each",
        )


def _emulate_source(
    source: EventSource,
    emulator: FirmwareEmulator,
    config: InputConfig,
    dead_pixels: DeadPixels,
    guard: DomainGuard,
    columns: _Columns,
    advance: Any,
) -> str:
    """Add a file's answers to the columns; how the noise of its pixels was found."""
    feed = CameraInput.of_source(source, config, dead_pixels)
    for read in source:
        table, good = feed.prepare(read)
        columns.dropped[NOT_FINITE] += int((~good).sum())
        kept = table[good]
        counts = feed.counts(kept)
        place = guard.places(feed.conditions(kept, counts), source.path)
        logit = emulator.answer(counts)[:, 0]
        columns.append(kept, logit, place)
        advance(len(read))
    return feed.noise_source or "not needed by this network"


def _numbered(source: EventSource, number: int) -> EventSource:
    """Raw files do not tell their observation: number them, so that their events stay apart."""
    if source.kind != "digicam":
        return source
    read = source._read

    def numbered() -> Any:
        for table in read():
            yield replace(table, obs_id=np.full(len(table), number, dtype=np.int64))

    return replace(source, _read=numbered)


def emulate_files(
    network: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overwrite: bool = False,
    outside_domain: bool = False,
) -> EmulationSummary:
    """Run the emulator over files and write event ids, logit and gammaness in ctapipe's DL2 layout.

    Events are read, mapped and evaluated in chunks; the output appears when all is done. Each event's column
    ``trigger_ml_tel_domain`` says whether the camera was in the condition of the training: 0 inside, 1 at the
    edge, 2 outside.

    Parameters
    ----------
    network : Path
        Run directory, its network file (``.npz``) or an ``.onnx`` file.
    inputs : sequence of Path
        ctapipe HDF5, sim_telarray or DigiCam zfits files.
    output : Path
    overwrite : bool
        Replace an existing output.
    outside_domain : bool
        Go on where a file's conditions lie outside those of the training.

    Returns
    -------
    EmulationSummary

    Raises
    ------
    InputError
        If a file cannot be read, the output exists, no event is left, or a file's conditions lie outside
        those of the training.
    CameraMismatchError
        If a file's camera is not the network's.
    """
    if output.exists() and not overwrite:
        raise InputError(str(output), "exists already", "Give another name, or --overwrite")
    emulator = load_emulator(network)
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
        guard = DomainGuard.of_network(metadata, accept=outside_domain)
        grid = AxialGrid.from_dict(metadata["grid"])
        if emulator.input_shape != (*grid.shape, len(config.channels)):
            raise ValueError(f"its input {emulator.input_shape} is not the camera's grid")
        if metadata.get("camera", grid.camera) != grid.camera:
            raise ValueError(f"its grid is that of {grid.camera}, not of {metadata['camera']}")
    sources = []
    for number, path in enumerate(inputs):
        source = _numbered(open_events(path, camera=grid.camera), number)
        require_camera(source, grid)
        sources.append(source)
    columns, noise = _Columns(), {}
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for number, source in enumerate(sources):
            columns.file = number
            task = progress.add_task(escape(source.path.name), total=None)
            noise[source.path.name] = _emulate_source(
                source,
                emulator,
                config,
                dead_pixels,
                guard,
                columns,
                lambda n, task=task: progress.advance(task, n),
            )
    logit = columns.column("logit") if columns.parts else np.zeros(0)
    if not len(logit):
        raise InputError(
            ", ".join(str(path) for path in inputs),
            "no event is left to write",
            "Give files with usable images",
        )
    columns.require_unique([source.path for source in sources])
    gammaness = expit(logit)
    simulated = all(source.simulated for source in sources)
    write_dl2(
        output,
        obs_id=columns.column("obs_id"),
        event_id=columns.column("event_id"),
        tel_id=columns.column("tel_id"),
        logit=logit,
        gammaness=gammaness,
        event_type=columns.column("event_type"),
        time=columns.column("time"),
        columns={"domain": columns.column("domain")},
        subarray=_subarray(sources),
        simulated=simulated,
        source={"network": str(metadata.get("name", network.name)), "task": str(metadata["task"])},
    )
    dropped = {reason: number for reason, number in columns.dropped.items() if number}
    accepted = int((gammaness >= 0.5).sum())
    return EmulationSummary(output, len(logit), accepted, dropped, noise, guard.warnings())


def _subarray(sources: Sequence[EventSource]) -> SubarrayDescription | None:
    """The array that all files share, so that the output opens by itself; None if there is no such one."""
    first = sources[0].subarray
    return first if all(source.subarray == first for source in sources[1:]) else None
