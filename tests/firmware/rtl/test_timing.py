"""The clock model, checked on pipelines whose clocks can be counted by hand."""

import numpy as np
import pytest
from strategies import Builder, resnet

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.network import GlobalAveragePool
from trigger_ml.firmware.rtl.dataflow import FifoModule
from trigger_ml.firmware.rtl.plan import plan
from trigger_ml.firmware.rtl.timing import timing


def pooled(size):
    b = Builder(np.random.default_rng(0), (*size, 1), FixedPoint(False, 4, 4))
    b.add(GlobalAveragePool("pool", ("input",), 0))
    return b.network()


@pytest.mark.parametrize(
    # the last figure: clocks of the total and of the sum over lanes, of which three levels fit into 4 ns
    ("size", "lanes", "beats", "registers"),
    [((5, 7), 1, 35, 1), ((4, 8), 8, 4, 2), ((4, 6), 4, 8, 2)],
)
def test_a_running_sum_takes_one_clock_per_beat(size, lanes, beats, registers):
    clocks = timing(plan(pooled(size), RtlConfig(pixels_per_clock=lanes)))
    assert clocks.interval == beats
    # the last beat enters in clock beats-1
    assert clocks.latency == beats - 1 + registers


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_interval_is_pixels_over_pixels_per_clock(lanes):
    network = resnet((16, 16), 2, ((2, 1), (4, 2)), (2, 2))
    assert timing(plan(network, RtlConfig(pixels_per_clock=lanes))).interval == 256 // lanes


def test_a_faster_clock_has_more_registers():
    network = resnet((8, 8), 2, ((2, 1),))
    slow, usual, fast = (RtlConfig(clock_period=period) for period in (20.0, 4.0, 2.0))
    assert usual.cell_delay == pytest.approx(3.36)
    latencies = [timing(plan(network, config)).latency for config in (slow, usual, fast)]
    assert latencies == sorted(set(latencies))
    # a delay that is given is kept whatever the clock
    given = RtlConfig(clock_period=2.0, stage_delay=usual.cell_delay)
    assert timing(plan(network, given)).latency == latencies[1]


def test_less_duty_means_less_latency_and_more_kernels():
    network = resnet((16, 16), 2, ((2, 1), (4, 2)), (2, 2))
    busy, idle = (plan(network, RtlConfig(pixels_per_clock=8, duty=duty)) for duty in (1.0, 0.5))
    assert timing(idle).latency < timing(busy).latency
    assert sum(s.kernels for s in idle.modules) > sum(s.kernels for s in busy.modules)


def test_the_branch_that_waits_has_a_fifo_and_the_other_none():
    pipeline = plan(resnet((8, 8), 2, ((2, 1),)), RtlConfig())
    fifos = [module for module in pipeline.modules if isinstance(module, FifoModule)]
    assert len(fifos) == 1
    # two 3x3 windows look one row and one column ahead each: at least 2 * (8 + 1) beats are under way
    assert fifos[0].capacity >= 18
