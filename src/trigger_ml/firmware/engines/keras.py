"""The QKeras model itself as an engine."""

from typing import Any, override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray, from_grid, to_float
from trigger_ml.core.keras2 import tf, tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.curves import LINE
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.engines.qkeras64 import predict_in_float64
from trigger_ml.firmware.ir.exactness import prove_float32_exact
from trigger_ml.firmware.ir.network import Network
from trigger_ml.models.heads import before_squashing

__all__ = ["KerasBackend"]


def _predict(model: Model, x: NDArray[np.float32], batch: int) -> list[NDArray[Any]]:
    """Outputs at inference; what would be compiled for one batch is called as it is."""
    if len(x) > batch:
        return list(tf.nest.flatten(model.predict(x, batch_size=batch, verbose=0)))
    return [tensor.numpy() for tensor in tf.nest.flatten(model(x, training=False))]


class KerasBackend(Backend):
    """The QKeras model itself, as its owner has it.

    It is evaluated in float32, which is how it was trained, where that holds every sum of the network; where
    it does not, QKeras' own code runs in float64 (see `trigger_ml.firmware.engines.qkeras64`): the model's
    function is what its quantizers say, not what float32 makes of it.

    Parameters
    ----------
    model : tf_keras.Model
        Also one that ends with a softmax or sigmoid: what comes before that is compared, and for two classes
        the difference of their columns.
    network : Network
        Extracted from it.
    batch : int
    gamma_column : int
        Column of a two-class softmax that means gamma.
    """

    name = "qkeras"

    def __init__(self, model: Model, network: Network, *, batch: int = 256, gamma_column: int = 1) -> None:
        self._model = before_squashing(model)
        self._network = network
        given = list(self._model.output_names)
        # an output has the name of its node, unless what it ends with changes no value
        self._names = list(network.outputs) if len(given) == len(network.outputs) else given
        self._batch = batch
        self._gamma_column = gamma_column
        # a line stands for what the model computes in float32, whatever that is
        lines = {node.name for node in network.nodes if node.name.endswith(LINE)}
        inexact = {layer.name for layer in prove_float32_exact(network) if not layer.exact} - lines
        self._single = all(lines.intersection(network[name].inputs) for name in inexact)

    def _evaluate(self, model: Model, counts: NDArray[np.integer]) -> list[NDArray[Any]]:
        # a series is a map of one row in the network, a vector may be told as a map
        shaped = counts.reshape(len(counts), *model.input_shape[1:])
        x = to_float(shaped, self._network.input.dtype.fraction)
        if self._single:
            return _predict(model, x.astype(np.float32), self._batch)
        return predict_in_float64(model, x, self._batch)

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        results = dict(zip(self._names, self._evaluate(self._model, counts), strict=True))
        types = self._network.types
        return {
            name: from_grid(self._joined(name, results[name].astype(np.float64)), types[name].fraction)
            for name in self._network.outputs
        }

    def _joined(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """An output's columns, or the difference of two where the network has that."""
        if values.shape[1:] == (2,) and self._network.shapes[name] == (1,):
            gamma = self._gamma_column
            return values[:, [gamma]] - values[:, [1 - gamma]]
        return values

    @override
    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        present = {layer.name: layer for layer in self._model.layers}
        shapes = self._network.shapes
        # a head whose columns the network has joined is another tensor
        names = [
            node.name
            for node in self._network.nodes
            if node.name in present and tuple(present[node.name].output.shape[1:]) == shapes[node.name]
        ]
        inner = tf_keras.Model(self._model.inputs, [present[name].output for name in names])
        bounds = self._network.bounds
        return {
            name: from_grid(result, bounds[name].fraction)
            for name, result in zip(names, self._evaluate(inner, counts), strict=True)
        }

    @override
    def type_of(self, layer: str) -> str:
        """Number format in which Keras computes."""
        return "float32" if self._single else "float64"
