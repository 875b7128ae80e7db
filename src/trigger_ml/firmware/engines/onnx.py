"""The ONNX emulator as an engine."""

from pathlib import Path
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.onnx.emulator import Emulator, changed_constants

__all__ = ["OnnxBackend"]


class OnnxBackend(Backend):
    """The ONNX emulator file.

    Parameters
    ----------
    path : Path
    network : Network, optional
        What the file must hold; without it only results are compared, not every stored weight.
    threads : int
    """

    name = "onnx"

    def __init__(self, path: Path, network: Network | None = None, *, threads: int = 2) -> None:
        self._path = path
        self._network = network
        self.emulator = Emulator(path, threads=threads)

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        return self.emulator.run(counts)

    @override
    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        return self.emulator.taps(counts)

    @override
    def type_of(self, layer: str) -> str:
        """Number format and unit of a layer's tensor."""
        tap = self.emulator.properties["taps"].get(layer)
        return "float32" if tap is None else f"float32 in units of 2**{tap['places']} last bits"

    @override
    def audit(self) -> list[tuple[str, str]]:
        """Constants of the file that differ from what the network prescribes."""
        return [] if self._network is None else changed_constants(self._network, self._path)
