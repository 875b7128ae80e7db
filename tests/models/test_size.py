import gzip

import numpy as np
import pytest

from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.size import model_size


def small():
    counts = tf_keras.Input((6, 4, 2), name="counts")
    x = tf_keras.layers.Conv2D(3, 3, strides=2, padding="same", name="conv")(counts)
    x = tf_keras.layers.Flatten()(x)
    return tf_keras.Model(counts, tf_keras.layers.Dense(1, name="head")(x))


def test_float_model_counted_by_hand() -> None:
    model = small()
    kernel = np.ones((3, 3, 2, 3), dtype=np.float32)
    kernel[0] = 0
    model.get_layer("conv").set_weights([kernel, np.zeros(3)])
    model.get_layer("head").set_weights([np.ones((18, 1)), np.ones(1)])
    size = model_size(model)
    assert size.parameters == 54 + 3 + 18 + 1
    assert size.nonzero == 36 + 18 + 1
    assert size.bytes_float32 == 4 * 76
    # the convolution runs at 3 x 2 positions
    assert size.macs == 6 * 54 + 18
    assert size.macs_nonzero == 6 * 36 + 18
    assert size.bit_operations == 32 * 32 * size.macs_nonzero
    assert size.gflops == pytest.approx(2 * size.macs / 1e9)
    assert size.bytes_packed is None
    values = np.concatenate([w.ravel() for w in model.get_weights()])
    assert size.bytes_gzip == pytest.approx(len(gzip.compress(values.tobytes())), abs=2)


def test_quantized_model_is_packed_to_its_widths() -> None:
    from qkeras import QDense, quantized_bits

    counts = tf_keras.Input((4,))
    layer = QDense(
        2, kernel_quantizer=quantized_bits(6, 0, alpha=1), bias_quantizer=quantized_bits(8, 2, alpha=1)
    )
    model = tf_keras.Model(counts, layer(counts))
    # integers 31, -32, 1 and zeros (0.01 rounds to zero): 6 bits; biases 4 and -4 of 1/32: 4 bits
    kernel = np.array([[31 / 32, -1.0], [1 / 32, 0.01], [0, 0], [0, 0]])
    layer.set_weights([kernel, np.array([4 / 32, -4 / 32])])
    size = model_size(model)
    assert size.nonzero == 3 + 2
    assert size.bytes_packed == int(np.ceil((3 * 6 + 8 + 2 * 4 + 2) / 8))


def test_bit_operations_by_hand() -> None:
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu

    x = counts = tf_keras.Input((6, 4, 2), name="counts")
    x = QActivation(quantized_bits(9, 0, alpha=1), name="counts_q")(x)
    kinds = {
        "kernel_quantizer": quantized_bits(6, 0, alpha=1),
        "bias_quantizer": quantized_bits(8, 2, alpha=1),
    }
    x = QConv2D(3, 3, name="conv", **kinds)(x)
    x = QActivation(quantized_relu(5, 2), name="relu")(x)
    x = tf_keras.layers.MaxPooling2D(2, name="pool")(x)
    x = tf_keras.layers.Flatten(name="flat")(x)
    model = tf_keras.Model(counts, QDense(1, name="head", **kinds)(x))
    kernel = np.zeros((3, 3, 2, 3))
    kernel[0, 0], kernel[1, 1, 0, 0] = 0.5, -1.0
    model.get_layer("conv").set_weights([kernel, np.zeros(3)])
    model.get_layer("head").set_weights([np.array([[1 / 32], [0], [-3 / 32], [0], [0], [0]]), np.zeros(1)])
    # 4 x 2 positions, 7 weights of 6 bits (-32 is one), 9 bits in; 2 weights of 3 bits (-3), 5 bits in
    assert model_size(model).bit_operations == 8 * 7 * 6 * 9 + 2 * 3 * 5
