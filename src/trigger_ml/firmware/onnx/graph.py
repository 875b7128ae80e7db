"""Parts of an ONNX graph under construction."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.ops import Shape

__all__ = ["Graph", "Value", "split_kernel"]


@dataclass(frozen=True)
class Value:
    """Where and how a node's output lives in the ONNX graph."""

    tensor: str
    unit: int
    double: bool = False
    flat_map: Shape | None = None
    """Set for a flattened feature map (height, width, channels): its elements are in channel-first order."""


class Graph:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def constant(self, name: str, values: ArrayLike, double: bool = False) -> str:
        """Add an initializer; floats become float32, or float64 on demand."""
        array = np.asarray(values)
        if array.dtype.kind == "f":
            array = array.astype(np.float64 if double else np.float32)
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: int | list[int]) -> str:
        """Add a node that is named as its only output."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def scaled(self, value: Value, unit: int, name: str) -> Value:
        """The value in another unit; a power of two changes no digit."""
        if value.unit == unit:
            return value
        factor = self.constant(f"{name}/factor", np.float64(2.0 ** (unit - value.unit)), double=value.double)
        self.add("Mul", [value.tensor, factor], name)
        return replace(value, tensor=name, unit=unit)

    def cast(self, value: Value, double: bool, name: str) -> Value:
        """The value in float64, or in float32."""
        if value.double == double:
            return value
        self.add("Cast", [value.tensor], name, to=TensorProto.DOUBLE if double else TensorProto.FLOAT)
        return replace(value, tensor=name, double=double)

    def channels_last(self, value: Value, name: str) -> Value:
        """A vector in the network's order: one made of a map has its elements channels first."""
        if value.flat_map is None:
            return value
        height, width, channels = value.flat_map
        order = np.arange(height * width * channels).reshape(channels, height, width)
        index = self.constant(f"{name}/order", order.transpose(1, 2, 0).reshape(-1))
        tensor = self.add("Gather", [value.tensor, index], f"{name}/channels_last", axis=1)
        return replace(value, tensor=tensor, flat_map=None)


def split_kernel(kernel: IntArray, fits: Callable[[IntArray], bool]) -> list[IntArray]:
    """Kernels that add up to ``kernel`` and each fit: first by weight bits, then by taps.

    Parameters
    ----------
    kernel : numpy.ndarray of int64
    fits : callable
        Whether a kernel can be evaluated exactly.

    Raises
    ------
    OverflowError
        If not even a single weight of 1 fits.
    """
    if fits(kernel):
        return [kernel]
    widest = int(np.abs(kernel).max())
    if widest > 1:
        half = (widest.bit_length() + 1) // 2
        high = (kernel >> half) << half
        return _split_coarse(high, half, fits) + split_kernel(kernel - high, fits)
    index = np.flatnonzero(kernel)
    if len(index) < 2:
        raise OverflowError("a single product does not fit")
    first = kernel.copy().reshape(-1)
    first[index[: len(index) // 2]] = 0
    part = first.reshape(kernel.shape)
    return split_kernel(part, fits) + split_kernel(kernel - part, fits)


def _split_coarse(kernel: IntArray, places: int, fits: Callable[[IntArray], bool]) -> list[IntArray]:
    """Like ``split_kernel`` for a multiple of ``2**places``, which counts in those coarser units."""
    return [part << places for part in split_kernel(kernel >> places, fits)]
