"""What ``synthesize`` does: measure both firmware projects and gather ``resources.json``."""

import shutil
from pathlib import Path

from trigger_ml.core.config import FirmwareConfig
from trigger_ml.core.documents.resources import Resources
from trigger_ml.firmware.cost.vendor_tools import measure_hls
from trigger_ml.firmware.hls.project import HlsProject
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.vectors import read_vectors

__all__ = ["measure"]


def measure(network: Network, config: FirmwareConfig, firmware: Path, work: Path) -> Resources:
    """What ``resources.json`` holds.

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
    rtl = hls = None
    settings = config.synthesis
    if config.rtl is not None:
        from trigger_ml.firmware.cost.rtl_project import measure_rtl

        _, vectors = read_vectors(firmware / "vectors")
        counts = vectors[network.input.name]
        rtl = measure_rtl(network, config.rtl, settings, firmware / "rtl", counts, work / "rtl")
    if config.hls is not None:
        project = HlsProject.open(firmware / "hls")
        hls = measure_hls(project.directory, project.manifest, settings, work / "hls")
    return Resources(rtl, hls)
