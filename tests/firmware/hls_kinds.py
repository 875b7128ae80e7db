"""One small model for each kind of layer, and what every hls4ml backend makes of it."""

from dataclasses import dataclass

import numpy as np
from qkeras import (
    QActivation,
    QConv2D,
    QDense,
    QDepthwiseConv2D,
    QSeparableConv2D,
    quantized_bits,
    quantized_relu,
)

from trigger_ml.core.config import HlsConfig
from trigger_ml.core.errors import StageError, TriggerMLError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.csim import Csim
from trigger_ml.firmware.hls.project import CSIM_BACKENDS, write_project
from trigger_ml.firmware.ir.interpreter import evaluate

BACKENDS = ("Vitis", "Vivado", "Quartus", "Catapult", "oneAPI", "Libero")
IO_TYPES = ("io_stream", "io_parallel")
INPUTS = 24
layers = tf_keras.layers


def bits(width, integer=0, **options):
    return quantized_bits(width, integer, alpha=1, **options)


def weights(name, kind="kernel"):
    return {
        f"{kind}_quantizer": bits(5),
        "bias_quantizer": bits(7, 1),
        "bias_initializer": "random_normal",
    } | {"name": name}


def signed(x, name):
    return QActivation(bits(6, 2), name=name)(x)


def unsigned(x, name):
    return QActivation(quantized_relu(5, 2), name=name)(x)


def conv(x, name="conv", filters=2, size=3, **options):
    return QConv2D(filters, size, **weights(name), **{"padding": "same", **options})(x)


def head(x):
    return QDense(1, **weights("logit"))(layers.Flatten(name="flat")(x))


def hexagonal(x):
    return conv(x, "hex")


def separable(x):
    settings = {"depthwise_quantizer": bits(5), "pointwise_quantizer": bits(5), "bias_quantizer": bits(7, 1)}
    return QSeparableConv2D(2, 3, padding="same", name="separable", **settings)(x)


def residual(x):
    a = signed(conv(x, "a"), "a_q")
    return layers.Add(name="sum")([signed(conv(a, "b"), "b_q"), a])


def joined(x):
    return layers.Concatenate(name="join")([signed(x, "a_q"), unsigned(x, "b_q"), x])


def joined_vectors(x):
    flat = layers.Flatten(name="map")(x)
    hidden = signed(QDense(2, **weights("hidden"))(flat), "hidden_q")
    return layers.Concatenate(name="join")([flat, hidden])


def pooled(x):
    x = signed(conv(x), "conv_q")
    return signed(layers.GlobalAveragePooling2D(name="pool")(x), "pool_q")


# what stands between the quantized input and, where the result is a map, flatten + dense
KINDS = {
    "conv2d, 'same'": lambda x: signed(conv(x), "conv_q"),
    "conv2d, 'valid', strides 2": lambda x: signed(conv(x, padding="valid", strides=2), "conv_q"),
    "conv2d 1 x 1": lambda x: signed(conv(x, size=1), "conv_q"),
    "depthwise conv2d": lambda x: signed(
        QDepthwiseConv2D(3, padding="same", **weights("deep", "depthwise"))(x), "deep_q"
    ),
    "separable conv2d": lambda x: signed(separable(x), "separable_q"),
    "hexagonal kernel": lambda x: signed(hexagonal(x), "hex_q"),
    "residual add": lambda x: signed(residual(x), "sum_q"),
    "concatenation of maps": joined,
    "concatenation of vectors": joined_vectors,
    "max pooling": lambda x: layers.MaxPooling2D(2, name="pool")(x),
    "average pooling": lambda x: signed(layers.AveragePooling2D(2, name="pool")(x), "pool_q"),
    "global average pooling": pooled,
    "flatten + dense": lambda x: x,
    "unsigned types": lambda x: unsigned(conv(x), "conv_q"),
    "dense on a vector": None,
}


def model_of(kind, seed=1):
    """A QKeras model with that kind of layer."""
    tf_keras.utils.set_random_seed(seed)
    if KINDS[kind] is None:
        x = counts = layers.Input((6,), name="counts")
        return tf_keras.Model(counts, QDense(1, **weights("logit"))(x))
    x = counts = layers.Input((4, 4, 2), name="counts")
    x = KINDS[kind](signed(x, "counts_q") if kind != "unsigned types" else x)
    x = QDense(1, **weights("logit"))(x) if len(x.shape) == 2 else head(x)
    model = tf_keras.Model(counts, x)
    for layer in model.layers:
        if layer.name == "hex":
            kernel, bias = layer.get_weights()
            kernel[0, 0], kernel[2, 2] = 0, 0
            layer.set_weights([kernel, bias])
    return model


@dataclass(frozen=True)
class Outcome:
    """What became of a model in one backend, with what was measured or said."""

    state: str
    detail: str = ""


def outcome(kind, backend, io_type, directory):
    """Write the project, and where g++ suffices compile and compare it."""
    model = model_of(kind)
    config = HlsConfig(backend=backend, io_type=io_type)
    try:
        network = extract(model, input_type=FixedPoint(False, 8, 6))
        project = write_project(network, config, directory)
    except TriggerMLError as error:
        return Outcome("refused", error.why)
    if backend not in CSIM_BACKENDS:
        return Outcome("written")
    script = directory / "build_lib.sh"
    # the same integers with any optimization, and compilers take a fraction of the time without
    script.write_text(script.read_text().replace("-O3", "-O0"))
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 256, (INPUTS, *network.input.size))
    counts[0], counts[1] = 0, 255
    try:
        found = Csim(project).run(counts)["logit"]
    except StageError as error:
        return Outcome("does not compile", error.why)
    expected = evaluate(network, counts)["logit"]
    equal = int((found == expected).all(axis=1).sum())
    return Outcome("exact" if equal == INPUTS else "DIFFERS", f"{equal} of {INPUTS}")
