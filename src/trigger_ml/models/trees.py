"""Boosted trees on image parameters: what a network has to beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path

__all__ = ["Trees", "fit_trees", "load_trees", "save_trees"]

Columns = Mapping[str, NDArray[np.floating]]
SETTINGS: dict[str, object] = {
    "max_iter": 500,
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "early_stopping": True,
    "n_iter_no_change": 20,
}


@dataclass(frozen=True, eq=False)
class Trees:
    """Trained trees.

    Parameters
    ----------
    classifier : sklearn.ensemble.HistGradientBoostingClassifier
    names : tuple of str
        Parameters in the order that it takes them.
    """

    classifier: HistGradientBoostingClassifier
    names: tuple[str, ...]

    @property
    def iterations(self) -> int:
        """Trees that were kept."""
        return int(self.classifier.n_iter_)

    def logits(self, parameters: Columns) -> NDArray[np.float64]:
        """Logit of each event, gammas positive, shape (events, 1)."""
        return np.asarray(self.classifier.decision_function(_table(parameters, self.names)))[:, np.newaxis]


def _table(parameters: Columns, names: tuple[str, ...]) -> NDArray[np.float32]:
    return np.stack([np.asarray(parameters[name], dtype=np.float32) for name in names], axis=1)


def fit_trees(
    parameters: Columns,
    label: NDArray[np.integer],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    seed: int,
) -> Trees:
    """Train boosted trees; the validation events decide how many.

    Parameters
    ----------
    parameters : mapping of str to numpy.ndarray, shape (events,)
        NaN where a parameter is not defined.
    label : numpy.ndarray of int, shape (events,)
        1 gamma, 0 hadron.
    train, validation : numpy.ndarray of int64
        Rows.
    seed : int

    Returns
    -------
    Trees

    Raises
    ------
    InputError
        If a class has no training or no validation events.
    """
    for part, rows in (("training", train), ("validation", validation)):
        if len(np.unique(label[rows])) < 2:
            raise InputError(f"{part} events", "are of one class only", "Give files of both classes")
    names = tuple(sorted(parameters))
    table = _table(parameters, names)
    classifier = HistGradientBoostingClassifier(random_state=seed, **SETTINGS)
    classifier.fit(table[train], label[train], X_val=table[validation], y_val=label[validation])
    return Trees(classifier, names)


def save_trees(
    path: Path,
    parameters: Columns,
    label: NDArray[np.integer],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    seed: int,
) -> None:
    """Write what :func:`load_trees` makes the same trees from: no pickled code, a few seconds to train."""
    columns = {f"parameter_{name}": np.asarray(value, np.float32) for name, value in parameters.items()}
    with atomic_path(path) as partial:
        np.savez_compressed(
            partial,
            label=np.asarray(label, dtype=np.int8),
            train=train,
            validation=validation,
            seed=np.int64(seed),
            allow_pickle=False,
            **columns,
        )


def load_trees(path: Path) -> tuple[Trees, dict[str, NDArray[np.float32]]]:
    """Train the trees of a run again, and the parameters of all of its events.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "Run the stage `trees` again") from None
    prefix = "parameter_"
    parameters = {
        name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)
    }
    trees = fit_trees(parameters, arrays["label"], arrays["train"], arrays["validation"], int(arrays["seed"]))
    return trees, parameters
