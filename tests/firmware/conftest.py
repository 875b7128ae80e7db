"""Small networks and models that the tests of firmware share."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, quantized_bits, quantized_relu

from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.ir import network as ir

# texts that several tests share
sys.path.insert(0, str(Path(__file__).parent))

layers = tf_keras.layers


class NetworkMaker:
    """Random networks that use every node type, rounding and overflow."""

    def __init__(self, seed, wide=False, plain=False):
        self.rng = np.random.default_rng(seed)
        self.wide = wide
        self.plain = plain
        self.nodes = []

    def integers(self, dtype, shape):
        kept = self.rng.random(shape) < 0.8
        return kept * self.rng.integers(dtype.minimum, dtype.maximum, size=shape, endpoint=True)

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def name(self, op):
        return f"{op}{len(self.nodes)}"

    def add(self, node):
        self.nodes.append(node)
        return node.name

    def shape(self, source):
        return ir.Network(tuple(self.nodes), ()).shapes[source]

    def weights(self, shape, outputs):
        bits = int(self.rng.integers(10, 17) if self.wide else self.rng.integers(2, 7))
        kernel_type = FixedPoint(True, bits, int(self.rng.integers(0, 8)))
        bias_type = FixedPoint(True, int(self.rng.integers(2, 9)), int(self.rng.integers(0, 12)))
        return (
            self.integers(kernel_type, shape),
            kernel_type,
            self.integers(bias_type, (outputs,)),
            bias_type,
        )

    def conv(self, source, filters=None, size=None, strides=None):
        height, width, channels = self.shape(source)
        depthwise = filters is None and bool(self.rng.random() < 0.3)
        size = size or (
            int(self.rng.integers(1, min(4, height + 1))),
            int(self.rng.integers(1, min(4, width + 1))),
        )
        filters = filters or int(self.rng.integers(1, 5))
        kernel = (*size, channels, 1 if depthwise else filters)
        padding = tuple(tuple(int(n) for n in self.rng.integers(0, k, 2)) for k in size)
        strides = strides or (self.pick(1, 1, 2), self.pick(1, 1, 2))
        if strides == (1, 1) and size == (1, 1):
            padding = ((0, 0), (0, 0))
        weights = self.weights(kernel, channels if depthwise else filters)
        return self.add(ir.Conv2D(self.name("conv"), (source,), *weights, strides, padding, depthwise))

    def quantize(self, source):
        bits = int(self.rng.integers(12, 17) if self.wide else self.rng.integers(2, 8))
        dtype = FixedPoint(bool(self.rng.random() < 0.5), bits, int(self.rng.integers(-1, 8)))
        rounding = Rounding.RND_CONV if self.plain else self.pick(*Rounding)
        mode = Overflow.SAT if self.plain else self.pick(Overflow.SAT, Overflow.SAT, Overflow.WRAP)
        return self.add(ir.Quantize(self.name("quantize"), (source,), dtype, rounding, mode))

    def residual(self, source):
        channels = self.shape(source)[2]
        branch = self.conv(source, filters=channels, size=(1, 1), strides=(1, 1))
        if self.rng.random() < 0.7:
            branch = self.quantize(branch)
        return self.add(ir.Add(self.name("add"), (branch, source)))

    def pool(self, source):
        height, width, _ = self.shape(source)
        window = (min(2, height), min(2, width))
        if self.rng.random() < 0.5:
            return self.add(ir.MaxPool2D(self.name("max"), (source,), window, (1, 1)))
        places = int(window[0] * window[1]).bit_length() - 1
        return self.add(ir.AveragePool2D(self.name("average"), (source,), window, window, places))

    def dense(self, source, units):
        features = self.shape(source)[0]
        return self.add(ir.Dense(self.name("dense"), (source,), *self.weights((features, units), units)))

    def build(self):
        size = tuple(int(n) for n in self.rng.integers((3, 3, 1), (9, 9, 4)))
        bits = int(self.rng.integers(8, 13) if self.wide else self.rng.integers(1, 9))
        signed = bool(self.rng.random() < 0.3) and not self.plain and bits > 1
        dtype = FixedPoint(signed, bits, int(self.rng.integers(0, 9)))
        x = self.add(ir.Input("counts", (), dtype, size))
        for _ in range(int(self.rng.integers(1, 4))):
            x = self.quantize(self.conv(x))
            if self.rng.random() < 0.6:
                x = self.quantize(self.residual(x))
            if self.rng.random() < 0.5:
                x = self.quantize(self.pool(x))
        if self.rng.random() < 0.5:
            height, width, _ = self.shape(x)
            x = self.add(ir.GlobalAveragePool("pool", (x,), int(height * width).bit_length()))
        else:
            x = self.add(ir.Flatten("flat", (x,)))
        if self.rng.random() < 0.7:
            x = self.quantize(x)
        x = self.quantize(self.dense(x, int(self.rng.integers(2, 6))))
        outputs = [self.dense(x, 1)]
        if self.rng.random() < 0.3:
            outputs.append(self.dense(x, 2))
        return ir.Network(tuple(self.nodes), tuple(outputs), {"camera": "test"})


def random_counts(network, events, seed=0):
    dtype = network.input.dtype
    rng = np.random.default_rng(seed)
    counts = rng.integers(dtype.minimum, dtype.maximum, (events, *network.input.size), endpoint=True)
    counts[0], counts[1] = dtype.maximum, dtype.minimum
    return counts


@pytest.fixture(scope="session")
def make():
    """``make.network(seed)`` and ``make.counts(network, events)``."""
    return SimpleNamespace(
        network=lambda seed, **options: NetworkMaker(seed, **options).build(), counts=random_counts
    )


def bits(width, integer=0, **options):
    return quantized_bits(width, integer, alpha=1, **options)


def relu(width=5, integer=1):
    return quantized_relu(width, integer)


def _conv(x, filters, size, name, **options):
    settings = {
        "kernel_quantizer": bits(5),
        "bias_quantizer": bits(8, 1),
        "bias_initializer": "random_normal",
        "padding": "same",
        **options,
    }
    return QConv2D(filters, size, name=name, **settings)(x)


def residual_model(size=(8, 7), channels=1, filters=4, seed=1):
    """Stem, one residual block, padded global average, logit: the shape of the project's networks."""
    tf_keras.utils.set_random_seed(seed)
    x = counts = layers.Input((*size, channels), name="counts")
    x = QActivation(bits(9), name="counts_q")(x)
    x = QActivation(relu(), name="stem_q")(_conv(x, filters, 3, "stem", strides=2))
    a = QActivation(relu(), name="a_q")(_conv(x, filters, 3, "a"))
    b = QActivation(bits(7, 1), name="b_q")(_conv(a, filters, 3, "b"))
    x = QActivation(relu(6, 2), name="sum_q")(layers.Add(name="sum")([b, x]))
    height, width = x.shape[1:3]
    padding = ((0, (1 << (height - 1).bit_length()) - height), (0, (1 << (width - 1).bit_length()) - width))
    if padding != ((0, 0), (0, 0)):
        x = layers.ZeroPadding2D(padding, name="pool_pad")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = QActivation(bits(10, 2), name="pool_q")(x)
    x = QDense(1, kernel_quantizer=bits(6), bias_quantizer=bits(8, 1), name="logit")(x)
    return tf_keras.Model(counts, x)


