"""Kinds of layers: each equals Keras' and QKeras' own values, bit for bit, or is refused."""

import re

import numpy as np
import pytest
from qkeras import (
    QActivation,
    QBatchNormalization,
    QConv1D,
    QConv2D,
    QDense,
    QDepthwiseConv2D,
    quantized_bits,
    quantized_relu,
    quantized_sigmoid,
    quantized_tanh,
)

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, from_grid
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Conv2D, Lookup, MaxPool2D, Quantize
from trigger_ml.firmware.onnx.emulator import write_emulator

K = tf_keras.layers
INPUT = FixedPoint(False, 6, 6)


def bits(width=6, integer=2, **options):
    return quantized_bits(width, integer, alpha=1, **options)


def q(x, name, quantizer=None):
    return QActivation(quantizer or bits(), name=name)(x)


def weights(name, kind="kernel"):
    quantizers = {f"{kind}_quantizer": bits(5, 0), "bias_quantizer": bits(7, 1)}
    return {**quantizers, "bias_initializer": "random_normal", "name": name}


def conv(x, name="conv", filters=2, size=3, **options):
    return QConv2D(filters, size, **weights(name), **{"padding": "same", **options})(x)


def dense(x, units, name):
    return QDense(units, **weights(name))(x)


def normalized(cls=K.BatchNormalization, **options):
    """A normalization with numbers of a trained one."""
    random = tf_keras.initializers.RandomUniform
    return cls(
        moving_mean_initializer=random(-0.5, 1), moving_variance_initializer=random(0.2, 3),
        gamma_initializer=random(-1, 2), beta_initializer=random(-0.5, 0.5), name="norm", **options,
    )  # fmt: skip


def excited(x):
    """CTLearn's dual squeeze-excite block, with quantizers."""
    y = q(
        K.GlobalAveragePooling2D(keepdims=True, name="pool")(K.ZeroPadding2D(((0, 2), (0, 3)))(x)), "pool_q"
    )
    y = q(dense(y, 1, "squeeze"), "squeeze_q", quantized_relu(5, 1))
    y = q(K.Activation("sigmoid")(q(dense(y, 2, "excite"), "excite_q")), "gate", quantized_relu(4, 0))
    channels = q(K.Multiply(name="by_channel")([x, y]), "by_channel_q")
    z = q(conv(x, "where", 1, 1), "where_q")
    z = q(K.Activation("sigmoid")(z), "place", quantized_relu(4, 0))
    positions = q(K.Multiply(name="by_position")([x, z]), "by_position_q")
    return q(K.Add(name="dual")([channels, positions]), "dual_q")


def series(x):
    """Convolution and pooling of one dimension, of the map as a series."""
    y = QConv1D(3, 3, strides=2, padding="same", **weights("series"))(x)
    y = K.MaxPooling1D(2, name="largest")(q(y, "series_q"))
    return q(K.AveragePooling1D(2, name="mean")(y), "mean_q")


