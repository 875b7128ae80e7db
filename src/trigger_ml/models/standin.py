"""What takes the place of a layer that has no equivalent, so that the layers behind it can be looked at.

A model with stand-ins is another model: it serves to find what else stands in the way and what the rest
costs, and nothing is ever made of it.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Tensor
from trigger_ml.models.graph import Step, fresh, rebuild

__all__ = ["stand_in", "with_stand_ins"]

Shape = tuple[int, ...]


def stand_in(name: str, sources: Sequence[Tensor], shape: Shape) -> Tensor:
    """A tensor of a shape, made from others by what firmware has.

    Parameters
    ----------
    name : str
        Of the layer that is made, if one is.
    sources : sequence of tensor
    shape : tuple of int
        Of one event: a map or a vector.

    Returns
    -------
    tensor or None
        One of the sources where it has the shape already; None where no layer gives the shape.
    """
    for source in sources:
        if tuple(source.shape[1:]) == shape:
            return source
    source = sources[0]
    given = tuple(source.shape[1:])
    if len(given) == 3 and len(shape) == 3:
        if any(n < m for n, m in zip(given[:2], shape[:2], strict=True)):
            return None
        strides = tuple(n // m for n, m in zip(given[:2], shape[:2], strict=True))
        kernel = tuple(n - (m - 1) * s for n, m, s in zip(given[:2], shape[:2], strides, strict=True))
        return tf_keras.layers.Conv2D(shape[2], kernel, strides, name=name)(source)
    if len(shape) != 1:
        return None
    if len(given) == 3:
        source = tf_keras.layers.GlobalAveragePooling2D(name=f"{name}_average")(source)
    elif len(given) != 1:
        return None
    return tf_keras.layers.Dense(shape[0], name=name)(source)


def with_stand_ins(model: Model, names: Collection[str]) -> tuple[Model, set[str]]:
    """A model with stand-ins for some of its layers, cut where there can be none.

    Parameters
    ----------
    model : tf_keras.Model
        Functional.
    names : collection of str
        Layers that are replaced.

    Returns
    -------
    model : tf_keras.Model or None
        Its outputs are what no layer reads; None where nothing but the input is left.
    lost : set of str
        Layers behind a cut.
    """
    lost: set[str] = set()
    tensors: dict[str, Tensor] = {}
    read: set[str] = set()
    made: list[tuple[Layer, list[NDArray[np.float32]]]] = []

    def make(step: Step, _: list[Tensor]) -> Tensor:
        if step.kind == "InputLayer":
            tensors[step.name] = tf_keras.Input(step.layer.input_shape[0][1:], name=step.name)
            return tensors[step.name]
        if any(name in lost for name in step.inputs):
            lost.add(step.name)
            return tensors[next(iter(tensors))]
        sources = [tensors[name] for name in step.inputs]
        if step.name in names:
            found = stand_in(step.name, sources, tuple(step.layer.output_shape[1:]))
            if found is None:
                lost.add(step.name)
                return sources[0]
            tensors[step.name] = found
        else:
            layer = fresh(step.layer)
            tensors[step.name] = layer(sources if len(sources) > 1 else sources[0])
            made.append((layer, step.layer.get_weights()))
        read.update(step.inputs)
        return tensors[step.name]

    rebuild(model, make)
    entry, *_ = tensors
    ends = [tensors[name] for name in tensors if name not in read and name != entry]
    if not ends:
        return None, lost
    result = tf_keras.Model(tensors[entry], ends[0] if len(ends) == 1 else ends, name=model.name)
    for layer, weights in made:
        layer.set_weights(weights)
    return result, lost
