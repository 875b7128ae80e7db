"""What compression costs, in figures of merit."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    type FloatArray = NDArray[np.float64]

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Judge the float and the compressed model, the control and the trees on the same test events."""
    from trigger_ml.core.documents.base import write
    from trigger_ml.core.documents.evaluation import COMPRESSED, EVALUATION, FLOAT, Inference
    from trigger_ml.core.documents.sizes import SIZES
    from trigger_ml.evaluation.evaluate import evaluate
    from trigger_ml.evaluation.gadf import write_irfs
    from trigger_ml.evaluation.quantities import HEADLINES
    from trigger_ml.evaluation.reference import fair_reference
    from trigger_ml.evaluation.robustness import robustness
    from trigger_ml.pipeline.judging import judged, thrown, write_predictions
    from trigger_ml.pipeline.model_files import file_sizes
    from trigger_ml.pipeline.rivals import (
        answers,
        float_ending,
        given_facts,
        night_sky_answers,
        not_judged,
    )
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    # hadrons too: a reconstructed response needs their energies and directions
    test = dataset[splits.test]
    outputs: dict[str, FloatArray] = {}
    inference: dict[str, Inference] = {}
    for name, run in answers(path, config, test, splits.test).items():
        start = time.perf_counter()
        outputs[name] = run()
        inference[name] = Inference(time.perf_counter() - start, len(test))
    events = judged(dataset, splits)
    simulations = thrown(workspace, dataset, splits) if config.task == "type" else None
    pair = (FLOAT, COMPRESSED)
    others = [name for name in outputs if name not in pair]
    evaluation = evaluate(
        outputs,
        FLOAT,
        events,
        config.evaluation,
        config.seed,
        config.task,
        further=others,
        detailed=pair,
        simulations=simulations,
    )
    response = evaluation.irf is not None and not evaluation.irf.reason
    (path / layout.IRFS).mkdir(exist_ok=True)
    for name, output in outputs.items():
        folder = path / layout.PREDICTIONS / name
        write_predictions(folder, test, output, config.task, f"trigger_ml_{name}")
        # where there is no response, evaluation.json says why
        if simulations is not None and name in pair and response:
            file = path / layout.IRFS / f"{name}.fits.gz"
            write_irfs(file, events, output[:, 0], simulations, config.evaluation)
    robust = None
    if config.task == "type":
        night = night_sky_answers(path, config, sample.night_test)
        robust = robustness(
            outputs, FLOAT, events, test.conditions, config.evaluation, config.seed, night, further=others
        )
    evaluation = replace(
        evaluation,
        fair_reference=fair_reference(evaluation, HEADLINES[config.task][0], float_ending(path)),
        not_judged=not_judged(path),
        given=given_facts(path),
        robustness=robust,
        inference=inference,
    )
    write(path / layout.EVALUATION, EVALUATION, evaluation)
    write(path / layout.SIZES, SIZES, file_sizes(path))


STAGE = Stage(
    "evaluate",
    ("compress", "control", "post_training", "trees"),
    ("evaluation",),
    (str(layout.PREDICTIONS), str(layout.IRFS), str(layout.EVALUATION), str(layout.SIZES)),
    _work,
)
