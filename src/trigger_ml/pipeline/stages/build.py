"""The firmware projects and the test vectors."""

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Write the projects and the vectors; refuse before that what the part cannot hold."""
    import numpy as np

    from trigger_ml.firmware.cost.rtl_project import build_rtl, check_fit
    from trigger_ml.firmware.hls.project import write_project
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.native.delivery import write_emulator_sources
    from trigger_ml.firmware.vectors import write_testbench, write_vectors
    from trigger_ml.models.files import load_model
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    network = serialize.load(path / layout.NETWORK)
    if config.firmware.rtl is not None:
        check_fit(network, config.firmware.rtl)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    chosen = splits.test[:: max(1, len(splits.test) // config.firmware.vectors)][: config.firmware.vectors]
    counts = dataset.counts[chosen]
    write_vectors(network, counts, path / layout.VECTORS, event_ids=dataset[chosen].names)
    write_emulator_sources(network, counts, path / layout.EMULATOR_SOURCES)
    if config.firmware.hls is not None:
        model = load_model(path / layout.COMPRESSED_MODEL)
        project = write_project(model, network, config.firmware.hls, path / layout.HLS, name=config.name)
        write_testbench(network, counts, project.directory)
    if config.firmware.rtl is not None:
        build_rtl(network, config.firmware.rtl, counts.astype(np.int64), path / layout.RTL)


STAGE = Stage(
    "build",
    ("compress",),
    ("firmware.hls", "firmware.rtl", "firmware.vectors"),
    (str(layout.FIRMWARE),),
    _work,
)
