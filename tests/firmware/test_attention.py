"""CTLearn's squeeze-excite attention on a small residual network, from the float model to every backend."""

import shutil

import numpy as np
import pytest

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.quantization import quantized_twin, snap_weights
from trigger_ml.core.config import BitsConfig, HlsConfig, QuantizationConfig, RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.engines.rtl import RtlBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.project import preflight
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.ops import Lookup, Multiply
from trigger_ml.firmware.native.library import FLAGS, NativeEmulator, compile_library
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.firmware.rtl.dataflow import FifoModule
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.timing import timing

K = tf_keras.layers
INPUT = FixedPoint(False, 6, 6)
# a compiler that does not optimize takes a tenth of the time
QUICK = tuple("-O0" if flag == "-O2" else flag for flag in FLAGS)


def channel_block(x, name, ratio=2):
    """As CTLearn builds it."""
    y = K.GlobalAveragePooling2D(keepdims=True, name=f"{name}_avgpool")(x)
    y = K.Dense(x.shape[-1] // ratio, activation="relu", name=f"{name}_1_dense")(y)
    y = K.Dense(x.shape[-1], activation="sigmoid", name=f"{name}_2_dense")(y)
    return K.Multiply(name=f"{name}_mult")([x, y])


def spatial_block(x, name):
    """As CTLearn builds it."""
    y = K.Conv2D(1, 1, activation="sigmoid", name=f"{name}_spatial_conv")(x)
    return K.Multiply(name=f"{name}_mult")([x, y])


def dual_block(x, name):
    """As CTLearn builds it."""
    parts = [channel_block(x, f"{name}_cse"), spatial_block(x, f"{name}_sse")]
    return K.Add(name=f"{name}_add")(parts)


BLOCKS = {"channel": channel_block, "spatial": spatial_block, "dual": dual_block}


def float_model(block, size=(7, 6), seed=3):
    """A stem and one residual block with attention before the addition."""
    tf_keras.utils.set_random_seed(seed)
    settings = {"padding": "same", "bias_initializer": "random_normal"}
    counts = K.Input((*size, 1), name="counts")
    x = K.ReLU(name="stem_relu")(K.Conv2D(4, 3, name="stem", **settings)(counts))
    y = K.Conv2D(4, 3, activation="relu", name="a", **settings)(x)
    y = BLOCKS[block](K.Conv2D(4, 3, name="b", **settings)(y), "se")
    x = K.ReLU(name="out")(K.Add(name="sum")([x, y]))
    x = K.GlobalAveragePooling2D(name="pool")(x)
    return tf_keras.Model(counts, K.Dense(1, name="logit")(x))


def images(number, size=(7, 6), seed=0):
    counts = np.random.default_rng(seed).integers(0, 64, (number, *size, 1))
    counts[0], counts[1] = 0, 63
    return counts


def compressed(block, size=(7, 6), **bits):
    model = fold_batch_norm(float_model(block, size))
    config = QuantizationConfig(default=BitsConfig(**bits)) if bits else QuantizationConfig()
    twin = quantized_twin(model, config, INPUT, (images(64, size) / 64).astype(np.float32))
    snap_weights(twin)
    return twin, extract(twin, input_type=INPUT, metadata={"name": block})


@pytest.fixture(scope="module", params=BLOCKS)
def made(request):
    return request.param, *compressed(request.param, weights=5, bias=8, activations=5)


def test_keras_onnx_and_the_compiled_emulator_are_equal(made, tmp_path):
    kind, twin, network = made
    counts = images(120)
    expected = evaluate(network, counts)
    (found,) = KerasBackend(twin, network).run(counts).values()
    np.testing.assert_array_equal(found, expected["logit"])
    assert np.unique(expected["logit"]).size > 20
    write_emulator(network, tmp_path / "e.onnx")
    for name, values in OnnxBackend(tmp_path / "e.onnx", network).taps(counts).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    if kind == "dual" and shutil.which("g++"):
        tmp_path.chmod(0o700)
        library = compile_library(network, None, cache=tmp_path, flags=QUICK)
        for name, values in NativeEmulator(network, library, threads=1).taps(counts).items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_gates_are_tables_and_products(made):
    kind, _, network = made
    ops = [type(node) for node in network.nodes]
    assert ops.count(Lookup) == ops.count(Multiply) == (2 if kind == "dual" else 1)


def test_many_bits_give_the_float_model():
    model, x = fold_batch_norm(float_model("dual")), (images(40) / 64).astype(np.float32)
    bits = BitsConfig(weights=14, bias=20, activations=13)
    twin = quantized_twin(model, QuantizationConfig(default=bits, pooled_bits=16, coverage=1.0), INPUT, x)
    expected = float_model("dual")(x).numpy()
    np.testing.assert_allclose(twin(x), expected, atol=3e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("block", "config"),
    [
        ("dual", RtlConfig(pixels_per_clock=2)),
        ("spatial", RtlConfig()),
        pytest.param("dual", RtlConfig(style="unrolled"), marks=pytest.mark.slow),
        pytest.param("channel", RtlConfig(), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_hardware_is_equal(block, config):
    _, network = compressed(block, weights=4, bias=6, activations=4)
    counts = images(20)
    expected = evaluate(network, counts)
    backend = RtlBackend(network, config)
    found = backend.simulator(counts, taps=True)
    for name, values in {**found.taps, **found.outputs}.items():
        np.testing.assert_array_equal(values, expected[name][: len(values)], err_msg=name)
    clocks = backend.project.timing
    assert (found.latency, found.interval) == (clocks.latency, clocks.interval)


def test_the_map_waits_while_its_average_is_made():
    """A frame's clocks longer, but as many frames in a time: the next one enters the FIFO behind it."""
    size = (20, 20)
    plain, attentive = (outline(compressed(block, size)[1], RtlConfig()) for block in ("spatial", "channel"))
    waits = {m.name: m for m in attentive.modules if isinstance(m, FifoModule)}
    assert waits["layer_se_mult_skip"].capacity > size[0] * size[1]
    assert waits["layer_se_mult_skip"].block
    before, after = timing(plain), timing(attentive)
    assert before.interval == after.interval == size[0] * size[1]
    assert after.latency > before.latency + 0.9 * size[0] * size[1]


def test_hls4ml_is_refused_with_the_reason():
    _, network = compressed("dual")
    with pytest.raises(MappingError, match=r"layer se_\w+ \((lookup|multiply)\): hls4ml .*firmware.rtl"):
        preflight(network, HlsConfig())
