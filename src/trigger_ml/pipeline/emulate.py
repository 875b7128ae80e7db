"""The trigger filter, emulated over files: what the firmware would decide for each event."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import joblib
from ctapipe.instrument import SubarrayDescription
from rich.console import Console

from trigger_ml.core.errors import InputError, TriggerMLError
from trigger_ml.core.files import require_file, sha256
from trigger_ml.events.camera_input import NOT_FINITE
from trigger_ml.events.domain import add_tallies
from trigger_ml.events.sources import open_events
from trigger_ml.pipeline.answers import require_threshold
from trigger_ml.pipeline.assembly import Selection, assemble
from trigger_ml.pipeline.crew import FileState, Schedule, work
from trigger_ml.pipeline.decisions import Decider
from trigger_ml.pipeline.parts import FileParts, parts_folder
from trigger_ml.pipeline.pieces import Failed, Finished, Job
from trigger_ml.pipeline.watch import Watch

__all__ = ["EmulationSummary", "Write", "emulate_files"]

BYTES_PER_SECOND = {".h5": 2.4e8}
"""Of a file that are read and evaluated by a processor: DL1 files, by their endings."""
SLOW_BYTES_PER_SECOND = 2e6
"""The same of all others."""
WORTH = 20.0
"""Seconds of one processor from which on several processes, which must be started, are quicker."""
PART = 32_768
"""Events of a part: a second's work."""
PART_WITH_IMAGES = 8_192
"""The same where images are kept, which fill a process's memory."""
FEW = 5
"""Files whose noise is told one by one."""


class Write(StrEnum):
    """What is written of events."""

    ALL = "all"
    ACCEPTED = "accepted"
    IMAGES = "images"


@dataclass(frozen=True)
class EmulationSummary:
    """What an emulation did.

    Parameters
    ----------
    output : Path
    events : int
        Events decided on.
    accepted : int or None
        How many of them reached the threshold; None where there is nothing to accept by.
    threshold : str
        The threshold, in words.
    dropped : dict of str to int
        Events left out, by reason.
    noise : dict of str to str
        For each file, how the noise of its pixels was found.
    warnings : tuple of str
        What of the events lies outside the training's conditions.
    failed : dict of Path to TriggerMLError
        Files that were left out.
    resumed : int
        Events that an earlier emulation had finished.
    """

    output: Path
    events: int
    accepted: int | None = None
    threshold: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    noise: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failed: Mapping[Path, TriggerMLError] = field(default_factory=dict)
    resumed: int = 0

    def lines(self) -> list[str]:
        """The summary in words."""
        share = f" ({100 * (self.accepted or 0) / self.events:.1f} %)" if self.events else ""
        accepted = "" if self.accepted is None else f", {self.accepted}{share} with {self.threshold}"
        noise = [f"noise of the pixels of {name}: {source}" for name, source in self.noise.items()]
        if len(noise) > FEW:
            counted = Counter(self.noise.values()).most_common()
            noise = [f"noise of the pixels of {number} files: {source}" for source, number in counted]
        return [
            f"{self.events} events{accepted}",
            *([f"{self.resumed} of them from an emulation that was ended"] if self.resumed else []),
            *(f"{number} events dropped: {reason}" for reason, number in self.dropped.items()),
            *noise,
            *(f"warning: {text}" for text in self.warnings),
            *(f"left out: {error}" for error in self.failed.values()),
            f"written to {self.output}",
        ]


