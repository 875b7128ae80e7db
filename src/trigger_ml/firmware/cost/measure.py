"""What ``synthesize`` does: measure both firmware projects and gather ``resources.json``."""

import shutil
from pathlib import Path
from typing import Any

from trigger_ml.core.config import FirmwareConfig
from trigger_ml.firmware.cost.resources import SCHEMA
from trigger_ml.firmware.cost.vendor_tools import measure_hls
from trigger_ml.firmware.hls.project import HlsProject
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.vectors import read_vectors

__all__ = ["measure"]


def measure(network: Network, config: FirmwareConfig, firmware: Path, work: Path) -> dict[str, Any]:
    """Content of ``resources.json``.

    Parameters
    ----------
    network : Network
    config : FirmwareConfig
    firmware : Path
        Folder that ``build`` left: ``hls``, ``rtl`` and ``vectors``.
    work : Path
        Folder for the tools' logs and reports; emptied first.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    resources: dict[str, Any] = {"schema": SCHEMA}
    settings = config.synthesis
    if config.rtl is not None:
        from trigger_ml.firmware.cost.rtl_project import measure_rtl

        _, vectors = read_vectors(firmware / "vectors")
        counts = vectors[network.input.name]
        found = measure_rtl(network, config.rtl, settings, firmware / "rtl", counts, work / "rtl")
        resources["rtl"] = found.to_dict()
    if config.hls is not None:
        project = HlsProject.open(firmware / "hls")
        found = measure_hls(project.directory, project.manifest, settings, work / "hls")
        resources["hls"] = found.to_dict()
    return resources
