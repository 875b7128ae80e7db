"""In which unit each tensor of the emulator holds its values, so that scalings cost little.

A layer whose result is quantized next delivers it in units of the quantizer's last bit, since powers of
two fold into its weights and bias; sums and what only passes values on are asked to suit their readers.
"""

from collections import Counter
from collections.abc import Callable

from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Node, Quantize

__all__ = ["Units"]


class Units:
    """The units that a network's nodes should deliver in.

    Parameters
    ----------
    network : Network
    asks : callable
        From these units and a node to the unit that it would have its input in; None if it does not mind.
    """

    def __init__(self, network: Network, asks: Callable[["Units", Node], int | None]) -> None:
        self.network = network
        self.asks = asks

    def fraction(self, name: str) -> int:
        """Fraction bits of a node's exact result."""
        return self.network.bounds[name].fraction

    def rounds(self, node: Quantize) -> bool:
        """Whether a quantizer drops bits at the lower end."""
        return self.fraction(node.inputs[0]) > node.dtype.fraction

    def wanted(self, name: str) -> int | None:
        """Unit in which the readers of ``name`` need no further scaling; None if they do not mind."""
        wishes: Counter[int] = Counter()
        if name in self.network.outputs:
            wishes[0] += 1
        for node in self.network.consumers(name):
            if (wish := self.asks(self, node)) is not None:
                wishes[wish] += 1
        return wishes.most_common(1)[0][0] if wishes else None

    def delivered(self, name: str) -> int:
        """Unit of a layer whose weights can take any power of two: the wanted one, or its last bit."""
        wanted = self.wanted(name)
        return self.fraction(name) if wanted is None else wanted

    def of_quantizer(self, node: Quantize) -> int | None:
        """Unit in which a quantizer would have its input: that of its last bit, if it rounds to it."""
        return node.dtype.fraction if self.rounds(node) else self.wanted(node.name)

    def shared(self, node: Node) -> int:
        """Unit in which several inputs meet: that with the fewest scalings before and after."""
        fixed = [
            source.dtype.fraction
            for source in (self.network[name] for name in node.inputs)
            if isinstance(source, Quantize) and self.rounds(source)
        ]
        after = self.wanted(node.name)
        candidates = [*([] if after is None else [after]), *fixed, self.fraction(node.name)]

        def scalings(unit: int) -> int:
            return sum(f != unit for f in fixed) + (after is not None and after != unit)

        return min(candidates, key=scalings)
