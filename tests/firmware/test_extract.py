"""Extraction from QKeras: equal to the model bit for bit, and clear refusals."""

import numpy as np
import pytest
from qkeras import (
    QActivation,
    QBatchNormalization,
    QConv2D,
    QDense,
    quantized_bits,
    quantized_relu,
)

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, from_grid
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Conv2D, GlobalAveragePool, Input, Quantize

layers = tf_keras.layers
INPUT = FixedPoint(False, 8, 8)


def keras_values(model, network, counts):
    """Every visible layer's output in Keras, as integers of the network's units."""
    names = [node.name for node in network.nodes[1:]]
    inner = tf_keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    x = np.ldexp(counts.astype(np.float32), -network.input.dtype.fraction)
    results = inner.predict(x, verbose=0)
    results = results if isinstance(results, list) else [results]
    return {
        name: from_grid(result, network.bounds[name].fraction)
        for name, result in zip(names, results, strict=True)
    }


@pytest.mark.parametrize("kind", ["residual", "mixed"])
def test_every_layer_equals_keras(models, make, kind):
    model = getattr(models, kind)()
    network = extract(model, input_type=INPUT, metadata={"task": "type"})
    counts = make.counts(network, 30)
    expected = keras_values(model, network, counts)
    found = evaluate(network, counts)
    assert set(expected) == set(found) - {"counts"}
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert network.outputs == ("logit",)
    assert network.metadata == {"task": "type"}
    assert np.unique(found["logit"]).size > 20


def test_layers_that_change_nothing_have_no_node(models):
    network = extract(models.residual(), input_type=INPUT)
    names = [node.name for node in network.nodes]
    assert "counts_q" not in names  # identity on the input type
    assert "pool_pad" not in names
    pool = network["pool"]
    assert isinstance(pool, GlobalAveragePool)
    assert pool.divisor_log2 == 4  # 4 x 4 cells, already a power of two
    padded = extract(models.residual(size=(11, 9)), input_type=INPUT)["pool"]
    assert padded.divisor_log2 == 6  # 6 x 5 padded to 8 x 8
    assert "drop" not in [node.name for node in extract(models.mixed(), input_type=INPUT).nodes]


def test_an_input_quantizer_that_changes_values_is_kept(models):
    network = extract(models.residual(), input_type=FixedPoint(False, 10, 10))
    assert isinstance(network["counts_q"], Quantize)
    assert network["counts_q"].dtype == FixedPoint(True, 9, 8)


def one_layer(layer, size=(6, 5, 2), **options):
    x = layers.Input(size, name="counts")
    return tf_keras.Model(x, layer(x)), options


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [((3, 2), (1, 2)), ((2, 5), (2, 1)), ((1, 1), (3, 2)), (4, 3)])
def test_convolution_geometry(models, make, padding, size, strides):
    conv = QConv2D(
        3, size, strides, padding, kernel_quantizer=models.bits(4), bias_quantizer=models.bits(6), name="conv"
    )
    model, _ = one_layer(conv)
    network = extract(model, input_type=INPUT)
    assert isinstance(network["conv"], Conv2D)
    counts = make.counts(network, 6)
    expected = keras_values(model, network, counts)
    np.testing.assert_array_equal(evaluate(network, counts)["conv"], expected["conv"])


@pytest.mark.parametrize(
    "quantizer",
    [
        quantized_bits(6, 2, alpha=1),
        quantized_bits(6, 0, keep_negative=False, alpha=1),
        quantized_bits(5, 5, alpha=1),
        quantized_bits(4, 6, alpha=None),
        quantized_relu(6, 2),
        quantized_relu(4, 5),
        quantized_relu(1, 0),
    ],
    ids=str,
)
def test_quantizers(make, quantizer):
    """Values of both signs, on and between the grid points, and far outside the range."""
    conv = QConv2D(
        8, 1, kernel_quantizer=quantized_bits(12, 7, alpha=1), bias_quantizer=quantized_bits(8, 6, alpha=1)
    )
    x = layers.Input((6, 5, 2), name="counts")
    model = tf_keras.Model(x, QActivation(quantizer, name="out")(conv(x)))
    rng = np.random.default_rng(1)
    conv.set_weights([rng.uniform(-128, 128, (1, 1, 2, 8)), rng.uniform(-64, 64, 8)])
    network = extract(model, input_type=INPUT)
    counts = make.counts(network, 20)
    expected = keras_values(model, network, counts)
    found = evaluate(network, counts)
    np.testing.assert_array_equal(found["out"], expected["out"])
    assert found["out"].max() == network.types["out"].maximum


def test_a_symmetric_quantizer_costs_something_only_where_it_matters(models):
    def build(integer):
        x = layers.Input((4, 4, 1), name="counts")
        y = models.conv(x, 2, 3, "conv", bias_quantizer=models.bits(8, 2))
        return tf_keras.Model(x, QActivation(models.bits(8, integer, symmetric=1), name="q")(y))

    assert extract(build(4), input_type=INPUT).types["q"] == FixedPoint(True, 8, 3)
    network = extract(build(0), input_type=INPUT)
    assert (int(network.bounds["q"].low.min()), int(network.bounds["q"].high.max())) == (-127, 127)


