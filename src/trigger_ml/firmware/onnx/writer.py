"""The network as an ONNX file of plain operators: its outputs, and all that a user of the file needs.

The file is exact for every network, or is not written (see :mod:`trigger_ml.firmware.onnx.nodes`).
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from trigger_ml.core.errors import MappingError
from trigger_ml.core.files import write_bytes
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.exactness import prove_float32_exact
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.onnx.nodes import translate
from trigger_ml.firmware.onnx.properties import Properties

__all__ = ["EMULATOR_FORMAT", "PROPERTY", "build_emulator", "write_emulator"]

EMULATOR_FORMAT = 1
PROPERTY = "trigger_ml"
OPSET = 17
IR_VERSION = 8


def _counts_dtype(dtype: FixedPoint) -> np.dtype[np.integer]:
    """Smallest NumPy integer type that holds the input type."""
    for kind in ("i1", "i2", "i4") if dtype.signed else ("u1", "u2", "u4"):
        if dtype.maximum <= np.iinfo(kind).max:
            return np.dtype(kind)
    raise MappingError("network input", f"{dtype} is wider than 32 bits", "Use a narrower input")


class _Writer:
    """Puts the translated nodes, the outputs and what a user must know into one model."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.graph, self.values = translate(network)
        self.outputs: dict[str, str] = {}

    def output(self, name: str) -> onnx.ValueInfoProto:
        """Make the real values of an output available as a graph output."""
        value = self.graph.scaled(self.values[name], 0, f"{name}/value")
        shape = self.network.shapes[name]
        tensor = value.tensor
        if len(shape) == 3:
            tensor = self.graph.add("Transpose", [tensor], f"{name}/channels_last", perm=[0, 2, 3, 1])
        else:
            tensor = self.graph.channels_last(value, name).tensor
        if tensor in self.outputs.values():
            tensor = self.graph.add("Identity", [tensor], f"{name}/output")
        self.outputs[name] = tensor
        kind = TensorProto.DOUBLE if value.double else TensorProto.FLOAT
        return helper.make_tensor_value_info(tensor, kind, ["events", *shape])

    def properties(self) -> Properties:
        network = self.network
        proofs = prove_float32_exact(network)
        return {
            "format": EMULATOR_FORMAT,
            "input": {
                "name": network.input.name,
                "shape": list(network.input.size),
                "type": network.input.dtype.to_dict(),
            },
            "outputs": {
                name: {
                    "tensor": tensor,
                    "fraction": self.network.bounds[name].fraction,
                    "shape": list(network.shapes[name]),
                }
                for name, tensor in self.outputs.items()
            },
            "taps": {
                name: {
                    "tensor": value.tensor,
                    "places": self.network.bounds[name].fraction - value.unit,
                    "shape": list(network.shapes[name]),
                    "flat_map": None if value.flat_map is None else list(value.flat_map),
                }
                for name, value in self.values.items()
            },
            "proof": {proof.name: proof.bound for proof in proofs},
            "exact_float32": all(proof.exact for proof in proofs),
            "metadata": dict(network.metadata),
        }

    def model(self) -> onnx.ModelProto:
        network = self.network
        outputs = [self.output(name) for name in network.outputs]
        kind = helper.np_dtype_to_tensor_dtype(_counts_dtype(network.input.dtype))
        counts = helper.make_tensor_value_info(network.input.name, kind, ["events", *network.input.size])
        graph = helper.make_graph(
            self.graph.nodes, "emulator", [counts], outputs, list(self.graph.initializers.values())
        )
        model = helper.make_model(
            graph,
            producer_name="trigger_ml",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, {PROPERTY: json.dumps(self.properties())})
        onnx.checker.check_model(model, full_check=True)
        return model


def build_emulator(network: Network) -> onnx.ModelProto:
    """The network as an ``onnx.ModelProto``; see :func:`write_emulator`."""
    return _Writer(network).model()


def write_emulator(network: Network, path: Path) -> None:
    """Write the network as a self-contained ONNX file, atomically.

    The input is the counts, (events, height, width, channels) of the smallest unsigned integer type that
    holds them; each output is the exact real value of one of the network's outputs (the logit). The
    metadata property ``trigger_ml`` holds, as JSON, all that a user of the file needs: types, shapes,
    the proof and the network's own metadata.

    Raises
    ------
    MappingError
        Naming the layer that can be evaluated exactly neither in float32 nor split into float32 parts.
    """
    write_bytes(path, build_emulator(network).SerializeToString())
