import numpy as np
import pytest
from qkeras import QActivation, quantized_bits, quantized_relu
from scipy.signal import correlate

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.quantization import quantized_twin, snap_weights
from trigger_ml.core.config import BitsConfig, ModelConfig, QuantizationConfig, StageConfig
from trigger_ml.core.errors import ConfigError, MappingError
from trigger_ml.core.fixed_point import FixedPoint, quantize, requantize, to_integers
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.registry import build_model

INPUT = FixedPoint(False, 8, 8)
STAGES = (StageConfig(filters=4), StageConfig(filters=6, strides=2))


def values(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).integers(0, 256, size=(n, *shape))
    return (counts / 256).astype(np.float32)


def folded(config: ModelConfig, shape=(12, 12, 1), task: str = "type"):
    return fold_batch_norm(build_model(config, shape, task, seed=4))


def outputs(model, images: np.ndarray) -> dict[str, np.ndarray]:
    names = [layer.name for layer in model.layers]
    probe = tf_keras.Model(model.input, [model.get_layer(name).output for name in names])
    return dict(zip(names, [np.asarray(v) for v in probe(images)], strict=True))


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(stem_filters=4, stages=STAGES, head_units=(5,)),
        ModelConfig(stem_filters=4, stages=STAGES, block="bottleneck", bottleneck=2, kernel="hexagonal"),
        ModelConfig(stem_filters=4, stages=STAGES, family="cnn", pooling="flatten"),
    ],
)
def test_many_bits_give_the_float_model(config: ModelConfig) -> None:
    model, images = folded(config), values(40, (12, 12, 1))
    wide = QuantizationConfig(
        default=BitsConfig(weights=16, bias=20, activations=16), pooled_bits=16, coverage=1.0
    )
    twin = quantized_twin(model, wide, INPUT, images)
    expected = model(images).numpy()
    np.testing.assert_allclose(twin(images), expected, atol=2e-3 * np.abs(expected).max())


def test_every_tensor_is_on_its_grid_and_in_its_range() -> None:
    model, images = folded(ModelConfig(stem_filters=4, stages=STAGES)), values(64, (12, 12, 1))
    twin = quantized_twin(model, QuantizationConfig(), INPUT, images)
    snap_weights(twin)
    found = outputs(twin, images)
    quantizers = [layer for layer in twin.layers if isinstance(layer, QActivation)]
    assert {layer.name for layer in quantizers} == {
        "counts_q", "stem_relu", "s0b0_conv1_relu", "s0b0_conv2_q", "s0b0_relu", "s1b0_conv1_relu",
        "s1b0_conv2_q", "s1b0_shortcut_q", "s1b0_relu", "pool_q",
    }  # fmt: skip
    np.testing.assert_array_equal(found["counts_q"], images)
    for layer in quantizers:
        q = layer.quantizer
        signed = isinstance(q, quantized_bits)
        assert signed or isinstance(q, quantized_relu)
        # raises where a value is not representable
        to_integers(found[layer.name], FixedPoint(signed, q.bits, q.bits - int(signed) - q.integer))
    for layer in twin.layers:
        if hasattr(layer, "kernel_quantizer_internal"):
            for weight, q in zip((layer.kernel, layer.bias), layer.get_quantizers(), strict=True):
                to_integers(weight, FixedPoint(True, q.bits, q.bits - 1 - q.integer))
                assert q.alpha == 1


def test_the_arithmetic_is_that_of_integers_by_hand() -> None:
    counts = tf_keras.Input((3, 3, 1), name="counts")
    x = tf_keras.layers.Conv2D(2, 3, padding="same", name="conv")(counts)
    x = tf_keras.layers.ReLU(name="relu")(x)
    x = tf_keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = tf_keras.Model(counts, tf_keras.layers.Dense(1, name="head")(x))
    rng = np.random.default_rng(2)
    kernel, bias = rng.normal(0, 0.3, (3, 3, 1, 2)), np.array([0.1, -0.2])
    dense, offset = np.array([[0.8], [-0.7]]), np.array([0.3])
    model.get_layer("conv").set_weights([kernel, bias])
    model.get_layer("head").set_weights([dense, offset])
    bits = BitsConfig(
        weights=6, weights_integer=0, bias=8, bias_integer=1, activations=6, activations_integer=1
    )
    config = QuantizationConfig(
        default=bits, calibrate=False, layers={"pool": bits, "head": BitsConfig(weights_integer=1)}
    )
    twin = quantized_twin(model, config, INPUT, values(1, (3, 3, 1)))
    images = values(200, (3, 3, 1), seed=7)

    k = quantize(kernel, FixedPoint(True, 6, 5))
    b = quantize(bias, FixedPoint(True, 8, 6))
    n = to_integers(images[..., 0], INPUT)
    padded = np.pad(n, ((0, 0), (1, 1), (1, 1)))
    sums = np.stack([correlate(padded, k[None, :, :, 0, c], mode="valid") for c in range(2)], axis=-1)
    relu = requantize(sums + (b << 7), 13, FixedPoint(False, 6, 5))
    # nine cells padded to sixteen: a sum divided by 16, and the dense weights times 16 / 9
    pooled = requantize(relu.sum(axis=(1, 2)), 5 + 4, FixedPoint(False, 6, 5))
    w = quantize(dense * 16 / 9, FixedPoint(True, 6, 4))
    # the bias of the head keeps the default: 10 bits, 2 of them integer
    logit = (pooled @ w) * 2.0**-9 + quantize(offset, FixedPoint(True, 10, 7)) * 2.0**-7
    np.testing.assert_array_equal(twin(images).numpy(), logit)


