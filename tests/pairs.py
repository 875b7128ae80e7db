"""A float and a compressed model, as most tests judge them: the case of one model against a reference."""

from dataclasses import replace

from trigger_ml.core.documents.estimates import Estimate, Pair
from trigger_ml.evaluation.evaluate import evaluate


def evaluate_pair(first, second, events, config, seed, task="type", *, reconstruction=None, **given):
    """`evaluate` of two models; ``reconstruction`` holds one for each."""
    both = None if reconstruction is None else dict(zip(("float", "compressed"), reconstruction, strict=True))
    outputs = {"float": first, "compressed": second}
    return evaluate(outputs, "float", events, config, seed, task, reconstructions=both, **given)


def with_metric(evaluation, name, *, model="compressed", reference="float", **changes):
    """An evaluation in which one comparison says something else."""
    rows = evaluation.comparisons[reference]
    row = replace(rows[model].metrics[name], **changes)
    pair = replace(rows[model], metrics={**rows[model].metrics, name: row})
    return replace(evaluation, comparisons={**evaluation.comparisons, reference: {**rows, model: pair}})


def with_further(evaluation, words):
    """An evaluation with further references, by name, that say these words of every figure.

    Their own figures are those of the float model.
    """
    pair = evaluation.pair()

    def lost(row, verdict):
        difference = Estimate(-0.0123, -0.02, -0.004)
        ratio = Estimate(0.98, None, None)
        return replace(row, difference=difference, ratio=ratio, state="worse", verdict=verdict)

    further = {
        name: {"compressed": Pair({key: lost(row, verdict) for key, row in pair.metrics.items()})}
        for name, verdict in words.items()
    }
    return replace(evaluation, comparisons={**evaluation.comparisons, **further})
