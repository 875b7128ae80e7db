"""The QKeras model itself as an engine."""

from typing import Any, override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray, from_grid, to_float
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.curves import LINE
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.engines.qkeras64 import predict_in_float64
from trigger_ml.firmware.ir.exactness import prove_float32_exact
from trigger_ml.firmware.ir.network import Network
from trigger_ml.models.heads import before_squashing, squashing

__all__ = ["KerasBackend"]


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
        self._joins = squashing(model) == "softmax"
        self._model = before_squashing(model)
        self._network = network
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
            results = model.predict(x.astype(np.float32), batch_size=self._batch, verbose=0)
        else:
            results = predict_in_float64(model, x, self._batch)
        return list(results) if isinstance(results, list) else [results]

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        results = [result.astype(np.float64) for result in self._evaluate(self._model, counts)]
        if self._joins:
            gamma = self._gamma_column
            results = [result[..., [gamma]] - result[..., [1 - gamma]] for result in results]
        network = self._network
        return {
            name: from_grid(result, network.types[name].fraction)
            for name, result in zip(network.outputs, results, strict=True)
        }

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
