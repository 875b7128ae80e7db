"""Joined channels, from the float model through compression to every backend, bit for bit."""

import numpy as np
import pytest
from qkeras import QActivation, QDense, quantized_bits, quantized_relu

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.pruning import layer_sparsity, strip, wrap
from trigger_ml.compression.quantization import quantized_twin, snap_weights
from trigger_ml.core.config import BitsConfig, HlsConfig, PruningConfig, QuantizationConfig, RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.cost.prediction import predict
from trigger_ml.firmware.engines.csim import CsimBackend
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.engines.rtl import RtlBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.project import write_project
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.interpreter import evaluate, logits
from trigger_ml.firmware.ir.network import Flatten, Input, Network, Quantize
from trigger_ml.firmware.ir.ops import Concatenate
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.models.graph import consumers
from trigger_ml.models.size import model_size

K = tf_keras.layers
INPUT = FixedPoint(False, 6, 6)


def float_model(size=(6, 5, 1)):
    """Three branches of different ranges beside each other, joined as maps; two vectors joined at the end."""
    tf_keras.utils.set_random_seed(5)
    x = counts = K.Input(size, name="counts")
    settings = {"padding": "same", "bias_initializer": "random_normal"}
    wide = K.ReLU(name="wide_relu")(K.Conv2D(2, 3, name="wide", **settings)(x))
    fine = K.Conv2D(1, 1, name="fine", **settings)(x)
    deep = K.ReLU(name="deep_relu")(K.DepthwiseConv2D(3, name="deep", **settings)(wide))
    x = K.Concatenate(name="join")([wide, fine, deep])
    x = K.MaxPooling2D(2, name="pool")(x)
    x = K.ReLU(name="after_relu")(K.BatchNormalization(name="after_bn")(K.Conv2D(2, 1, name="after")(x)))
    flat = K.Flatten(name="flat")(x)
    hidden = K.ReLU(name="hidden_relu")(K.Dense(2, name="hidden", bias_initializer="random_normal")(flat))
    x = K.Concatenate(name="join_vectors")([flat, hidden])
    return tf_keras.Model(counts, K.Dense(1, name="logit")(x))


def images(number, seed=0):
    counts = np.random.default_rng(seed).integers(0, 64, (number, 6, 5, 1))
    counts[0], counts[1] = 0, 63
    return counts


@pytest.fixture(scope="module")
def compressed():
    model = fold_batch_norm(float_model())
    bits = BitsConfig(weights=5, bias=8, activations=5)
    config = QuantizationConfig(default=bits, layers={"fine": BitsConfig(weights=5, bias=8, activations=7)})
    twin = quantized_twin(model, config, INPUT, (images(64) / 64).astype(np.float32))
    snap_weights(twin)
    return model, twin


@pytest.fixture(scope="module")
def network(compressed):
    return extract(compressed[1], input_type=INPUT, metadata={"name": "joined"})


def test_many_bits_give_the_float_model(compressed):
    model, x = compressed[0], (images(40) / 64).astype(np.float32)
    bits = BitsConfig(weights=16, bias=20, activations=16)
    twin = quantized_twin(model, QuantizationConfig(default=bits, pooled_bits=16, coverage=1.0), INPUT, x)
    expected = model(x).numpy()
    np.testing.assert_allclose(twin(x), expected, atol=2e-3 * np.abs(expected).max())


def test_joined_channels_are_quantized_before_they_are_joined_and_not_behind(compressed):
    twin = compressed[1]
    assert [step.name for step in consumers(twin)["join"]] == ["pool"]
    assert {"fine_q", "wide_relu", "deep_relu"} <= {layer.name for layer in twin.layers}


def test_it_has_no_weights_and_pruning_passes_by(compressed):
    _, twin = compressed
    size = model_size(twin)
    kernels = [layer.get_weights()[0] for layer in twin.layers if layer.weights]
    assert size.weights == sum(kernel.size for kernel in kernels)
    asked = {"wide": 0.5}
    wrapped = wrap(twin, PruningConfig(sparsity=0.5), 100, asked)
    assert wrapped.get_layer("join").axis == -1
    rows = layer_sparsity(strip(wrapped, tf_keras.models.clone_model(twin)), {}, asked)
    assert [row.layer for row in rows] == ["wide", "fine", "deep", "after", "hidden", "logit"]


