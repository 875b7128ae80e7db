"""What the firmware costs, measured."""

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Measure what the firmware projects cost and how long they take; leaves ``resources.json``."""
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.pipeline.making import write_resources

    network = serialize.load(workspace.path / layout.NETWORK)
    write_resources(network, workspace.config.hardware, workspace.path, workspace.console)


STAGE = Stage(
    "synthesize",
    ("build",),
    ("firmware.synthesis",),
    (str(layout.SYNTHESIS), str(layout.RESOURCES)),
    _work,
    hardware=True,
)
