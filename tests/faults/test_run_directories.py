"""Run directories, firmware projects and model files that are not what they should be."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from contract import Product, damaged

from trigger_ml.core.config import ExperimentConfig, RtlConfig
from trigger_ml.core.run import RunDirectory
from trigger_ml.firmware.hls.project import MANIFEST, HlsProject
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.project import read_sources
from trigger_ml.firmware.vectors import read_vectors, write_vectors
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace


@pytest.fixture
def run(tmp_path: Path) -> Path:
    RunDirectory(tmp_path / "run").start(ExperimentConfig(name="x"), "test")
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accepted does no work here, but for the check of a given model."""

    def work(stage: Stage, workspace: Workspace) -> None:
        if workspace.config.model.weights is None:
            pytest.fail("a bad run directory was accepted")
        from trigger_ml.pipeline import given

        given.prepare(workspace.config)
        pytest.fail("a bad model was accepted")

    monkeypatch.setattr(Stage, "run", work)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("name: x")
    return path


def manifests(content: dict[str, Any]) -> list[bytes]:
    """Manifests of other shapes: JSON that is none of a run's."""
    bad: list[Any] = [
        [], "x", 1, None, {**content, "stages": []}, {**content, "stages": {"train": []}},
        {**content, "stages": {"train": {"fingerprint": 3, "outputs": []}}},
        {**content, "stages": {"train": {"fingerprint": "a"}}},
    ]  # fmt: skip
    return [json.dumps(value).encode() for value in bad]


def test_a_manifest_that_is_none(product: Product, run: Path, config: Path) -> None:
    manifest = run / "manifest.json"
    content = json.loads(manifest.read_text())
    broken = [text for name, text in damaged(json.dumps(content).encode()).items() if name != "JSON"]
    for text in [*broken, *manifests(content)]:
        manifest.write_bytes(text)
        product.refuses("train", config, "--run", run, naming=manifest)
        assert manifest.read_bytes() == text
        product.refuses("trace", run, "--event", "0", naming=manifest)
    for text in broken:
        manifest.write_bytes(text)
        product.refuses("compare", run, "-o", run.parent / "page.html", naming=run)
        assert not (run.parent / "page.html").exists()


@pytest.mark.parametrize("key", ["config", "config.name", "config.train", "config.events.input"])
def test_a_manifest_of_another_configuration(product: Product, run: Path, key: str) -> None:
    manifest = run / "manifest.json"
    content = json.loads(manifest.read_text())
    place = content
    *parents, last = key.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = [["x"]]
    manifest.write_text(json.dumps(content))
    product.refuses("trace", run, "--event", "0", naming=manifest)


