"""A model that its owner brings: as their framework has it, and as what comes after takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.classes import class_scores, scores_of_probabilities
from trigger_ml.core.errors import StageError
from trigger_ml.core.keras2 import tf
from trigger_ml.core.keras_types import Model
from trigger_ml.models.batches import evaluation_batch
from trigger_ml.models.heads import Squashing, squashing, squashings, without_squashing

__all__ = ["GivenModel"]

FloatArray = NDArray[np.float64]

# outputs of a converted model may differ from the owner's by the rounding of float32 sums, not more
ROUNDING = 1e-3
# the least positive number of float32: what a probability that underflowed is taken for
_TINY = 1e-45
_BELOW_ONE = 2.0**-24


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model file, opened.

    Parameters
    ----------
    framework : str
        That wrote it, with its version.
    native : keras.Model or tf_keras.Model
        As the owner's framework opens it; never changed.
    twin : tf_keras.Model
        Functional, of the same function; the same object for a functional model of Keras 2.
    """

    framework: str
    native: Any
    twin: Model

    @cached_property
    def squashing(self) -> Squashing:
        """What the owner's output went through at last."""
        return squashing(self.twin)

    @cached_property
    def squashings(self) -> list[Squashing]:
        """The same for each output."""
        return squashings(self.twin)

    @cached_property
    def model(self) -> Model:
        """The twin with one logit in place of a sigmoid or of a two-class softmax: what is compressed."""
        return without_squashing(self.twin)

    @property
    def quantized(self) -> bool:
        """Whether a layer of it is QKeras': then its numbers are fixed-point, and it is taken as it is."""
        return any(type(layer).__module__.startswith("qkeras") for layer in self.twin.layers)

    def require_same(self, expected: FloatArray, found: FloatArray, source: str) -> None:
        """Refuse a converted model that is not the owner's any more.

        Parameters
        ----------
        expected, found : numpy.ndarray of float64, shape (events, outputs)
            Of :meth:`outputs`, and of what the model was converted to; compared as the owner's output.
        source : str
            Named in the error.

        Raises
        ------
        StageError
        """
        if self.squashing != "linear":
            expected, found = (1 / (1 + np.exp(-np.clip(values, -80, 80))) for values in (expected, found))
        else:
            found, expected = (
                values / max(1.0, float(np.abs(expected).max(initial=0))) for values in (found, expected)
            )
        difference = np.abs(found - expected).max(initial=0)
        if not difference < ROUNDING:
            raise StageError(
                source,
                f"converted it differs from itself in {self.framework}, by {difference:.2g} of its output",
                "This is a defect: report it, with the model",
            )

    def outputs(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits, or what a regressor tells, by the owner's framework.

        Parameters
        ----------
        x : numpy.ndarray of float, shape (events, height, width, channels)
            In the unit that the owner's model takes.

        Returns
        -------
        numpy.ndarray of float64, shape (events, columns)
            Of all outputs, one after the other. The logit of a probability that float32 cannot tell from 1 is
            that of the last one below, 16.6.
        """
        if not len(x):
            return np.zeros((0, sum(tensor.shape[-1] for tensor in self.model.outputs)))
        parts = []
        batch = evaluation_batch(self.twin)
        for i in range(0, len(x), batch):
            # called as it is: neither framework's `predict` gains what it takes to compile
            found = self.native(np.asarray(x[i : i + batch], dtype=np.float32), training=False)
            columns = [np.asarray(tensor, dtype=np.float64) for tensor in tf.nest.flatten(found)]
            parts.append([values.reshape(len(values), -1) for values in columns])
        outputs = [np.concatenate(column) for column in zip(*parts, strict=True)]
        kinds = zip(outputs, self.squashings, strict=True)
        return np.concatenate([_unsquashed(values, kind) for values, kind in kinds], axis=1)

    def comparable(self, outputs: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """What :meth:`outputs` gives, from those of a model or network without softmax and sigmoid.

        Parameters
        ----------
        outputs : sequence of array_like of float, shape (events, columns)
            One for each output.
        """
        columns = []
        for values, kind in zip(outputs, self.squashings, strict=True):
            z = np.asarray(values, dtype=np.float64).reshape(len(np.asarray(values)), -1)
            columns.append(class_scores(z) if kind == "softmax" and z.shape[1] > 1 else z)
        return np.concatenate(columns, axis=1)


def _unsquashed(values: FloatArray, kind: Squashing) -> FloatArray:
    """Logits from what a softmax or sigmoid gives; over more than two classes the scores against the rest."""
    if kind == "softmax" and values.shape[1] > 2:
        return scores_of_probabilities(values)
    if kind == "softmax":
        logs = np.log(np.maximum(values, _TINY))
        return np.asarray(logs[:, 1:] - logs[:, :1])
    if kind == "sigmoid":
        # float32 has no number between 1 and this below it
        return np.asarray(np.log(np.maximum(values, _TINY)) - np.log(np.maximum(1 - values, _BELOW_ONE)))
    return values
