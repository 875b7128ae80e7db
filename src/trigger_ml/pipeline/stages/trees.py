"""Boosted trees on image parameters: what a classifier has to beat."""

from trigger_ml.core import layout
from trigger_ml.core.files import write_json
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Train boosted trees on image parameters of the same events, or note why not."""
    from trigger_ml.pipeline.rivals import write_trees
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    if config.task != "type":
        write_json(path / layout.TREES_FACTS, {"reason": f"this run reconstructs the {config.task}"})
        return
    sample = load_sample(workspace)
    write_trees(path, sample.dataset, sample.splits, config, workspace.console)


STAGE = Stage("trees", ("simulate",), ("task", "events", "seed"), (str(layout.TREES_FOLDER),), _work)
