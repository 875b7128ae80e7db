"""The C simulation of the hls4ml project as an engine."""

from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config.firmware import HlsConfig
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.hls.csim import Csim
from trigger_ml.firmware.hls.project import MANIFEST, HlsProject, write_project
from trigger_ml.firmware.ir.network import Network

__all__ = ["CsimBackend"]


class CsimBackend(Backend):
    """The C simulation of the hls4ml project.

    Parameters
    ----------
    project : HlsProject
    network, config
        What the project was written from; needed only to look into it where it differs, through a second
        project beside the first that records every layer.
    progress : bool
        Show a progress bar on a terminal.
    """

    name = "csim"

    def __init__(
        self,
        project: HlsProject,
        network: Network | None = None,
        config: HlsConfig | None = None,
        *,
        progress: bool = True,
    ) -> None:
        self.project = project
        self._sources = (network, config)
        self._progress = progress
        self._csim = Csim(project)

    @override
    def run(self, counts: NDArray[np.integer]) -> dict[str, IntArray]:
        return self._csim.run(counts, progress=self._progress)

    @override
    def taps(self, counts: NDArray[np.integer]) -> dict[str, IntArray] | None:
        """A second project that records every layer is written and compiled for it."""
        network, config = self._sources
        if network is None or config is None:
            return None
        return Csim(self._traced(network, config)).taps(counts)

    def _traced(self, network: Network, config: HlsConfig) -> HlsProject:
        """The project that records layers, written anew if this one is newer."""
        directory = self.project.directory
        folder = directory.with_name(f"{directory.name}-trace")
        written, own = folder / MANIFEST, directory / MANIFEST
        if written.is_file() and written.stat().st_mtime_ns > own.stat().st_mtime_ns:
            return HlsProject.open(folder)
        return write_project(network, config, folder, name=self.project.manifest["project"], trace=True)

    @override
    def type_of(self, layer: str) -> str:
        """Type of the HLS variable that holds a layer's result."""
        for entry in self.project.manifest["layers"]:
            if entry["node"] == layer:
                return f"ap_{entry['type']}"
        return "not a variable of the HLS code"
