"""Against which float model a compressed one is judged, and when a gain may be called one.

Everything here works on an evaluation as it is kept, so that summaries and reports of finished runs say the
same.
"""

from dataclasses import dataclass, replace

from trigger_ml.core.documents.estimates import Comparison
from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation, FairReference
from trigger_ml.core.documents.model import Ending
from trigger_ml.core.documents.robustness import ChangeDifference

__all__ = ["CONTROL", "REFERENCES", "Judged", "against_reference", "fair_reference", "honest"]

# a relative gain from further training that is seen but smaller leaves a model on its plateau
NOTABLE = 0.01
CONTROL = "control"
REFERENCES = {FLOAT: "the float model", CONTROL: "the float control"}
NO_GAIN = "not worse"


@dataclass(frozen=True, kw_only=True)
class Judged(Comparison):
    """A comparison as it may be told.

    Parameters
    ----------
    against : str
        Name of the reference.
    refused : bool
        Whether a gain was seen that is not called one.
    """

    against: str
    refused: bool


def fair_reference(evaluation: Evaluation, metric: str, ending: Ending | None) -> FairReference:
    """With which float model the compressed one is to be compared, and whether that one was at its best.

    The control had the epochs of compression, so it is the reference where there is one; the float model is
    where it is the better of the two. The float model is below its plateau when the rule that ended its
    training says so, or when the control, which only trained for longer, is better by more than ``NOTABLE``.

    Parameters
    ----------
    evaluation : Evaluation
    metric : str
        The task's first figure of merit.
    ending : Ending or None
        Of the float training; None where it was not trained here.
    """
    plateau, words = None if ending is None else ending.plateau, _words(ending)
    control = evaluation.comparisons.get(CONTROL)
    if control is None:
        return FairReference(FLOAT, plateau, words)
    found = control[FLOAT].metrics[metric]
    words += f"; against the control, which trained for longer, the float model is {_than(found.verdict)}"
    ratio = found.ratio.value
    if found.state == "worse" and (ratio is None or abs(ratio - 1) > NOTABLE):
        plateau = False
    return FairReference(FLOAT if found.state == "better" else CONTROL, plateau, words)


def _than(verdict: str) -> str:
    """A verdict after "is": some begin with a phrase of their own."""
    return f"judged: {verdict}" if verdict.startswith(("no change", "cannot", "moved")) else verdict


def _words(ending: Ending | None) -> str:
    """The rule that ended a training, as a sentence without its full stop."""
    if ending is None:
        return "the float model was not trained here, or by an older version"
    window, limit = ending.window, f"{100 * ending.tolerance:g} %"
    if ending.by == "schedule":
        return "the learning rate fell from the first step on, which hides a plateau"
    if ending.gain is None:
        return (
            f"its epochs ran out before there were two windows of {window} at full learning rate to compare"
        )
    gain = f"{'fell' if ending.gain >= 0 else 'rose'} by {abs(100 * ending.gain):.2g} %"
    change = f"the validation loss {gain} from one {window} epochs to the next"
    if ending.plateau:
        return f"training ended on its plateau: {change} at full learning rate, less than {limit}"
    return f"the epochs ran out: {change} at full learning rate, more than {limit}"


def honest[V: (Comparison, ChangeDifference)](evaluation: Evaluation, row: V) -> V:
    """A comparison whose verdict claims no gain that more training may have made.

    A compressed model had more training than the float model. "Better" is said only where the float model is
    known to have been on its plateau; elsewhere the verdict is "not worse", in the state ``unresolved``.
    """
    fair = evaluation.fair_reference
    if row.state == "better" and (fair is None or fair.plateau is not True):
        return replace(row, state="unresolved", verdict=NO_GAIN)
    return row


def against_reference(evaluation: Evaluation, metric: str) -> Judged | None:
    """The compressed model against the float model that had as much training.

    Parameters
    ----------
    evaluation : Evaluation
    metric : str
        A figure of merit over all events.

    Returns
    -------
    Judged or None
        None where there is no such figure.
    """
    if metric not in evaluation.pair().metrics:
        return None
    name = FLOAT if evaluation.fair_reference is None else evaluation.fair_reference.model
    row = evaluation.comparisons[name][COMPRESSED].metrics[metric]
    shown = honest(evaluation, row)
    return Judged(**vars(shown), against=name, refused=shown.state != row.state)
