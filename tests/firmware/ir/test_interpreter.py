"""The integer interpreter against float64 evaluation by SciPy and NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding
from trigger_ml.firmware.ir import network as ir
from trigger_ml.firmware.ir.interpreter import evaluate, logits


def real_conv(x, node):
    """Correlation in real numbers; x (height, width, channels)."""
    kernel = np.ldexp(node.kernel.astype(float), -node.kernel_type.fraction)
    x = np.pad(x, (*node.padding, (0, 0)))
    maps = []
    for out in range(x.shape[2] if node.depthwise else kernel.shape[3]):
        if node.depthwise:
            total = correlate(x[..., out], kernel[:, :, out, 0], mode="valid", method="direct")
        else:
            total = correlate(x, kernel[..., out], mode="valid", method="direct")[..., 0]
        maps.append(total[:: node.strides[0], :: node.strides[1]])
    return np.stack(maps, axis=-1) + np.ldexp(node.bias.astype(float), -node.bias_type.fraction)


def real_quantize(x, node):
    scaled = np.ldexp(x, node.dtype.fraction)
    if node.rounding is Rounding.TRN:
        n = np.floor(scaled)
    elif node.rounding is Rounding.RND:
        n = np.floor(scaled + 0.5)
    else:
        n = np.rint(scaled)
    if node.overflow is Overflow.SAT:
        n = np.clip(n, node.dtype.minimum, node.dtype.maximum)
    else:
        n = np.mod(n - node.dtype.minimum, 2.0**node.dtype.width) + node.dtype.minimum
    return np.ldexp(n, -node.dtype.fraction)


def real_pool(x, node, reduce):
    (height, width), (down, right) = node.window, node.strides
    rows, columns = (x.shape[0] - height) // down + 1, (x.shape[1] - width) // right + 1
    return np.array(
        [
            [reduce(x[i * down : i * down + height, j * right : j * right + width]) for j in range(columns)]
            for i in range(rows)
        ]
    )


def real_node(node, inputs):
    x = inputs[0]
    match node:
        case ir.Conv2D():
            return real_conv(x, node)
        case ir.Dense():
            kernel = np.ldexp(node.kernel.astype(float), -node.kernel_type.fraction)
            return x @ kernel + np.ldexp(node.bias.astype(float), -node.bias_type.fraction)
        case ir.Quantize():
            return real_quantize(x, node)
        case ir.Add():
            return sum(inputs)
        case ir.MaxPool2D():
            return real_pool(x, node, lambda w: w.max(axis=(0, 1)))
        case ir.AveragePool2D():
            return real_pool(x, node, lambda w: w.sum(axis=(0, 1)) / 2.0**node.divisor_log2)
        case ir.GlobalAveragePool():
            return x.sum(axis=(0, 1)) / 2.0**node.divisor_log2
    return x.reshape(-1)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_values_are_those_of_real_arithmetic(make, seed):
    network = make.network(seed)
    counts = make.counts(network, 3, seed)
    found = evaluate(network, counts)
    for event in range(len(counts)):
        real = {"counts": np.ldexp(counts[event].astype(float), -network.input.dtype.fraction)}
        for node in network.nodes[1:]:
            real[node.name] = real_node(node, [real[name] for name in node.inputs])
            values = np.ldexp(found[node.name][event].astype(float), -network.bounds[node.name].fraction)
            np.testing.assert_array_equal(values, real[node.name], err_msg=node.name)


def test_batches_change_nothing(make):
    network = make.network(7)
    counts = make.counts(network, 11)
    values = evaluate(network, counts)
    found = logits(network, counts, batch=4)
    assert set(found) == set(network.outputs)
    for name in network.outputs:
        np.testing.assert_array_equal(found[name], values[name])


def test_no_events_give_no_logits(make):
    network = make.network(7)
    found = logits(network, make.counts(network, 2)[:0])
    assert {name: x.shape for name, x in found.items()} == {
        n: (0, *network.shapes[n]) for n in network.outputs
    }


@pytest.mark.parametrize(
    "counts", [np.zeros((2, 3), int), np.zeros((2, 2)), np.full((2, 2), 16), np.full((2, 2), -1)]
)
def test_inputs_of_another_kind_are_refused(counts):
    network = ir.Network((ir.Input("x", (), FixedPoint(False, 4, 4), (2,)),), ("x",))
    with pytest.raises(ValueError, match=r"inputs"):
        evaluate(network, counts)