def test_plain_relu_is_exact(models, make):
    x = layers.Input((5, 5, 1), name="counts")
    model = tf_keras.Model(x, layers.ReLU(name="relu")(models.conv(x, 3, 3, "conv")))
    network = extract(model, input_type=INPUT)
    counts = make.counts(network, 10)
    values = evaluate(network, counts)
    np.testing.assert_array_equal(values["relu"], np.maximum(values["conv"], 0))
    assert (values["relu"] == 0).any()


def test_outputs_with_names_and_classes_are_told(models):
    x = layers.Input((4,), name="counts")
    quantizers = {"kernel_quantizer": models.bits(4), "bias_quantizer": models.bits(4)}
    three = layers.Softmax(name="last")(QDense(3, name="classes", **quantizers)(x))
    network = extract(
        tf_keras.Model(x, {"type": three, "energy": QDense(1, name="e", **quantizers)(x)}),
        input_type=INPUT,
        metadata={"name": "two"},
    )
    assert network.outputs == ("e", "classes")
    assert network.metadata == {
        "name": "two",
        "outputs": {
            "energy": {"node": "e", "activation": "linear"},
            "type": {"node": "classes", "activation": "softmax"},
        },
    }


def test_several_outputs(models):
    x = layers.Input((4,), name="counts")
    quantizers = {"kernel_quantizer": models.bits(4), "bias_quantizer": models.bits(4)}
    heads = [QDense(n, name=name, **quantizers)(x) for n, name in ((1, "energy"), (2, "direction"))]
    network = extract(tf_keras.Model(x, heads), input_type=INPUT)
    assert network.outputs == ("energy", "direction")
    assert network.shapes["direction"] == (2,)
    assert isinstance(network.input, Input)
    assert extract(tf_keras.Model(x, heads), input_type=INPUT, outputs=["direction"]).outputs == (
        "direction",
    )


Q = {"kernel_quantizer": quantized_bits(4, 0, alpha=1), "bias_quantizer": quantized_bits(4, 0, alpha=1)}
REFUSED = {
    "batch norm": ([layers.BatchNormalization(name="bad")], "quantizer behind it"),
    "quantized batch norm": ([QBatchNormalization(name="bad")], "quantizer behind it"),
    "float convolution": ([layers.Conv2D(2, 3, name="bad")], "QConv2D"),
    "unknown layer": ([layers.UpSampling2D(name="bad")], "Known layers"),
    "tanh": ([layers.Flatten(), QDense(2, **Q), layers.Activation("tanh", name="bad")], "logit"),
    "alpha": (
        [
            QConv2D(
                2,
                3,
                kernel_quantizer=quantized_bits(4, 0, alpha="auto"),
                bias_quantizer=Q["bias_quantizer"],
                name="bad",
            )
        ],
        r"alpha='auto'.*auto_po2",
    ),
    "scale": ([QActivation(quantized_bits(4, 0, alpha=0.3), name="bad")], "alpha"),
    "noise": ([QActivation(quantized_bits(4, 0, alpha=1, qnoise_factor=0.5), name="bad")], "qnoise_factor"),
    "float bias": (
        [QConv2D(2, 3, kernel_quantizer=Q["kernel_quantizer"], bias_initializer="ones", name="bad")],
        "bias_quantizer",
    ),
    "groups": ([QConv2D(2, 3, groups=2, name="bad", **Q)], "groups"),
    "pool over 9": ([layers.AveragePooling2D(3, name="bad")], "quantizer behind it"),
    "global pool": ([layers.GlobalAveragePooling2D(name="bad")], "quantizer behind it"),
    "padded average": ([layers.AveragePooling2D(4, padding="same", name="bad")], "pads"),
    "padding": ([layers.ZeroPadding2D(1), QActivation(quantized_relu(4), name="bad")], "zero-padded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_equivalent_is_refused(case):
    chain, message = REFUSED[case]
    x = counts = layers.Input((6, 5, 2), name="counts")
    for layer in chain:
        x = layer(x)
    with pytest.raises(MappingError, match=message) as caught:
        extract(tf_keras.Model(counts, x), input_type=INPUT)
    assert "layer bad" in str(caught.value)


def test_shared_layers_and_many_inputs_are_refused(models):
    x = layers.Input((4, 4, 2), name="counts")
    conv = QConv2D(2, 1, name="twice", **Q)
    with pytest.raises(MappingError, match=r"layer twice.*2 times"):
        extract(tf_keras.Model(x, conv(conv(x))), input_type=INPUT)
    y = layers.Input((4, 4, 2))
    with pytest.raises(MappingError, match="2 inputs"):
        extract(tf_keras.Model([x, y], layers.Add()([x, y])), input_type=INPUT)
    with pytest.raises(MappingError, match="no Keras 2 model"):
        extract("model.h5", input_type=INPUT)


def test_nan_weights_are_refused(models):
    model = models.residual()
    layer = model.get_layer("a")
    kernel, bias = layer.get_weights()
    kernel[0, 0, 0, 0] = np.nan
    layer.set_weights([kernel, bias])
    with pytest.raises(MappingError, match=r"layer a .*NaN"):
        extract(model, input_type=INPUT)
