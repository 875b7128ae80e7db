"""What hls4ml makes of each op, and what it cannot.

The refusals are those that a comparison of every kind of layer in every backend found
(``docs/hls-backends.md`` holds its outcome; a test makes it again).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trigger_ml.core.config.firmware import HlsConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Input,
    Lookup,
    MaxPool2D,
    Multiply,
    Node,
    Quantize,
    SlidingNode,
)
from trigger_ml.firmware.ir.registry import Refused, Registry

__all__ = ["DROPPED", "HLS", "Setting", "lacking"]

DROPPED = "hls4ml's {} backend writes no code for it with {}, and leaves the layer out without a word"
UNEQUAL = "the code of hls4ml's {} backend gives other values than the layer with {}"
# kinds of Keras layers that a backend cannot represent
LACKING: dict[tuple[str, str], dict[str, str]] = {
    ("Quartus", "io_stream"): {"QDepthwiseConv2D": DROPPED, "AveragePooling2D": UNEQUAL},
    ("Quartus", "io_parallel"): {
        "QDepthwiseConv2D": DROPPED,
        "AveragePooling2D": UNEQUAL,
        "GlobalAveragePooling2D": UNEQUAL,
    },
    ("Catapult", "io_stream"): {"AveragePooling2D": UNEQUAL},
    ("Catapult", "io_parallel"): {
        "QDepthwiseConv2D": UNEQUAL,
        "AveragePooling2D": UNEQUAL,
        "GlobalAveragePooling2D": UNEQUAL,
    },
    ("oneAPI", "io_stream"): {"QDepthwiseConv2D": DROPPED},
}
# where joined vectors are not those of the layer; joined maps are
UNEQUAL_VECTORS = {("Catapult", "io_stream")}
# a fully parallel convolution has one multiplier for each weight and position; beyond this, compilers
# (g++ for the C simulation as well as HLS) take hours or fail
PARALLEL_LIMIT = 4_000_000


def lacking(backend: str, io_type: str, kind: str) -> str | None:
    """Why a backend has no equivalent of a kind of Keras layer; None if it has."""
    reason = LACKING.get((backend, io_type), {}).get(kind)
    return None if reason is None else reason.format(backend, io_type)


@dataclass(frozen=True)
class Setting:
    """Where an op is to be: its network, and the project's configuration."""

    network: Network
    config: HlsConfig

    def refuse(self, node: Node, why: str, remedy: str) -> MappingError:
        """Error that names the layer; to be raised by the caller."""
        return MappingError(f"layer {node.name} ({node.op})", why, remedy)


def _any(setting: Setting, node: Node) -> None:
    """For an op that hls4ml has, with every setting."""


def _pool(setting: Setting, node: SlidingNode) -> None:
    window = node.sliding
    if window.size != window.strides:
        raise setting.refuse(
            node,
            f"hls4ml pools only with strides equal to the window, here {window.strides} and {window.size}",
            "Set strides to the pool size",
        )


def _maximum(setting: Setting, node: MaxPool2D) -> None:
    if node.padded:
        raise setting.refuse(
            node, "hls4ml's code for it has no padding", "Use padding='valid' and sizes that divide evenly"
        )
    _pool(setting, node)


def _convolution(setting: Setting, node: Conv2D) -> None:
    if setting.config.io_type != "io_parallel":
        return
    height, width = setting.network.shapes[node.name][:2]
    multipliers = node.kernel.size * height * width
    if multipliers > PARALLEL_LIMIT:
        raise setting.refuse(
            node,
            f"io_parallel unrolls it to {multipliers:,} multiplications, more than {PARALLEL_LIMIT:,}, "
            "which compilers do not finish",
            "Use io_type: io_stream, or a smaller input",
        )


def _concatenate(setting: Setting, node: Concatenate) -> None:
    backend, io_type = setting.config.backend, setting.config.io_type
    vectors = len(setting.network.shapes[node.name]) == 1
    if vectors and (backend, io_type) in UNEQUAL_VECTORS:
        raise setting.refuse(
            node,
            f"{UNEQUAL.format(backend, io_type)} where it joins vectors",
            "Join maps, or use another backend or io_type",
        )


HLS = Registry[Callable[[Setting, Any], None]](
    "hls4ml",
    {
        Input: _any,
        Conv2D: _convolution,
        Dense: _any,
        Quantize: _any,
        Add: _any,
        Concatenate: _concatenate,
        Multiply: Refused(
            "hls4ml multiplies maps of one shape only, and has no rule for the exact type of products",
            "Use firmware.rtl, or set firmware.hls: null",
        ),
        Lookup: Refused(
            "hls4ml reads its own tables of a function, with other values than the layer",
            "Use a ReLU, or firmware.rtl and firmware.hls: null",
        ),
        MaxPool2D: _maximum,
        AveragePool2D: _pool,
        GlobalMaxPool: Refused(
            "hls4ml's code for it has not been compared with the layer",
            "Use global average pooling, or firmware.rtl and firmware.hls: null",
        ),
        GlobalAveragePool: _any,
        Flatten: _any,
    },
)
"""What an op may not be for hls4ml: a function that raises MappingError where it cannot be written."""
