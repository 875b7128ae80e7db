"""The stages of an experiment, one module each, in the order of their work."""

from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.stages import (
    build,
    compress,
    control,
    evaluate,
    post_training,
    report,
    simulate,
    synthesize,
    train,
    trees,
    verify,
)

__all__ = ["STAGES"]

STAGES: dict[str, Stage] = {
    module.STAGE.name: module.STAGE
    for module in (
        simulate,
        train,
        compress,
        control,
        post_training,
        trees,
        build,
        synthesize,
        verify,
        evaluate,
        report,
    )
}
