"""What the judging of one run and of a study of several share: events, showers thrown, answers on file."""

from pathlib import Path

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.errors import InputError
from trigger_ml.core.task import TASKS, Task
from trigger_ml.evaluation.bookkeeping import Simulated, simulations_of
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.light import fit_light_energy
from trigger_ml.events.dataset import Dataset, Splits
from trigger_ml.events.dl1 import read_runs
from trigger_ml.events.predictions import read_answers, write_answers
from trigger_ml.pipeline.answers import answers_of
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["judged", "read_predictions", "thrown", "write_predictions"]

FloatArray = NDArray[np.float64]


def judged(dataset: Dataset, splits: Splits) -> EvaluationEvents:
    """Truth and light of the test events, on which models are compared.

    What energy a gamma of some light has is learnt from the gammas of the training set.
    """
    test = dataset[splits.test]
    gammas = splits.train[dataset.label[splits.train] == 1]
    light = fit_light_energy(dataset.size[gammas], dataset.energy[gammas])
    return EvaluationEvents(
        label=test.label,
        energy=test.energy,
        shower_id=test.shower_id,
        alt=test.truth.alt,
        az=test.truth.az,
        pointing_alt=test.pointing_alt,
        pointing_az=test.pointing_az,
        # files of different particles may number their runs alike
        obs_id=test.run,
        event_id=test.event_id,
        tel_id=test.tel_id,
        primary_id=test.truth.primary_id,
        size=test.size,
        light_energy=light(test.size),
    )


def thrown(workspace: Workspace, dataset: Dataset, splits: Splits) -> dict[str, Simulated] | None:
    """The showers thrown behind the test events; None, with the reason, where the files do not tell."""
    try:
        runs = {index: read_runs(path) for index, path in enumerate(dataset.files)}
        return simulations_of(
            runs, dataset.accounts, dataset.truth.primary_id, dataset.shower_id, rows=splits.test
        )
    except InputError as error:
        workspace.console.print(f"  no instrument response: {error}", highlight=False, markup=False)
        return None


def _file(folder: Path, files: tuple[Path, ...], index: int) -> Path:
    """Answers to the events of one file; files of different particles may number their events alike.

    Files of one name, in different folders, are told apart by their place in the list.
    """
    names = [Path(file).name.removesuffix(".h5").removesuffix(".dl1") for file in files]
    name = names[index] if names.count(names[index]) == 1 else f"{names[index]}-{index}"
    return folder / f"{name}.dl2.h5"


def write_predictions(folder: Path, test: Dataset, output: FloatArray, task: Task, prefix: str) -> None:
    """Write a model's outputs for the test events as ctapipe DL2, one file for each event file.

    Parameters
    ----------
    folder : Path
    test : Dataset
    output : numpy.ndarray of float64, shape (events, outputs)
        A logit, log10 of the energy in TeV, or camera offsets in degrees.
    task : {"type", "energy", "direction"}
    prefix : str
        Of the columns.
    """
    answers = answers_of(task, output, test.pointing_alt, test.pointing_az)
    for index, source in enumerate(test.files):
        rows = test.file_index == index
        if rows.any():
            write_answers(
                _file(folder, test.files, index),
                task,
                {name: column[rows] for name, column in answers.items()},
                obs_id=test.obs_id[rows],
                event_id=test.event_id[rows],
                tel_id=test.tel_id[rows],
                prefix=prefix,
                simulated=True,
                source={"events": Path(source).name},
            )


def read_predictions(folder: Path, test: Dataset, task: Task, prefix: str) -> dict[str, FloatArray]:
    """Answers that :func:`write_predictions` left, in the order of the test events.

    Returns
    -------
    dict of str to numpy.ndarray of float64, shape (events,)
        ``logit``; ``energy`` in TeV; or ``alt`` and ``az`` in radians.

    Raises
    ------
    InputError
        If an event has no answer.
    """
    units = {"energy": u.TeV, "alt": u.rad, "az": u.rad}
    result = {name: np.full(len(test), np.nan) for name in TASKS[task].answers}
    for index, source in enumerate(test.files):
        rows = np.flatnonzero(test.file_index == index)
        if not len(rows):
            continue
        path = _file(folder, test.files, index)
        table = read_answers(path, task, prefix)
        keys = ("obs_id", "event_id", "tel_id")
        wanted = np.stack([getattr(test, key)[rows] for key in keys], axis=1).astype(np.int64)
        given = np.stack([np.asarray(table[key], dtype=np.int64) for key in keys], axis=1)
        # both sides sorted by identity: a join without a Python loop over events
        mine, theirs = np.lexsort(wanted.T), np.lexsort(given.T)
        if len(rows) != len(table) or not np.array_equal(wanted[mine], given[theirs]):
            raise InputError(
                str(path),
                f"its {len(table)} events are not the {len(rows)} test events of {Path(source).name}",
                "Run `trigger-ml reconstruct` again, so that the three runs see the same events",
            )
        for name in TASKS[task].answers:
            column = table[name]
            values = column.quantity.to_value(units[name]) if name in units else np.asarray(column)
            result[name][rows[mine]] = np.asarray(values, dtype=np.float64)[theirs]
    return result
