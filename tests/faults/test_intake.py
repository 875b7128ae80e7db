"""Bad models, inputs and settings for the verbs that take a model without events."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import Product, damaged

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.network import Network

VERBS = ("firmware", "estimate", "support")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("models")
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(1, name="out")])
    model.save(folder / "m.h5", save_format="h5")
    model.save(folder / "m.keras")
    model.save(folder / "saved", save_format="tf")
    return {
        ".h5": (folder / "m.h5").read_bytes(),
        ".keras": (folder / "m.keras").read_bytes(),
        ".json": model.to_json().encode(),
        ".pb": (folder / "saved" / "keras_metadata.pb").read_bytes(),
    }


def arguments(verb: str, model: Path, output: Path) -> tuple[str | Path, ...]:
    return (verb, model, "-o", output) if verb == "firmware" else (verb, model)


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".json"])
def test_damaged_models(product: Product, tmp_path: Path, files: dict[str, bytes], suffix: str) -> None:
    path, output = tmp_path / f"m [1]{suffix}", tmp_path / "out"
    for number, content in enumerate(damaged(files[suffix]).values()):
        path.write_bytes(content)
        verb = VERBS[number % len(VERBS)]
        product.refuses(*arguments(verb, path, output), naming=path, absent=output)


def test_damaged_topologies_of_folders(product: Product, tmp_path: Path, files: dict[str, bytes]) -> None:
    folder, output = tmp_path / "saved", tmp_path / "out"
    folder.mkdir()
    for number, content in enumerate(damaged(files[".pb"]).values()):
        (folder / "keras_metadata.pb").write_bytes(content)
        product.refuses(*arguments(VERBS[number % 3], folder, output), naming=folder, absent=output)


def test_damaged_networks(product: Product, tmp_path: Path, network: Network) -> None:
    path, output = tmp_path / "n.npz", tmp_path / "out"
    serialize.save(network, path)
    for number, content in enumerate(damaged(path.read_bytes()).values()):
        path.write_bytes(content)
        product.refuses(*arguments(VERBS[number % 3], path, output), naming=path, absent=output)


def test_inputs_that_are_none(product: Product, tmp_path: Path, network: Network) -> None:
    model, inputs, output = tmp_path / "n.npz", tmp_path / "x.npy", tmp_path / "out"
    serialize.save(network, model)
    good = np.zeros((4, *network.input.size))
    np.save(inputs, good)
    bad: dict[str, Any] = damaged(inputs.read_bytes())
    # those are inputs
    del bad["zeros from the middle"]
    for name, values in {
        "another shape": good[..., 0],
        "no events": good[:0],
        "a hole": np.where(np.arange(4).reshape(4, 1, 1, 1) == 2, np.nan, good),
        "words": np.array(["a", "b"]),
        "complex": good + 1j,
    }.items():
        np.save(inputs, values)
        bad[name] = inputs.read_bytes()
    for content in bad.values():
        inputs.write_bytes(content)
        given = ("firmware", model, "--inputs", inputs, "-o", output)
        product.refuses(*given, naming=inputs, absent=output)


@pytest.mark.parametrize(
    "text",
    [
        "input: fixed<16>\n",
        "input: float\n",
        "quantisation: {}\n",
        "random_inputs: 1\n",
        "name: a/b\n",
        "- x\n",
        "a: [\n",
    ],
)
def test_settings_that_are_none(product: Product, tmp_path: Path, text: str) -> None:
    config, output = tmp_path / "c.yaml", tmp_path / "out"
    config.write_text(text)
    for verb in VERBS:
        product.refuses(
            *arguments(verb, tmp_path / "m.h5", output), "--config", config, naming=config, absent=output
        )


def test_weights_that_are_none(product: Product, tmp_path: Path, files: dict[str, bytes]) -> None:
    model, weights, output = tmp_path / "t.json", tmp_path / "w.h5", tmp_path / "out"
    model.write_bytes(files[".json"])
    given = ("firmware", model, "--weights", weights, "-o", output)
    product.refuses(*given, naming=weights, absent=output)
    for content in list(damaged(files[".h5"]).values())[::4]:
        weights.write_bytes(content)
        product.refuses(*given, naming=weights if content[:4] != b"\x89HDF" else tmp_path, absent=output)


def test_a_topology_that_is_not_one(product: Product, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    deep = "[" * 5000 + "]" * 5000
    for content in (json.dumps([1]), json.dumps({"class_name": "Functional"}), deep, "NaN"):
        path.write_text(content)
        product.refuses("support", path, naming=path)
