"""QKeras models drawn at random, from the model to the C simulation."""

import numpy as np
import pytest
from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu

from trigger_ml.core.config import HlsConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.engines.csim import CsimBackend
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.project import write_project
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.onnx.emulator import write_emulator

layers = tf_keras.layers


def drawn(seed):
    """Depth, width, kernels, strides, padding, pooling, a branch, bits, signs and sparsity are drawn."""
    rng = np.random.default_rng(seed)
    tf_keras.utils.set_random_seed(seed)

    def quantizer(name):
        signed = rng.random() < 0.5
        width, integer = int(rng.integers(4, 8)), int(rng.integers(1, 3))
        function = quantized_bits(width, integer, alpha=1) if signed else quantized_relu(width, integer)
        return QActivation(function, name=name)

    def conv(x, filters, name, size=None, **options):
        settings = {
            "padding": str(rng.choice(["same", "valid"])),
            "strides": int(rng.integers(1, 3)),
            **options,
        }
        kernel = quantized_bits(int(rng.integers(3, 7)), 0, alpha=1)
        bias = quantized_bits(8, 1, alpha=1)
        size = size or int(rng.choice([1, 3]))
        initial = {"bias_initializer": "random_normal"}
        return QConv2D(
            filters, size, kernel_quantizer=kernel, bias_quantizer=bias, name=name, **initial, **settings
        )(x)

    x = counts = layers.Input((int(rng.integers(7, 10)), int(rng.integers(7, 10)), 1), name="counts")
    x = QActivation(quantized_bits(9, 0, alpha=1), name="counts_q")(x)
    for number in range(int(rng.integers(1, 3))):
        x = quantizer(f"q{number}")(conv(x, int(rng.integers(1, 4)), f"conv{number}"))
    if rng.random() < 0.5:
        a = quantizer("a_q")(conv(x, x.shape[-1], "a", 3, padding="same", strides=1))
        x = quantizer("sum_q")(layers.Add(name="sum")([a, x]))
    if rng.random() < 0.5:
        a = quantizer("branch_q")(conv(x, int(rng.integers(1, 3)), "branch", padding="same", strides=1))
        x = layers.Concatenate(name="join")([x, a])
    if rng.random() < 0.5:
        x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    weights = {
        "kernel_quantizer": quantized_bits(5, 0, alpha=1),
        "bias_quantizer": quantized_bits(8, 1, alpha=1),
    }
    model = tf_keras.Model(counts, QDense(1, name="logit", **weights)(x))
    sparsity = float(rng.choice([0.0, 0.5, 0.8]))
    for layer in model.layers:
        if values := layer.get_weights():
            values[0] = values[0] * (rng.random(values[0].shape) >= sparsity)
            layer.set_weights(values)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_is_equal_in_every_backend(seed, make, tmp_path):
    model = drawn(seed)
    network = extract(model, input_type=FixedPoint(False, 8, 8))
    counts = make.counts(network, 20)
    project = write_project(network, HlsConfig(), tmp_path / "hls")
    script = project.directory / "build_lib.sh"
    # the same integers with any optimization, in a fraction of the time
    script.write_text(script.read_text().replace("-O3", "-O0"))
    write_emulator(network, tmp_path / "e.onnx")
    expected = logits(network, counts)
    backends = (
        KerasBackend(model, network),
        OnnxBackend(tmp_path / "e.onnx", network),
        CsimBackend(project, progress=False),
    )
    for backend in backends:
        for name, values in backend.run(counts).items():
            np.testing.assert_array_equal(values, expected[name], err_msg=backend.name)
