"""What a model loses against a reference: a figure of merit of both on the same resamples, and a verdict."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.documents.details import Flips
from trigger_ml.core.documents.estimates import Comparison, Pair
from trigger_ml.evaluation.quantities import QUANTITIES
from trigger_ml.evaluation.uncertainty import Resamples, intervals

__all__ = ["Rows", "compare", "flips", "pairs", "verdict", "with_error"]

FloatArray = NDArray[np.float64]
type Rows = Mapping[str, FloatArray]
"""Figures of merit of a model by name, each of shape (rows, 1 + resamples), the estimate first."""

# a verdict of "worse" or "better" is given when the central interval of this content excludes "no change"
VERDICT_CONFIDENCE = 0.95
# a change that is not excluded beyond this bound is called unresolved, not unchanged
RESOLVED = 0.10


def _percent(fraction: float) -> str:
    """A percentage with two digits, never in exponent notation."""
    percent = 100.0 * abs(fraction)
    if percent == 0:
        return "0"
    decimals = max(0, 1 - int(np.floor(np.log10(percent))))
    return f"{percent:.{min(decimals, 4)}f}"


def with_error(value: float, error: float) -> str:
    """Value ± error, both to the digits that the error deserves: one, or two when it begins with a 1."""
    if not error > 0:
        return f"{value:.3g}"
    place = int(np.floor(np.log10(error)))
    decimals = min(max(0, -place + (1 if round(error / 10.0**place, 1) < 2 else 0)), 6)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _half_width(draws: FloatArray) -> float:
    """Half the central 68 % of resamples: the error that is quoted."""
    return 0.5 * float(np.diff(np.percentile(draws, [16, 84]))[0])


def verdict(change: FloatArray, better: str) -> tuple[str, str]:
    """Judge a relative change from its resamples.

    Parameters
    ----------
    change : numpy.ndarray of float64, shape (1 + resamples,)
        Relative change (0 is none); the estimate first.
    better : {"higher", "lower"}
        Which sign is an improvement.

    Returns
    -------
    state, words : str
        For instance ``("worse", "worse by 8 ± 2 %")`` or ``("unchanged", "unchanged within 1.2 %")``.
        The ± is half the central 68 % interval.
    """
    draws = change[1:][np.isfinite(change[1:])]
    if not np.isfinite(change[0]) or len(draws) < 0.9 * (len(change) - 1):
        return "undefined", "cannot be computed from these events"
    tail = 50 * (1 - VERDICT_CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    if low <= 0 <= high:
        bound = max(abs(low), abs(high))
        if bound <= RESOLVED:
            return "unchanged", "identical" if bound == 0 else f"unchanged within {_percent(bound)} %"
        if bound > 1:
            return "unresolved", "no change seen, but one as large as the value itself is not excluded"
        return "unresolved", f"no change seen, but only known within {_percent(bound)} %"
    one_sigma = _half_width(draws)
    # the estimate of a skewed quantity may lie on the other side of zero: the resamples' median decides
    centre = change[0] if change[0] * (low + high) > 0 else float(np.median(draws))
    state = "better" if (centre > 0) == (better == "higher") else "worse"
    return state, f"{state} by {with_error(100 * abs(centre), 100 * one_sigma)} %"


def compare(
    name: str,
    reference: FloatArray,
    model: FloatArray,
    confidence: float,
    flags: list[str] | None = None,
    events: NDArray[np.int64] | None = None,
) -> list[Comparison]:
    """Compare a model with the reference on the same resamples, row by row.

    Parameters
    ----------
    name : str
        A key of `trigger_ml.evaluation.quantities.QUANTITIES`.
    reference, model : numpy.ndarray of float64, shape (rows, 1 + resamples)
    confidence : float
        Of the intervals; verdicts use 95 %.
    flags : list of str, optional
        One for each row.
    events : numpy.ndarray of int64, shape (rows,), optional

    Returns
    -------
    list of Comparison
    """
    better = QUANTITIES[name].better
    difference = model - reference
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(reference != 0, model / reference, np.nan)
    flag = (lambda row: flags[row]) if flags else None
    columns = [
        intervals(values, confidence, flag, events) for values in (reference, model, difference, ratio)
    ]
    result = []
    for row in range(len(reference)):
        if better == "zero":
            state, words = _verdict_of_bias(reference[row], model[row], QUANTITIES[name].unit)
        elif np.array_equal(reference[row], model[row], equal_nan=True) and np.isfinite(reference[row, 0]):
            state, words = "unchanged", "identical"
        else:
            state, words = verdict(ratio[row] - 1.0, better)
        values = [column[row].estimate() for column in columns]
        result.append(Comparison(values[0], values[1], values[2], values[3], state, words))
    return result


def pairs(
    overall: Mapping[str, Rows],
    reference: str,
    confidence: float,
    bins: Mapping[str, Rows] | None = None,
    flags: list[str] | None = None,
    events: NDArray[np.int64] | None = None,
) -> dict[str, Pair]:
    """Every model against the reference.

    Parameters
    ----------
    overall : mapping of str to Rows
        By model: its figures over all events.
    reference : str
        One of the models.
    confidence : float
    bins : mapping of str to Rows, optional
        The same in energy bins.
    flags : list of str, optional
        One for each bin.
    events : numpy.ndarray of int64, shape (bins,), optional

    Returns
    -------
    dict of str to Pair
        By model, without the reference.
    """
    first = overall[reference]
    result = {}
    for model in (name for name in overall if name != reference):
        metrics = {
            name: compare(name, first[name], values, confidence)[0] for name, values in overall[model].items()
        }
        binned = {}
        if bins is not None:
            binned = {
                name: tuple(compare(name, bins[reference][name], values, confidence, flags, events))
                for name, values in bins[model].items()
            }
        result[model] = Pair(metrics, binned)
    return result


def _verdict_of_bias(reference: FloatArray, model: FloatArray, unit: str) -> tuple[str, str]:
    """A bias is judged by its distance from zero, in its own unit: a ratio of biases means nothing."""
    change = np.abs(model) - np.abs(reference)
    draws = change[1:][np.isfinite(change[1:])]
    if not np.isfinite(change[0]) or len(draws) < 0.9 * (len(change) - 1):
        return "undefined", "cannot be computed from these events"
    # a bias without unit is relative to the energy
    scale, suffix = (1.0, f" {unit}") if unit else (100.0, " % of the energy")
    change, draws = scale * change, scale * draws
    tail = 50 * (1 - VERDICT_CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    if low <= 0 <= high:
        largest = max(abs(low), abs(high))
        shift = scale * (model - reference)
        shifts = shift[1:][np.isfinite(shift[1:])]
        ends = np.percentile(shifts, [tail, 100 - tail])
        tiny = not unit and abs(float(shift[0])) <= 100 * RESOLVED
        if (ends[0] > 0 or ends[1] < 0) and not tiny:
            # to the other side of zero, about as far from it
            moved = with_error(abs(float(shift[0])), _half_width(shifts))
            return "unresolved", f"moved by {moved}{suffix}, not seen to be larger or smaller"
        if not unit and largest > 100 * RESOLVED:
            return "unresolved", f"no change seen, but only known within {_percent(largest / 100)}{suffix}"
        return (
            "unchanged",
            f"unchanged within {f'{largest:.2g}' if unit else _percent(largest / 100)}{suffix}",
        )
    one_sigma = _half_width(draws)
    state = "worse" if low > 0 else "better"
    return state, f"{state} by {with_error(abs(float(change[0])), one_sigma)}{suffix}"


def flips(
    resamples: Resamples,
    gamma: NDArray[np.bool_],
    reference_passes: NDArray[np.bool_],
    model_passes: NDArray[np.bool_],
    confidence: float,
) -> dict[str, Flips]:
    """Events that change side between the reference and a model.

    Parameters
    ----------
    resamples : Resamples
    gamma, reference_passes, model_passes : numpy.ndarray of bool, shape (events,)

    Returns
    -------
    dict of str to Flips
        For ``all``, ``gamma`` and ``hadron``: events ``lost`` (kept by the reference alone) and
        ``gained`` (kept by the model alone), and their weighted ``fraction`` with interval.
    """
    lost, gained = reference_passes & ~model_passes, ~reference_passes & model_passes
    changed = lost | gained
    classes = {"all": np.ones(len(gamma), dtype=bool), "gamma": gamma, "hadron": ~gamma}
    columns = np.stack([m * x for m in classes.values() for x in (changed, np.ones(len(gamma)))], axis=1)
    sums = resamples.sums(columns, np.zeros(len(gamma), dtype=np.int64), 1)[:, 0]
    result: dict[str, Flips] = {}
    for row, (name, mask) in enumerate(classes.items()):
        with np.errstate(invalid="ignore", divide="ignore"):
            fraction = sums[2 * row] / sums[2 * row + 1]
        result[name] = Flips(
            events=int(mask.sum()),
            lost=int((lost & mask).sum()),
            gained=int((gained & mask).sum()),
            fraction=intervals(fraction[None], confidence)[0].estimate(),
        )
    return result