def emulate_files(
    network: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overwrite: bool = False,
    outside_domain: bool = False,
    accept: float | None = None,
    write: Write = Write.ALL,
    keep_going: bool = False,
    workers: int | None = None,
    part: int | None = None,
) -> EmulationSummary:
    """Run the emulator over files and write event ids and answers in ctapipe's DL2 layout.

    Events are read, mapped and evaluated in chunks, and kept in parts beside the output until that appears,
    when all is done. An emulation that was killed, or that a bad file ended, goes on where it was when it is
    started again with the same files and network. Each event's column ``trigger_ml_tel_domain`` says whether
    the camera was in the condition of the training: 0 inside, 1 at the edge, 2 outside.

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
    accept : float, optional
        Gammaness, or energy in TeV, from which an event is accepted; default for gammaness: one half.
    write : Write
        All events, accepted ones alone, or these with their images.
    keep_going : bool
        Leave out files that cannot be emulated, and name them.
    workers : int, optional
        Processes; default: one for each processor where the files are worth it.
    part : int, optional
        Events of a part, which is what can be lost when the emulation is killed.

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
    decider = Decider.open(network, Console(stderr=True))
    threshold = require_threshold(decider.task, accept, str(network))
    if write is not Write.ALL and threshold is None:
        raise InputError(str(network), "nothing says which events are accepted", "Give --accept")
    pictured = threshold if write is Write.IMAGES else None
    part = part or (PART if pictured is None else PART_WITH_IMAGES)
    depends = {"network": sha256(decider.emulator.file), "pictured": pictured, "part": part}
    with parts_folder(output) as root:
        files = []
        for path in inputs:
            try:
                require_file(Path(path))
                state = FileState(Path(path), FileParts.of(root, Path(path), depends))
                state.find()
            except InputError as error:
                if not keep_going:
                    raise
                state = FileState(Path(path), FileParts(root / "none"), error=error)
            files.append(state)
        resumed = sum(part.events for file in files for part in file.finished)
        number = workers or _workers([file.path for file in files if not file.complete])
        job = Job(
            network,
            tuple((file.path, file.parts) for file in files),
            pictured=pictured,
            part=part,
        )
        _run(job, Schedule(files), number, decider, judged=not outside_domain, keep_going=keep_going)
        good = {number: file for number, file in enumerate(files) if file.error is None}
        if not any(part.events for file in good.values() for part in file.done.values()):
            raise _nothing(files)
        written = assemble(
            output,
            good,
            Selection(decider.task, threshold, write is not Write.ALL),
            subarray=_subarray(good),
            source={
                "network": str(decider.emulator.metadata.get("name", network.name)),
                "task": decider.task,
            },
        )
        shutil.rmtree(root)
    parts = [part for file in good.values() for part in file.finished]
    dropped = {NOT_FINITE: sum(part.dropped for part in parts)}
    return EmulationSummary(
        output,
        written.events,
        None if threshold is None else written.accepted,
        "" if threshold is None else f"{_WORDS[decider.task]} of at least {threshold:g}",
        {reason: number for reason, number in dropped.items() if number},
        {file.path.name: str((file.facts or {})["noise"]) for file in good.values()},
        decider.guard.warnings(add_tallies(part.tallies for part in parts)),
        {file.path: file.error for file in files if file.error is not None},
        resumed,
    )


_WORDS = {"type": "gammaness", "energy": "an energy in TeV"}


def _run(
    job: Job, schedule: Schedule, workers: int, decider: Decider, *, judged: bool, keep_going: bool
) -> None:
    """Make all parts; the first file that fails ends it, or is left out.

    Raises
    ------
    TriggerMLError
        The first file's, what others have finished stays.
    """

    def judge(file: FileState) -> None:
        if judged and file.complete and file.error is None:
            try:
                decider.guard.judge(add_tallies(part.tallies for part in file.finished), file.path)
            except InputError as error:
                file.error = error
        if file.error is not None and not keep_going:
            schedule.stopped = True

    for file in schedule.files:
        judge(file)
    with Watch(schedule.files) as watch:
        for message in work(job, schedule, workers, decider):
            file = schedule.files[message.file]
            judge(file)
            if isinstance(message, Finished):
                watch.advance(file, message.facts)
            elif isinstance(message, Failed):
                watch.end(file)
    failed = next((file for file in schedule.files if file.error is not None), None)
    if failed is not None and not keep_going:
        assert failed.error is not None
        raise failed.error


def _nothing(files: Sequence[FileState]) -> TriggerMLError:
    """The error of an emulation without events."""
    errors = [file.error for file in files if file.error is not None]
    if errors and len(errors) == len(files):
        return errors[0]
    names = ", ".join(str(file.path) for file in files[:FEW]) + (" and others" if len(files) > FEW else "")
    return InputError(names, "no event is left to write", "Give files with usable images")


def _workers(paths: Sequence[Path]) -> int:
    """Processes that are worth their start."""
    seconds = sum(
        path.stat().st_size / BYTES_PER_SECOND.get(path.suffix, SLOW_BYTES_PER_SECOND)
        for path in paths
        if path.is_file()
    )
    divided = any(path.suffix in BYTES_PER_SECOND for path in paths)
    most = joblib.cpu_count() if divided else min(joblib.cpu_count(), max(1, len(paths)))
    return most if seconds > WORTH else 1


def _subarray(files: Mapping[int, FileState]) -> SubarrayDescription | None:
    """The array that all files share, so that the output opens by itself; None if there is no such one."""
    found = {file.facts["subarray"] for file in files.values() if file.facts is not None}
    if len(found) > 1 or None in found:
        return None
    return open_events(next(iter(files.values())).path).subarray
