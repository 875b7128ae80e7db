"""What a digit or a bit costs, against predictions of networks that were changed by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))

from strategies import resnet

from trigger_ml.core.config import RtlConfig
from trigger_ml.firmware.cost.prediction import predict
from trigger_ml.firmware.cost.sensitivity import sensitivity, silenced
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, Quantize

CONFIG = RtlConfig(pixels_per_clock=2)


@pytest.fixture(scope="module")
def network() -> Network:
    return resnet((12, 12), 4, ((4, 1), (8, 2)))


def changed(network: Network, node) -> int:
    nodes = tuple(node if other.name == node.name else other for other in network.nodes)
    return predict(Network(nodes, network.outputs), CONFIG).total.lut


def test_a_bit_costs_what_a_design_made_anew_saves_without_it(network) -> None:
    found = sensitivity(network, CONFIG)
    base = predict(network, CONFIG)
    assert found.prediction.total == base.total
    assert set(found.per_digit) == {node.name for node in network.nodes if isinstance(node, Affine)}
    for node in network.nodes:
        if isinstance(node, Quantize) and node.name in found.per_bit:
            dtype = replace(node.dtype, width=node.dtype.width - 1, fraction=node.dtype.fraction - 1)
            saved = max(0, base.total.lut - changed(network, replace(node, dtype=dtype)))
            # a new plan may move a pipeline register and with it a buffer's depth
            assert found.per_bit[node.name] == pytest.approx(saved, abs=20)
    assert max(found.per_bit.values()) > 10
    assert min(found.per_digit.values()) > 0


def test_nothing_is_below_the_network_without_weights(network) -> None:
    least = predict(silenced(network), CONFIG)
    rng = np.random.default_rng(1)
    nodes = tuple(
        replace(node, kernel=node.kernel * (rng.random(node.kernel.shape) < 0.05))
        if isinstance(node, Affine)
        else node
        for node in network.nodes
    )
    sparse = predict(Network(nodes, network.outputs), CONFIG)
    for prediction in (sparse, predict(network, CONFIG)):
        assert prediction.total.lut > least.total.lut
        assert prediction.timing.latency >= least.timing.latency
        assert prediction.timing.interval == least.timing.interval
