"""Where the registers of a kernel's pipeline go.

alkaid's own pipeliner cuts the latency of the whole program into equal parts, whatever operation lies there:
of seven levels in three stages one stage gets three and a rounding besides. Here every operation is put into
the earliest stage that it fits into, with the smallest limit on a stage's delay for which the stages suffice;
no other placement of the same operations in as many stages has a shorter longest stage.
"""

from collections.abc import Sequence

from alkaid.types import CombLogic, Op

__all__ = ["ADDER", "REGISTER", "longest_stage", "scheduled", "stages_needed"]

# nanoseconds, after the cell delays of the 7-series in Yosys' library
REGISTER = 0.3
SHIFT_REGISTER = 1.47
"""Yosys makes shift registers of values that pass through so many registers, with a slow output."""
SHIFTED = 3
LOOKUP = 0.45
"""A lookup table, between its fastest and its slowest input."""
ADDER = 0.65
"""From a bit of an operand to the same bit of the sum."""
CARRY = 0.95
"""From the lowest bit to the highest one, without ``CARRY_BIT`` for each between."""
CARRY_BIT = 0.0285

Arrival = tuple[float, float]
"""When the lowest and the highest bit of a value are there."""
CONSTANT: Arrival = (0.0, 0.0)


def _width(op: Op) -> int:
    return int(sum(op.qint.kif))


def _arrival(op: Op, operands: Sequence[Arrival], key: int) -> Arrival:
    """When an operation's result is there, if its operands, the first of ``key`` bits, are there at ``operands``."""
    low, high = max(a for a, _ in operands), max(b for _, b in operands)
    match op.opcode:
        case -2 | 0 | 1 | 4:
            return low + ADDER, max(high + ADDER, low + CARRY + CARRY_BIT * _width(op))
        case 3:
            # other bits of the same value: its lowest one may be any
            return (low + high) / 2, high
        case 8:
            # six bits choose in one lookup table, each further two in a multiplexer behind them
            levels = 1 + max(0, -(-(key - 6) // 2))
            return high + levels * LOOKUP, high + levels * LOOKUP
        case 9:
            levels = 1 if _width(op) <= 6 else 2
            return high + levels * LOOKUP, high + levels * LOOKUP
        case _:
            # a sign, or a bit of a key, decides about all bits
            return high + LOOKUP, high + LOOKUP


def _place(logic: CombLogic, limit: float) -> tuple[list[int], float]:
    """Earliest stage of every operation, and the longest delay of a stage (above ``limit`` if one operation is)."""
    stages: list[int] = []
    arrivals: list[Arrival] = []
    longest = 0.0
    for op in logic.ops:
        if not op.addr:
            stages.append(0)
            arrivals.append(CONSTANT if op.opcode == 5 else (REGISTER, REGISTER))
            continue
        stage, key = max(stages[i] for i in op.addr), _width(logic.ops[op.addr[0]])
        arrival = _arrival(op, [_at(stages[i], arrivals[i], stage) for i in op.addr], key)
        if arrival[1] > limit:
            after = stage + 1
            later = _arrival(op, [_at(stages[i], arrivals[i], after) for i in op.addr], key)
            # an operation that is too long even at the start of a stage stays where it is shorter
            if later[1] < arrival[1]:
                stage, arrival = after, later
        stages.append(stage)
        arrivals.append(arrival)
        longest = max(longest, arrival[1])
    return stages, longest


def _at(made: int, arrival: Arrival, used: int) -> Arrival:
    """When a value of stage ``made`` is there in stage ``used``."""
    if made == used or arrival == CONSTANT:
        return arrival
    start = SHIFT_REGISTER if used - made >= SHIFTED else REGISTER
    return start, start


def _best(logic: CombLogic, depth: int) -> tuple[list[int], float]:
    """Placement in ``depth`` stages with the smallest limit, to a hundredth of a nanosecond."""
    best = _place(logic, float("inf"))
    low, high = 0.0, best[1]
    while high - low > 0.01:
        limit = (low + high) / 2
        stages, longest = _place(logic, limit)
        if longest <= limit and max(stages, default=0) < depth:
            best, high = (stages, longest), limit
        else:
            low = limit
    return best


def stages_needed(logic: CombLogic, limit: float) -> int:
    """Fewest stages of which none takes longer than ``limit``; an operation that alone does has its own.

    Parameters
    ----------
    logic : CombLogic
    limit : float
        Nanoseconds of cell delay.
    """
    return max(_place(logic, limit)[0], default=0) + 1


def longest_stage(logic: CombLogic, depth: int) -> float:
    """Nanoseconds that the longest of ``depth`` stages takes, by cell delays without wires."""
    return _best(logic, depth)[1]


def scheduled(logic: CombLogic, depth: int) -> CombLogic:
    """The same program with latencies by which alkaid's pipeliner cuts it into these stages.

    Parameters
    ----------
    logic : CombLogic
    depth : int
        Stages; behind each are registers.
    """
    stages, _ = _best(logic, depth)
    # alkaid cuts the whole latency into equal parts, each with its end
    ops = [
        op._replace(latency=float(stage + 1) if op.addr else 0.0)
        for op, stage in zip(logic.ops, stages, strict=True)
    ]
    return logic._replace(ops=ops)
