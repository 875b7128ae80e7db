"""Where pipeline registers go."""

from itertools import pairwise

import numpy as np
import pytest
from alkaid.trace import to_pipeline
from strategies import resnet

from trigger_ml.core.config import RtlConfig
from trigger_ml.firmware.rtl.project import design, kernel_of
from trigger_ml.firmware.rtl.registers import (
    ADDER,
    CARRY,
    CARRY_BIT,
    LOOKUP,
    REGISTER,
    longest_stage,
    scheduled,
    stages_needed,
)


@pytest.fixture(scope="module")
def kernels():
    project = design(resnet((8, 8), 4, ((4, 1), (6, 2)), sparsity=0.4), RtlConfig())
    found = [kernel_of(module) for module in project.pipeline.modules]
    return [kernel for kernel in found if kernel is not None]


def _delay_of_stages(logic):
    """Longest path of one stage's operations, by an own walk over its levels."""
    arrival = []
    for op in logic.ops:
        if not op.addr:
            arrival.append((0.0, 0.0) if op.opcode == 5 else (REGISTER, REGISTER))
            continue
        low, high = (max(arrival[i][end] for i in op.addr) for end in (0, 1))
        if op.opcode in (-2, 0, 1, 4):
            arrival.append((low + ADDER, max(high + ADDER, low + CARRY + CARRY_BIT * sum(op.qint.kif))))
        elif op.opcode == 3:
            arrival.append(((low + high) / 2, high))
        else:
            levels = 2 if op.opcode == 9 and sum(op.qint.kif) > 6 else 1
            arrival.append((high + levels * LOOKUP,) * 2)
    return max((high for _, high in arrival), default=0.0)


def test_every_stage_is_as_short_as_it_is_said_to_be(kernels):
    for kernel in kernels:
        limit = longest_stage(kernel.logic, kernel.depth)
        assert len(kernel.stages) == kernel.depth
        for stage in kernel.stages:
            # values that wait in a shift register come later than this walk knows
            assert _delay_of_stages(stage) <= limit + 1e-6


def test_no_stage_is_longer_than_where_the_latency_is_cut_evenly(kernels):
    better = 0
    for kernel in kernels:
        even = to_pipeline(kernel.logic, n_stages=kernel.depth, verbose=False, reg_inp=False)
        longest = max(_delay_of_stages(stage) for stage in even.logic.values())
        ours = max(_delay_of_stages(stage) for stage in kernel.stages)
        assert ours <= longest + 0.02
        better += ours < longest - 0.2
    assert better > len(kernels) / 3


def test_the_pipeline_computes_what_the_logic_does(kernels):
    rng = np.random.default_rng(3)
    for kernel in kernels:
        ends = np.array([(low, high) for low, high, _ in kernel.logic.inp_qint])
        values = rng.integers(ends[:, 0], ends[:, 1] + 1, (50, len(ends))).astype(float)
        expected = kernel.logic.predict(values)
        for depth in (1, 2, kernel.depth, kernel.depth + 7):
            machine = to_pipeline(
                scheduled(kernel.logic, depth), n_stages=depth, verbose=False, reg_inp=False
            )
            result = values
            for number in range(depth):
                result = machine.logic[f"logic{number}"].predict(result)
            assert np.array_equal(result, expected)


def test_more_stages_are_never_longer(kernels):
    for kernel in kernels:
        delays = [longest_stage(kernel.logic, depth) for depth in range(1, 7)]
        assert all(later <= earlier + 0.02 for earlier, later in pairwise(delays))


@pytest.mark.parametrize("limit", [2.6, 3.5, 5.0, 100.0])
def test_as_many_stages_as_the_limit_asks_for(kernels, limit):
    for kernel in kernels:
        number = stages_needed(kernel.logic, limit)
        assert longest_stage(kernel.logic, number) <= limit + 0.01
        if number > 1:
            assert longest_stage(kernel.logic, number - 1) > limit


def test_an_operation_longer_than_the_limit_has_a_stage_of_its_own(kernels):
    number = stages_needed(kernels[0].logic, 0.1)
    assert number <= len(kernels[0].logic.ops)


def test_depths_chosen_from_a_few_channels_hold_for_all(kernels):
    limit = RtlConfig().cell_delay
    assert max(longest_stage(kernel.logic, kernel.depth) for kernel in kernels) <= 1.1 * limit
    # and no kernel has a register that it does not need
    assert all(k.depth <= stages_needed(k.logic, limit) + 1 for k in kernels)
