"""The work of one process of an emulation: files opened, pieces of them evaluated, parts written."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctapipe.instrument import SubarrayDescription
from numpy.typing import NDArray

from trigger_ml.core.errors import TriggerMLError
from trigger_ml.core.foreign import explain, naming
from trigger_ml.events.camera_input import CameraInput
from trigger_ml.events.dl1_spans import Dl1Spans, Span
from trigger_ml.events.sources import EventSource
from trigger_ml.pipeline.answers import accepted
from trigger_ml.pipeline.decisions import CHUNK, Decider, Decisions
from trigger_ml.pipeline.parts import FileParts, Part, PartFacts

__all__ = ["Failed", "Finished", "Job", "Opened", "Task", "Worker"]

STEP = 2_048
"""Most events of a part of a file that can only be read from its begin: these are read slowly."""
NO_NOISE = "not needed by this network"


@dataclass(frozen=True)
class Job:
    """What all processes of an emulation know.

    Parameters
    ----------
    network : Path
    files : tuple of (Path, FileParts)
        Input files, and where their parts go.
    pictured : float or None
        Images are kept of events that are accepted with this threshold; None: of none.
    part : int
        Events of a part.
    """

    network: Path
    files: tuple[tuple[Path, FileParts], ...]
    pictured: float | None
    part: int


@dataclass(frozen=True)
class Task:
    """A thing to do.

    Parameters
    ----------
    file : int
        Number of the file.
    part : int or None
        Number of the part; None: open the file, and if it cannot be divided, make all its parts.
    finished : frozenset of int
        Parts that are there.
    """

    file: int
    part: int | None = None
    finished: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Opened:
    """A file was opened: what is known of it; see `Worker`."""

    file: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A part is on the disk."""

    file: int
    part: int
    facts: PartFacts


@dataclass(frozen=True)
class Failed:
    """A file cannot be emulated."""

    file: int
    error: TriggerMLError


Message = Opened | Finished | Failed


@dataclass(frozen=True, eq=False)
class _OpenFile:
    """The file that is worked on."""

    number: int
    source: EventSource
    feed: CameraInput
    spans: Dl1Spans | None
    pieces: list[Span]
    stack: ExitStack


def _digest(subarray: SubarrayDescription | None) -> str | None:
    """What tells arrays apart: names, places, optics and pixels."""
    if subarray is None:
        return None
    content = hashlib.sha256(subarray.name.encode())
    for tel_id in sorted(subarray.tel):
        telescope = subarray.tel[tel_id]
        content.update(f"{tel_id} {telescope} {telescope.optics}".encode())
        content.update(subarray.positions[tel_id].to_value("m").tobytes())
        geometry = telescope.camera.geometry
        for values in (geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m"), geometry.pix_id):
            content.update(np.ascontiguousarray(values).tobytes())
    return content.hexdigest()


class Worker:
    """Does tasks of a job; a file stays open until another one is worked on.

    What is known of a file (`Opened`, also on the disk beside its parts): ``kind``, ``simulated``,
    ``subarray`` (a hash, or null), ``noise`` (how it was found), ``rows`` and ``pieces`` (null until all is
    read where a file can only be read from its begin).

    Parameters
    ----------
    job : Job
    decider : Decider, optional
        Of this process; default: one is opened with the first task.
    """

    def __init__(self, job: Job, decider: Decider | None = None) -> None:
        self._job = job
        self._decider = decider
        self._open: _OpenFile | None = None

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open.stack.close()
            self._open = None

    def do(self, task: Task, stopped: Callable[[], bool] = lambda: False) -> Iterator[Message]:
        """Do a task; `Failed` where its file is to blame.

        Parameters
        ----------
        task : Task
        stopped : callable
            Asked between parts: whether to end now.
        """
        path, _ = self._job.files[task.file]
        try:
            with naming(str(path)):
                yield from self._do(task, stopped)
        except Exception as error:
            yield Failed(task.file, explain(self._failed(error), str(path)))

    def _failed(self, error: Exception) -> Exception:
        """Close the file that is open, which may know what an error of its library means."""
        known, self._open = self._open, None
        if known is not None:
            try:
                known.stack.__exit__(type(error), error, error.__traceback__)
            except Exception as better:
                return better
        return error

    def _do(self, task: Task, stopped: Callable[[], bool]) -> Iterator[Message]:
        if self._decider is None:
            self._decider = Decider.open(self._job.network, threads=1)
        known = self._opened(task.file)
        parts = self._job.files[task.file][1]
        if task.part is not None:
            yield self._write(parts, task, task.part, self._span(known, known.pieces[task.part]))
            return
        facts = self._facts(known)
        if known.spans is not None:
            parts.write_facts(facts)
            yield Opened(task.file, facts)
            return
        yield Opened(task.file, facts)
        pieces = 0
        for chunks in self._steps(known):
            if pieces not in task.finished:
                yield self._write(parts, task, pieces, chunks)
            pieces += 1
            if stopped():
                return
        facts["pieces"] = pieces
        parts.write_facts(facts)
        yield Opened(task.file, facts)

    def _opened(self, number: int) -> _OpenFile:
        if self._open is not None and self._open.number == number:
            return self._open
        self.close()
        assert self._decider is not None
        decider = self._decider
        source = decider.source(self._job.files[number][0])
        feed = decider.feed(source)
        spans, pieces, stack = None, [], ExitStack()
        if source.kind == "ctapipe":
            needs = {"peak_time": decider.needs_times or self._job.pictured is not None}
            spans = stack.enter_context(source.spans(**needs, pointing=decider.needs_pointing))
            pieces = spans.spans(self._job.part)
        self._open = _OpenFile(number, source, feed, spans, pieces, stack)
        return self._open

    def _facts(self, known: _OpenFile) -> dict[str, Any]:
        divided = known.spans is not None
        return {
            "kind": known.source.kind,
            "simulated": known.source.simulated,
            "subarray": _digest(known.source.subarray),
            "noise": known.feed.noise_source or NO_NOISE,
            "rows": sum(map(len, known.pieces)) if divided else None,
            "pieces": len(known.pieces) if divided else None,
        }

    def _span(self, known: _OpenFile, span: Span) -> Iterator[Decisions]:
        assert self._decider is not None
        assert known.spans is not None
        yield from self._decider.decisions(known.spans.read(span, CHUNK), known.feed)

    def _steps(self, known: _OpenFile) -> Iterator[list[Decisions]]:
        """The file's decisions, as many as make a part: always divided at the same events."""
        assert self._decider is not None
        chunks: list[Decisions] = []
        for chunk in self._decider.decisions(known.source, known.feed):
            chunks.append(chunk)
            if sum(c.read for c in chunks) >= min(STEP, self._job.part):
                yield chunks
                chunks = []
        if chunks:
            yield chunks

    def _write(
        self, parts: FileParts, task: Task, number: int, chunks: Iterator[Decisions] | list[Decisions]
    ) -> Finished:
        part = Part.of((chunk, self._pictured(chunk)) for chunk in chunks)
        part.write(parts.path(number))
        return Finished(task.file, number, part.facts)

    def _pictured(self, chunk: Decisions) -> NDArray[np.bool_] | None:
        if self._job.pictured is None:
            return None
        assert self._decider is not None
        return accepted(self._decider.task, chunk.output, self._job.pictured)
