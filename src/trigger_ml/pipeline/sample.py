"""The events of a run as its stages need them: what to train on, what chooses the epoch, what is judged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.core.task import Task
from trigger_ml.evaluation.direction import camera_offsets
from trigger_ml.events.cache import cached_dataset, cached_night_sky
from trigger_ml.events.dataset import Dataset, Splits, split_by_shower
from trigger_ml.events.domain import QUANTITIES, training_domain
from trigger_ml.events.night_sky import NightSky, split_night_sky
from trigger_ml.events.quantize import Counts
from trigger_ml.events.table import FloatArray
from trigger_ml.instrument.camera import AxialGrid
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["Sample", "event_files", "load_sample", "night_sky_files", "subset"]


def _known(dataset: Dataset, targets: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """The targets, all of them numbers.

    Raises
    ------
    InputError
    """
    bad = np.flatnonzero(~np.isfinite(targets).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise InputError(
            f"{dataset.files[dataset.file_index[row]]}: event {dataset.event_id[row]} of observation "
            f"{dataset.obs_id[row]}",
            f"has no {what}, as {len(bad)} of {len(dataset)} events",
            "Train this task on files that tell it",
        )
    return targets


class FineTuning(TypedDict):
    """What the trainings of compression and of its control share: keywords of both."""

    seed: int
    task: Task
    regression_loss: str
    tensorboard: bool
    symmetries: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class Sample:
    """Events, and which of them are for what.

    Parameters
    ----------
    dataset : Dataset
    splits : Splits
    night_training, night_test : NightSky or None
        Clocked events: the first are hadrons to the training of a classifier, so that the sky alone is not
        taken for a faint gamma; the second are only judged.
    config : ExperimentConfig
    """

    dataset: Dataset
    splits: Splits
    night_training: NightSky | None
    night_test: NightSky | None
    config: ExperimentConfig

    @property
    def targets(self) -> FloatArray:
        """What the model is to tell of each event, shape (events, outputs)."""
        dataset = self.dataset
        if self.config.task == "type":
            return dataset.label.astype(np.float32)[:, np.newaxis]
        if self.config.task == "energy":
            with np.errstate(divide="ignore", invalid="ignore"):
                return _known(dataset, np.log10(dataset.energy)[:, np.newaxis], "true energy")
        truth = dataset.truth
        offsets = camera_offsets(truth.alt, truth.az, dataset.pointing_alt, dataset.pointing_az)
        return _known(dataset, offsets, "true direction or pointing")

    def training(self) -> tuple[Counts, FloatArray, tuple[Counts, FloatArray]]:
        """Counts and targets to train on, and those that choose the epoch."""
        target = self.targets
        train, chosen = (
            subset(self.dataset, part, self.config) for part in (self.splits.train, self.splits.validation)
        )
        counts, wanted = self.dataset.counts[train], target[train]
        if self.night_training is not None and self.config.task == "type":
            counts = np.concatenate([counts, self.night_training.counts])
            wanted = np.concatenate([wanted, np.zeros((len(self.night_training), 1), wanted.dtype)])
        return counts, wanted, (self.dataset.counts[chosen], target[chosen])

    @property
    def symmetries(self) -> NDArray[np.int64] | None:
        """Permutations of the grid's cells for the training, if asked for."""
        if not self.config.train.augment:
            return None
        assert isinstance(self.dataset.grid, AxialGrid)  # the configuration allows no other
        return self.dataset.grid.symmetries

    @property
    def fine_tuning(self) -> FineTuning:
        """What the trainings of compression and of its control share: keywords of both."""
        config = self.config
        return {
            "seed": config.seed if config.compression.seed is None else config.compression.seed,
            "task": config.task,
            "regression_loss": config.train.regression_loss,
            "tensorboard": config.train.tensorboard,
            "symmetries": self.symmetries,
        }

    def domain(self) -> dict[str, object]:
        """The conditions of the training, for the network's metadata."""
        events = self.dataset[self.splits.train]
        known = {name: values for name, values in events.conditions.items() if name in QUANTITIES}
        if self.night_training is not None:
            night = self.night_training.conditions
            known = {name: np.concatenate([values, night[name]]) for name, values in known.items()}
        return training_domain(known, events.event_type).to_dict()


def subset(dataset: Dataset, rows: NDArray[np.int64], config: ExperimentConfig) -> NDArray[np.int64]:
    """Regression learns from gammas alone; classification from all."""
    return rows if config.task == "type" else rows[dataset.label[rows] == 1]


def event_files(directory: Path) -> list[Path]:
    """Event files of a run: simulated ones, or the user's."""
    return _listed(directory, "events")


def night_sky_files(directory: Path) -> list[Path]:
    """Files of clocked events of a run; none where it was made without."""
    return _listed(directory, "night_sky")


def _listed(directory: Path, kind: str) -> list[Path]:
    folder, path = directory / layout.EVENTS, directory / layout.EVENT_FILES
    with reading(path, "list of event files", "Run `trigger-ml simulate` again"):
        listed = json.loads(path.read_bytes())
        # runs of version 0.1 list event files alone
        files = listed if isinstance(listed, dict) else {"events": listed, "night_sky": []}
        # an absolute path of the user's stays as it is
        return [folder / name for name in files[kind]]


def load_sample(workspace: Workspace) -> Sample:
    """All events of a run as network input, and which of them are for what."""
    config = workspace.config
    kept = workspace.path / layout.EVENTS
    dataset = cached_dataset(event_files(workspace.path), config.events, kept)
    for reason, number in dataset.dropped.items():
        workspace.console.print(f"  {number} events dropped: {reason}", markup=False)
    night = cached_night_sky(night_sky_files(workspace.path), config.events, kept)
    training, test = (None, None) if night is None else split_night_sky(night, config.seed)
    splits = split_by_shower(dataset, config.events.split, config.seed)
    return Sample(dataset, splits, training, test, config)
