"""Golden test vectors: what every layer must give for a set of inputs, as integers.

A folder of vectors holds ``vectors.npz`` (all arrays, named ``NODE/output``), one text file for each node
(``NODE.dat``: one event a line, decimal integers in the order row, column, channel), for the input and
the outputs also ``NODE.mem`` for Verilog's ``$readmemh`` (one integer a line, two's complement of the
type's width), and ``vectors.json``, which says what each file is.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.files import atomic_directory, atomic_path, write_json, write_text
from trigger_ml.core.fixed_point import FixedPoint, FixedPointFields, IntArray, to_float
from trigger_ml.core.foreign import reading
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Network

__all__ = ["read_vectors", "write_testbench", "write_vectors"]

MANIFEST = "vectors.json"


def _lines(values: IntArray) -> str:
    """One event a line."""
    return "".join(" ".join(map(str, row)) + "\n" for row in values.reshape(len(values), -1).tolist())


def _hex(values: IntArray, dtype: FixedPoint) -> str:
    """One integer a line, in two's complement."""
    digits = -(-dtype.width // 4)
    mask = (1 << dtype.width) - 1
    return "".join(f"{n & mask:0{digits}x}\n" for n in values.reshape(-1).tolist())


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """Distinct file names: node names may hold any character."""
    files: dict[str, str] = {}
    for name in names:
        stem = base = re.sub(r"[^\w.-]", "_", name)
        number = 1
        while stem in files.values():
            number += 1
            stem = f"{base}_{number}"
        files[name] = stem
    return files


class NamedType(FixedPointFields):
    """A type and what it is called."""

    name: str


class NodeFiles(TypedDict):
    """A node of the network, and the files of its values beside the manifest."""

    op: str
    inputs: list[str]
    shape: list[int]
    type: NamedType
    dat: str
    mem: NotRequired[str]


class VectorManifest(TypedDict):
    """What tells of a folder of vectors."""

    events: int
    event_ids: list[object]
    input: str
    outputs: list[str]
    nodes: dict[str, NodeFiles]
    metadata: dict[str, object]


def write_vectors(
    network: Network, counts: ArrayLike, directory: Path, *, event_ids: Sequence[object] | None = None
) -> None:
    """Evaluate the network and write every node's output; an older folder is replaced at the end.

    Parameters
    ----------
    network : Network
    counts : array_like of int, shape (events, *network.input.size)
    directory : Path
    event_ids : sequence, optional
        JSON values that tell which event each row is; default: its number.
    """
    counts = np.asarray(counts)
    values = evaluate(network, counts)
    ids = [_plain(i) for i in (range(len(counts)) if event_ids is None else event_ids)]
    files = _file_names([node.name for node in network.nodes])
    nodes: dict[str, NodeFiles] = {}
    with atomic_directory(directory) as folder:
        arrays: dict[str, IntArray] = {f"{name}/output": values[name] for name in files}
        with atomic_path(folder / "vectors.npz") as partial:
            np.savez_compressed(partial, allow_pickle=False, **arrays)
        for node in network.nodes:
            dtype = network.types[node.name]
            entry: NodeFiles = {
                "op": node.op,
                "inputs": list(node.inputs),
                "shape": list(network.shapes[node.name]),
                "type": {**dtype.to_dict(), "name": str(dtype)},
                "dat": f"{files[node.name]}.dat",
            }
            write_text(folder / entry["dat"], _lines(values[node.name]))
            if node is network.input or node.name in network.outputs:
                entry["mem"] = f"{files[node.name]}.mem"
                write_text(folder / entry["mem"], _hex(values[node.name], dtype))
            nodes[node.name] = entry
        manifest: VectorManifest = {
            "events": len(counts),
            "event_ids": ids,
            "input": network.input.name,
            "outputs": list(network.outputs),
            "nodes": nodes,
            "metadata": dict(network.metadata),
        }
        write_json(folder / MANIFEST, manifest)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def read_vectors(directory: Path) -> tuple[VectorManifest, dict[str, NDArray[np.int64]]]:
    """Manifest and arrays by node name.

    Raises
    ------
    InputError
        If the folder holds no vectors.
    """
    with reading(directory, "set of test vectors", "Write them with `trigger-ml build`"):
        manifest = json.loads((directory / MANIFEST).read_bytes())
        with np.load(directory / "vectors.npz", allow_pickle=False) as arrays:
            found = {name: arrays[f"{name}/output"] for name in manifest["nodes"]}
        if bad := [name for name, values in found.items() if values.dtype.kind not in "iu"]:
            raise ValueError(f"{bad[0]} holds no integers")
        return manifest, found


def write_testbench(network: Network, counts: ArrayLike, project: Path) -> None:
    """Give an hls4ml project's own test bench the inputs and the expected outputs.

    Parameters
    ----------
    network : Network
    counts : array_like of int, shape (events, *network.input.size)
    project : Path
        Folder of the project; its ``tb_data`` is filled.
    """
    counts = np.asarray(counts)
    values = evaluate(network, counts)
    inputs = to_float(counts, network.input.dtype.fraction).reshape(len(counts), -1)
    outputs = np.concatenate(
        [
            to_float(values[name], network.types[name].fraction).reshape(len(counts), -1)
            for name in network.outputs
        ],
        axis=1,
    )
    folder = project / "tb_data"
    for name, rows in (("tb_input_features", inputs), ("tb_output_predictions", outputs)):
        text = "".join(" ".join(f"{x:.17g}" for x in row) + "\n" for row in rows.tolist())
        write_text(folder / f"{name}.dat", text)
