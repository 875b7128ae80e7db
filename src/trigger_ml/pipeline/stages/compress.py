"""The compressed model, the fixed-point network and its emulator."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trigger_ml import __version__
from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import parse, plain, read, write
from trigger_ml.core.documents.model import CONSTANT, FLOAT_HISTORY, MODEL_SUMMARY
from trigger_ml.core.documents.obstacles import OBSTACLES, Obstacles
from trigger_ml.core.keras_types import Model
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from trigger_ml.compression.compress import CompressionResult
    from trigger_ml.pipeline.sample import Sample

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Quantize and prune; extract the network and write the emulators, or say what firmware would lack."""
    from trigger_ml.compression.compress import compress
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.models.export import export_onnx
    from trigger_ml.models.files import load_model, save_model
    from trigger_ml.pipeline.feasibility import require_feasible
    from trigger_ml.pipeline.price import measure_of
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    model = load_model(path / layout.FLOAT_MODEL)
    input_type = config.events.input.dtype
    measure = None
    if config.compression.budget is not None:
        # the budget may be another one than when the float model was trained
        require_feasible(model, config)
        # the configuration allows no other
        assert config.firmware is not None
        assert config.firmware.rtl is not None
        measure = measure_of(config.firmware.rtl, input_type)
    sample = load_sample(workspace)
    result = compress(
        model,
        *sample.training(),
        config.compression,
        input_type=input_type,
        directory=path / layout.COMPRESSED_FOLDER,
        measure=measure,
        **sample.fine_tuning,
    )
    for said in (result.verdict and result.verdict.says, CONSTANT if result.constant else None):
        if said:
            workspace.console.print(f"  {said}", markup=False, highlight=False)
    save_model(result.model, path / layout.COMPRESSED_MODEL)
    if config.firmware is None:
        _write_obstacles(workspace, result.model)
    else:
        _write_network(path, result.model, sample)
    export_onnx(fold_batch_norm(model), path / layout.FLOAT_ONNX)
    _write_model_summary(workspace, model, result)


def _write_network(path: Path, model: Model, sample: "Sample") -> None:
    from trigger_ml.firmware.extract import extract
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.onnx.emulator import write_emulator

    network = extract(model, input_type=sample.config.events.input.dtype, metadata=_metadata(sample))
    serialize.save(network, path / layout.NETWORK)
    write_emulator(network, path / layout.EMULATOR)


def _write_obstacles(workspace: Workspace, model: Model) -> None:
    from trigger_ml.firmware.unmapped import obstacles

    found = Obstacles(obstacles(model, workspace.config.events.input.dtype))
    write(workspace.path / layout.OBSTACLES, OBSTACLES, found)
    workspace.console.print(f"  no firmware: {found.sentence}", highlight=False, markup=False)


def _metadata(sample: "Sample") -> dict[str, Any]:
    """What a user of the network alone needs; the keys are described in docs/network-format.md."""
    config, grid = sample.config, sample.dataset.grid
    return {
        "domain": sample.domain(),
        "name": config.name,
        "task": config.task,
        "trigger_ml": __version__,
        "camera": grid.camera,
        "grid": grid.to_dict(),
        "input": config.events.input.model_dump(mode="json"),
        "dead_pixels": config.events.dead_pixels,
    }


def _write_model_summary(workspace: Workspace, float_model: Model, result: "CompressionResult") -> None:
    """``model/model.json``: both models' layers, sizes, sparsity and histories."""
    from trigger_ml.models.description import describe_model

    trained = read(workspace.path / layout.FLOAT_HISTORY, FLOAT_HISTORY)
    content = {
        "events": plain(trained.events, everything=True),
        "float": {**describe_model(float_model), "history": plain(trained.history, everything=True)},
        "compressed": {**describe_model(result.model), **result.to_dict()},
    }
    path = workspace.path / layout.MODEL_SUMMARY
    write(path, MODEL_SUMMARY, parse(content, MODEL_SUMMARY, str(path)))


def _depends(config: ExperimentConfig, run: RunDirectory, sections: dict[str, Any]) -> dict[str, Any]:
    # what of the firmware is asked for is no matter here, that none is, is; LiteRT has a stage of its own
    compression = {k: v for k, v in sections["compression"].items() if k != "post_training"}
    sections = sections | {"compression": compression}
    if config.firmware is None:
        return sections | {"firmware": None}
    if config.compression.budget is None:
        return sections
    # a budget is of one kind of firmware
    assert config.firmware.rtl is not None
    return sections | {"rtl": config.firmware.rtl.model_dump(mode="json")}


STAGE = Stage(
    "compress",
    ("train",),
    ("name", "compression"),
    tuple(
        str(path)
        for path in (
            layout.COMPRESSED_FOLDER,
            layout.MODEL_SUMMARY,
            layout.NETWORK.parent,
            layout.EMULATOR.parent,
        )
    ),
    _work,
    _depends,
)
