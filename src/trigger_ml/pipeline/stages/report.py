"""Figures and the page."""

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    from trigger_ml.report.page import write_report

    write_report(workspace.path)


STAGE = Stage(
    "report", ("synthesize", "verify", "evaluate"), (), (str(layout.FIGURES), str(layout.PAGE)), _work
)
