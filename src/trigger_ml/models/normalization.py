"""The averages of batch normalization, measured on training events for the weights as they are.

While it is trained, a normalization follows the mean and variance of its batches with a memory of about a
hundred steps, in which the weights moved: what it has at the end belongs to no weights at all, and a
validation loss computed with it jumps (Wu and Johnson 2021, arXiv:2105.07576, section 3).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import input_values
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.graph import steps

__all__ = ["chosen_events", "measure_averages"]

EVENTS = 2048
"""Most events on which the averages are measured."""
LEAST = 256
ROOM = 2**27
"""Bytes that the largest output of a layer may take for all these events; larger ones mean fewer events."""
CHUNK = 256


def chosen_events(model: Model, counts: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Rows of the events on which a model's averages are measured: always the same ones for a seed.

    Parameters
    ----------
    model : tf_keras.Model
        Functional; its layers' outputs decide how many events there is room for.
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
    seed : int

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Ascending.
    """
    largest = max(
        int(np.prod([n for n in shape if n is not None], dtype=np.int64))
        for layer in model.layers
        for shape in (layer.output_shape if isinstance(layer.output_shape, list) else [layer.output_shape])
    )
    number = int(np.clip(ROOM // (4 * largest), LEAST, EVENTS))
    return np.sort(np.random.default_rng([seed, 3]).permutation(len(counts))[:number])


def measure_averages(
    model: Model, counts: NDArray[np.unsignedinteger], bits: int, *, seed: int, chunk: int = CHUNK
) -> None:
    """Set every normalization's averages to those of its input on a sample of events, in place.

    All events go through the network once, layer by layer, each normalization with its new averages before
    the next layer reads it: what the layers see is what they see in inference, whatever the size of the
    chunks. (In training mode, and in batches, a layer would see its input divided by the spread of a few
    events.) A model without normalization is left alone.

    Parameters
    ----------
    model : tf_keras.Model
        Functional; also one that is being pruned.
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)
        Training events.
    bits : int
        The model takes ``counts * 2**-bits``.
    seed : int
        Of the choice of events (see :func:`chosen_events`).
    chunk : int
        Events at a time; the result depends on it only in the rounding of float32.
    """
    last = _last_normalization(model)
    if last is None or not len(counts):
        return
    values = input_values(counts[chosen_events(model, counts, seed)], bits)
    starts = range(0, len(values), chunk)
    made: dict[str, list[Tensor]] = {}
    graph = steps(model)
    waiting = {step.name: 0 for step in graph}
    for step in graph:
        for name in step.inputs:
            waiting[name] += 1
    for step in graph:
        if step.kind == "InputLayer":
            made[step.name] = [tf.constant(values[i : i + chunk]) for i in starts]
            continue
        read = [made[name] for name in step.inputs]
        if isinstance(step.layer, tf_keras.layers.BatchNormalization):
            _set_averages(step.layer, read[0])
            if step.name == last:
                return
        made[step.name] = [
            step.layer(list(parts) if len(parts) > 1 else parts[0], training=False)
            for parts in zip(*read, strict=True)
        ]
        for name in step.inputs:
            waiting[name] -= 1
            if not waiting[name]:
                del made[name]


def _last_normalization(model: Model) -> str | None:
    names = [layer.name for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    if not names:
        return None
    found: str = [step.name for step in steps(model) if step.name in names][-1]
    return found


def _set_averages(layer: Layer, parts: list[Tensor]) -> None:
    """Mean and variance over all events and cells; sums in float64, about the first chunk's mean."""
    (axis,) = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    channels = int(parts[0].shape[axis])
    total, squares, number = np.zeros(channels), np.zeros(channels), 0
    origin: Any = None
    for part in parts:
        flat = np.moveaxis(part.numpy(), axis, -1).reshape(-1, channels)
        if origin is None:
            origin = flat.mean(axis=0, dtype=np.float64)
        total += flat.sum(axis=0, dtype=np.float64)
        # squares about a value near the mean: the difference of two large numbers would lose the variance
        squares += np.square(flat - origin.astype(np.float32)).sum(axis=0, dtype=np.float64)
        number += len(flat)
    mean = total / number
    variance = squares / number - np.square(mean - origin.astype(np.float32))
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign(np.maximum(variance, 0.0).astype(np.float32))