POINTS = {
    "gamma_quantizer": bits(6, 1), "beta_quantizer": bits(6, 1), "mean_quantizer": bits(6, 1),
    "variance_quantizer": quantized_relu(8, 2),
}  # fmt: skip
# what stands between a quantized map of 6 x 5 positions and 2 channels, and a dense layer
MAPS = {
    "sigmoid": lambda x: q(K.Activation("sigmoid")(x), "out", quantized_relu(6, 0)),
    "tanh": lambda x: q(K.Activation("tanh")(x), "out", bits(7, 0)),
    "softplus": lambda x: q(K.Activation("softplus")(x), "out"),
    "swish": lambda x: q(K.Activation("swish")(x), "out"),
    "hard sigmoid": lambda x: q(K.Activation("hard_sigmoid")(x), "out"),
    "elu": lambda x: q(K.ELU(0.7)(x), "out"),
    "leaky relu": lambda x: q(K.LeakyReLU(0.3)(x), "out"),
    "leaky relu by a quarter, without quantizer": lambda x: K.LeakyReLU(0.25, name="out")(x),
    "relu6, without quantizer": lambda x: K.ReLU(1.5, name="out")(x),
    "prelu": lambda x: q(
        K.PReLU(shared_axes=[1, 2], alpha_initializer=tf_keras.initializers.RandomUniform(0, 1))(x), "out"
    ),
    "two functions": lambda x: q(K.Activation("tanh")(K.LeakyReLU(0.1)(x)), "out"),
    "quantized tanh": lambda x: q(x, "out", quantized_tanh(5, use_real_tanh=True)),
    "quantized sigmoid": lambda x: q(x, "out", quantized_sigmoid(5, use_real_sigmoid=True)),
    "rescaling": lambda x: q(K.Rescaling(0.3, 0.1)(x), "out"),
    "batch normalization of numbers": lambda x: q(normalized()(x), "out"),
    "batch normalization of sums": lambda x: q(normalized()(conv(x)), "out"),
    "batch normalization of an addition": lambda x: q(
        normalized()(K.Add(name="sum")([x, q(conv(x), "conv_q")])), "out"
    ),
    "quantized batch normalization": lambda x: q(normalized(QBatchNormalization, **POINTS)(conv(x)), "out"),
    "relu of a batch normalization": lambda x: q(normalized()(conv(x)), "out", quantized_relu(5, 1)),
    "product of maps": lambda x: q(K.Multiply(name="product")([x, q(conv(x), "conv_q")]), "out"),
    "product of three": lambda x: q(
        K.Multiply(name="product")([x, q(conv(x), "a_q"), q(conv(x, "b"), "b_q", bits(3, 1))]), "out"
    ),
    "dual squeeze-excite": excited,
    "maximum, 'same'": lambda x: K.MaxPooling2D(3, 2, padding="same", name="out")(x),
    "maximum of zeros, too": lambda x: K.MaxPooling2D(3, 2, name="out")(K.ZeroPadding2D(1)(x)),
    "average of 3 x 3": lambda x: q(K.AveragePooling2D(3, 1, name="mean")(x), "out"),
    "average with zeros": lambda x: q(K.AveragePooling2D(2, name="mean")(K.ZeroPadding2D(1)(x)), "out"),
    "global maximum": lambda x: K.GlobalMaxPooling2D(name="out")(x),
    "global average of 30 cells": lambda x: q(K.GlobalAveragePooling2D(name="mean")(x), "out"),
    "dilated convolution": lambda x: q(conv(x, dilation_rate=2), "out"),
    "depthwise with a multiplier": lambda x: q(
        QDepthwiseConv2D(3, depth_multiplier=2, **weights("deep", "depthwise"))(x), "out"
    ),
    "dense on a map": lambda x: q(dense(x, 3, "each"), "out"),
    "reshape": lambda x: q(dense(K.Reshape((60,), name="flat_map")(x), 3, "hidden"), "out"),
    "permute of a row": lambda x: K.Permute((2, 1, 3))(q(conv(x, size=(6, 1), padding="valid"), "out")),
    "series": lambda x: series(x),
}  # fmt: skip


def model_of(kind, seed=1):
    tf_keras.utils.set_random_seed(seed)
    x = counts = K.Input((20, 2) if kind == "series" else (6, 5, 2), name="counts")
    if kind != "series":
        x = q(conv(x, "first"), "first_q")
    x = MAPS[kind](x)
    if len(x.shape) > 2:
        x = K.Flatten(name="flat")(x)
    return tf_keras.Model(counts, dense(x, 1, "logit"))


def counts_of(network, events, seed=0):
    dtype = network.input.dtype
    rng = np.random.default_rng(seed)
    counts = rng.integers(dtype.minimum, dtype.maximum + 1, (events, *network.input.size))
    counts[0], counts[1] = dtype.minimum, dtype.maximum
    return counts


def keras_values(model, network: Network, counts):
    """Output of every layer that has a node of its name, as integers."""
    names = [n.name for n in network.nodes[1:] if n.name in {layer.name for layer in model.layers}]
    inner = tf_keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    x = np.ldexp(counts.astype(np.float32), -network.input.dtype.fraction)
    results = inner.predict(x.reshape(-1, *model.input_shape[1:]), verbose=0)
    results = results if isinstance(results, list) else [results]
    return {
        name: from_grid(result, network.bounds[name].fraction).reshape(-1, *network.shapes[name])
        for name, result in zip(names, results, strict=True)
    }