def test_small_weights_keep_their_width_in_a_wider_type() -> None:
    counts = tf_keras.Input((2, 2, 1), name="counts")
    model = tf_keras.Model(counts, tf_keras.layers.Conv2D(1, 1, name="conv")(counts))
    model.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 0.06), np.zeros(1)])
    twin = quantized_twin(model, QuantizationConfig(), INPUT, values(1, (2, 2, 1)))
    layer = twin.get_layer("conv")
    # 0.06 is below 2**-4, so six bits reach down to 2**-9 although QKeras begins at 2**0
    quantizer = layer.get_quantizers()[0]
    assert (quantizer.bits, quantizer.integer) == (10, 0)
    assert float(quantizer(layer.kernel).numpy()[0, 0, 0, 0]) == 31 * 2**-9
    assert layer.kernel_constraint.limits == (-(2**-4), 31 * 2**-9)


def test_a_bias_is_never_finer_than_the_products() -> None:
    model, images = folded(ModelConfig(stem_filters=4, stages=STAGES)), values(64, (12, 12, 1))
    bits = BitsConfig(weights=4, bias=16, activations=4)
    twin = quantized_twin(model, QuantizationConfig(default=bits), INPUT, images)
    conv, relu = twin.get_layer("s0b0_conv1"), twin.get_layer("stem_relu").quantizer
    kernel, bias = conv.get_quantizers()
    product = (relu.bits - relu.integer) + (kernel.bits - 1 - kernel.integer)
    assert bias.bits - 1 - bias.integer <= product


def test_bits_of_single_layers() -> None:
    model = folded(ModelConfig(stem_filters=4, stages=STAGES))
    config = QuantizationConfig(
        layers={"stem": BitsConfig(weights=8, activations=3), "s1b0_relu": BitsConfig(activations=5)},
        calibrate=False,
    )
    twin = quantized_twin(model, config, INPUT, values(1, (12, 12, 1)))
    assert twin.get_layer("stem").get_quantizers()[0].bits == 8
    assert twin.get_layer("stem_relu").quantizer.bits == 3
    assert twin.get_layer("s1b0_relu").quantizer.bits == 5
    assert twin.get_layer("s0b0_conv1_relu").quantizer.bits == 6


def test_an_unknown_layer_is_a_config_error() -> None:
    model = folded(ModelConfig(stem_filters=4, stages=STAGES))
    config = QuantizationConfig(layers={"s0b0_conv": BitsConfig()})
    with pytest.raises(ConfigError, match="Did you mean `s0b0_conv"):
        quantized_twin(model, config, INPUT, values(1, (12, 12, 1)))


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([tf_keras.layers.UpSampling2D(name="up")], "up: a UpSampling2D"),
        (
            [tf_keras.layers.AveragePooling2D(4, padding="same", name="mean")],
            "mean: its windows reach beyond",
        ),
        ([tf_keras.layers.Conv2D(2, 1), tf_keras.layers.Conv2D(2, 3, groups=2, name="g")], "g: is grouped"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(layers: list, named: str) -> None:
    x = counts = tf_keras.Input((6, 6, 1), name="counts")
    for layer in layers:
        x = layer(x)
    with pytest.raises(MappingError, match=f"^{named}"):
        quantized_twin(tf_keras.Model(counts, x), QuantizationConfig(), INPUT, values(1, (6, 6, 1)))


def test_max_pooling_average_pooling_and_depthwise() -> None:
    layers = tf_keras.layers
    counts = tf_keras.Input((8, 8, 2), name="counts")
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(counts)
    x = layers.MaxPooling2D(2, name="max")(x)
    x = layers.AveragePooling2D(2, name="mean")(x)
    x = layers.Flatten(name="flat")(x)
    model = tf_keras.Model(counts, layers.Dense(1, name="head")(x))
    images = values(30, (8, 8, 2))
    bits = BitsConfig(weights=14, bias=20, activations=14)
    twin = quantized_twin(
        model, QuantizationConfig(default=bits, coverage=1.0, pooled_bits=16), INPUT, images
    )
    names = [layer.name for layer in twin.layers]
    # the maximum of quantized numbers is one of them: no quantizer after it
    assert names[2:] == ["depthwise", "depthwise_q", "max", "mean", "mean_q", "flat", "head"]
    np.testing.assert_allclose(twin(images), model(images), atol=1e-3)
