"""What firmware is made of and compared with, whoever brings it: a stage of a run, or a model without events.

The stages `build`, `synthesize` and `verify` and the verb ``firmware`` do the same to a network; only where
their inputs come from differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import FirmwareConfig, VerifyConfig
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.resources import RESOURCES
from trigger_ml.core.documents.verification import VERIFICATION, Verification
from trigger_ml.core.keras_types import Model
from trigger_ml.pipeline.emulators import compiled_emulator

if TYPE_CHECKING:
    from trigger_ml.firmware.engines.base import Backend
    from trigger_ml.firmware.ir.network import Network
    from trigger_ml.firmware.verify import Check

__all__ = ["Source", "backends", "engines", "write_projects", "write_resources", "write_verification"]


@dataclass(frozen=True, eq=False)
class Source:
    """What firmware is made of.

    Parameters
    ----------
    name : str
        Of the projects.
    network : Network
    """

    name: str
    network: "Network"


def write_projects(
    source: Source,
    counts: NDArray[np.integer],
    ids: Sequence[object] | None,
    config: FirmwareConfig,
    path: Path,
) -> None:
    """Write the projects, the emulator's sources and the vectors, or refuse what the part cannot hold.

    Parameters
    ----------
    source : Source
    counts : numpy.ndarray of int, shape (events, *network.input.size)
        Of the test vectors.
    ids : sequence, optional
        JSON values that tell which event each row is; default: its number.
    config : FirmwareConfig
    path : Path
        The run directory.
    """
    from trigger_ml.firmware.cost.rtl_project import build_rtl, check_fit
    from trigger_ml.firmware.native.delivery import write_emulator_sources
    from trigger_ml.firmware.vectors import write_testbench, write_vectors

    network = source.network
    if config.rtl is not None:
        check_fit(network, config.rtl)
    write_vectors(network, counts, path / layout.VECTORS, event_ids=ids)
    write_emulator_sources(network, counts, path / layout.EMULATOR_SOURCES)
    if config.hls is not None:
        from trigger_ml.firmware.hls.project import write_project

        project = write_project(network, config.hls, path / layout.HLS, name=source.name)
        write_testbench(network, counts, project.directory)
    if config.rtl is not None:
        build_rtl(network, config.rtl, counts.astype(np.int64), path / layout.RTL)


def backends(
    source: Source,
    given: Model | None,
    config: FirmwareConfig,
    path: Path,
    console: Console | None,
    *,
    progress: bool = True,
    only_present: bool = False,
) -> "list[Backend]":
    """Every engine that a network can be evaluated with, in the order in which they are told of.

    Parameters
    ----------
    source : Source
    given : tf_keras.Model or None
        QKeras, as its owner has it, for its own framework to evaluate.
    config : FirmwareConfig
    path : Path
        The run directory with the projects.
    console : rich.console.Console, optional
        Where it is said that there is no compiled emulator.
    progress : bool
        Show how far the C simulation is.
    only_present : bool
        Leave out a project that is not there, or has no C simulation here, instead of refusing it.
    """
    from trigger_ml.firmware.engines.onnx import OnnxBackend

    network = source.network
    found: list[Backend] = []
    if given is not None:
        from trigger_ml.firmware.engines.keras import KerasBackend

        found.append(KerasBackend(given, network))
    found.append(OnnxBackend(path / layout.EMULATOR, network))
    if (compiled := compiled_emulator(network, console)) is not None:
        from trigger_ml.firmware.engines.native import NativeBackend

        found.append(NativeBackend(compiled))
    if config.hls is not None and ((path / layout.HLS).is_dir() or not only_present):
        from trigger_ml.firmware.engines.csim import CsimBackend
        from trigger_ml.firmware.hls.project import CSIM_BACKENDS, HlsProject

        project = HlsProject.open(path / layout.HLS)
        if project.manifest["backend"] in CSIM_BACKENDS or not only_present:
            found.append(CsimBackend(project, network, config.hls, progress=progress))
    if config.rtl is not None and ((path / layout.RTL).is_dir() or not only_present):
        from trigger_ml.firmware.engines.rtl import RtlBackend

        found.append(RtlBackend(network, config.rtl, directory=path / layout.RTL))
    return found


def engines(
    source: Source,
    given: Model | None,
    config: FirmwareConfig,
    verify: VerifyConfig,
    path: Path,
    seed: int,
    console: Console | None,
) -> "list[Check]":
    """All that the network is compared with, the slow ones on the first events alone.

    Parameters
    ----------
    source, given, config, path, console
        See `backends`.
    verify : VerifyConfig
    seed : int
        Of the gaps and stalls in the simulation of RTL.
    """
    from trigger_ml.firmware.verify import Check

    limits = {"csim": verify.csim_events, "rtl": verify.rtl_events}
    every = backends(source, given, config, path, console)
    checks = [Check(backend, limits.get(backend.name)) for backend in every]
    if config.rtl is not None:
        from trigger_ml.firmware.engines.rtl import Disturbance, RtlBackend

        disturbance = Disturbance(gap=0.25, stall=0.25, seed=seed)
        disturbed = RtlBackend(source.network, config.rtl, disturbance, path / layout.RTL)
        checks.append(Check(disturbed, verify.rtl_events))
    return checks


def write_verification(result: Verification, path: Path, console: Console) -> None:
    """Leave ``verification.json`` and a line for each engine; raise if one of them differs.

    Raises
    ------
    VerificationError
        After the file was written.
    """
    from trigger_ml.firmware.verify import require_equal

    write(path / layout.VERIFICATION, VERIFICATION, result)
    for name, backend in result.backends.items():
        console.print(
            f"  {name}: {backend.events} events and {backend.corner_inputs} corner inputs, "
            f"{backend.mismatches} mismatches",
            markup=False,
        )
    if (random := result.random_inputs) is not None:
        engines = " and ".join(random.engines)
        console.print(
            f"  {engines}: {random.inputs} random inputs, {random.mismatches} mismatches", markup=False
        )
    require_equal(result)


def write_resources(network: "Network", config: FirmwareConfig, path: Path, console: Console) -> None:
    """Measure what the projects cost and how long they take; leaves ``resources.json`` and logs."""
    from trigger_ml.firmware.cost.measure import measure
    from trigger_ml.report.terminal import resource_rows

    resources = measure(network, config, path / layout.FIRMWARE, path / layout.SYNTHESIS)
    write(path / layout.RESOURCES, RESOURCES, resources)
    for label, value in resource_rows(resources):
        console.print(f"  {label}: {value}", highlight=False, soft_wrap=True, markup=False)
