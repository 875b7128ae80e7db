"""The float control: the float model after as many more epochs as compression takes."""

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.stage import Sections, Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Give the float model the epochs of compression, or note why not."""
    from trigger_ml.compression.control import train_control
    from trigger_ml.models.files import load_model, save_model
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    if not config.compression.control:
        write_json(path / layout.CONTROL_HISTORY, {"reason": "compression.control is false"})
        return
    sample = load_sample(workspace)
    result = train_control(
        load_model(path / layout.FLOAT_MODEL),
        *sample.training(),
        config.compression,
        bits=config.events.input.bits,
        directory=path / layout.CONTROL_FOLDER,
        **sample.fine_tuning,
    )
    save_model(result.model, path / layout.CONTROL_MODEL)
    write_json(path / layout.CONTROL_HISTORY, {"histories": result.to_dict()})


def _depends(config: ExperimentConfig, run: RunDirectory, sections: Sections) -> Sections:
    if not config.compression.control:
        return sections
    # how long and how fast compression trains, whatever it prunes
    return sections | {"trainings": config.compression.trainings}


STAGE = Stage(
    "control",
    ("train",),
    ("compression.control", "compression.batch_size", "compression.distillation", "compression.seed"),
    (str(layout.CONTROL_FOLDER),),
    _work,
    _depends,
)
