"""Against which float model a compressed one is judged, and when a gain may be called one.

Everything here works on an evaluation as JSON, so that summaries and reports of finished runs say the same.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["REFERENCES", "against_reference", "honest", "reference_of"]

# a relative gain from further training that is seen but smaller leaves a model on its plateau
NOTABLE = 0.01
REFERENCES = {"float": "the float model", "control": "the float control"}
NO_GAIN = "not worse"


def reference_of(
    evaluation: Mapping[str, Any], metric: str, ending: Mapping[str, Any] | None
) -> dict[str, Any]:
    """With which float model the compressed one is to be compared, and whether that one was at its best.

    The control had the epochs of compression, so it is the reference where there is one; the float model is
    where it is the better of the two. The float model is below its plateau when the rule that ended its
    training says so, or when the control, which only trained for longer, is better by more than ``NOTABLE``.

    Parameters
    ----------
    evaluation : mapping
        As JSON.
    metric : str
        The task's first figure of merit.
    ending : mapping or None
        The float training's `trigger_ml.models.schedule.Ending` as JSON; None where it was not trained here.

    Returns
    -------
    dict
        ``model``: ``control`` or ``float``; ``plateau``: true, false, or null where nothing is known;
        ``why``: how that is known, in words.
    """
    plateau, words = None if ending is None else ending["plateau"], _words(ending)
    control = evaluation.get("others", {}).get("control")
    if control is None:
        return {"model": "float", "plateau": plateau, "why": words}
    found = control["differences"]["float"][metric]
    words += f"; against the control, which trained for longer, the float model is {_than(found['verdict'])}"
    ratio = found["ratio"]["value"]
    if found["state"] == "worse" and (ratio is None or abs(ratio - 1) > NOTABLE):
        plateau = False
    return {"model": "float" if found["state"] == "better" else "control", "plateau": plateau, "why": words}


def _than(verdict: str) -> str:
    """A verdict after "is": some begin with a phrase of their own."""
    return f"judged: {verdict}" if verdict.startswith(("no change", "cannot", "moved")) else verdict


def _words(ending: Mapping[str, Any] | None) -> str:
    """The rule that ended a training, as a sentence without its full stop."""
    if ending is None:
        return "the float model was not trained here, or by an older version"
    window, limit = ending["window"], f"{100 * ending['tolerance']:g} %"
    if ending["by"] == "schedule":
        return "the learning rate fell from the first step on, which hides a plateau"
    if ending["gain"] is None:
        return (
            f"its epochs ran out before there were two windows of {window} at full learning rate to compare"
        )
    gain = f"{'fell' if ending['gain'] >= 0 else 'rose'} by {abs(100 * ending['gain']):.2g} %"
    change = f"the validation loss {gain} from one {window} epochs to the next"
    if ending["plateau"]:
        return f"training ended on its plateau: {change} at full learning rate, less than {limit}"
    return f"the epochs ran out: {change} at full learning rate, more than {limit}"


def honest(evaluation: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison whose verdict claims no gain that more training may have made.

    A compressed model had more training than the float model. "Better" is said only where the float model is
    known to have been on its plateau; elsewhere the verdict is "not worse", in the state ``unresolved``.
    """
    if row["state"] == "better" and evaluation.get("reference", {}).get("plateau") is not True:
        return {**row, "state": "unresolved", "verdict": NO_GAIN}
    return dict(row)


def against_reference(evaluation: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    """The compressed model against the float model that had as much training, as a comparison in JSON.

    Parameters
    ----------
    evaluation : mapping
    metric : str
        A figure of merit over all events.

    Returns
    -------
    dict or None
        As in ``metrics``, where ``float`` holds the reference's value; with ``reference`` (its name) and
        ``refused``: whether a gain was seen that is not called one. None where there is no such figure.
    """
    row = evaluation["metrics"].get(metric)
    if row is None:
        return None
    name = evaluation.get("reference", {}).get("model", "float")
    if name != "float":
        other = evaluation["others"][name]
        found = other["differences"]["compressed"][metric]
        row = {"float": other["metrics"][metric], "compressed": row["compressed"], **found}
    shown = honest(evaluation, row)
    return {**shown, "reference": name, "refused": shown["state"] != row["state"]}
