"""One event, layer by layer, through every backend side by side.

For the network's author: where values sit in their types, what saturates, what pruning left silent, and
the first layer where a backend says something else than the integer interpreter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.fixed_point import OFF_GRID, FixedPoint, IntArray
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Input, Network, Node, Quantize

__all__ = ["REFERENCE", "LayerTrace", "Seen", "Trace", "trace_event"]

REFERENCE = "interpreter"
"""Name under which the integer interpreter stands among the backends."""


@dataclass(frozen=True)
class Seen:
    """One layer's output in one backend.

    Parameters
    ----------
    low, high : int or None
        Smallest and largest integer; values that are none are left out, and None says that all are.
    zero : float
        Fraction of values that are zero.
    saturated : float or None
        Fraction at the ends of the type (see :func:`trace_event`); None where nothing saturates.
    differing : int
        Values that are not the interpreter's.
    """

    low: int | None
    high: int | None
    zero: float
    saturated: float | None
    differing: int


@dataclass(frozen=True)
class LayerTrace:
    """One layer in every backend that shows it.

    Parameters
    ----------
    name, op : str
    dtype : FixedPoint
        A real number is the integer times ``dtype.lsb``.
    shape : tuple of int
    seen : mapping of str to Seen
        By backend, the interpreter first; a backend that computes the layer together with another has no
        entry.
    float_range : tuple of float or None
        Smallest and largest value of the float model's layer of the same name.
    """

    name: str
    op: str
    dtype: FixedPoint
    shape: tuple[int, ...]
    seen: Mapping[str, Seen]
    float_range: tuple[float, float] | None = None

    def real(self, integer: int | None) -> float | None:
        """An integer of this layer as a real number."""
        return None if integer is None else integer * self.dtype.lsb

    @property
    def differing(self) -> tuple[str, ...]:
        """Backends with another value than the interpreter."""
        return tuple(name for name, seen in self.seen.items() if seen.differing)


@dataclass(frozen=True)
class Trace:
    """What an event does in the network.

    Parameters
    ----------
    event : str
        Its id.
    backends : tuple of str
        The interpreter first.
    layers : tuple of LayerTrace
        In the order of the network.
    """

    event: str
    backends: tuple[str, ...]
    layers: tuple[LayerTrace, ...]

    @property
    def first_difference(self) -> dict[str, str]:
        """First layer, in the order of the network, where each differing backend differs."""
        found: dict[str, str] = {}
        for layer in self.layers:
            for backend in layer.differing:
                found.setdefault(backend, layer.name)
        return found

    def to_dict(self) -> dict[str, object]:
        """Plain dictionary for JSON."""
        return {
            "event": self.event,
            "backends": list(self.backends),
            "first_difference": self.first_difference,
            "layers": [
                {
                    "layer": layer.name,
                    "op": layer.op,
                    "type": str(layer.dtype),
                    "type_range": [layer.real(layer.dtype.minimum), layer.real(layer.dtype.maximum)],
                    "shape": list(layer.shape),
                    "float_range": None if layer.float_range is None else list(layer.float_range),
                    "backends": {
                        name: {
                            **asdict(seen),
                            "real_low": layer.real(seen.low),
                            "real_high": layer.real(seen.high),
                        }
                        for name, seen in layer.seen.items()
                    },
                }
                for layer in self.layers
            ],
        }


def _ends(node: Node, dtype: FixedPoint) -> tuple[int, ...] | None:
    """Integers at which a value of the layer is taken for saturated.

    Zero is the lower end of an unsigned type, but that is what a ReLU is for: it counts as zero only.
    """
    if not isinstance(node, Input | Quantize):
        return None
    return (dtype.minimum, dtype.maximum) if dtype.signed else (dtype.maximum,)


def _seen(node: Node, dtype: FixedPoint, values: IntArray, expected: IntArray) -> Seen:
    known = values[values != OFF_GRID]
    ends = _ends(node, dtype)
    return Seen(
        int(known.min()) if known.size else None,
        int(known.max()) if known.size else None,
        float(np.mean(values == 0)),
        None if ends is None else float(np.isin(values, ends).mean()),
        int(np.count_nonzero(values != expected)),
    )


def _visible(network: Network, backend: Backend, counts: NDArray[np.integer]) -> dict[str, IntArray]:
    """Layers that a backend shows; its outputs always."""
    taps = dict(backend.taps(counts) or {})
    return taps | {name: np.asarray(values) for name, values in backend.run(counts).items()}


def trace_event(
    network: Network,
    backends: Sequence[Backend],
    counts: ArrayLike,
    event: str,
    float_values: Mapping[str, ArrayLike] | None = None,
) -> Trace:
    """Send one event through the interpreter and all backends, and look at every layer.

    A value counts as saturated when it is at an end of the type of an input or a quantizer: either end of
    a signed type, the upper end of an unsigned one.

    Parameters
    ----------
    network : Network
    backends : sequence of Backend
    counts : array_like of int, shape network.input.size
    event : str
        Its id.
    float_values : mapping of str to array_like of float, optional
        Outputs of the float model's layers for the same event, by name.

    Raises
    ------
    ValueError
        If the counts have another shape than the network's input.
    """
    x = np.asarray(counts)[np.newaxis]
    reference = evaluate(network, x)
    visible = {backend.name: _visible(network, backend, x) for backend in backends}
    floats = float_values or {}
    layers = []
    for node in network.nodes:
        expected, dtype = reference[node.name], network.types[node.name]
        seen = {REFERENCE: _seen(node, dtype, expected, expected)}
        for name, values in visible.items():
            if node.name in values:
                seen[name] = _seen(node, dtype, values[node.name].reshape(expected.shape), expected)
        beside = np.asarray(floats[node.name]) if node.name in floats else None
        layers.append(
            LayerTrace(
                node.name,
                node.op,
                dtype,
                network.shapes[node.name],
                seen,
                None if beside is None else (float(beside.min()), float(beside.max())),
            )
        )
    return Trace(event, (REFERENCE, *visible), tuple(layers))
