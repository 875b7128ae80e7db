"""Whether the parts of a run's documents belong together: they may be of another version, or damaged."""

from trigger_ml.core import layout
from trigger_ml.core.documents.evaluation import EVALUATION, Evaluation
from trigger_ml.core.foreign import reading
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report.content import RunContent
from trigger_ml.report.facts import HEADLINES, TASKS

__all__ = ["require_comparable"]


def _require_whole(evaluation: Evaluation) -> None:
    """Refuse an evaluation whose parts speak of different figures, bins or models.

    Raises
    ------
    KeyError, ValueError
    """
    if evaluation.task not in TASKS:
        raise ValueError(f"task {evaluation.task!r} is not known")
    pair = evaluation.pair()
    for name in pair.metrics:
        _ = evaluation.quantities[name]
    for name in (*HEADLINES[evaluation.task], "gamma_efficiency"):
        against_reference(evaluation, name)
    for name, rows in pair.bins.items():
        if name not in evaluation.quantities or len(rows) != len(evaluation.energy_bins.edges) - 1:
            raise ValueError(f"the bins of {name} are not those of the energy")


def require_comparable(run: RunContent) -> Evaluation:
    """The evaluation of a run; refuse one that lacks what the page shows.

    Raises
    ------
    InputError
        It names the file and the first thing that is missing.
    """
    with reading(run.path / layout.EVALUATION, f"{EVALUATION.what} of this version", EVALUATION.again):
        if run.evaluation is None:
            raise ValueError("it is not there")
        _require_whole(run.evaluation)
        return run.evaluation
