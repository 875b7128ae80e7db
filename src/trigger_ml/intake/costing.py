"""The verb ``estimate``: what a model would cost as firmware, in seconds, whatever of it can be held."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trigger_ml.core.config import IntakeConfig, RtlConfig
from trigger_ml.core.documents.intake import CostEstimate, LayerCost, StyleCost
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras_types import Layer
from trigger_ml.firmware.cost.prediction import module_costs
from trigger_ml.firmware.cost.regression import coefficients
from trigger_ml.firmware.cost.synthesis import Cost, part_named, require_fit
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.timing import timing
from trigger_ml.intake.preflight import Preflight, plain_layers, preflight
from trigger_ml.intake.subject import input_type

__all__ = ["estimate"]

STYLES = ("streaming", "unrolled")


def estimate(path: Path, config: IntakeConfig, weights: Path | None = None) -> CostEstimate:
    """Parameters, multiplications, lookup tables, registers, clocks: layer by layer, in both styles.

    A model with layers that firmware cannot hold gets an answer, too: which ones stand in the way, and what
    the others cost.

    Parameters
    ----------
    path : Path
        As of the verb ``firmware``.
    config : IntakeConfig
        Widths of a float model, type of the input, part and clock (``firmware.rtl``).
    weights : Path, optional

    Raises
    ------
    InputError, ConfigError
    """
    # whether the part is large enough, and for what, is said of each style
    found = preflight(path, config, weights, fits=False)
    rtl = config.firmware.rtl or RtlConfig()
    part_named(rtl.part)
    styles: list[StyleCost] = []
    costs: Mapping[str, Cost] = {}
    for style in STYLES:
        known, by_node = _style(found, rtl.model_copy(update={"style": style}))
        styles.append(known)
        costs = by_node if style == "streaming" else costs
    layers = list(_layers(found, costs))
    bits = config.quantization.default
    return CostEstimate(
        str(path),
        found.brought.framework,
        str(input_type(found.brought, config)),
        "its own" if found.brought.quantized else f"weights {bits.weights}, activations {bits.activations}",
        rtl.part,
        rtl.clock_period,
        sum(layer.parameters for layer in layers),
        sum(layer.macs for layer in layers),
        tuple(styles),
        tuple(layers),
        found.refusals,
        found.lost,
    )


def _is_stand_in(found: Preflight, name: str) -> bool:
    return any(name == own or name.startswith((f"{own}_", f"{own}/")) for own in found.stand_ins)


def _style(found: Preflight, config: RtlConfig) -> tuple[StyleCost, Mapping[str, Cost]]:
    """Cost of a style, and of the module that each node begins; without what stand-ins cost."""
    network, whole = found.network, not (found.stand_ins or found.lost)
    if network is None:
        return StyleCost(config.style, reason="nothing of the model can be held"), {}
    if config.style == "unrolled" and not whole:
        return StyleCost(config.style, reason="predicted of whole models only, and a layer is not held"), {}
    try:
        pipeline = outline(network, config)
    except MappingError as error:
        return StyleCost(config.style, reason=str(error)), {}
    modules = module_costs(network, config, pipeline)
    begins = {module.name: module.nodes[0].name for module in pipeline.modules if module.nodes}
    total = sum(
        (cost for name, cost in modules.items() if not _is_stand_in(found, begins.get(name, ""))), Cost()
    )
    too_small = None
    try:
        require_fit(total, part_named(config.part), source="prediction")
    except MappingError as error:
        too_small = str(error)
    errors = coefficients()
    lut = errors["network_error"] if config.style == "streaming" else errors["unrolled_error"]
    ff = errors["ff_error"]
    # with a layer left out the clocks are others
    clocks = timing(pipeline) if whole else None
    known = StyleCost(
        config.style,
        total.lut,
        total.ff,
        math.ceil(total.bram),
        total.dsp,
        math.floor(total.lut * (1 - lut)),
        math.ceil(total.lut * (1 + lut)),
        math.floor(total.ff / (1 + ff)),
        math.ceil(total.ff * (1 + ff)),
        None if clocks is None else clocks.interval,
        None if clocks is None else clocks.latency,
        too_small,
    )
    return known, {begins[name]: cost for name, cost in modules.items() if name in begins}


def _layers(found: Preflight, costs: Mapping[str, Cost]) -> Iterator[LayerCost]:
    refused = {refusal.layer for refusal in found.refusals} | set(found.lost)
    if found.brought.network is not None:
        yield from _nodes(found.brought.network, costs)
        return
    names = {layer.name for layer in plain_layers(found.brought.given.native)}
    for layer in plain_layers(found.brought.given.native):
        shape = _shape(layer)
        # what a layer became is named after it: `fc`, `fc_relu`, `fc_q`, `fc/sum`
        own = [
            cost
            for node, cost in costs.items()
            if node == layer.name
            or (node.startswith((f"{layer.name}_", f"{layer.name}/")) and node not in names)
        ]
        total = sum(own, Cost())
        held = layer.name not in refused
        some = bool(own) and held
        yield LayerCost(
            layer.name,
            type(layer).__name__,
            shape,
            int(layer.count_params()),
            _macs(layer, shape),
            total.lut if some else None,
            total.ff if some else None,
            held,
        )


def _shape(layer: Layer) -> tuple[int, ...]:
    """Shape of a layer's first result for one event, in either Keras."""
    output = layer.output
    output = output[0] if isinstance(output, list | tuple) else output
    return tuple(int(n) for n in output.shape[1:])


def _macs(layer: Layer, shape: tuple[int, ...]) -> int:
    """Multiplications of a layer's kernel for one event."""
    kernel: Any = next(
        (getattr(layer, name) for name in ("kernel", "depthwise_kernel") if hasattr(layer, name)), None
    )
    return 0 if kernel is None else math.prod(shape[:-1]) * int(np.prod(kernel.shape))


def _nodes(network: Network, costs: Mapping[str, Cost]) -> Iterator[LayerCost]:
    for node in network.nodes[1:]:
        shape, cost = network.shapes[node.name], costs.get(node.name)
        weights = node.kernel.size if isinstance(node, Affine) else 0
        yield LayerCost(
            node.name,
            node.op,
            shape,
            weights + (node.bias.size if isinstance(node, Affine) else 0),
            math.prod(shape[:-1]) * weights,
            None if cost is None else cost.lut,
            None if cost is None else cost.ff,
        )
