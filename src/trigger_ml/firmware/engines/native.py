"""The compiled emulator as an engine."""

from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.native.library import NativeEmulator

__all__ = ["NativeBackend"]


class NativeBackend(Backend):
    """The network as C++, compiled for this machine.

    Parameters
    ----------
    emulator : NativeEmulator
    """

    name = "native"

    def __init__(self, emulator: NativeEmulator) -> None:
        self.emulator = emulator

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        return self.emulator.run(counts)

    @override
    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        return self.emulator.taps(counts)

    @override
    def type_of(self, layer: str) -> str:
        """Type in which a layer's values are stored."""
        return self.emulator.stored(layer)
