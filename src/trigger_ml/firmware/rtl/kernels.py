"""The arithmetic of one layer as pipelined logic, made by alkaid without multipliers.

A kernel computes one output position (all its channels) from the integers of its window. It is traced
in integer units, so that the bits of its ports are the integers of the network's interpreter.
"""

import re
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import alkaid
import numpy as np
from alkaid.codegen.rtl.vhdl.fsm import fsm_logic_gen as vhdl_logic_gen
from alkaid.stateful import FSM, Conn, Signal
from alkaid.trace import FVArray, to_pipeline, trace
from alkaid.trace.passes import (
    _retrace,
    add_surrogate,
    canonical_sort,
    common_subexpr_elimin,
    dead_code_elimin,
    null_quant_elimin,
    topo_bandwidth_sort,
)
from alkaid.trace.passes.canon import canonicalize_outputs, const_propagation
from alkaid.types import CombLogic, Precision

from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.firmware.rtl.combinational import pipeline_module
from trigger_ml.firmware.rtl.registers import scheduled
from trigger_ml.firmware.rtl.rounding import HARDWARE, constant

__all__ = [
    "Field",
    "Kernel",
    "Source",
    "make_kernel",
    "signed_digits",
    "traced",
    "vhdl_library",
]


@dataclass(frozen=True, eq=False)
class Source:
    """What a kernel reads from one stream: intervals of the integers, and their last bit.

    Parameters
    ----------
    low, high : numpy.ndarray of int64, shape (values,)
    fraction : int
    """

    low: IntArray
    high: IntArray
    fraction: int


@dataclass(frozen=True)
class Field:
    """Where a value sits: ``width`` bits from ``low``; two's complement if ``signed``."""

    signed: bool
    width: int
    low: int


@dataclass(frozen=True, eq=False)
class Kernel:
    """A pipelined block of logic with one clock enable.

    Parameters
    ----------
    name : str
        Verilog module and VHDL entity.
    logic : CombLogic
        alkaid's program.
    depth : int
        Pipeline registers between input and output.
    """

    name: str
    logic: CombLogic
    depth: int

    @property
    def live(self) -> bool:
        """Whether any output depends on an input."""
        return bool(self.logic.inp_kifs.sum() and self.logic.out_kifs.sum()) and not all(
            low == high for low, high, _ in self.logic.out_qint
        )

    @staticmethod
    def _fields(kifs: Any) -> tuple[Field, ...]:
        return tuple(Field(bool(k), int(k + i + f), int(-f)) for k, i, f in zip(*kifs, strict=True))

    @cached_property
    def inputs(self) -> tuple[Field, ...]:
        """Bits read of each input integer, in port order; width 0 where an input is not read."""
        return self._fields(self.logic.inp_kifs)

    @cached_property
    def outputs(self) -> tuple[Field, ...]:
        """Bits of each output integer that the port carries."""
        return self._fields(self.logic.out_kifs)

    @cached_property
    def constants(self) -> IntArray:
        """Outputs of a kernel that depends on no input."""
        return np.array([round(low) for low, _, _ in self.logic.out_qint], dtype=np.int64)

    def __call__(self, values: IntArray) -> IntArray:
        """Outputs for a batch of inputs (batch, inputs), by alkaid's interpreter."""
        if not self.live:
            return np.broadcast_to(self.constants, (len(values), len(self.constants))).copy()
        return np.asarray(np.rint(self.logic.predict(values.astype(np.float64))), dtype=np.int64)

    @cached_property
    def _plain(self) -> FSM:
        logic = scheduled(self.logic, self.depth)
        return to_pipeline(logic, n_stages=self.depth, verbose=False, reg_inp=False, reg_out=True)

    @property
    def stages(self) -> list[CombLogic]:
        """The logic between registers."""
        return [self._plain.logic[f"logic{number}"] for number in range(self.depth)]

    @cached_property
    def machine(self) -> FSM:
        """The pipeline: alkaid's stages with a clock enable on every register."""
        plain = self._plain
        enable = Signal("ce", True, (Precision(False, 1, 0),), reg=False, mode="r")

        def renamed(signal: Signal | None) -> Signal | None:
            if signal is None:
                return None
            result = copy(signal)
            result.name = re.sub(r"^INTERNAL_logic(\d+)_", rf"INTERNAL_{self.name}_\1_", signal.name)
            return result

        conns = tuple(
            Conn(renamed(c.src), renamed(c.dst), enable_if=enable if c.clocked else renamed(c.enable_if))
            for c in (*plain.comb_conns, *plain.reg_conns)
        )
        logic = {re.sub(r"^logic(\d+)$", rf"{self.name}_\1", key): comb for key, comb in plain.logic.items()}
        return FSM(logic, conns)

    @property
    def register_bits(self) -> int:
        """Flip-flops of the pipeline."""
        return sum(s.width for s in self.machine.signals.values() if s.reg) if self.live else 0

    def verilog(self) -> str:
        """The kernel as one module."""
        return pipeline_module(self.stages, self.name)

    def vhdl(self) -> str:
        """All entities of the kernel; the last one is :attr:`name`."""
        entities = vhdl_logic_gen(self.machine, self.name, timescale=None)
        tables = f"{self.name}_tables"  # read by the entities before them
        return "\n".join(entities[key] for key in sorted(entities, key=lambda key: key != tables))


