"""Labelled events as network input, and how they are divided."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import SplitConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.quantize import Counts
from trigger_ml.events.table import Rows, Truth
from trigger_ml.instrument.bilinear import BilinearMap
from trigger_ml.instrument.camera import AxialGrid

__all__ = ["Dataset", "RunEvents", "Splits", "split_by_shower"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class RunEvents:
    """What became of the events of one particle in one run.

    Parameters
    ----------
    file_index, obs_id : int
        Together they name the run: files may number their runs alike.
    primary_id : int
        sim_telarray particle code.
    read : int
        Telescope events in the file, of the telescopes chosen.
    usable : int
        Of these, with finite pixels and at least ``events.min_size``: losses and cuts of the instrument.
    kept : int
        Of these, within ``events.max_events``: a sample of them, as if fewer showers had been thrown.
    """

    file_index: int
    obs_id: int
    primary_id: int
    read: int
    usable: int
    kept: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled events as network input, one row each.

    Parameters
    ----------
    counts : numpy.ndarray of uint8 or uint16, shape (n, H, W, C)
    label : numpy.ndarray of int8, shape (n,)
        1 gamma, 0 background.
    energy : numpy.ndarray of float64, shape (n,)
        True energy in TeV.
    size : numpy.ndarray of float64, shape (n,)
        Charge of the cleaned image in photo-electrons (see `trigger_ml.events.light`).
    obs_id, event_id, tel_id : numpy.ndarray of int64, shape (n,)
    shower_id : numpy.ndarray of int64, shape (n,)
        Equal for all images of one shower, unique over files.
    truth : Truth
        Its ``shower_id`` is the one above.
    pointing_alt, pointing_az : numpy.ndarray of float64, shape (n,)
        Radians.
    file_index : numpy.ndarray of int64, shape (n,)
        Which of ``files`` the event is from. Productions of different particles may number their runs alike:
        ``obs_id``, ``event_id`` and ``tel_id`` are unique only within a file.
    files : tuple of pathlib.Path
    dropped : dict of str to int
        Reason and number of events left out.
    conditions : dict of str to numpy.ndarray of float64, shape (n,)
        What the camera knows of itself while it took an event (names of `domain.QUANTITIES`), and where
        simulated the true nuisances (``true_`` and their names); NaN where unknown.
    event_type : numpy.ndarray of int64, shape (n,)
        ctapipe's ``EventType`` codes.
    noise_sources : tuple of str
        For each file how the noise of its pixels was found.
    grid : AxialGrid or BilinearMap
        Which cell each pixel has.
    accounts : tuple of RunEvents
        Of all runs that have events, whether any was kept or not.
    """

    counts: Counts
    label: NDArray[np.int8]
    energy: NDArray[np.float64]
    size: NDArray[np.float64]
    obs_id: NDArray[np.int64]
    event_id: NDArray[np.int64]
    tel_id: NDArray[np.int64]
    shower_id: NDArray[np.int64]
    truth: Truth
    pointing_alt: NDArray[np.float64]
    pointing_az: NDArray[np.float64]
    file_index: NDArray[np.int64]
    files: tuple[Path, ...]
    dropped: dict[str, int]
    conditions: dict[str, NDArray[np.float64]]
    event_type: NDArray[np.int64]
    noise_sources: tuple[str, ...]
    grid: AxialGrid | BilinearMap
    accounts: tuple[RunEvents, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: Rows) -> "Dataset":
        """Rows chosen by a slice, a mask or an index array; facts about the whole stay."""
        columns = {
            item.name: getattr(self, item.name)[rows]
            for item in fields(self)
            if item.name not in ("files", "dropped", "grid", "conditions", "noise_sources", "accounts")
        }
        conditions = {name: column[rows] for name, column in self.conditions.items()}
        return replace(self, **columns, conditions=conditions)

    @property
    def names(self) -> list[str]:
        """How a user finds each event: observation, event and telescope."""
        ids = zip(self.obs_id.tolist(), self.event_id.tolist(), self.tel_id.tolist(), strict=True)
        return [f"{obs}/{event}/{telescope}" for obs, event, telescope in ids]

    @property
    def run(self) -> Indices:
        """Number of each event's run, shape (n,): equal for one observation of one file."""
        pairs = np.stack([self.file_index, self.obs_id])
        return np.asarray(np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Splits:
    """Row numbers of the three parts of a dataset, each ascending."""

    train: Indices
    validation: Indices
    test: Indices


def split_by_shower(dataset: Dataset, config: SplitConfig, seed: int) -> Splits:
    """Divide a dataset into training, validation and test rows; all images of one shower stay together.

    Parameters
    ----------
    dataset : Dataset
    config : SplitConfig
        Fractions of the showers, kept in each class.
    seed : int
        The same seed, dataset and fractions give the same split.

    Returns
    -------
    Splits

    Raises
    ------
    InputError
        If a class has fewer than three showers, one for each part.
    """
    rng = np.random.default_rng(seed)
    part_of_row = np.zeros(len(dataset), dtype=np.int8)
    for label in (1, 0):
        rows = np.flatnonzero(dataset.label == label)
        showers, inverse = np.unique(dataset.shower_id[rows], return_inverse=True)
        n = len(showers)
        if n < 3:
            name = "gamma" if label else "background"
            raise InputError(
                "events", f"only {n} {name} showers, too few to split", "Give or simulate more events"
            )
        n_test = min(max(round(config.test * n), 1), n - 2)
        n_validation = min(max(round(config.validation * n), 1), n - n_test - 1)
        part = np.zeros(n, dtype=np.int8)
        order = rng.permutation(n)
        part[order[:n_test]] = 2
        part[order[n_test : n_test + n_validation]] = 1
        part_of_row[rows] = part[inverse]
    train, validation, test = (np.flatnonzero(part_of_row == part) for part in range(3))
    return Splits(train=train, validation=validation, test=test)
