"""The compressed model, the fixed-point network and its emulator."""

import json
from typing import TYPE_CHECKING, Any

from trigger_ml import __version__
from trigger_ml.core import layout
from trigger_ml.core.files import write_json
from trigger_ml.core.keras_types import Model
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from trigger_ml.pipeline.sample import Sample

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Quantize and prune, extract the network, write the emulators."""
    from trigger_ml.compression.compress import compress
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.firmware.extract import extract
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.onnx.emulator import write_emulator
    from trigger_ml.models.export import export_onnx
    from trigger_ml.models.files import load_model, save_model
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    sample = load_sample(workspace)
    model = load_model(path / layout.FLOAT_MODEL)
    input_type = config.events.input.dtype
    result = compress(
        model,
        *sample.training(),
        config.compression,
        input_type=input_type,
        directory=path / layout.COMPRESSED_FOLDER,
        **sample.fine_tuning,
    )
    save_model(result.model, path / layout.COMPRESSED_MODEL)
    network = extract(result.model, input_type=input_type, metadata=_metadata(sample))
    serialize.save(network, path / layout.NETWORK)
    write_emulator(network, path / layout.EMULATOR)
    export_onnx(fold_batch_norm(model), path / layout.FLOAT_ONNX)
    _write_model_summary(workspace, model, result)


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


def _write_model_summary(workspace: Workspace, float_model: Model, result: Any) -> None:
    """``model/model.json``: both models' layers, sizes, sparsity and histories."""
    from trigger_ml.models.description import describe_model

    trained = json.loads((workspace.path / layout.FLOAT_HISTORY).read_text())
    summary: dict[str, Any] = {"events": trained["events"]}
    for name, model, history in (
        ("float", float_model, trained["history"]),
        ("compressed", result.model, result.history.to_dict()),
    ):
        summary[name] = {**describe_model(model), "history": history}
    if result.pruning_history is not None:
        summary["compressed"]["pruning_history"] = result.pruning_history.to_dict()
    summary["compressed"]["sparsity"] = result.sparsity
    summary["compressed"]["sparsity_by_layer"] = [row.to_dict() for row in result.layers]
    write_json(workspace.path / layout.MODEL_SUMMARY, summary)


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
)
