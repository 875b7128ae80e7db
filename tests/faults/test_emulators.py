"""ONNX emulators for the verb `emulate`, and networks: damaged, foreign, contradicting themselves."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from contract import Product, damaged
from damage import changed
from onnx import numpy_helper
from scipy.special import expit

from trigger_ml.events.dl1 import write_dl1
from trigger_ml.events.table import EventTable
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.onnx.emulator import Emulator
from trigger_ml.firmware.onnx.writer import PROPERTY, build_emulator
from trigger_ml.instrument.digicam import sst1m_subarray

EVENTS = 5


@pytest.fixture(scope="session")
def model(network: Network) -> bytes:
    return bytes(build_emulator(network).SerializeToString())


def test_the_good_one_gives_the_right_values(product: Product, tmp_path: Path, model: bytes) -> None:
    """The oracle: by hand, 3/2 of the largest count, less 1/2."""
    emulator, events, output = (tmp_path / name for name in ("e [x].onnx", "events [1].h5", "out [2].h5"))
    emulator.write_bytes(model)
    image = np.zeros((EVENTS, 1296), np.float32)
    image[np.arange(EVENTS), 7] = largest = np.array([0, 1, 20, 64, 500])
    ids = np.arange(EVENTS)
    zeros = np.zeros(EVENTS)
    table = EventTable(
        obs_id=np.full(EVENTS, 3), event_id=ids, tel_id=np.ones(EVENTS, int), image=image, peak_time=None,
        pointing_alt=zeros + 1.2, pointing_az=zeros,
    )  # fmt: skip
    write_dl1(events, table, sst1m_subarray(), parameters=False)
    code, said = product.run("emulate", emulator, events, "-o", output)
    assert (code, said) == (0, "")
    import tables

    with tables.open_file(output) as h5:
        node = next(h5.walk_nodes("/dl2", "Table"))
        column = next(name for name in node.colnames if name.endswith("prediction"))
        found = node.col(column)
    counts = np.clip(np.rint(largest / 0.5), 0, 255)
    np.testing.assert_allclose(found, expit(1.5 * counts / 256 - 0.5), rtol=1e-6)


def test_damaged_files(product: Product, tmp_path: Path, model: bytes) -> None:
    path, output = tmp_path / "e.onnx", tmp_path / "out.h5"
    for content in damaged(model).values():
        path.write_bytes(content)
        product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)
    path.unlink()
    product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)
    path.mkdir()
    product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)


def _constants(value: float) -> Callable[[Any], None]:
    def change(proto: Any) -> None:
        for item in proto.graph.initializer:
            array = numpy_helper.to_array(item)
            if array.dtype.kind == "f":
                item.CopyFrom(numpy_helper.from_array(np.full_like(array, value), item.name))

    return change


def _outside(proto: Any) -> None:
    item = proto.graph.initializer[0]
    item.data_location = onnx.TensorProto.EXTERNAL
    item.ClearField("raw_data")
    entry = item.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def _alien(proto: Any) -> None:
    proto.graph.node[0].domain = "com.stranger"


def _without_nodes(proto: Any) -> None:
    del proto.graph.node[:]


@pytest.mark.parametrize(
    "change", [_constants(np.nan), _constants(np.inf), _outside, _alien, _without_nodes],
    ids=["NaN", "infinite", "constants in another file", "alien operators", "no nodes"],
)  # fmt: skip
def test_graphs_that_are_none(
    product: Product, tmp_path: Path, model: bytes, change: Callable[[Any], None]
) -> None:
    proto = onnx.load_from_string(model)
    change(proto)
    path, output = tmp_path / "e.onnx", tmp_path / "out.h5"
    path.write_bytes(proto.SerializeToString())
    product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)


def _paths(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of all values of a JSON content but the long lists of the grid and the proof."""
    found: list[tuple[Any, ...]] = []
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in ("proof", "taps", "rows", "columns", "exact_float32", "name", "trigger_ml"):
                found += [(*above, key), *_paths(value, (*above, key))]
    return found


