"""The RTL itself, clock by clock, and the emulator, against the interpreter."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import counts, networks, resnet, small

from trigger_ml.core.config import RtlConfig
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.engines.rtl import Disturbance, RtlBackend
from trigger_ml.firmware.ir.interpreter import evaluate, logits
from trigger_ml.firmware.onnx.emulator import write_emulator

DISTURBED = (
    Disturbance(gap=0.5, stall=0.5, seed=2),
    Disturbance(gap=0.2, stall=0.9, reset=0.002, seed=3),
    Disturbance(gap=0.95, seed=4),
)


def compare(network, config, frames=20):
    """Every tap and output, undisturbed and disturbed; the clocks as predicted."""
    backend = RtlBackend(network, config)
    x = counts(np.random.default_rng(0), network, frames)
    expected = evaluate(network, x)
    calm = backend.simulator(x, taps=True)
    for name, found in {**calm.taps, **calm.outputs}.items():
        np.testing.assert_array_equal(found, expected[name][: len(found)], err_msg=name)
    assert (calm.latency, calm.interval) == (backend.project.timing.latency, backend.project.timing.interval)
    for disturbance in DISTURBED:
        found = backend.simulator(x, disturbance).outputs
        for name in network.outputs:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{name} {disturbance}")


def compare_onnx(network, frames=20):
    """The emulator on the same inputs."""
    x = counts(np.random.default_rng(0), network, frames)
    expected = logits(network, x)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "emulator.onnx"
        write_emulator(network, path)
        found = OnnxBackend(path, network).run(x)
    for name in network.outputs:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_small_network_is_equal_bit_for_bit(lanes):
    compare(small(), RtlConfig(pixels_per_clock=lanes))


def test_the_backend_gives_outputs_and_taps():
    network = small()
    backend = RtlBackend(network, RtlConfig())
    x = counts(np.random.default_rng(1), network, 4)
    np.testing.assert_array_equal(backend.run(x)["dense6"], logits(network, x)["dense6"])
    assert set(backend.taps(x)) == {"quantize2", "quantize4", "flat", "dense6"}
    assert backend.name == "rtl"


def test_a_layer_may_be_called_as_it_likes():
    """Words of the languages, ports, other modules, names that differ by case or a character only."""
    network = small()
    words = [
        "global",
        "type",
        "Type",
        "m_axis",
        "trigger_network",
        "cell//a",
        "cell\\b\nendmodule",
        "x_kernel",
    ]
    new = dict(zip((node.name for node in network.nodes), words, strict=False))
    nodes = tuple(
        replace(node, name=new[node.name], inputs=tuple(new[name] for name in node.inputs))
        for node in network.nodes
    )
    outputs = tuple(new[name] for name in network.outputs)
    called = replace(network, nodes=nodes, outputs=outputs)
    x = counts(np.random.default_rng(1), network, 4)
    backend = RtlBackend(called, RtlConfig())
    np.testing.assert_array_equal(backend.run(x)[outputs[0]], logits(network, x)["dense6"])
    assert set(backend.taps(x)) == {new[name] for name in ("quantize2", "quantize4", "flat", "dense6")}


@pytest.mark.slow
def test_a_residual_network_over_a_thousand_frames():
    network = resnet((12, 12), 3, ((3, 1), (6, 2)), sparsity=0.6)
    compare(network, RtlConfig(pixels_per_clock=4), frames=1000)


@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(networks())
def test_random_networks_in_the_emulator(network):
    compare_onnx(network)


@pytest.mark.slow
def test_unrolled():
    compare(resnet((5, 5), 2, ((2, 2),), sparsity=0.6), RtlConfig(style="unrolled"))


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(networks(), st.sampled_from([1, 1, 2, 4, 8]), st.sampled_from([1.0, 0.5]))
def test_random_networks_are_equal_bit_for_bit(network, lanes, duty):
    compare_onnx(network)
    lanes = min(lanes, 1 << (network.input.size[1].bit_length() - 1))
    compare(network, RtlConfig(pixels_per_clock=lanes, duty=duty))
