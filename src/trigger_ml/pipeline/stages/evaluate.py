"""What compression costs, in figures of merit."""

import time

from trigger_ml.core import layout
from trigger_ml.core.files import write_json
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Judge the float and the compressed model, the control and the trees on the same test events."""
    from trigger_ml.evaluation.evaluate import evaluate
    from trigger_ml.evaluation.gadf import write_irfs
    from trigger_ml.evaluation.quantities import HEADLINES
    from trigger_ml.evaluation.reference import reference_of
    from trigger_ml.evaluation.robustness import robustness
    from trigger_ml.pipeline.judging import judged, thrown, write_predictions
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
    outputs, inference = {}, {}
    for name, run in answers(path, config, test, splits.test).items():
        start = time.perf_counter()
        outputs[name] = run()
        inference[name] = {"seconds": time.perf_counter() - start, "events": len(test)}
    events = judged(dataset, splits)
    simulations = thrown(workspace, dataset, splits) if config.task == "type" else None
    evaluation = evaluate(
        outputs["float"],
        outputs["compressed"],
        events,
        config.evaluation,
        config.seed,
        config.task,
        simulations=simulations,
        others={name: output for name, output in outputs.items() if name not in ("float", "compressed")},
    )
    (path / layout.IRFS).mkdir(exist_ok=True)
    for name, output in outputs.items():
        folder = path / layout.PREDICTIONS / name
        write_predictions(folder, test, output, config.task, f"trigger_ml_{name}")
        # where there is no response, evaluation.json says why
        if simulations is not None and name in ("float", "compressed") and "reason" not in evaluation.irf:
            file = path / layout.IRFS / f"{name}.fits.gz"
            write_irfs(file, events, output[:, 0], simulations, config.evaluation)
    content = evaluation.to_dict()
    content["reference"] = reference_of(content, HEADLINES[config.task][0], float_ending(path))
    content["not_judged"] = not_judged(path)
    if (given := given_facts(path)) is not None:
        content["given"] = given
    if config.task == "type":
        night = night_sky_answers(path, config, sample.night_test)
        content["robustness"] = robustness(
            outputs, events, test.conditions, config.evaluation, config.seed, night
        )
    write_json(path / layout.EVALUATION, {**content, "inference": inference})


STAGE = Stage(
    "evaluate",
    ("compress", "control", "trees"),
    ("evaluation",),
    (str(layout.PREDICTIONS), str(layout.IRFS), str(layout.EVALUATION)),
    _work,
)