def test_descriptions_that_contradict_the_graph(product: Product, tmp_path: Path, model: bytes) -> None:
    """Each value of the description taken away, and replaced by one of another kind."""
    proto = onnx.load_from_string(model)
    content = json.loads(proto.metadata_props[0].value)
    path, output = tmp_path / "e.onnx", tmp_path / "out.h5"
    # these may be missing: there are defaults, or they are told twice
    optional = {"charge_lsb", "bits", "channels", "camera"}
    for place in _paths(content):
        for value in (None, [["x"]]):
            if value is None and place[-1] in optional:
                continue
            onnx.helper.set_model_props(proto, {PROPERTY: json.dumps(changed(content, place, value))})
            path.write_bytes(proto.SerializeToString())
            product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)
    for text in ("", "{", "[]", "{}", "null"):
        onnx.helper.set_model_props(proto, {PROPERTY: text})
        path.write_bytes(proto.SerializeToString())
        product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)


def test_damaged_networks(product: Product, tmp_path: Path, network: Network) -> None:
    path = tmp_path / "network.npz"
    serialize.save(network, path)
    for content in damaged(path.read_bytes()).values():
        path.write_bytes(content)
        product.refused(lambda: serialize.load(path), path)


def test_networks_that_contradict_themselves(product: Product, tmp_path: Path, network: Network) -> None:
    path = tmp_path / "network.npz"
    serialize.save(network, path)
    with np.load(path) as arrays:
        stored = dict(arrays)
    structure = json.loads(bytes(stored["structure"]))

    def write(**changes: Any) -> None:
        np.savez(path, **{**stored, **changes})

    kernel = stored["logit/kernel"]
    for bad in (
        kernel * np.nan, kernel + 0.5, kernel * 100, kernel[:, :0], kernel[0], np.concatenate([kernel] * 2),
        np.array([["x"]]), kernel.astype(object), kernel[np.newaxis],
    ):  # fmt: skip
        write(**{"logit/kernel": bad})
        product.refused(lambda: serialize.load(path), path)
    for bad in (stored["logit/bias"] * np.nan, np.array([1, 2]), np.array([99]), np.array(1)):
        write(**{"logit/bias": bad})
        product.refused(lambda: serialize.load(path), path)
    for number, record in enumerate(structure["nodes"]):
        for key in record:
            for value in (None, [["x"]], -1):
                nodes = json.loads(json.dumps(structure["nodes"]))
                if value is None:
                    del nodes[number][key]
                else:
                    nodes[number][key] = value
                text = json.dumps({**structure, "nodes": nodes}).encode()
                write(structure=np.frombuffer(text, dtype=np.uint8))
                product.refused(lambda: serialize.load(path), path)
    doubled = {**structure, "nodes": structure["nodes"] + structure["nodes"]}
    write(structure=np.frombuffer(json.dumps(doubled).encode(), dtype=np.uint8))
    product.refused(lambda: serialize.load(path), path)


def test_an_emulator_of_another_shape_of_input(product: Product, tmp_path: Path, network: Network) -> None:
    entry = replace(network.nodes[0], size=(48, 48, 2))  # type: ignore[call-arg]
    other = replace(network, nodes=(entry, *network.nodes[1:-1]), outputs=("flat",))
    path, output = tmp_path / "e.onnx", tmp_path / "out.h5"
    path.write_bytes(build_emulator(other).SerializeToString())
    assert Emulator(path).input_shape == (48, 48, 2)
    product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)


def test_an_emulator_of_interpolated_images(product: Product, tmp_path: Path, network: Network) -> None:
    """Its metadata tell of a map that no firmware has: no cell of it is a pixel."""
    described = dict(network.metadata)
    described["grid"] = {"camera": "DigiCam", "shape": [48, 48], "mapping": "bilinear"}
    described["input"] = {**described["input"], "mapping": "bilinear"}
    path, output = tmp_path / "e.onnx", tmp_path / "out.h5"
    path.write_bytes(build_emulator(replace(network, metadata=described)).SerializeToString())
    said = product.refuses("emulate", path, tmp_path / "none.h5", "-o", output, naming=path, absent=output)
    assert "interpolated between pixels" in said
