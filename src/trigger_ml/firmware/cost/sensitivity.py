"""What small changes of a network would cost: its predicted lookup tables, differentiated numerically."""

from dataclasses import dataclass, replace

import numpy as np

from trigger_ml.core.config import RtlConfig
from trigger_ml.firmware.cost.prediction import Prediction, module_costs, predict
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, Node, Quantize
from trigger_ml.firmware.rtl.dataflow import (
    FlattenModule,
    Module,
    Pipeline,
    SumModule,
    WindowModule,
)
from trigger_ml.firmware.rtl.kernels import signed_digits
from trigger_ml.firmware.rtl.project import outline

__all__ = ["Sensitivity", "sensitivity", "silenced"]

THINNED = 0.1
"""Share of a layer's signed digits that is taken away to see what they cost."""


@dataclass(frozen=True)
class Sensitivity:
    """A network's prediction, and what parts of it cost.

    Parameters
    ----------
    prediction : Prediction
    per_digit : dict of str to float
        Lookup tables for each signed digit of a layer's weights.
    per_bit : dict of str to float
        Lookup tables for the last bit of each quantizer's result.
    """

    prediction: Prediction
    per_digit: dict[str, float]
    per_bit: dict[str, float]


def sensitivity(network: Network, config: RtlConfig) -> Sensitivity:
    """Predict a network and its neighbours (a second).

    The neighbours have the same modules; only what is computed in them, and the widths of what is passed on,
    differ.

    Raises
    ------
    MappingError
        If the network cannot be mapped.
    """
    pipeline = outline(network, config)
    base = _lut(network, config, pipeline)

    def saved(node: Node) -> float:
        changed = _with(network, node)
        return base - _lut(changed, config, _retold(pipeline, changed))

    per_digit, per_bit = {}, {}
    for node in network.nodes:
        if isinstance(node, Affine) and node.kernel.any():
            thinner, digits = _thinned(node)
            per_digit[node.name] = max(0.0, saved(thinner) / digits)
        elif isinstance(node, Quantize) and node.dtype.width > 1 + int(node.dtype.signed):
            dtype = replace(node.dtype, width=node.dtype.width - 1, fraction=node.dtype.fraction - 1)
            per_bit[node.name] = max(0.0, saved(replace(node, dtype=dtype)))
    return Sensitivity(predict(network, config, pipeline), per_digit, per_bit)


def silenced(network: Network) -> Network:
    """The network without any weight: no network of the same layers takes fewer lookup tables or clocks."""
    nodes = tuple(
        replace(node, kernel=np.zeros_like(node.kernel), bias=np.zeros_like(node.bias))
        if isinstance(node, Affine)
        else node
        for node in network.nodes
    )
    return Network(nodes, network.outputs, network.metadata)


def _with(network: Network, changed: Node) -> Network:
    nodes = tuple(changed if node.name == changed.name else node for node in network.nodes)
    return Network(nodes, network.outputs, network.metadata)


def _thinned(node: Affine) -> tuple[Affine, int]:
    """The layer without its smallest weights, and how many signed digits they had."""
    flat = node.kernel.ravel()
    digits = signed_digits(flat[:, None]).sum(axis=1)
    order = np.argsort(np.abs(flat), kind="stable")
    order = order[flat[order] != 0]
    number = 1 + int(np.searchsorted(np.cumsum(digits[order]), THINNED * digits.sum()))
    kernel = flat.copy()
    kernel[order[:number]] = 0
    return replace(node, kernel=kernel.reshape(node.kernel.shape)), int(digits[order[:number]].sum())


def _lut(network: Network, config: RtlConfig, pipeline: Pipeline) -> float:
    return float(sum(cost.lut for cost in module_costs(network, config, pipeline).values()))


def _retold(pipeline: Pipeline, network: Network) -> Pipeline:
    """The same modules with the nodes and the types of another network of the same topology."""
    modules: dict[str, Module] = {}
    for module in pipeline.modules:
        nodes = tuple(network[node.name] for node in module.nodes)
        inputs = [modules[name].output for name in module.inputs]
        dtype = network.types[nodes[-1].name] if nodes else None
        if dtype is None:
            dtype = inputs[0].dtype if inputs else module.output.dtype
        changed = replace(module, nodes=nodes, output=replace(module.output, dtype=dtype))
        if isinstance(changed, WindowModule | SumModule | FlattenModule):
            changed = replace(changed, source=replace(changed.source, dtype=inputs[0].dtype))
        modules[module.name] = changed
    return Pipeline(tuple(modules.values()), pipeline.outputs, pipeline.results)
