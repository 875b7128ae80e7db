"""What the firmware costs, measured."""

from trigger_ml.core import layout
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.resources import RESOURCES
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Measure what the firmware projects cost and how long they take; leaves ``resources.json``."""
    from trigger_ml.firmware.cost.measure import measure
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.report.terminal import resource_rows

    path = workspace.path
    network = serialize.load(path / layout.NETWORK)
    resources = measure(network, workspace.config.firmware, path / layout.FIRMWARE, path / layout.SYNTHESIS)
    write(path / layout.RESOURCES, RESOURCES, resources)
    for label, value in resource_rows(resources):
        workspace.console.print(f"  {label}: {value}", highlight=False, soft_wrap=True, markup=False)


STAGE = Stage(
    "synthesize",
    ("build",),
    ("firmware.synthesis",),
    (str(layout.SYNTHESIS), str(layout.RESOURCES)),
    _work,
)
