"""The network while it is read off a Keras model."""

from dataclasses import dataclass, field, replace

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Layer
from trigger_ml.firmware.curves import Curve, Numbers, exact_table
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.network import require_some
from trigger_ml.firmware.ir.ops import NO_PADDING, Node, Padding, Shape
from trigger_ml.models.quantizers import refuse

__all__ = ["Extraction", "Padded"]


@dataclass(frozen=True)
class Padded:
    """A tensor of the model: a node's output, with what no node represents yet.

    Parameters
    ----------
    name : str
        Of the node.
    padding : tuple
        Zeros around it.
    curves : tuple of Curve
        Functions of its values, the first one innermost, whose results have no fixed-point type yet.
    """

    name: str
    padding: Padding = NO_PADDING
    curves: tuple[Curve, ...] = ()


@dataclass
class Extraction:
    """The network while it grows."""

    input_type: FixedPoint
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Padded] = field(default_factory=dict)
    _found: dict[str, tuple[Node, Shape, Bounds]] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """Shape of a node's output."""
        return self._facts(name)[1]

    def bounds(self, name: str) -> Bounds:
        """Interval of a node's output.

        Raises
        ------
        MappingError
            If a sum before it is too wide.
        """
        return self._facts(name)[2]

    def _facts(self, name: str) -> tuple[Node, Shape, Bounds]:
        """A node with its shape and bounds, each computed once."""
        for node in self.nodes:
            if node.name in self._found and self._found[node.name][0] is node:
                continue
            sources = [self._found[source] for source in node.inputs]
            shapes = [shape for _, shape, _ in sources]
            shape = node.shape(shapes)
            require_some(node, shape)
            try:
                bounds = node.bounds([bounds for *_, bounds in sources], shapes)
            except OverflowError as error:
                why = f"its exact sum is too wide: {error}"
                raise MappingError(f"layer {node.name} ({node.op})", why, "Use fewer bits") from None
            self._found[node.name] = node, shape, bounds
        return self._found[name]

    def numbers(self, tensor: Padded) -> Numbers:
        """What a tensor's functions are applied to."""
        return Numbers(tensor.name, self.bounds(tensor.name), len(self.shape(tensor.name)))

    def unpadded(self, layer: Layer, source: str) -> Padded:
        """The model's tensor ``source``; padding is refused."""
        tensor = self.tensors[source]
        if tensor.padding != NO_PADDING:
            raise refuse(
                layer,
                "reads a zero-padded tensor, which only convolutions and pooling can",
                "Move the zero padding directly before a convolution or a pooling layer",
            )
        return tensor

    def plain(self, layer: Layer, source: str) -> str:
        """Node that the model's tensor ``source`` is; padding, and values without type, are refused."""
        return self.settled(self.unpadded(layer, source)).name

    def settled(self, tensor: Padded) -> Padded:
        """A tensor whose values have a type.

        Raises
        ------
        MappingError
            Naming the layer whose results are no fixed-point numbers.
        """
        if not tensor.curves:
            return tensor
        name = tensor.curves[-1].layer.name
        if name not in {node.name for node in self.nodes}:
            self.add(exact_table(tensor.curves, self.numbers(tensor)))
        return replace(tensor, name=name, curves=())

    def add(self, node: Node) -> None:
        """Add the node that a layer becomes."""
        self.nodes.append(node)
        self.tensors[node.name] = Padded(node.name)

    def alias(self, layer: Layer, source: str) -> None:
        """Let a layer be what it reads."""
        self.tensors[layer.name] = self.tensors[source]

    def defer(self, layer: Layer, source: str, curve: Curve) -> None:
        """Let a layer be a function of what it reads, to be made when something reads its values."""
        tensor = self.unpadded(layer, source)
        self.tensors[layer.name] = replace(tensor, curves=(*tensor.curves, curve))
