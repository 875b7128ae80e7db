"""In which unit each tensor of the emulator holds its values, so that scalings cost little.

A layer whose result is quantized next delivers it in units of the quantizer's last bit, since powers of
two fold into its weights and bias; sums and what only passes values on are asked to suit their readers.
"""

from collections import Counter

from trigger_ml.firmware.ir.network import Add, Flatten, MaxPool2D, Network, Quantize

__all__ = ["Units"]


class Units:
    """The units that a network's nodes should deliver in.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network

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
            wish = None
            if isinstance(node, Quantize) and self.fraction(name) > node.dtype.fraction:
                wish = node.dtype.fraction
            elif isinstance(node, Add):
                wish = self.of_sum(node)
            elif isinstance(node, MaxPool2D | Flatten | Quantize):
                wish = self.wanted(node.name)
            if wish is not None:
                wishes[wish] += 1
        return wishes.most_common(1)[0][0] if wishes else None

    def delivered(self, name: str) -> int:
        """Unit of a layer whose weights can take any power of two: the wanted one, or its last bit."""
        wanted = self.wanted(name)
        return self.fraction(name) if wanted is None else wanted

    def of_sum(self, node: Add) -> int:
        """Unit of a sum: that with the fewest scalings before and after it."""
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
