"""The float model: trained here, or the user's."""

from typing import TYPE_CHECKING

from trigger_ml.core import layout
from trigger_ml.core.config import OWN_FAMILIES, ExperimentConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.files import write_json
from trigger_ml.core.keras_types import Model
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.stage import Sections, Stage
from trigger_ml.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from trigger_ml.events.dataset import Dataset

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Train the float model, or take the one that the configuration names."""
    from trigger_ml.models.files import save_model
    from trigger_ml.models.heads import start_at
    from trigger_ml.models.registry import build_model
    from trigger_ml.models.training import train as fit
    from trigger_ml.pipeline.feasibility import require_feasible
    from trigger_ml.pipeline.given import judge, keep, prepare
    from trigger_ml.pipeline.sample import load_sample, subset

    config, path = workspace.config, workspace.path
    given = None if config.model.weights is None else prepare(config)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    rows = {name: subset(dataset, getattr(splits, name), config) for name in ("train", "validation", "test")}
    history: dict[str, object] | None = None
    if given is not None:
        model = given.model
        _check_input(model, dataset, str(config.model.weights))
        write_json(path / layout.GIVEN, judge(given, config, dataset, sample.targets, rows["test"]))
        keep(config, path)
    else:
        counts, target, validation = sample.training()
        model = build_model(config.model, dataset.counts.shape[1:], config.task, config.seed)
        require_feasible(model, config)
        if config.task != "type":
            start_at(model, target)
        history = fit(
            model,
            counts,
            target,
            validation,
            config.train,
            bits=config.events.input.bits,
            seed=config.seed,
            directory=path / layout.FLOAT_FOLDER,
            task=config.task,
            symmetries=sample.symmetries,
        ).to_dict()
    save_model(model, path / layout.FLOAT_MODEL)
    events = {name: len(part) for name, part in rows.items()}
    write_json(
        path / layout.FLOAT_HISTORY, {"history": history, "events": {**events, "dropped": dataset.dropped}}
    )


def _check_input(model: Model, dataset: "Dataset", source: str) -> None:
    expected, given = dataset.counts.shape[1:], tuple(model.input_shape[1:])
    if expected != given:
        raise ConfigError(
            f"model.weights: {source}",
            f"the model takes images of shape {given}, the events have {expected}",
            "Use events of the model's camera and channels, or another model",
        )


def _depends(config: ExperimentConfig, run: RunDirectory, sections: Sections) -> Sections:
    if config.model.weights is None:
        if config.model.family in OWN_FAMILIES:
            return sections
        from trigger_ml.models.registry import FAMILIES, KEY

        # another version of the package that gives the family may build another model
        return sections | {"family": FAMILIES.origin(config.model.family, KEY)}
    # what is in the file, wherever it is
    model = config.model.model_dump(mode="json") | {"weights": run.manifest().get("given_model")}
    return sections | {"model": model}


STAGE = Stage(
    "train",
    ("simulate",),
    ("task", "events", "model", "train", "seed"),
    (str(layout.FLOAT_FOLDER),),
    _work,
    _depends,
)
