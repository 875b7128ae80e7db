"""The networks of a run on events without showers: untrained ones, whose answers are known."""

import numpy as np
from qkeras import QDense, quantized_bits

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.events.night_sky import NightSky
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.models.files import save_model
from trigger_ml.pipeline.rivals import night_sky_answers

SHAPE = (3, 4, 1)


def linear(layer, kernel, bias):
    """A model whose logit is a linear function of its input."""
    image = tf_keras.Input(SHAPE)
    model = tf_keras.Model(image, layer(tf_keras.layers.Flatten(name="flat")(image)))
    layer.set_weights([kernel[:, np.newaxis], np.array([bias])])
    return model


def test_networks_answer_for_windows_without_showers(tmp_path):
    config = ExperimentConfig(name="windows", task="type")
    bits = config.events.input.bits
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 2**bits, size=(50, *SHAPE)).astype(np.uint8)
    night = NightSky(counts, {"true_night_sky": rng.uniform(0.03, 0.25, 50)})
    kernels = {name: rng.integers(-7, 8, 12) / 8 for name in ("float", "control", "compressed")}
    for name in ("float", "control"):
        model = linear(tf_keras.layers.Dense(1, name="head"), kernels[name], 0.25)
        save_model(model, tmp_path / "model" / name / "model.h5")
    quantizer = {
        "kernel_quantizer": quantized_bits(4, 0, alpha=1),
        "bias_quantizer": quantized_bits(4, 0, alpha=1),
    }
    model = linear(QDense(1, name="head", **quantizer), kernels["compressed"], 0.25)
    network = extract(model, input_type=FixedPoint(False, bits, bits), metadata={})
    (tmp_path / "onnx").mkdir()
    write_emulator(network, tmp_path / "onnx" / "emulator.onnx")

    found = night_sky_answers(tmp_path, config, night)
    assert found is not None
    assert set(found.logits) == {"float", "control", "compressed"}
    for name, kernel in kernels.items():
        expected = counts.reshape(50, -1) / 2.0**bits @ kernel + 0.25
        answer = np.asarray(found.logits[name], dtype=np.float64)
        np.testing.assert_allclose(answer[:, 0], expected, rtol=1e-6, atol=1e-6, err_msg=name)
    assert found.conditions is night.conditions
    assert found.not_judged == {}
    (tmp_path / "model" / "trees").mkdir()
    (tmp_path / "model" / "trees" / "trees.npz").touch()
    again = night_sky_answers(tmp_path, config, night)
    assert again is not None
    assert list(again.not_judged) == ["trees"]
    assert night_sky_answers(tmp_path, config, None) is None
