"""hls4ml projects and their C simulation."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from qkeras import QActivation, QConv2D, QDense

from trigger_ml.core.config import HlsConfig
from trigger_ml.core.errors import InputError, MappingError, StageError, ToolMissingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.corners import corner_inputs
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.backends import _renumbered
from trigger_ml.firmware.hls.csim import Csim, compile_csim
from trigger_ml.firmware.hls.model import project_name
from trigger_ml.firmware.hls.project import HlsProject, preflight, write_project
from trigger_ml.firmware.ir.interpreter import evaluate

INPUT = FixedPoint(False, 8, 8)
layers = tf_keras.layers


def all_inputs(network, make, events=20):
    corners, _ = corner_inputs(network.input, random=10, seed=3)
    return np.concatenate([corners, make.counts(network, events)])


def check_csim(model, make, config, directory, trace=False):
    network = extract(model, input_type=INPUT)
    project = write_project(network, config, directory, trace=trace)
    csim = Csim(project)
    counts = all_inputs(network, make)
    expected = evaluate(network, counts)
    for name, values in csim.run(counts).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    return network, csim


def test_csim_equals_the_interpreter(simulated, make):
    counts = all_inputs(simulated.network, make, 200)
    expected = evaluate(simulated.network, counts)["logit"]
    found = simulated.csim.run(counts)
    assert set(found) == {"logit"}
    np.testing.assert_array_equal(found["logit"], expected)
    assert np.unique(expected).size > 50


def test_the_library_is_compiled_once(simulated):
    (library,) = (simulated.project.directory / "csim").iterdir()
    before = library.stat().st_mtime_ns
    again = Csim(HlsProject.open(simulated.project.directory))
    assert library.stat().st_mtime_ns == before
    assert again.run(np.zeros((1, 7, 6, 1), int))["logit"].shape == (1, 1)


def test_the_project_is_described(simulated):
    manifest = simulated.project.manifest
    assert manifest["input"] == {"shape": [7, 6, 1], "type": INPUT.to_dict()}
    assert manifest["outputs"] == [
        {"name": "logit", "shape": [1], "fraction": simulated.network.types["logit"].fraction}
    ]
    nodes = {layer["node"] for layer in manifest["layers"]} - {None}
    assert {"stem", "stem_q", "a", "sum_q", "logit"} <= nodes <= set(simulated.network.types)
    assert (simulated.project.directory / "firmware" / "trigger.cpp").is_file()
    assert not list(simulated.project.directory.parent.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
@pytest.mark.parametrize("backend", ["Vitis", "Vivado"])
def test_every_layer_type(models, make, tmp_path, io_type, backend):
    """With the layers recorded, as far as hls4ml keeps them."""
    config = HlsConfig(io_type=io_type, backend=backend)
    network, csim = check_csim(models.mixed(), make, config, tmp_path / "p", trace=True)
    counts = all_inputs(network, make, 4)
    expected = evaluate(network, counts)
    taps = csim.taps(counts)
    assert {"first", "first_q", "deep", "deep_q", "largest_q", "mean_q", "hidden", "logit"} <= set(taps)
    for name, values in taps.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        HlsConfig(io_type="io_parallel"),
        HlsConfig(strategy="Resource", reuse_factor=4, layers={"logit": {"ReuseFactor": 2}}),
    ],
    ids=["io_parallel", "resource"],
)
def test_other_settings_keep_the_arithmetic(models, make, tmp_path, config):
    check_csim(models.residual(size=(7, 6), channels=2), make, config, tmp_path / "p")


@pytest.mark.slow
def test_two_outputs_and_a_flat_input(models, make, tmp_path):
    x = layers.Input((5,), name="counts")
    quantizers = {"kernel_quantizer": models.bits(4), "bias_quantizer": models.bits(4, 1)}
    hidden = QActivation(models.relu(), name="h_q")(QDense(6, name="h", **quantizers)(x))
    heads = [QDense(n, name=name, **quantizers)(hidden) for n, name in ((1, "energy"), (2, "direction"))]
    check_csim(tf_keras.Model(x, heads), make, HlsConfig(io_type="io_parallel"), tmp_path / "p")


def test_a_layer_may_be_called_as_it_likes_and_a_sum_have_three_terms(models, make, tmp_path):
    """hls4ml's own word, words of C++, the top function's name, no identifiers at all."""
    x = layers.Input((4, 3, 1), name="input")
    x_q = QActivation(models.bits(9), name="out_linear")(x)
    branches = [
        QActivation(models.relu(), name=name)(models.conv(x_q, 2, 1, conv))
        for name, conv in (("class", "out"), ("ap_fixed", "trigger"), ("3/x.y>z", "block-1"))
    ]
    total = QActivation(models.relu(6, 2), name="global")(layers.Add(name="input_1")(branches))
    quantizers = {"kernel_quantizer": models.bits(4), "bias_quantizer": models.bits(4)}
    logit = QDense(1, name="return", **quantizers)(layers.Flatten(name="int")(total))
    model = tf_keras.Model(x, logit)
    network = extract(model, input_type=INPUT)
    settings = HlsConfig(layers={"block-1": {"ReuseFactor": 1}})
    project = write_project(network, settings, tmp_path / "p", name="class")
    assert (project.directory / "firmware" / "trigger_class.cpp").is_file()
    assert {"input_1", "global", "return"} & {entry["node"] for entry in project.manifest["layers"]}
    script = project.directory / "build_lib.sh"
    script.write_text(script.read_text().replace("-O3", "-O0"))
    counts = all_inputs(network, make)
    found = Csim(project).run(counts)
    np.testing.assert_array_equal(found["return"], evaluate(network, counts)["return"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trigger", "trigger"),
        ("class", "trigger_class"),
        ("3-x", "trigger_3_x"),
        ("trigger_x", "trigger_x"),
        ("triggers", "trigger_triggers"),
    ],
)
def test_the_top_function_has_a_legal_name(name, expected):
    assert project_name(name) == expected
    assert project_name(expected) == expected


def test_taps_need_a_project_with_trace(simulated, make):
    with pytest.raises(ValueError, match="trace=True"):
        simulated.csim.taps(make.counts(simulated.network, 2))


def test_counts_of_another_shape_are_refused(simulated):
    with pytest.raises(ValueError, match="shape"):
        simulated.csim.run(np.zeros((2, 6, 7, 1), int))


def test_preflight_names_the_layer(models):
    def refused(model, config=None):
        network = extract(model, input_type=INPUT)
        with pytest.raises(MappingError) as caught:
            preflight(network, config or HlsConfig())
        return str(caught.value)

    x = layers.Input((6, 6, 2), name="counts")
    overlapping = tf_keras.Model(x, layers.MaxPooling2D(3, strides=1, name="wide")(x))
    assert "layer wide (max_pool2d): hls4ml pools only with strides" in refused(overlapping)
    quantizers = {"kernel_quantizer": models.bits(4), "bias_quantizer": models.bits(4)}
    big = layers.Input((200, 200, 2), name="counts")
    unrolled = tf_keras.Model(big, QConv2D(64, 3, name="conv", **quantizers)(big))
    message = refused(unrolled, HlsConfig(io_type="io_parallel"))
    assert "layer conv" in message
    assert "io_stream" in message
    preflight(extract(unrolled, input_type=INPUT), HlsConfig())
    residual = models.residual()
    settings = HlsConfig(layers={"sten": {"ReuseFactor": 2}})
    assert "Did you mean `stem`?" in refused(residual, settings)
    settings = HlsConfig(layers={"stem": {"Precision": "fixed<3,1>"}})
    assert "firmware.hls.layers.stem.Precision" in refused(residual, settings)


@pytest.mark.parametrize(
    ("backend", "io_type", "message"),
    [
        ("Quartus", "io_stream", r"layer deep \(conv2d\): hls4ml's Quartus backend writes no code"),
        ("Quartus", "io_parallel", "layer deep"),
        ("oneAPI", "io_stream", "layer deep"),
        ("Libero", "io_stream", "cannot write streams"),
    ],
)
def test_what_a_backend_lacks_is_refused_before_any_work(models, tmp_path, backend, io_type, message):
    model = models.mixed()
    network = extract(model, input_type=INPUT)
    config = HlsConfig(backend=backend, io_type=io_type)
    with pytest.raises(MappingError, match=message):
        write_project(network, config, tmp_path / "project")
    assert not list(tmp_path.iterdir())


def test_an_average_that_differs_is_refused(models):
    x = layers.Input((4, 4, 1), name="counts")
    model = tf_keras.Model(x, layers.AveragePooling2D(2, name="mean")(x))
    with pytest.raises(MappingError, match=r"layer mean .*other values"):
        preflight(extract(model, input_type=INPUT), HlsConfig(backend="Quartus"))


def test_a_layer_that_hls4ml_dropped_is_noticed(models, tmp_path, monkeypatch):
    monkeypatch.setattr("trigger_ml.firmware.hls.support.LACKING", {})
    model = models.mixed()
    network = extract(model, input_type=INPUT)
    with pytest.raises(MappingError, match=r"layer deep .*writes no code"):
        write_project(network, HlsConfig(backend="oneAPI"), tmp_path / "project")
    assert not list(tmp_path.iterdir())


def test_a_catapult_project_does_not_depend_on_its_folder(models, tmp_path):
    model = models.residual(size=(7, 6))
    network = extract(model, input_type=INPUT)
    project = write_project(network, HlsConfig(backend="Catapult"), tmp_path / "project")
    for name in ("trigger_bridge.cpp", "build_lib.sh"):
        assert str(tmp_path) not in (project.directory / name).read_text()
    assert "WEIGHTS_DIR" in (project.directory / "build_lib.sh").read_text()


def test_a_strategy_without_its_package_is_refused(models):
    model = models.residual()
    network = extract(model, input_type=INPUT)
    with pytest.raises(ToolMissingError, match="da4ml"):
        preflight(network, HlsConfig(strategy="Distributed_Arithmetic"))


@pytest.fixture
def project(simulated, tmp_path):
    """A copy that is not compiled."""
    folder = tmp_path / "copy"
    shutil.copytree(simulated.project.directory, folder, ignore=shutil.ignore_patterns("csim"))
    return HlsProject.open(folder)


def test_no_compiler(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project.directory))
    with pytest.raises(ToolMissingError, match=r"g\+\+.*Install"):
        compile_csim(project)


def test_a_vendors_compiler_is_not_replaced(project):
    project.manifest["backend"] = "oneAPI"
    with pytest.raises(ToolMissingError, match="oneAPI"):
        compile_csim(project)


def test_a_failing_compilation_is_reported_and_leaves_nothing(project):
    (project.directory / "firmware" / "trigger.cpp").write_text("int f() { return missing; }\n")
    with pytest.raises(StageError, match="missing"):
        compile_csim(project)
    assert not (project.directory / "csim").exists()


def test_a_failed_conversion_leaves_the_old_project(models, simulated, tmp_path, monkeypatch):
    import hls4ml

    target = tmp_path / "project"
    target.mkdir()
    (target / "old").touch()

    def broken(*_, output_dir, **__):
        open(os.path.join(output_dir, "half"), "w").close()
        raise RuntimeError("no")

    monkeypatch.setattr(hls4ml.converters, "convert_from_keras_model", broken)
    with pytest.raises(RuntimeError, match="no"):
        write_project(simulated.network, simulated.config, target)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
    assert (target / "old").exists()


def test_no_project(tmp_path):
    with pytest.raises(InputError, match="no hls4ml project"):
        HlsProject.open(tmp_path)


def files(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("backend", ["Vitis", "Catapult", "oneAPI"])
def test_a_project_tells_neither_where_nor_when_it_was_written(models, tmp_path, backend):
    model = models.residual(size=(7, 6))
    network = extract(model, input_type=INPUT)
    config = HlsConfig(backend=backend)
    # a place whose path hls4ml's description breaks into lines
    long = tmp_path / ("a very long name " * 8) / "p"
    contents = [
        files(write_project(network, config, directory).directory) for directory in (tmp_path / "p", long)
    ]
    assert contents[0].keys() == contents[1].keys()
    assert [name for name in contents[0] if contents[0][name] != contents[1][name]] == []
    for name, content in contents[0].items():
        assert b".partial-" not in content, name
        assert str(tmp_path).encode() not in content, name
    description = contents[0][Path("hls4ml_config.yml")].decode()
    assert "\nOutputDir: .\n" in description
    assert "\nKerasModel: !keras_model 'keras_model.keras'\n" in description


def test_projects_of_different_content_have_different_stamps(models, tmp_path):
    """A process takes two libraries of one name for one."""
    model = models.residual(size=(7, 6))
    other = tf_keras.models.clone_model(model)
    other.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    stamps = set()
    for number, (one, config) in enumerate(
        [(model, HlsConfig()), (other, HlsConfig()), (model, HlsConfig(reuse_factor=2))]
    ):
        project = write_project(extract(one, input_type=INPUT), config, tmp_path / str(number))
        description = (project.directory / "hls4ml_config.yml").read_text()
        (stamp,) = re.findall(r"(?m)^Stamp: '?(\w{8})'?$", description)
        assert f"LIB_STAMP={stamp}" in (project.directory / "build_lib.sh").read_text()
        stamps.add(stamp)
    assert len(stamps) == 3


def test_shared_objects_stay_shared_when_their_numbers_are_settled():
    config = (
        '{"a": {"shared_object_id": 1403}, "b": {"shared_object_id": 99}, "c": {"shared_object_id": 1403}}'
    )
    found = json.loads(_renumbered(config))
    assert found == {"a": {"shared_object_id": 0}, "b": {"shared_object_id": 1}, "c": {"shared_object_id": 0}}