@pytest.mark.parametrize("kind", MAPS)
def test_each_kind_equals_keras_and_onnx(kind, tmp_path):
    model = model_of(kind)
    network = extract(model, input_type=INPUT)
    counts = counts_of(network, 60)
    found = evaluate(network, counts)
    expected = keras_values(model, network, counts)
    assert "logit" in expected
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert np.unique(found["logit"]).size > 10
    write_emulator(network, tmp_path / "e.onnx")
    for name, values in OnnxBackend(tmp_path / "e.onnx", network).taps(counts).items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def refused(model):
    with pytest.raises(MappingError) as error:
        extract(model, input_type=FixedPoint(False, 10, 10))
    return str(error.value)


def one(make, size=(6, 5, 2)):
    counts = K.Input(size, name="counts")
    return tf_keras.Model(counts, make(counts))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: q(K.Activation("tanh", name="curve")(conv(x, size=5)), "out"), "curve .*numbers"),
        (
            lambda x: dense(K.Flatten()(K.Activation("tanh", name="curve")(q(x, "q"))), 1, "out"),
            "curve .*no fixed-point",
        ),
        (lambda x: K.Activation("tanh", name="end")(dense(K.Flatten()(x), 1, "out")), "layer end .*logit"),
        (lambda x: K.Activation("elu", name="end")(dense(K.Flatten()(x), 2, "out")), "layer end .*logit"),
        (lambda x: K.Multiply(name="squared")([x, x]), "layer squared .*with itself"),
        (lambda x: K.Multiply(name="outer")([conv(x, filters=1), K.GlobalMaxPooling2D()(x)]), "outer .*x 5"),
        (lambda x: K.Permute((2, 1, 3), name="turned")(x), "layer turned .*another order"),
        (lambda x: K.Reshape((5, 6, 2), name="cut")(x), "layer cut .*makes"),
        (lambda x: K.AveragePooling2D(3, 2, padding="same", name="mean")(x), "mean .*leaves the padding"),
        (lambda x: K.MaxPooling2D(2, name="far")(K.ZeroPadding2D(2)(x)), "layer far .*wholly outside"),
        (lambda x: q(K.PReLU(name="curve")(x), "out"), "layer curve .*position to position"),
    ],
)  # fmt: skip
def test_what_has_no_equivalent_is_refused_by_name(make, said):
    message = refused(one(make))
    assert re.search(said, message), message
    assert "\n" not in message


def test_a_normalization_of_sums_is_a_product_of_few_bits():
    network = extract(model_of("batch normalization of sums"), input_type=INPUT)
    line = network["out_line"]
    assert isinstance(line, Conv2D)
    assert line.depthwise
    assert isinstance(network["out"], Quantize)
    assert line.kernel_type.width <= 20
    assert isinstance(extract(model_of("batch normalization of numbers"), input_type=INPUT)["out"], Lookup)


def test_zeros_count_only_where_a_value_may_be_below_them():
    nonnegative = one(lambda x: K.MaxPooling2D(3, 2, name="out")(K.ZeroPadding2D(1)(x)))
    assert extract(nonnegative, input_type=INPUT)["out"] == MaxPool2D(
        "out", ("counts",), (3, 3), (2, 2), ((1, 1), (1, 1))
    )
    assert extract(nonnegative, input_type=FixedPoint(True, 6, 6))["out"].zeros


def test_a_vector_may_be_told_as_a_map():
    model = one(lambda x: dense(K.Flatten()(q(conv(K.Reshape((4, 3, 1))(x)), "conv_q")), 1, "logit"), (12,))
    network = extract(model, input_type=INPUT)
    assert network.input.size == (4, 3, 1)
    counts = counts_of(network, 20)
    np.testing.assert_array_equal(
        evaluate(network, counts)["logit"], keras_values(model, network, counts)["logit"]
    )
