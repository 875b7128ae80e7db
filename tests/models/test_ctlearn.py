"""CTLearn's own models, built small, must come through unchanged."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import logit

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.quantization import quantized_twin
from trigger_ml.core.config import BitsConfig, QuantizationConfig
from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.ctlearn import flat_twin, from_keras3, load_keras3
from trigger_ml.models.files import load_model, open_model
from trigger_ml.models.graph import consumers, steps


def thin_resnet(task: str = "type", **settings: object):
    from ctlearn.core.model import ResNet

    defaults = {
        "residual_block_type": "bottleneck",
        "architecture": [{"filters": 4, "blocks": 2}, {"filters": 6, "blocks": 1}],
        "attention_mechanism": None,
        "head_layers": {task: [8, 2 if task == "type" else 1]},
        "head_activation_function": {task: "relu"},
    }
    return ResNet(input_shape=(24, 24, 2), tasks=[task], **(defaults | settings)).model


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((20, 24, 24, 2), dtype=np.float32)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_residual_networks_give_the_same_logit(images: np.ndarray, block: str) -> None:
    model = thin_resnet(residual_block_type=block)
    gammaness = np.asarray(model(images), dtype=np.float64)[:, 1]
    twin = from_keras3(model)
    np.testing.assert_allclose(twin(images).numpy()[:, 0], logit(gammaness), atol=1e-5)
    assert steps(twin)[-1].kind == "Dense"


def test_a_single_cnn_gives_the_same_logit(images: np.ndarray) -> None:
    from ctlearn.core.model import SingleCNN

    model = SingleCNN(
        input_shape=(24, 24, 2),
        tasks=["type"],
        architecture=[
            {"filters": 4, "kernel_size": 3, "number": 1},
            {"filters": 6, "kernel_size": 3, "number": 1},
        ],
        batchnorm=True,
        attention_mechanism=None,
        head_layers={"type": [8, 2]},
        head_activation_function={"type": "relu"},
    ).model
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.linspace(-1, 1, layer.moving_mean.shape[0]))
    gammaness = np.asarray(model(images), dtype=np.float64)[:, 1]
    np.testing.assert_allclose(from_keras3(model)(images).numpy()[:, 0], logit(gammaness), atol=1e-5)


def test_a_converted_network_can_be_quantized(images: np.ndarray) -> None:
    counts = np.round(images * 255).astype(np.float32) / 256
    folded = fold_batch_norm(from_keras3(thin_resnet()))
    bits = BitsConfig(weights=16, bias=22, activations=16)
    config = QuantizationConfig(default=bits, pooled_bits=16, coverage=1.0)
    twin = quantized_twin(folded, config, FixedPoint(False, 8, 8), counts)
    expected = folded(counts).numpy()
    np.testing.assert_allclose(twin(counts), expected, atol=2e-3 * np.abs(expected).max())


def test_regression_keeps_its_output(images: np.ndarray) -> None:
    model = thin_resnet("energy")
    expected = model(images)
    expected = np.asarray(expected["energy"] if isinstance(expected, dict) else expected)
    np.testing.assert_allclose(from_keras3(model)(images), expected, atol=1e-5)


def single_cnn(task: str = "type", **settings: object):
    from ctlearn.core.model import SingleCNN

    layer = {"kernel_size": 3, "number": 1}
    defaults = {
        "architecture": [{"filters": 4, **layer}, {"filters": 6, **layer}],
        "head_layers": {task: [8, 2]},
        "head_activation_function": {task: "relu"},
    }
    return SingleCNN(input_shape=(24, 24, 2), tasks=[task], **(defaults | settings)).model


def unsettle(model) -> None:
    """Weights of which none is zero, as biases are in the beginning."""
    rng = np.random.default_rng(5)
    for weights in model.weights:
        weights.assign(rng.uniform(0.1, 0.4, weights.shape) * rng.choice([-1, 1], weights.shape))


@pytest.mark.parametrize("attention", ["Channel-SE", "Spatial-SE", "Dual-SE"])
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (thin_resnet, {}),
        (thin_resnet, {"residual_block_type": "basic"}),
        (single_cnn, {"pooling_type": "average", "bottleneck_filters": 4}),
        (single_cnn, {}),
    ],
)
def test_attention_is_taken_over(images: np.ndarray, make, settings: dict, attention: str) -> None:
    model = make(attention_mechanism=attention, attention_reduction_ratio=2, **settings)
    unsettle(model)
    expected = np.asarray(model(images), dtype=np.float64)
    twin = flat_twin(model)
    np.testing.assert_allclose(twin(images), expected, atol=1e-5)
    kinds = {step.kind for step in steps(twin)}
    assert {"Multiply", "Add" if attention == "Dual-SE" else "Multiply"} <= kinds
    # and folded: its curves are layers of their own, nothing else has one
    folded = fold_batch_norm(from_keras3(model))
    np.testing.assert_allclose(folded(images)[:, 0], logit(expected[:, 1]), atol=1e-4)


@pytest.mark.parametrize("task", ["energy", "cameradirection", "skydirection"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_head_of_ctlearn_is_taken_over(images: np.ndarray, task: str, activation: str) -> None:
    model = single_cnn(
        task,
        attention_mechanism="Dual-SE",
        attention_reduction_ratio=2,
        head_layers={task: [5, 1 if task == "energy" else 2]},
        head_activation_function={task: activation},
    )
    unsettle(model)
    expected = np.asarray(model(images)[task])
    np.testing.assert_allclose(fold_batch_norm(from_keras3(model))(images), expected, atol=1e-5)


def test_one_head_of_several_is_taken_by_name(tmp_path: Path, images: np.ndarray) -> None:
    from ctlearn.core.model import SingleCNN

    tasks = ["type", "energy", "skydirection"]
    model = SingleCNN(
        input_shape=(24, 24, 2),
        tasks=tasks,
        architecture=[{"filters": 4, "kernel_size": 3, "number": 1}],
        attention_mechanism="Spatial-SE",
        head_layers={"type": [4, 2], "energy": [3, 1], "skydirection": [2]},
        head_activation_function=dict.fromkeys(tasks, "relu"),
    ).model
    unsettle(model)
    model.save(tmp_path / "three.keras")
    for task in tasks:
        given = open_model(tmp_path / "three.keras", outputs=("x", task))
        expected = np.asarray(model(images)[task], dtype=np.float64)
        np.testing.assert_allclose(given.twin(images), expected, atol=1e-6)
        told = logit(expected[:, 1:]) if task == "type" else expected
        np.testing.assert_allclose(given.outputs(images), told, atol=1e-4)
    with pytest.raises(MappingError, match=r"outputs type, energy, skydirection, of which 0 are direction"):
        open_model(tmp_path / "three.keras", outputs=("direction",))


def test_a_network_with_attention_can_be_quantized(images: np.ndarray) -> None:
    model = thin_resnet(attention_mechanism="Dual-SE", attention_reduction_ratio=2)
    unsettle(model)
    counts = np.round(images * 255).astype(np.float32) / 256
    folded = fold_batch_norm(from_keras3(model))
    wide = BitsConfig(weights=16, bias=24, activations=16)
    config = QuantizationConfig(default=wide, pooled_bits=16, coverage=1.0)
    twin = quantized_twin(folded, config, FixedPoint(False, 8, 8), counts)
    expected = folded(counts).numpy()
    np.testing.assert_allclose(twin(counts), expected, atol=2e-3 * np.abs(expected).max())
    # every product, curve and sum that something reads is on a grid of 16 bits
    values = tf_keras.Model(twin.input, [layer.output for layer in twin.layers])(counts)
    names = [layer.name for layer in twin.layers]
    for name in [n for n in names if n.endswith("_sigmoid_q")]:
        gate = values[names.index(name)].numpy() * 2.0**16
        assert np.array_equal(gate, np.round(gate))
        assert 0 <= gate.min() <= gate.max() < 2**16
    readers = consumers(twin)
    for step in steps(twin):
        if step.kind == "Multiply":
            assert [reader.kind for reader in readers[step.name]] == ["QActivation"]


def test_files_of_keras_3_are_recognized(tmp_path: Path, images: np.ndarray) -> None:
    model = thin_resnet()
    model.save(tmp_path / "ctlearn.keras")
    expected = from_keras3(model)(images).numpy()
    for read in (load_keras3, load_model):
        np.testing.assert_allclose(read(tmp_path / "ctlearn.keras")(images), expected, atol=1e-6)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.keras: no such file"):
        load_keras3(tmp_path / "missing.keras")
    (tmp_path / "half.keras").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(InputError, match=r"half\.keras: not a readable"):
        load_keras3(tmp_path / "half.keras")


def test_two_inputs_are_refused() -> None:
    a, b = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    model = keras.Model([a, b], keras.layers.Add()([a, b]))
    with pytest.raises(MappingError, match="2 inputs"):
        from_keras3(model)
