"""Counts to a model in batches: with targets for its training, and alone for its outputs."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import input_scale, input_values
from trigger_ml.core.keras2 import tf
from trigger_ml.core.keras_types import Model, Tensor

__all__ = ["Feed", "evaluation_batch", "predict"]

_VALUES = 2**25


class Feed:
    """Batches of values and targets from integers kept once in memory.

    Parameters
    ----------
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
    target : numpy.ndarray of float32, shape (events, outputs)
    bits : int
        The model takes ``counts * 2**-bits``.
    symmetries : numpy.ndarray of int64, shape (n, height * width), optional
        For each symmetry the cell from which each cell takes its value.
    """

    def __init__(
        self,
        counts: NDArray[np.integer],
        target: NDArray[np.float32],
        bits: int,
        symmetries: NDArray[np.int64] | None = None,
    ) -> None:
        # tensors captured by a function are passed by reference, not copied into the graph
        self.counts, self.target = tf.constant(counts), tf.constant(target)
        self.scale = input_scale(bits)
        self.symmetries = None if symmetries is None else tf.constant(symmetries.astype(np.int32))

    def batches(
        self, order: NDArray[np.int64], batch_size: int, rng: np.random.Generator | None = None
    ) -> Any:
        """Batches in an order; with a generator, each event through a symmetry that it draws."""
        shape = tuple(self.counts.shape[1:])

        def take(rows: Tensor, turn: Tensor) -> Tensor:
            x = tf.gather(self.counts, rows)
            if self.symmetries is not None and rng is not None:
                flat = tf.reshape(x, (-1, int(np.prod(shape[:-1])), shape[-1]))
                flat = tf.gather(flat, tf.gather(self.symmetries, turn), batch_dims=1)
                x = tf.reshape(flat, (-1, *shape))
            return tf.cast(x, tf.float32) * self.scale, tf.gather(self.target, rows)

        turns = np.zeros(len(order), dtype=np.int32)
        if self.symmetries is not None and rng is not None:
            turns = rng.integers(len(self.symmetries), size=len(order), dtype=np.int32)
        data = tf.data.Dataset.from_tensor_slices((order, turns)).batch(batch_size)
        return data.map(take, num_parallel_calls=2, deterministic=True).prefetch(4)


def evaluation_batch(model: Model) -> int:
    """Events that a model is asked for at a time: 512, or fewer where its maps are large.

    The largest output of a layer then takes at most an eighth of a gigabyte; several are in memory at once.
    """
    shapes = [output.shape[1:] for layer in model.layers for output in tf.nest.flatten(layer.output)]
    return int(np.clip(_VALUES // max(math.prod(n or 1 for n in shape) for shape in shapes), 1, 512))


def predict(
    model: Model, counts: NDArray[np.unsignedinteger], bits: int, batch: int | None = None
) -> NDArray[np.float64]:
    """Outputs of a model.

    Parameters
    ----------
    model : tf_keras.Model
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
    bits : int
        The model takes ``counts * 2**-bits``.
    batch : int, optional
        Events at a time; default: see `evaluation_batch`.

    Returns
    -------
    numpy.ndarray of float64, shape (events, outputs)
    """
    if not len(counts):
        return np.zeros((0, model.output_shape[-1]))
    batch = batch or evaluation_batch(model)
    call = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    parts = [
        call(tf.constant(input_values(counts[i : i + batch], bits))).numpy()
        for i in range(0, len(counts), batch)
    ]
    return np.concatenate(parts).astype(np.float64)
