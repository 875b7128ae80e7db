"""What an engine is: a way to evaluate a network that is compared with the integer interpreter."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray

__all__ = ["Backend"]


class Backend(ABC):
    """Something that evaluates the network."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Key in ``verification.json``."""

    @abstractmethod
    def run(self, counts: NDArray[np.integer]) -> Mapping[str, IntArray]:
        """Logits by output name, as integers in units of the network's last bit."""

    def taps(self, counts: NDArray[np.integer]) -> Mapping[str, IntArray] | None:
        """Outputs of the network's nodes, as far as they can be seen; None if they cannot."""
        return None

    def type_of(self, layer: str) -> str:
        """Type that a layer's result has in it."""
        return "unknown"

    def audit(self) -> list[tuple[str, str]]:
        """Layers whose stored numbers are not the network's, and what differs; evaluates nothing."""
        return []

    @property
    def disturbance(self) -> Mapping[str, float] | None:
        """Gaps and stalls under which it runs; None where there is nothing to disturb."""
        return None
