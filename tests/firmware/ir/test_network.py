"""The network's structure and bounds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.interpreter import evaluate
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
    Quantize,
)
from trigger_ml.firmware.ir.ops import window_shape

BITS3 = FixedPoint(True, 3, 1)


def dense(name, source, kernel, bias=0):
    kernel = np.atleast_2d(np.array(kernel, dtype=np.int64)).T
    return Dense(name, (source,), kernel, BITS3, np.full(kernel.shape[1], bias), BITS3)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_every_value_is_within_its_bounds_and_its_type(make, seed):
    network = make.network(seed)
    values = evaluate(network, make.counts(network, 20, seed))
    for name, x in values.items():
        bounds = network.bounds[name]
        assert (x >= bounds.low).all(), name
        assert (x <= bounds.high).all(), name
        assert network.types[name].contains(int(x.min()), int(x.max())), name
        assert x.shape[1:] == network.shapes[name]


def test_bounds_of_a_dense_layer_are_reached():
    dtype = FixedPoint(True, 3, 0)
    network = Network((Input("x", (), dtype, (3,)), dense("y", "x", [3, -2, 1], bias=1)), ("y",))
    inputs = np.array(list(itertools.product(range(-4, 4), repeat=3)))
    y = evaluate(network, inputs)["y"]
    bounds = network.bounds["y"]
    assert (int(y.min()), int(y.max())) == (bounds.low[0], bounds.high[0])


def test_a_depthwise_kernel_is_a_diagonal_full_kernel():
    rng = np.random.default_rng(1)
    kernel = rng.integers(-3, 4, (3, 2, 4, 1))
    node = Conv2D("c", ("x",), kernel, BITS3, np.zeros(4, np.int64), BITS3, depthwise=True)
    full = node.full_kernel()
    assert full.shape == (3, 2, 4, 4)
    np.testing.assert_array_equal(np.einsum("hwcc->hwc", full), kernel[..., 0])
    assert np.count_nonzero(full) == np.count_nonzero(kernel)


def test_window_shape():
    assert window_shape((5, 6), (3, 2), (2, 2), ((1, 1), (0, 0))) == (3, 3)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([Input("x", (), BITS3, (2,)), dense("y", "z", [1, 1])], ("y",), "before they are computed"),
        ([Input("x", (), BITS3, (2,)), dense("x", "x", [1, 1])], ("x",), "two nodes"),
        ([Input("x", (), BITS3, (2,))], ("y",), "not nodes"),
        ([Input("x", (), BITS3, (2,)), Input("y", (), BITS3, (2,))], ("y",), "first node"),
    ],
)
def test_a_malformed_network_is_refused(nodes, outputs, message):
    with pytest.raises(ValueError, match=message):
        Network(tuple(nodes), outputs)


@pytest.mark.parametrize("size", [(1, 4, 1), (4, 1, 1)])
def test_an_empty_map_is_refused_with_the_layer(size):
    nodes = (Input("x", (), BITS3, size), MaxPool2D("pool", ("x",), (2, 2), (2, 2)))
    with pytest.raises(MappingError, match=r"layer pool \(max_pool2d\): its output .* is empty"):
        Network(nodes, ("pool",))


def test_the_smallest_map_is_not_refused():
    nodes = (Input("x", (), BITS3, (2, 2, 1)), MaxPool2D("pool", ("x",), (2, 2), (2, 2)))
    assert Network(nodes, ("pool",)).shapes["pool"] == (1, 1, 1)


def test_sums_beyond_62_bits_are_refused_with_the_layer():
    wide = FixedPoint(False, 40, 0)
    kernel = np.full((2, 1), 2**30)
    node = Dense("y", ("x",), kernel, FixedPoint(True, 40, 0), np.zeros(1, np.int64), BITS3)
    network = Network((Input("x", (), wide, (2,)), node), ("y",))
    with pytest.raises(OverflowError, match="y: "):
        _ = network.bounds


def test_types_and_shapes_of_the_nodes_without_weights():
    x = Input("x", (), FixedPoint(False, 4, 4), (4, 6, 2))
    network = Network(
        (
            x,
            MaxPool2D("m", ("x",), (2, 2), (2, 2)),
            AveragePool2D("a", ("m",), (2, 1), (2, 1), 1),
            Add("s", ("a", "a")),
            Quantize("q", ("s",), FixedPoint(False, 3, 2)),
            Flatten("f", ("q",)),
            GlobalAveragePool("g", ("x",), 5),
        ),
        ("f", "g"),
    )
    assert network.shapes == {
        "x": (4, 6, 2), "m": (2, 3, 2), "a": (1, 3, 2), "s": (1, 3, 2), "q": (1, 3, 2), "f": (6,), "g": (2,)
    }  # fmt: skip
    assert str(network.types["a"]) == "ufixed<5,0>"  # a sum of two 4-bit numbers, halved: no bit is lost
    assert network.types["s"] == FixedPoint(False, 6, 5)
    assert network.types["q"] == FixedPoint(False, 3, 2)
    # 24 cells of at most 15, in units of 2**-(4+5)
    assert network.bounds["g"].high.tolist() == [360, 360]
    assert network.types["g"].fraction == 9
    assert [node.name for node in network.consumers("x")] == ["m", "g"]
