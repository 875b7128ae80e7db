"""The ops of a network, a module for each family; an op's class says all of it that engines may ask."""

from trigger_ml.firmware.ir.ops.affine import Affine, Conv2D, Dense
from trigger_ml.firmware.ir.ops.base import Node, Shape
from trigger_ml.firmware.ir.ops.lookup import Lookup
from trigger_ml.firmware.ir.ops.merge import Add, Concatenate, Multiply
from trigger_ml.firmware.ir.ops.pool import AveragePool2D, GlobalAveragePool, GlobalMaxPool, MaxPool2D
from trigger_ml.firmware.ir.ops.quantize import Quantize
from trigger_ml.firmware.ir.ops.reshape import Flatten
from trigger_ml.firmware.ir.ops.source import Input
from trigger_ml.firmware.ir.ops.window import (
    NO_PADDING,
    Padding,
    SlidingNode,
    Window,
    same_padding,
    window_shape,
)

__all__ = [
    "NODE_TYPES", "NO_PADDING", "Add", "Affine", "AveragePool2D", "Concatenate", "Conv2D", "Dense", "Flatten",
    "GlobalAveragePool", "GlobalMaxPool", "Input", "Lookup", "MaxPool2D", "Multiply", "Node", "Padding",
    "Quantize", "Shape", "SlidingNode", "Window", "same_padding", "window_shape",
]  # fmt: skip

NODE_TYPES: dict[str, type[Node]] = {
    cls.op: cls
    for cls in (
        Input,
        Conv2D,
        Dense,
        Quantize,
        Add,
        Concatenate,
        Multiply,
        Lookup,
        MaxPool2D,
        AveragePool2D,
        GlobalMaxPool,
        GlobalAveragePool,
        Flatten,
    )
}
