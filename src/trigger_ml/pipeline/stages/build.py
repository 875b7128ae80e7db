"""The firmware projects and the test vectors."""

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Write the projects and the vectors of some test events."""
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.pipeline.making import Source, write_projects
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    network = serialize.load(path / layout.NETWORK)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    chosen = splits.test[:: max(1, len(splits.test) // config.hardware.vectors)][: config.hardware.vectors]
    source = Source(config.name, network)
    write_projects(source, dataset.counts[chosen], dataset[chosen].names, config.hardware, path)


STAGE = Stage(
    "build",
    ("compress",),
    ("firmware.hls", "firmware.rtl", "firmware.vectors"),
    (str(layout.FIRMWARE),),
    _work,
    hardware=True,
)
