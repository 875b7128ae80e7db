"""The float model quantized by LiteRT, without a further epoch."""

import numpy as np

from trigger_ml.core import layout
from trigger_ml.core.errors import StageError, ToolMissingError
from trigger_ml.core.files import write_bytes, write_json
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]

# the ranges of activations are those of so many training events
_EVENTS = 200


def _work(workspace: Workspace) -> None:
    """Convert the float model by every scheme that is asked for; note which ones LiteRT cannot do."""
    from trigger_ml.compression.litert import LiteRtModel, convert
    from trigger_ml.core.fixed_point import input_values
    from trigger_ml.models.files import load_model
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    refused: dict[str, str] = {}
    if config.compression.post_training:
        counts, _, _ = load_sample(workspace).training()
        chosen = np.random.default_rng([config.seed, 3]).permutation(len(counts))[:_EVENTS]
        events = input_values(counts[np.sort(chosen)], config.events.input.bits)
        model = load_model(path / layout.FLOAT_MODEL)
        for scheme in config.compression.post_training:
            try:
                content = convert(model, scheme, events)
                # an operator that the interpreter lacks is met here, not when all else is done
                LiteRtModel(content).predict(counts[:1], config.events.input.bits, 1)
            except (StageError, ToolMissingError) as error:
                refused[scheme] = error.why
                workspace.console.print(f"  {error}", highlight=False, markup=False)
            else:
                write_bytes(path / layout.LITERT_FOLDER / f"{scheme}.tflite", content)
    write_json(path / layout.LITERT_FACTS, {"refused": refused})


STAGE = Stage(
    "post_training",
    ("train",),
    ("compression.post_training", "seed"),
    (str(layout.LITERT_FOLDER),),
    _work,
)