def vhdl_library() -> list[Path]:
    """Alkaid's adders and multiplexers, which the VHDL kernels instantiate."""
    folder = Path(alkaid.__file__).parent / "codegen" / "rtl" / "vhdl" / "source"
    return sorted(folder.glob("*.vhd"))


def signed_digits(weights: IntArray) -> IntArray:
    """Number of non-zero digits of each integer in canonical signed-digit form."""
    n = np.abs(np.asarray(weights, dtype=np.int64))
    return np.asarray(np.bitwise_count(n ^ (3 * n)), dtype=np.int64)


def _optimized(logic: CombLogic) -> CombLogic:
    """What ``alkaid.trace.passes.optimize`` does, without its ``canonicalize_msb_wraps``.

    In alkaid 0.8.2 that pass drops the shift of a bit selection behind a negation, which changes results.
    """
    for _ in range(4):
        before = logic
        for step in (
            const_propagation,
            canonicalize_outputs,
            common_subexpr_elimin,
            null_quant_elimin,
            _retrace,
        ):
            logic = dead_code_elimin(step(logic))
        logic = canonical_sort(canonicalize_outputs(const_propagation(logic)))
        if logic == before:
            break
    return topo_bandwidth_sort(canonical_sort(add_surrogate(dead_code_elimin(logic))))


def _whole_bits(low: int, high: int) -> tuple[int, int]:
    """The interval that the bits of ``[low, high]`` span; a single value stays.

    alkaid's passes widen inputs so themselves, but keep multiplexers that select by the most significant
    bit of the narrower interval.
    """
    if low == high:
        return low, high
    dtype = FixedPoint.holding(low, high, 0)
    return dtype.minimum, dtype.maximum


def traced(
    sources: list[Source], shapes: Sequence[tuple[int, ...]], body: Callable[[list[FVArray]], Any]
) -> CombLogic:
    """``body`` as alkaid's program, not yet optimized.

    Parameters
    ----------
    sources : list of Source
        Flat, in the order of the input port.
    shapes : list of tuple
        Shape in which ``body`` gets each source.
    body : callable
        From a list of FVArray to the flat outputs.
    """
    spans = [_whole_bits(int(a), int(b)) for s in sources for a, b in zip(s.low, s.high, strict=True)]
    low, high = np.array(spans, dtype=np.float64).T
    # sums that two outputs share are kept only where they make no tree deeper: the number of registers is
    # chosen from a few channels, before the whole is known
    options: dict[str, bool | int] = {"binary_lut": False, "hard_dc": 0}
    x = FVArray.from_lhs(low, high, np.ones_like(low), hwconf=HARDWARE, solver_options=options)
    ends = np.cumsum([len(s.low) for s in sources])
    parts = [
        x[end - len(s.low) : end].reshape(shape) for end, s, shape in zip(ends, sources, shapes, strict=True)
    ]
    result = body(parts)
    if not isinstance(result, FVArray):
        result = FVArray(np.array([constant(v) for v in result], dtype=object), hwconf=HARDWARE)
    return trace(x, result, optimize=False)


def make_kernel(
    name: str,
    sources: list[Source],
    shapes: Sequence[tuple[int, ...]],
    body: Callable[[list[FVArray]], Any],
    depth: int,
) -> Kernel:
    """Trace, optimize and pipeline ``body``.

    Parameters
    ----------
    name : str
    sources, shapes, body
        See :func:`traced`.
    depth : int
        Pipeline registers.
    """
    return Kernel(name, _optimized(traced(sources, shapes, body)), depth)
