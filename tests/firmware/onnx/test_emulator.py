"""The ONNX emulator: exact for every network, self-contained, and clear about bad files."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir import network as ir
from trigger_ml.firmware.ir.exactness import FLOAT32_LIMIT
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.onnx.emulator import (
    PROPERTY,
    Emulator,
    build_emulator,
    changed_constants,
    prove_float32_exact,
    write_emulator,
)

INPUT = FixedPoint(False, 8, 8)


def check_exact(network, counts):
    expected = evaluate(network, counts)
    emulator = Emulator(build_emulator(network).SerializeToString())
    found = emulator.run(counts)
    assert set(found) == set(network.outputs)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    taps = emulator.taps(counts)
    assert set(taps) == set(expected)
    for name, values in taps.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_every_layer_of_random_networks_is_exact(make, seed):
    network = make.network(seed)
    check_exact(network, make.counts(network, 8, seed))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_layers_beyond_float32_are_split_and_exact(make, seed):
    network = make.network(seed, wide=True)
    if any(
        isinstance(node, ir.AveragePool2D) and not layer.exact
        for node, layer in zip(network.nodes, prove_float32_exact(network), strict=True)
    ) or not all(layer.bound < 2**53 for layer in prove_float32_exact(network)):
        with pytest.raises(MappingError, match="layer"):
            build_emulator(network)
    else:
        check_exact(network, make.counts(network, 8, seed))


def wide_dense(weight_bits, input_bits, taps):
    kernel_type = FixedPoint(True, weight_bits, 0)
    kernel = np.random.default_rng(1).integers(
        kernel_type.minimum, kernel_type.maximum, (taps, 3), endpoint=True
    )
    x = ir.Input("x", (), FixedPoint(False, input_bits, 0), (taps,))
    bias = np.array([1, -(2**20), 5])
    return ir.Network((x, ir.Dense("y", ("x",), kernel, kernel_type, bias, FixedPoint(True, 22, 3))), ("y",))


@pytest.mark.parametrize(("weight_bits", "input_bits", "taps"), [(18, 8, 4), (16, 16, 30), (4, 22, 64)])
def test_a_sum_beyond_float32_is_split(weight_bits, input_bits, taps):
    network = wide_dense(weight_bits, input_bits, taps)
    proof = {layer.name: layer for layer in prove_float32_exact(network)}
    assert not proof["y"].exact
    assert proof["y"].bits_spare < 0
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 2**input_bits, (200, taps))
    counts[0] = 2**input_bits - 1
    check_exact(network, counts)
    # plain float32 arithmetic is indeed wrong there, so the split is what makes it exact
    rounded = (counts.astype(np.float32) @ network["y"].kernel.astype(np.float32)).astype(np.int64)
    assert (rounded != counts @ network["y"].kernel).any()


def test_the_proof_bounds_every_partial_sum():
    kernel = np.array([[100], [-100], [50]])
    x = ir.Input("x", (), FixedPoint(False, 4, 0), (3,))
    node = ir.Dense("y", ("x",), kernel, FixedPoint(True, 8, 2), np.array([-7]), FixedPoint(True, 8, 3))
    network = ir.Network((x, node), ("y",))
    bound = {layer.name: layer.bound for layer in prove_float32_exact(network)}["y"]
    assert bound == 15 * 250 * 2 + 7  # the bias' last bit is half the products'
    assert network.bounds["y"].magnitude < bound


def test_the_limit_is_where_float32_ends():
    assert np.float32(FLOAT32_LIMIT) + np.float32(1) == np.float32(FLOAT32_LIMIT)
    assert np.float32(FLOAT32_LIMIT - 1) + np.float32(1) == FLOAT32_LIMIT


def test_too_wide_for_any_exact_float_is_refused():
    with pytest.raises(MappingError, match=r"layer y \(dense\).*float64"):
        build_emulator(wide_dense(30, 24, 40))


def test_a_model_of_the_projects_shape_needs_few_plain_nodes(models):
    network = extract(models.residual(), input_type=INPUT)
    graph = build_emulator(network).graph
    assert {node.domain for node in graph.node} == {""}
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 3
    # one clip or ReLU and one rounding for each quantizer, one scaling after the average
    quantizers = sum(isinstance(node, ir.Quantize) for node in network.nodes)
    assert kinds.count("Round") <= quantizers
    assert kinds.count("Clip") + kinds.count("Relu") <= quantizers
    assert kinds.count("Mul") <= 2
    assert len(kinds) <= 24
    assert {node.name for node in graph.node} >= {"stem", "a", "b", "sum", "sum_q", "pool", "logit"}
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_file_alone_suffices(models, make, tmp_path):
    """Evaluated with ONNX Runtime and the file's own metadata, without this package's session."""
    metadata = {"task": "type", "camera": "DigiCam", "charge_lsb": 0.5}
    network = extract(models.residual(channels=2), input_type=INPUT, metadata=metadata)
    path = tmp_path / "emulator.onnx"
    write_emulator(network, path)
    counts = make.counts(network, 9).astype(np.uint8)
    plain = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(plain.get_modelmeta().custom_metadata_map[PROPERTY])
    output = about["outputs"]["logit"]
    (logit,) = plain.run([output["tensor"]], {about["input"]["name"]: counts})
    expected = evaluate(network, counts)["logit"]
    np.testing.assert_array_equal(logit * 2.0 ** output["fraction"], expected)
    assert about["metadata"] == metadata
    assert about["exact_float32"] is True
    emulator = Emulator(path)
    np.testing.assert_allclose(emulator.gammaness(counts), expit(logit[:, 0].astype(float)), rtol=1e-12)
    assert emulator.metadata == metadata
    assert emulator.input_type == INPUT
    assert emulator.input_shape == (8, 7, 2)


def test_batches_and_threads_change_nothing(models, make):
    network = extract(models.residual(), input_type=INPUT)
    content = build_emulator(network).SerializeToString()
    counts = make.counts(network, 700)
    one, three = Emulator(content, threads=1), Emulator(content, threads=3)
    np.testing.assert_array_equal(one.run(counts)["logit"], three.run(counts)["logit"])
    np.testing.assert_array_equal(one.run(counts[:1])["logit"], one.run(counts)["logit"][:1])
    assert one.run(counts[:0])["logit"].shape == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:, :-1], "shape"),
        (lambda c: c.astype(float), "float64"),
        (lambda c: c.astype(int) + 200, "outside"),
        (lambda c: c.astype(int) - 300, "outside"),
    ],
)
def test_wrong_counts_are_refused(models, make, change, message):
    network = extract(models.residual(), input_type=INPUT)
    emulator = Emulator(build_emulator(network).SerializeToString())
    with pytest.raises(InputError, match=message):
        emulator.run(change(make.counts(network, 4)))


def test_gammaness_needs_one_logit(make):
    network = next(n for n in map(make.network, range(100)) if len(n.outputs) == 2)
    emulator = Emulator(build_emulator(network).SerializeToString())
    with pytest.raises(InputError, match="not one logit"):
        emulator.gammaness(make.counts(network, 4))


def test_bad_files_are_named(models, tmp_path):
    path = tmp_path / "emulator.onnx"
    with pytest.raises(InputError, match=r"emulator\.onnx: no such file"):
        Emulator(path)
    with pytest.raises(InputError, match="cannot be read"):
        Emulator(tmp_path)
    path.write_bytes(b"not a protobuf")
    with pytest.raises(InputError, match=r"emulator\.onnx: not a readable ONNX file"):
        Emulator(path)
    model = build_emulator(extract(models.residual(), input_type=INPUT))
    content = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {PROPERTY: json.dumps({**content, "format": 99})})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="newer"):
        Emulator(path)
    onnx.helper.set_model_props(model, {"author": "someone"})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="not one of trigger_ml's"):
        Emulator(path)


def test_two_emulators_live_in_one_process(make):
    networks = [make.network(seed) for seed in (11, 12)]
    emulators = [Emulator(build_emulator(n).SerializeToString()) for n in networks]
    for _ in range(2):
        for network, emulator in zip(networks, emulators, strict=True):
            counts = make.counts(network, 5)
            expected = evaluate(network, counts)
            for name, values in emulator.run(counts).items():
                np.testing.assert_array_equal(values, expected[name])


def test_any_changed_constant_is_found(models, tmp_path):
    network = extract(models.residual(), input_type=INPUT)
    path = tmp_path / "emulator.onnx"
    write_emulator(network, path)
    assert changed_constants(network, path) == []
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "b/kernel")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.view(np.uint32)[1, 0, 2, 1] ^= 1  # the float's own last bit, which rounding would often hide
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString())
    ((layer, what),) = changed_constants(network, path)
    assert layer == "b"
    assert "kernel[1, 0, 2, 1]" in what
