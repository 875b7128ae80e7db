"""The hls4ml project: written from the network, with every type that it prescribes.

hls4ml is always asked for bit-exact types: its default silently loses precision. The types of the input
and of every quantizer are set from the network's own, since hls4ml guesses some of them wrongly (an
unsigned ``quantized_bits`` becomes signed). A project is complete when its folder exists: it is written
beside and renamed. Its C simulation is in :mod:`trigger_ml.firmware.hls.csim`.
"""

import difflib
import importlib.util
import io
import json
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hls4ml

from trigger_ml.core.config.firmware import HlsConfig
from trigger_ml.core.errors import InputError, MappingError, ToolMissingError
from trigger_ml.core.files import atomic_directory, write_json
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import hls4ml_sees_keras2
from trigger_ml.firmware.hls import rules
from trigger_ml.firmware.hls.backends import (
    CSIM_BACKENDS,
    conversion_options,
    part_of,
    require_backend,
    require_code,
    settle,
    stamped,
)
from trigger_ml.firmware.hls.model import Twin, project_name, twin_for_hls4ml
from trigger_ml.firmware.hls.support import HLS, Setting, lacking
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.network import Network, Quantize

__all__ = ["CSIM_BACKENDS", "MANIFEST", "HlsProject", "preflight", "write_project"]

MANIFEST = "trigger_ml.json"
SETTINGS = ("ReuseFactor", "Strategy", "ParallelizationFactor", "ConvImplementation", "TableSize")

rules.register()


@dataclass(frozen=True)
class HlsProject:
    """A written project.

    Parameters
    ----------
    directory : Path
    manifest : dict
        Name, backend, input, outputs and layers (hls4ml's name and result type, and the node of the network
        with the same values).
    """

    directory: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, directory: Path) -> "HlsProject":
        """Open a project folder.

        Raises
        ------
        InputError
            If it is none.
        """
        try:
            manifest = json.loads((directory / MANIFEST).read_bytes())
            if not isinstance(manifest, dict) or not {"project", "backend", "layers"} <= set(manifest):
                raise ValueError("no description of a project")
            return cls(directory, manifest)
        except (OSError, ValueError, RecursionError):
            raise InputError(
                str(directory), f"no hls4ml project with a {MANIFEST}", "Write it with `trigger-ml build`"
            ) from None


def preflight(network: Network, config: HlsConfig) -> None:
    """Find what hls4ml cannot represent, before any work is done.

    Raises
    ------
    MappingError
        Naming the layer, the reason and the remedy.
    ToolMissingError
        If the strategy needs a package that is not installed.
    """
    _twin(network, config)


def _twin(network: Network, config: HlsConfig) -> Twin:
    """The model for hls4ml, if all of it can be represented; see :func:`preflight`."""
    require_backend(config.backend, config.io_type)
    setting = Setting(network, config)
    for node in network.nodes:
        HLS.of(node)(setting, node)
    twin = twin_for_hls4ml(network)
    own = {theirs: ours for ours, theirs in twin.names.items()}
    for layer in twin.model.layers:
        if layer.name in own and (reason := lacking(config.backend, config.io_type, type(layer).__name__)):
            node = network[own[layer.name]]
            raise setting.refuse(node, reason, "Use another backend, io_type or layer")
    names = set(twin.names)
    for name, settings in config.layers.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"Layers: {', '.join(sorted(names))}"
            raise MappingError(f"firmware.hls.layers.{name}", "no such layer in the network", remedy)
        if unknown := [key for key in settings if key not in SETTINGS]:
            raise MappingError(
                f"firmware.hls.layers.{name}.{unknown[0]}",
                "not a setting that leaves the arithmetic unchanged",
                f"Use one of {', '.join(SETTINGS)}",
            )
    if config.strategy == "Distributed_Arithmetic" and importlib.util.find_spec("da4ml") is None:
        raise ToolMissingError(
            "da4ml",
            "hls4ml's strategy Distributed_Arithmetic needs it and it is not installed",
            "Use strategy Latency or Resource, or the RTL project, which does the same without it",
        )
    return twin


def _precision(dtype: FixedPoint, modes: str = "") -> str:
    return str(dtype).replace(">", f"{modes}>")