def mixed_model(seed=3):
    """Every other layer: valid and depthwise convolutions, pooling, flatten, a hidden dense layer."""
    tf_keras.utils.set_random_seed(seed)
    weights = {"bias_initializer": "random_normal", "bias_quantizer": bits(7)}
    x = counts = layers.Input((9, 11, 2), name="counts")
    x = QActivation(relu(), name="first_q")(_conv(x, 4, 3, "first", padding="valid"))
    x = layers.ZeroPadding2D(((1, 0), (0, 1)), name="border")(x)
    x = QDepthwiseConv2D(3, padding="same", depthwise_quantizer=bits(5), name="deep", **weights)(x)
    x = layers.MaxPooling2D(2, name="largest")(QActivation(relu(), name="deep_q")(x))
    x = QActivation(bits(5, 1), name="largest_q")(x)
    x = QActivation(relu(), name="point_q")(_conv(x, 4, 1, "point", use_bias=False))
    x = QActivation(relu(6, 1), name="mean_q")(layers.AveragePooling2D(2, name="mean")(x))
    x = layers.Flatten(name="flat")(layers.Dropout(0.5, name="drop")(x))
    x = QActivation(relu(), name="hidden_q")(QDense(6, kernel_quantizer=bits(5), name="hidden", **weights)(x))
    return tf_keras.Model(counts, QDense(1, kernel_quantizer=bits(5), name="logit", **weights)(x))


@pytest.fixture(scope="session")
def models():
    """QKeras models by name; each call of a maker gives a new one."""
    return SimpleNamespace(residual=residual_model, mixed=mixed_model, bits=bits, relu=relu, conv=_conv)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A residual model with its network, its hls4ml project and the compiled C simulation."""
    from trigger_ml.core.config import HlsConfig
    from trigger_ml.firmware.extract import extract
    from trigger_ml.firmware.hls.csim import Csim
    from trigger_ml.firmware.hls.project import write_project

    model = residual_model(size=(7, 6))
    network = extract(model, input_type=FixedPoint(False, 8, 8))
    config = HlsConfig()
    project = write_project(network, config, tmp_path_factory.mktemp("hls") / "residual")
    return SimpleNamespace(model=model, network=network, config=config, project=project, csim=Csim(project))
