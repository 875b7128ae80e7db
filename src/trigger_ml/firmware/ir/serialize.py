"""Networks on disk: one ``.npz`` with the structure as JSON and the weights as integer arrays.

No pickle takes part, so a file from a stranger is safe to open. The format is described in
``docs/network-format.md``.
"""

import hashlib
import io
import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.files import write_bytes
from trigger_ml.core.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from trigger_ml.core.foreign import reading
from trigger_ml.firmware.ir.network import FORMAT_VERSION, NODE_TYPES, Affine, Input, Network, Node
from trigger_ml.firmware.ir.ops import Lookup

__all__ = ["digest", "load", "save"]

ARRAYS = ("kernel", "bias", "table")
"""Fields of ops that are arrays of the file."""
WRITE_AGAIN = "Write it again with `trigger-ml compress`, or check the path"


def _encode(node: Node, arrays: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"op": node.op}
    for item in fields(node):
        value = getattr(node, item.name)
        if "since" in item.metadata and value == item.default:
            # what older readers take for granted
            continue
        if isinstance(value, np.ndarray):
            arrays[f"{node.name}/{item.name}"] = value.astype(np.int64)
        else:
            record[item.name] = value.to_dict() if isinstance(value, FixedPoint) else value
    return record


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _decode(record: dict[str, Any], arrays: Any) -> Node:
    values: dict[str, Any] = {}
    cls = NODE_TYPES[record["op"]]
    for item in fields(cls):
        if item.name in ARRAYS:
            values[item.name] = arrays[f"{record['name']}/{item.name}"]
            continue
        if item.name not in record and (item.default is not MISSING or item.default_factory is not MISSING):
            # a field that the format gained after the file was written
            continue
        value = record[item.name]
        if item.name.endswith("type"):
            value = FixedPoint(**value)
        elif item.name == "rounding":
            value = Rounding(value)
        elif item.name == "overflow":
            value = Overflow(value)
        values[item.name] = _tuples(value)
    return cls(**values)


def _content(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is written of a network: its structure, and the arrays of its nodes by name."""
    arrays: dict[str, Any] = {}
    structure = {
        "format": network.format,
        "nodes": [_encode(node, arrays) for node in network.nodes],
        "outputs": network.outputs,
        "metadata": dict(network.metadata),
    }
    return structure, arrays


def digest(network: Network) -> str:
    """Hash of all that a network holds: equal for equal networks, in any process."""
    structure, arrays = _content(network)
    result = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
    for name, values in sorted(arrays.items()):
        result.update(f"\0{name} {values.shape}\0".encode() + values.astype("<i8").tobytes())
    return result.hexdigest()


def save(network: Network, path: Path) -> None:
    """Write a network, atomically."""
    structure, arrays = _content(network)
    arrays["structure"] = np.frombuffer(json.dumps(structure).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> Network:
    """Read a network.

    Raises
    ------
    InputError
        If the file is missing, is not a network, or was written by a newer version.
    """
    try:
        with reading(path, "network file", WRITE_AGAIN), np.load(path, allow_pickle=False) as arrays:
            structure = json.loads(bytes(arrays["structure"]))
            if int(structure["format"]) > FORMAT_VERSION:
                raise InputError(
                    str(path),
                    f"network format {structure['format']} is newer than {FORMAT_VERSION}, the newest known",
                    "Upgrade trigger_ml",
                )
            nodes = tuple(_decode(record, arrays) for record in structure["nodes"])
            network = Network(nodes, tuple(structure["outputs"]), dict(structure["metadata"]))
            _require_sound(network)
    except MappingError as error:
        raise InputError(str(path), f"{error.what} {error.why}", WRITE_AGAIN) from None
    return network


def _require_integers(node: Node, part: str, values: IntArray, dtype: FixedPoint) -> None:
    if values.dtype.kind not in "iu":
        raise ValueError(f"layer {node.name}: {part} of {values.dtype}, not of integers")
    if values.size and not dtype.contains(int(values.min()), int(values.max())):
        raise ValueError(f"layer {node.name}: {part} beyond its type {dtype}")


def _require_sound(network: Network) -> None:
    """Refuse a network that says one thing and holds another.

    Raises
    ------
    ValueError
    """
    names = [node.name for node in network.nodes]
    if not names or not isinstance(network.nodes[0], Input) or len(set(names)) != len(names):
        raise ValueError("its nodes do not begin with one input, or two have the same name")
    if not network.outputs or not set(network.outputs) <= set(names):
        raise ValueError("its outputs are no nodes")
    for node in network.nodes:
        if isinstance(node, Lookup):
            _require_integers(node, "table", node.table, node.dtype)
        if isinstance(node, Affine):
            for part in ("kernel", "bias"):
                _require_integers(node, part, getattr(node, part), getattr(node, f"{part}_type"))
            if not node.fits(network.shapes[node.inputs[0]]):
                raise ValueError(f"layer {node.name}: its kernel, biases and input do not fit together")
    # shapes and intervals of all nodes fit together
    if set(network.types) != set(names) or set(network.shapes) != set(names):
        raise ValueError("not every node has a type")
