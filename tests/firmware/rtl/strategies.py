"""Random networks: any mixture of layers that the RTL generator says it maps."""

import numpy as np
from hypothesis import strategies as st

from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding
from trigger_ml.firmware.ir.network import (
    Add,
    AveragePool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Network,
    Node,
    Quantize,
)
from trigger_ml.firmware.ir.ops import Concatenate, GlobalMaxPool, Lookup, Multiply

ACTIVATION, GATE = FixedPoint(False, 5, 3), FixedPoint(False, 4, 4)


class Builder:
    """Adds nodes to a network with random weights."""

    def __init__(self, rng, size, dtype):
        self.rng = rng
        self.nodes: list[Node] = [Input("input", (), dtype, size)]

    def network(self, outputs=None):
        return Network(tuple(self.nodes), outputs or (self.nodes[-1].name,))

    def shape(self, name):
        return self.network().shapes[name]

    def add(self, node):
        self.nodes.append(node)
        return node.name

    def name(self, kind):
        return f"{kind}{len(self.nodes)}"

    def weights(self, shape, bits, sparsity):
        kernel = self.rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
        kernel[self.rng.random(shape) < sparsity] = 0
        return kernel

    def conv(
        self,
        source,
        filters,
        size=(3, 3),
        strides=(1, 1),
        same=True,
        bits=5,
        sparsity=0.5,
        depthwise=False,
        mask=None,
    ):
        height, width, channels = self.shape(source)
        kernel = self.weights((*size, channels, 1 if depthwise else filters), bits, sparsity)
        if mask is not None:
            kernel = kernel * mask[:, :, None, None]
        padding = ((0, 0), (0, 0))
        if same:
            total = [
                max((-(-n // s) - 1) * s + k - n, 0)
                for n, k, s in zip((height, width), size, strides, strict=True)
            ]
            padding = tuple((t // 2, t - t // 2) for t in total)
        bias = self.rng.integers(-100, 100, channels if depthwise else filters)
        types = FixedPoint(True, bits, bits - 1), FixedPoint(True, 8, 7)
        return self.add(
            Conv2D(
                self.name("conv"), (source,), kernel, types[0], bias, types[1], strides, padding, depthwise
            )
        )

    def dense(self, source, units, bits=5, sparsity=0.3):
        kernel = self.weights((self.shape(source)[0], units), bits, sparsity)
        bias = self.rng.integers(-100, 100, units)
        return self.add(
            Dense(
                self.name("dense"),
                (source,),
                kernel,
                FixedPoint(True, bits, bits - 1),
                bias,
                FixedPoint(True, 8, 7),
            )
        )

    def quantize(self, source, dtype=ACTIVATION, rounding=Rounding.RND_CONV, overflow=Overflow.SAT):
        return self.add(Quantize(self.name("quantize"), (source,), dtype, rounding, overflow))

    def lookup(self, source, dtype=ACTIVATION):
        """A table of a random walk, or one for each channel, as wide as the source asks for."""
        bounds = self.network().bounds[source]
        low, high = int(bounds.low.min()), int(bounds.high.max())
        rows = (self.shape(source)[-1],) if self.rng.random() < 0.3 else ()
        walk = np.cumsum(self.rng.integers(-2, 3, (*rows, high - low + 1)), axis=-1)
        table = np.clip(walk, dtype.minimum, dtype.maximum)
        return self.add(Lookup(self.name("lookup"), (source,), dtype, low, table))

    def multiply(self, first, second):
        return self.add(Multiply(self.name("multiply"), (first, second)))

    def excited(self, source, dtype=GATE, channels=True, positions=True):
        """Squeeze-excite: the map times a number of its own for each channel, and for each position."""
        parts = []
        if channels:
            pooled = self.add(GlobalAveragePool(self.name("pool"), (source,), 4))
            hidden = self.quantize(self.dense(self.quantize(pooled, FixedPoint(True, 6, 3)), 2))
            key = self.quantize(self.dense(hidden, self.shape(source)[2]), FixedPoint(True, 5, 2))
            parts.append(self.multiply(source, self.lookup(key, dtype)))
        if positions:
            key = self.quantize(self.conv(source, 1, (1, 1)), FixedPoint(True, 5, 2))
            parts.append(self.multiply(source, self.lookup(key, dtype)))
        if len(parts) == 1:
            return parts[0]
        return self.add(Add(self.name("add"), tuple(self.quantize(part) for part in parts)))

    def join(self, *sources):
        return self.add(Concatenate(self.name("join"), sources))

    def branches(self, source, filters, kernel, dtypes, sparsity=0.5):
        """The source beside convolutions of it, each with a type of its own, joined."""
        made = [
            self.quantize(self.conv(source, filters, kernel, sparsity=sparsity), dtype) for dtype in dtypes
        ]
        return self.join(*made, source)

    def residual(self, source, filters, strides=(1, 1), sparsity=0.5):
        """Two convolutions beside the identity or a projection, added."""
        main = self.quantize(self.conv(source, filters, strides=strides, sparsity=sparsity))
        main = self.quantize(self.conv(main, filters, sparsity=sparsity), FixedPoint(True, 6, 3))
        side = source
        if strides != (1, 1) or self.shape(source)[2] != filters:
            side = self.quantize(
                self.conv(source, filters, (1, 1), strides, sparsity=sparsity), FixedPoint(True, 6, 3)
            )
        return self.quantize(self.add(Add(self.name("add"), (main, side))))


def resnet(
    size=(12, 12),
    stem=4,
    stages=((4, 1), (8, 2)),
    stem_strides=(1, 1),
    seed=0,
    sparsity=0.5,
    bits=8,
    pooled=8,
    mask=None,
):
    """A residual network like those of ``models/resnet.py``."""
    b = Builder(np.random.default_rng(seed), (*size, 1), FixedPoint(False, bits, bits))
    x = b.quantize(b.conv("input", stem, strides=stem_strides, sparsity=sparsity / 2, bits=6, mask=mask))
    for filters, stride in stages:
        x = b.residual(x, filters, (stride, stride), sparsity)
    x = b.quantize(b.add(GlobalAveragePool("pool", (x,), 6)), FixedPoint(False, pooled, pooled - 3))
    b.dense(x, 1, sparsity=0.0)
    return b.network()


def small():
    """Two convolutions and a dense layer, made in a second."""
    b = Builder(np.random.default_rng(3), (5, 6, 1), FixedPoint(False, 4, 4))
    x = b.quantize(b.conv("input", 2, bits=4))
    x = b.quantize(b.conv(x, 2, strides=(2, 2), bits=4))
    b.dense(b.add(Flatten("flat", (x,))), 1)
    return b.network()


types = st.builds(
    FixedPoint,
    signed=st.booleans(),
    width=st.integers(2, 7),
    fraction=st.integers(-1, 6),
)


@st.composite
def networks(draw, max_layers=4):
    """Depth, width, kernels, strides, padding, pooling, branches, bits and types are drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = (draw(st.integers(4, 10)), draw(st.integers(4, 10)), draw(st.integers(1, 2)))
    width = draw(st.integers(1, 8))
    b = Builder(rng, size, FixedPoint(draw(st.booleans()), width, draw(st.integers(0, 8))))
    x = "input"
    for _ in range(draw(st.integers(1, max_layers))):
        height, columns, _ = b.shape(x)
        kind = draw(
            st.sampled_from(
                [
                    "conv",
                    "conv",
                    "depthwise",
                    "residual",
                    "branches",
                    "maximum",
                    "average",
                    "point",
                    "lookup",
                    "excited",
                ]
            )
        )
        filters = draw(st.integers(1, 4))
        sparsity = draw(st.sampled_from([0.0, 0.5, 0.9]))
        same = draw(st.booleans())
        reach = 5 if same else min(5, height, columns)
        kernel = (draw(st.integers(1, reach)), draw(st.integers(1, reach)))
        strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        if kind in ("maximum", "average"):
            window = (draw(st.integers(1, min(3, height))), draw(st.integers(1, min(3, columns))))
            if kind == "maximum":
                edge = tuple(
                    (draw(st.integers(0, (n - 1) // 2)), draw(st.integers(0, n // 2))) for n in window
                )
                x = b.add(MaxPool2D(b.name("pool"), (x,), window, strides, edge, draw(st.booleans())))
            else:
                x = b.add(AveragePool2D(b.name("pool"), (x,), window, strides, 2))
        elif kind == "residual":
            stride = draw(st.integers(1, 2))
            x = b.residual(x, filters, (stride, stride), sparsity)
        elif kind == "branches":
            dtypes = [draw(types) for _ in range(draw(st.integers(1, 2)))]
            x = b.branches(x, draw(st.integers(1, 2)), (draw(st.integers(1, 3)),) * 2, dtypes, sparsity)
        elif kind == "lookup":
            x = b.lookup(x, draw(types))
        elif kind == "excited":
            which = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
            x = b.excited(x, draw(types), *which)
        elif kind == "point":
            x = b.conv(x, filters, (1, 1), (1, 1), False, sparsity=sparsity)
        else:
            depthwise = kind == "depthwise"
            bits = draw(st.integers(2, 6))
            x = b.conv(x, filters, kernel, strides, same, bits, sparsity, depthwise)
        if draw(st.booleans()) or b.network().types[x].width > 9:
            x = b.quantize(x, draw(types), draw(st.sampled_from(Rounding)), draw(st.sampled_from(Overflow)))
    end = draw(st.sampled_from(["flat", "pooled", "largest", "both"]))
    if end == "flat":
        x = b.add(Flatten("flatten", (x,)))
    elif end == "largest":
        x = b.add(GlobalMaxPool(b.name("pool"), (x,)))
    elif end == "pooled":
        x = b.add(GlobalAveragePool("pool", (x,), draw(st.integers(0, 6))))
    else:
        flat = b.add(Flatten("flatten", (x,)))
        x = b.join(flat, b.add(GlobalAveragePool("pool", (x,), draw(st.integers(0, 6)))))
    if draw(st.booleans()):
        x = b.quantize(x, draw(types))
    outputs = (b.dense(x, draw(st.integers(1, 2))),)
    if draw(st.booleans()):
        outputs += (b.dense(x, 1),)
    return b.network(outputs)


def counts(rng, network, frames):
    """Random inputs: full range, mostly zero, and the extremes."""
    dtype = network.input.dtype
    x = rng.integers(dtype.minimum, dtype.maximum + 1, (frames, *network.input.size))
    x[rng.random(x.shape) < rng.random((frames, 1, 1, 1))] = 0
    x[0], x[-1] = dtype.maximum, dtype.minimum
    return x