def test_folders_that_are_no_run(product: Product, tmp_path: Path, config: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    page = tmp_path / "page.html"
    for name in ("file", "empty", "none", "file/below"):
        product.refuses("trace", tmp_path / name, "--event", "0", naming=tmp_path / name)
        product.refuses("compare", tmp_path / name, "-o", page, naming=tmp_path / name, absent=page)
        out = tmp_path / "out.h5"
        product.refuses("emulate", tmp_path / name, "x.h5", "-o", out, naming=tmp_path / name, absent=out)
    for name in ("file", "file/below"):
        product.refuses("train", config, "--run", tmp_path / name, naming=tmp_path / "file")


def test_what_the_trigger_verbs_are_given(product: Product, tmp_path: Path) -> None:
    """No run whose clocks could be read, no raw file whose trigger could be compared."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        product.refuses("queue", tmp_path / name, naming=tmp_path / name)
    for name, content in (("text.fits.fz", b"no file of a camera"), ("nothing.fits.fz", b"")):
        (tmp_path / name).write_bytes(content)
        product.refuses("hardware-check", tmp_path / name, naming=tmp_path / name)
    product.refuses("hardware-check", tmp_path / "none.fits.fz", naming=tmp_path / "none.fits.fz")


def test_a_file_where_a_stage_writes_its_folder(
    product: Product, run: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(stage: Stage, workspace: Workspace) -> None:
        (workspace.path / stage.outputs[0]).mkdir(parents=True)

    monkeypatch.setattr(Stage, "run", work)
    (run / "model").write_text("in the way")
    product.refuses("train", config, "--run", run, naming=run / "model")
    assert RunDirectory(run).record("train") is None


def test_events_lists_that_are_none(product: Product, run: Path) -> None:
    (run / "network").mkdir()
    (run / "network" / "network.npz").touch()
    (run / "firmware").mkdir()
    (run / "events").mkdir()
    path = run / "events" / "files.json"
    for name, content in damaged(b'["a.h5", "b.h5"]').items():
        if name == "JSON":
            continue
        path.write_bytes(content)
        product.refuses("trace", run, "--event", "0", naming=path)


def test_hls_projects(product: Product, tmp_path: Path) -> None:
    good = {"project": "trigger", "backend": "Vitis", "layers": []}
    for content in [*damaged(json.dumps(good).encode()).values(), b"[]", b'"x"', b'{"project": "x"}']:
        (tmp_path / MANIFEST).write_bytes(content)
        product.refused(lambda: HlsProject.open(tmp_path), tmp_path)
    product.refused(lambda: HlsProject.open(tmp_path / "none"), tmp_path / "none")


def test_rtl_projects(product: Product, tmp_path: Path) -> None:
    rtl = RtlConfig()
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "trigger_network.v").write_text("module trigger_network; endmodule")
    good = json.dumps({"config": rtl.model_dump(mode="json")}).encode()
    (tmp_path / "project.json").write_bytes(good)
    assert set(read_sources(tmp_path, rtl)) == {"trigger_network.v"}
    for content in [*damaged(good).values(), b"[]", b'{"config": {}}', b'{"config": []}']:
        (tmp_path / "project.json").write_bytes(content)
        product.refused(lambda: read_sources(tmp_path, rtl), tmp_path)
    (tmp_path / "project.json").write_bytes(good)
    (tmp_path / "rtl" / "layer_x.v").write_bytes(b"\xff\xfe")
    product.refused(lambda: read_sources(tmp_path, rtl), tmp_path)


def test_vectors(product: Product, tmp_path: Path, network: Network) -> None:
    folder = tmp_path / "vectors"
    write_vectors(network, np.zeros((2, 48, 48, 1), np.int64), folder)
    assert set(read_vectors(folder)[1]) == {node.name for node in network.nodes}
    for name in ("vectors.json", "vectors.npz"):
        good = (folder / name).read_bytes()
        for content in damaged(good.rstrip(b"\n")).values():
            (folder / name).write_bytes(content)
            product.refused(lambda: read_vectors(folder), folder)
        (folder / name).write_bytes(good)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trigger_ml.core.keras2 import tf_keras
    from trigger_ml.models.files import save_model

    x = tf_keras.Input((48, 48, 1), name="counts")
    y = tf_keras.layers.GlobalAveragePooling2D(name="gap")(tf_keras.layers.Conv2D(2, 3, name="conv")(x))
    path = tmp_path_factory.mktemp("model") / "m.h5"
    save_model(tf_keras.Model(x, tf_keras.layers.Dense(1, name="head")(y)), path)
    return path


def test_model_files(product: Product, tmp_path: Path, keras_file: Path) -> None:
    """As `model.weights`: refused by the first stage, before anything is made."""
    good = keras_file.read_bytes()
    config, run = tmp_path / "x.yaml", tmp_path / "run"
    for suffix in ("h5", "keras"):
        path = tmp_path / f"m [1].{suffix}"
        config.write_text(f"name: x\nmodel: {{weights: '{path}'}}")
        for name, content in damaged(good).items():
            # HDF5 keeps room at its end
            if name in ("without its end", "cut at 15/16") and suffix == "h5":
                continue
            path.write_bytes(content)
            product.refuses("simulate", config, "--run", run, naming=path, absent=run / "events")
        path.unlink()
        product.refuses("simulate", config, "--run", run, naming=path, absent=run / "events")
        path.mkdir()
        product.refuses("simulate", config, "--run", run, naming=path, absent=run / "events")


def test_model_files_with_other_topologies(product: Product, tmp_path: Path, keras_file: Path) -> None:
    path, config, run = tmp_path / "m.h5", tmp_path / "x.yaml", tmp_path / "run"
    config.write_text(f"name: x\nmodel: {{weights: {path}}}")
    with h5py.File(keras_file) as file:
        text = str(file.attrs["model_config"])
    assert re.search('"Conv2D"', text)
    bad = [
        text.replace('"Conv2D"', '"Lambda"'), text.replace('"Conv2D"', '"Stranger"'),
        text.replace('"GlobalAveragePooling2D"', '"GRU"'), text.replace('"filters": 2', '"filters": 3'),
        text.replace('"filters": 2', '"filters": -2'), text.replace('"filters"', '"filtrs"'),
        text[:-1], "", "null", "[]", "{}", '{"class_name": "Functional", "config": {}}',
    ]  # fmt: skip
    for topology in bad:
        path.write_bytes(keras_file.read_bytes())
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = topology
        product.refuses("simulate", config, "--run", run, naming=path, absent=run / "events")
    for value in (np.nan, np.inf):
        path.write_bytes(keras_file.read_bytes())
        with h5py.File(path, "a") as file:
            file["model_weights/head/head/kernel:0"][...] = value
        product.refuses("simulate", config, "--run", run, naming=path, absent=run / "events")
