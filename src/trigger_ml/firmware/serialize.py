"""Networks on disk: one ``.npz`` with the structure as JSON and the weights as integer arrays.

No pickle takes part, so a file from a stranger is safe to open. The format is described in
``docs/network-format.md``.
"""

import io
import json
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_bytes
from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding
from trigger_ml.firmware.network import FORMAT_VERSION, NODE_TYPES, Network, Node

__all__ = ["load", "save"]


def _encode(node: Node, arrays: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"op": node.op}
    for item in fields(node):
        value = getattr(node, item.name)
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
        if item.name in ("kernel", "bias"):
            values[item.name] = arrays[f"{record['name']}/{item.name}"]
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


def save(network: Network, path: Path) -> None:
    """Write a network, atomically."""
    arrays: dict[str, Any] = {}
    structure = {
        "format": FORMAT_VERSION,
        "nodes": [_encode(node, arrays) for node in network.nodes],
        "outputs": network.outputs,
        "metadata": dict(network.metadata),
    }
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
        with np.load(path, allow_pickle=False) as arrays:
            structure = json.loads(bytes(arrays["structure"]))
            if int(structure["format"]) > FORMAT_VERSION:
                raise InputError(
                    str(path),
                    f"network format {structure['format']} is newer than {FORMAT_VERSION}, the newest known",
                    "Upgrade trigger_ml",
                )
            nodes = tuple(_decode(record, arrays) for record in structure["nodes"])
        return Network(nodes, tuple(structure["outputs"]), structure["metadata"])
    except FileNotFoundError:
        raise InputError(
            str(path), "no such file", "Run `trigger-ml compress` first, or check the path"
        ) from None
    except (BadZipFile, KeyError, IndexError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(
            str(path), f"not a readable network file ({error})", "Write it again with `trigger-ml compress`"
        ) from error
