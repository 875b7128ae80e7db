"""The generated RTL as an engine: simulated clock by clock."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.project import RtlProject, design
from trigger_ml.firmware.rtl.simulate import Disturbance, Simulator, build, build_written

__all__ = ["Disturbance", "RtlBackend"]


class RtlBackend(Backend):
    """The generated RTL as a backend of ``verify``: counts in, integers of the outputs out.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    disturbance : Disturbance, optional
        Gaps and stalls during :meth:`run`; None for frames back to back.
    directory : Path, optional
        Written project to simulate; without it the design is made.
    """

    def __init__(
        self,
        network: Network,
        config: RtlConfig,
        disturbance: Disturbance | None = None,
        directory: Path | None = None,
    ) -> None:
        self.network = network
        self.config = config
        self._disturbance = disturbance
        self._directory = directory

    @property
    @override
    def name(self) -> str:
        """Key in ``verification.json``."""
        return "rtl" if self._disturbance is None else "rtl_disturbed"

    @property
    @override
    def disturbance(self) -> dict[str, float]:
        """Gaps, stalls and resets, as probabilities per clock, for ``verification.json``."""
        return asdict(self._disturbance or Disturbance())

    @cached_property
    def simulator(self) -> Simulator:
        """The compiled design."""
        if self._directory is None:
            return build(design(self.network, self.config))
        return build_written(self.network, self.config, self._directory)

    @property
    def project(self) -> RtlProject:
        """The design that is simulated."""
        return self.simulator.project

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        """Outputs for counts (events, height, width, channels)."""
        return self.simulator(counts, self._disturbance or Disturbance()).outputs

    @override
    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        """Every module's output; a quantizer computed with its layer gives one entry, under its own name."""
        return self.simulator(counts, self._disturbance or Disturbance(), taps=True).taps
