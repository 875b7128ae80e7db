"""What an emulator's file tells of itself: the JSON in its metadata property ``trigger_ml``."""

from typing import TypedDict

from trigger_ml.core.fixed_point import FixedPointFields

__all__ = ["InputProperties", "OutputProperties", "Properties", "TapProperties"]


class InputProperties(TypedDict):
    """The input: its name in the graph, the shape of one event, and its type."""

    name: str
    shape: list[int]
    type: FixedPointFields


class OutputProperties(TypedDict):
    """An output: its tensor in the graph, fraction bits, and the shape for one event."""

    tensor: str
    fraction: int
    shape: list[int]


class TapProperties(TypedDict):
    """A node inside: its tensor, and how that becomes the interpreter's integers.

    ``places`` are fraction bits of the tensor's values; ``flat_map`` the feature map (height, width,
    channels) that a flattened tensor holds in channel-first order.
    """

    tensor: str
    places: int
    shape: list[int]
    flat_map: list[int] | None


class Properties(TypedDict):
    """All of it."""

    format: int
    input: InputProperties
    outputs: dict[str, OutputProperties]
    taps: dict[str, TapProperties]
    proof: dict[str, int]
    exact_float32: bool
    metadata: dict[str, object]
