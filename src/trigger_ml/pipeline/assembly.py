"""From the parts of an emulation to one file: array events together, none twice, in the inputs' order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctapipe.instrument import SubarrayDescription
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.task import Task
from trigger_ml.events.joins import equal_pair
from trigger_ml.events.predictions import AnswersFile, answers_file, array_event_order
from trigger_ml.pipeline.answers import accepted, answers_of
from trigger_ml.pipeline.crew import FileState
from trigger_ml.pipeline.parts import Part

__all__ = ["Selection", "Written", "assemble"]

type Column = NDArray[Any]
"""Of a table: each has a type of its own."""

IDS = ("obs_id", "event_id", "tel_id")
ROWS = 65_536
"""Rows written together."""


@dataclass(frozen=True)
class Selection:
    """What is written.

    Parameters
    ----------
    task : {"type", "energy", "direction"}
    threshold : float or None
        From which events are accepted; None where there is nothing to accept by.
    accepted_only : bool
        Leave all others out.
    """

    task: Task
    threshold: float | None
    accepted_only: bool = False


@dataclass
class Written:
    """Events decided on, accepted and written."""

    events: int = 0
    accepted: int = 0
    rows: int = 0


@dataclass(frozen=True)
class _Place:
    """A part of a file, by their numbers."""

    file: int
    part: int


def _clusters(files: Mapping[int, FileState]) -> Iterator[list[_Place]]:
    """Parts that may hold telescopes of one array event, or one event twice; in the order of their first.

    Parts whose ranges of events overlap belong together. Mostly each is by itself: then memory does not grow
    with the number of parts.
    """
    places = [_Place(number, part) for number, file in files.items() for part in sorted(file.done)]
    parent = list(range(len(places)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    ranges = []
    for i, place in enumerate(places):
        for obs_id, low, high in files[place.file].done[place.part].runs:
            ranges.append((_observation(files, place.file, obs_id), low, high, i))
    ranges.sort()
    run, reach, last = None, 0, 0
    for obs_id, low, high, i in ranges:
        if obs_id == run and low <= reach:
            a, b = root(last), root(i)
            parent[max(a, b)] = min(a, b)
            reach = max(reach, high)
        else:
            run, reach = obs_id, high
        last = i
    groups: dict[int, list[_Place]] = {}
    for i, place in enumerate(places):
        groups.setdefault(root(i), []).append(place)
    yield from (groups[first] for first in sorted(groups))


def _observation(files: Mapping[int, FileState], number: int, obs_id: int) -> int:
    """Raw files do not tell their observation: they are numbered, so that their events stay apart."""
    facts = files[number].facts
    assert facts is not None
    return number if facts["kind"] == "digicam" else obs_id


def _joined(
    files: Mapping[int, FileState], cluster: Sequence[_Place]
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Columns of some parts one after the other, and the images that they keep with their rows."""
    columns: dict[str, list[Column]] = {}
    images: dict[str, list[Column]] = {}
    events = 0
    for place in cluster:
        part = Part.read(files[place.file].parts.path(place.part))
        if not part.facts.events:
            continue
        found = dict(part.columns)
        found["obs_id"] = np.array([_observation(files, place.file, o) for o in np.unique(found["obs_id"])])[
            np.unique(found["obs_id"], return_inverse=True)[1]
        ]
        found["file"] = np.full(part.facts.events, place.file)
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
        for name, values in part.images.items():
            images.setdefault(name, []).append(values + events if name == "row" else values)
        events += part.facts.events
    return (
        {name: np.concatenate(values) for name, values in columns.items()},
        {name: np.concatenate(values) for name, values in images.items()},
    )


def _require_once(columns: Mapping[str, Column], files: Mapping[int, FileState]) -> None:
    """Refuse events that are there twice: in one output they could not be told apart.

    Raises
    ------
    InputError
    """
    pair = equal_pair(*(columns[name] for name in IDS))
    if pair is None:
        return
    obs_id, event_id, tel_id = (columns[name][pair[0]] for name in IDS)
    event = f"event {event_id} of observation {obs_id}, telescope {tel_id}"
    first, second = (files[int(columns["file"][row])].path for row in pair)
    if columns["file"][pair[0]] == columns["file"][pair[1]]:
        raise InputError(
            str(first),
            f"holds {event} twice",
            "It was merged of files that number their events alike, or of one twice: give those files",
        )
    raise InputError(
        f"{first} and {second}",
        f"both hold {event}",
        "Emulate files that number their events alike apart, into an output each",
    )


def assemble(
    output: Path,
    files: Mapping[int, FileState],
    selection: Selection,
    *,
    subarray: SubarrayDescription | None,
    source: Mapping[str, str],
) -> Written:
    """Write the decisions of all files; the output appears when it is whole.

    Memory is that of the parts whose events may belong together.

    Parameters
    ----------
    output : Path
    files : mapping of int to FileState
        Complete ones, by their number in the order of the inputs.
    selection : Selection
    subarray : ctapipe.instrument.SubarrayDescription or None
    source : mapping of str to str
        Facts for the file's metadata.

    Raises
    ------
    InputError
        If an event is there twice, or an answer is not finite.
    """
    timed = any(part.timed for file in files.values() for part in file.done.values())
    simulated = all(file.facts is not None and file.facts["simulated"] for file in files.values())
    written = Written()
    with answers_file(
        output, selection.task, timed=timed, subarray=subarray, simulated=simulated, source=source
    ) as file:
        for cluster in _clusters(files):
            columns, images = _joined(files, cluster)
            if columns:
                _require_once(columns, files)
                _append(file, columns, images, selection, written)
    return written


def _append(
    file: AnswersFile,
    columns: Mapping[str, Column],
    images: Mapping[str, Column],
    selection: Selection,
    written: Written,
) -> None:
    answers = answers_of(selection.task, columns["output"], columns["pointing_alt"], columns["pointing_az"])
    kept = np.ones(len(columns["event_id"]), dtype=bool)
    if selection.threshold is not None:
        good = accepted(selection.task, columns["output"], selection.threshold)
        answers["accepted"] = good
        written.accepted += int(good.sum())
        if selection.accepted_only:
            kept = good
    answers["domain"] = columns["domain"]
    written.events += len(kept)
    order = array_event_order(*(columns[name] for name in IDS))
    order = order[kept[order]]
    for rows in _whole_array_events(columns, order):
        file.append(
            {name: columns[name][rows] for name in IDS},
            {name: values[rows] for name, values in answers.items()},
            columns["event_type"][rows],
            columns["time"][rows],
            triggers=True,
        )
        written.rows += len(rows)
    if images:
        place = np.full(len(kept), -1)
        place[images["row"]] = np.arange(len(images["row"]))
        pictured = order[place[order] >= 0]
        at = place[pictured]
        times = images["peak_time"][at] if "peak_time" in images else None
        file.append_images({name: columns[name][pictured] for name in IDS}, images["image"][at], times)


def _whole_array_events(
    columns: Mapping[str, Column], order: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """The rows in their order, about so many at a time that no array event is divided."""
    obs_id, event_id = columns["obs_id"][order], columns["event_id"][order]
    ends = np.append(np.flatnonzero((np.diff(obs_id) != 0) | (np.diff(event_id) != 0)) + 1, len(order))
    start = 0
    while start < len(order):
        stop = int(ends[min(int(np.searchsorted(ends, start + ROWS)), len(ends) - 1)])
        yield order[start:stop]
        start = stop