def _hls_config(twin: Twin, network: Network, config: HlsConfig, trace: bool) -> dict[str, Any]:
    """hls4ml's settings for the twin."""
    settings: dict[str, Any] = hls4ml.utils.config_from_keras_model(
        twin.model,
        granularity="name",
        backend=config.backend,
        default_precision="fixed<16,6>",
        default_reuse_factor=config.reuse_factor,
    )
    settings["Model"]["Strategy"] = config.strategy
    settings["Model"][rules.TRUST_INPUT] = True
    layers, names = settings["LayerName"], twin.names
    layers[names[network.input.name]]["Precision"]["result"] = _precision(network.input.dtype)
    for node in network.nodes:
        if isinstance(node, Quantize):
            modes = f",{node.rounding},{node.overflow}"
            layers[names[node.name]]["Precision"]["result"] = _precision(node.dtype, modes)
    for name, extra in config.layers.items():
        layers[names[name]].update(extra)
    for values in layers.values():
        values["Trace"] = trace
    return settings


def _node_of_layers(graph: Any, names: Mapping[str, str], network: Network) -> dict[str, str]:
    """Which node of the network has the values of each hls4ml layer, where one has.

    hls4ml moves a quantizer's type into the layer before it and drops the quantizer; where it also keeps
    a linear activation behind that layer (``X_linear``), that one carries the type.
    """
    kept = {layer.name: layer for layer in graph.get_layers()}
    result: dict[str, str] = {}
    for node in network.nodes:
        own = names[node.name]
        last = f"{own}_linear" if f"{own}_linear" in kept else own
        if last not in kept:
            continue
        consumers = network.consumers(node.name)
        fused = (
            len(consumers) == 1
            and isinstance(consumers[0], Quantize)
            and names[consumers[0].name] not in kept
        )
        candidates = {last: consumers[0].name if fused else node.name}
        if fused and last != own:
            candidates[own] = node.name
        for layer, name in candidates.items():
            # a type with fewer fraction bits than the node's shows only a part of its value
            if kept[layer].get_output_variable().type.precision.fractional >= network.bounds[name].fraction:
                result[layer] = name
    return result


def _manifest(
    graph: Any, names: Mapping[str, str], network: Network, config: HlsConfig, name: str
) -> dict[str, Any]:
    nodes = _node_of_layers(graph, names, network)
    return {
        "project": name,
        "backend": config.backend,
        "io_type": config.io_type,
        "strategy": config.strategy,
        "reuse_factor": config.reuse_factor,
        "part": config.part,
        "clock_period_ns": config.clock_period,
        "input": {"shape": list(network.input.size), "type": network.input.dtype.to_dict()},
        "outputs": [
            {"name": out, "shape": list(network.shapes[out]), "fraction": network.types[out].fraction}
            for out in network.outputs
        ],
        "layers": [
            {
                "name": layer.name,
                "class": layer.class_name,
                "type": str(layer.get_output_variable().type.precision),
                "shape": [int(n) for n in layer.get_output_variable().shape],
                "node": nodes.get(layer.name),
                "fraction": network.bounds[nodes[layer.name]].fraction if layer.name in nodes else None,
            }
            for layer in graph.get_layers()
        ],
    }


def write_project(
    network: Network,
    config: HlsConfig,
    directory: Path,
    *,
    name: str = "trigger",
    trace: bool = False,
) -> HlsProject:
    """Write the hls4ml project of a network.

    Parameters
    ----------
    network : Network
    config : HlsConfig
    directory : Path
        Folder of the project; one that exists is replaced when the new one is complete.
    name : str
        The top function is named after it; see :func:`~trigger_ml.firmware.hls.model.project_name`.
    trace : bool
        Let the C simulation record every layer's output (slower; to find a difference).

    Raises
    ------
    MappingError, ToolMissingError
        See :func:`preflight`.
    """
    twin = _twin(network, config)
    name = project_name(name)
    with atomic_directory(directory) as partial:
        with hls4ml_sees_keras2(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # hls4ml saves the model, and QKeras registers its quantizers as constraints
            warnings.simplefilter("ignore", UserWarning)
            graph = hls4ml.converters.convert_from_keras_model(
                twin.model,
                hls_config=_hls_config(twin, network, config, trace),
                output_dir=str(partial),
                project_name=name,
                backend=config.backend,
                io_type=config.io_type,
                part=part_of(config.backend, config.part),
                clock_period=config.clock_period,
                bit_exact=True,
                **conversion_options(config.backend),
            )
            graph.config.trace_output = trace
            with stamped(serialize.digest(network), config.model_dump(mode="json"), name, trace):
                graph.write()
        require_code(graph, twin.names)
        settle(partial, name, config.backend)
        write_json(partial / MANIFEST, _manifest(graph, twin.names, network, config, name))
    return HlsProject.open(directory)