def test_its_values_are_those_of_its_inputs(network):
    values = evaluate(network, images(8))
    for node in network.nodes:
        if isinstance(node, Concatenate):
            real = np.concatenate(
                [values[name] * 2.0 ** -network.types[name].fraction for name in node.inputs], axis=-1
            )
            dtype = network.types[node.name]
            np.testing.assert_array_equal(values[node.name] * 2.0**-dtype.fraction, real)
            assert dtype.contains(int(values[node.name].min()), int(values[node.name].max()))
    fractions = [network.types[name].fraction for name in network["join"].inputs]
    assert len(set(fractions)) > 1
    assert network.types["join"].fraction == max(fractions)


def test_keras_and_onnx_are_equal(compressed, network, tmp_path):
    counts = images(200)
    expected = evaluate(network, counts)
    (found,) = KerasBackend(compressed[1], network).run(counts).values()
    np.testing.assert_array_equal(found, expected["logit"])
    write_emulator(network, tmp_path / "e.onnx")
    for name, values in OnnxBackend(tmp_path / "e.onnx", network).taps(counts).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize("io_type", ["io_stream", pytest.param("io_parallel", marks=pytest.mark.slow)])
def test_the_c_simulation_is_equal(io_type, compressed, network, tmp_path):
    project = write_project(network, HlsConfig(io_type=io_type), tmp_path / "hls")
    script = project.directory / "build_lib.sh"
    # the same integers with any optimization, in a fraction of the time
    script.write_text(script.read_text().replace("-O3", "-O0"))
    counts = images(40)
    found = CsimBackend(project, progress=False).run(counts)
    np.testing.assert_array_equal(found["logit"], logits(network, counts)["logit"])


@pytest.mark.parametrize(
    "config", [RtlConfig(), RtlConfig(pixels_per_clock=2), RtlConfig(style="unrolled")], ids=str
)
def test_the_hardware_is_equal(config, network):
    counts = images(30)
    expected = evaluate(network, counts)
    backend = RtlBackend(network, config)
    found = backend.simulator(counts, taps=True)
    for name, values in {**found.taps, **found.outputs}.items():
        np.testing.assert_array_equal(values, expected[name][: len(values)], err_msg=name)
    clocks = backend.project.timing
    assert (found.latency, found.interval) == (clocks.latency, clocks.interval)


def test_a_join_is_wires_and_a_handshake(network):
    cost = predict(network, RtlConfig()).modules["layer_join_vectors"]
    bits = sum(int(network.types[n].width) * network.shapes[n][0] for n in network["join_vectors"].inputs)
    assert cost.lut == 2**2
    assert 0 < cost.ff <= bits + len(network.shapes) * 2
    (module,) = (m for m in outline(network, RtlConfig()).modules if m.name == "layer_join_vectors")
    assert module.depth == 1


def test_a_file_with_it_is_of_the_second_version(network, tmp_path):
    serialize.save(network, tmp_path / "n.npz")
    assert network.format == 2
    read = serialize.load(tmp_path / "n.npz")
    assert serialize.digest(read) == serialize.digest(network)
    np.testing.assert_array_equal(logits(read, images(9))["logit"], logits(network, images(9))["logit"])


def test_a_network_without_it_stays_of_the_first():
    dtype = FixedPoint(False, 4, 4)
    assert Network((Input("x", (), dtype, (3,)), Quantize("q", ("x",), dtype)), ("q",)).format == 1


def test_maps_of_different_sizes_are_refused():
    dtype = FixedPoint(False, 4, 4)
    nodes = (Input("x", (), dtype, (4, 4, 1)), Quantize("q", ("x",), dtype))
    join = Concatenate("join", ("q", "flat"))
    with pytest.raises(ValueError, match="'join' joins maps of different sizes"):
        Network((*nodes, Flatten("flat", ("q",)), join), ("join",))


def test_another_axis_is_refused():
    counts = K.Input((4, 4, 1), name="counts")
    x = QActivation(quantized_bits(7, 0, alpha=1), name="counts_q")(counts)
    a, b = (QActivation(quantized_relu(4, 1), name=name)(x) for name in "ab")
    x = K.Flatten()(K.Concatenate(axis=1, name="rows")([a, b]))
    weights = {key: quantized_bits(5, 0, alpha=1) for key in ("kernel_quantizer", "bias_quantizer")}
    with pytest.raises(MappingError, match=r"layer rows \(Concatenate\): joins along axis 1"):
        extract(tf_keras.Model(counts, QDense(1, **weights)(x)), input_type=INPUT)
