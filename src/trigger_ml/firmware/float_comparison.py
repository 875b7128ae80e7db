"""What compression changed: firmware logits against the float model's on the same events."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

__all__ = ["FloatComparison", "compare_with_float"]

PERCENTILES = (1, 5, 16, 50, 84, 95, 99)


@dataclass(frozen=True)
class FloatComparison:
    """Firmware minus float, event by event.

    Parameters
    ----------
    source : str
        Where the firmware's logits come from.
    events : int
    mean, rms, maximum : float
        Of the logit difference; ``rms`` about zero, ``maximum`` of its absolute value.
    percentiles : dict of str to float
        Of the difference.
    correlation : float or None
        Pearson's, of the two logits; None if one is constant.
    gamma_efficiency : float
        Of the operating point.
    flips : int or None
        Events accepted by one and rejected by the other, each cut where it keeps that fraction of the
        gammas; None without labels of both classes.
    flips_same_threshold : int or None
        The same with the float model's threshold for both.
    auc, auc_float : float or None
        Area under the ROC curve on these events.
    """

    source: str
    events: int
    mean: float | None
    rms: float | None
    maximum: float | None
    percentiles: dict[str, float]
    correlation: float | None
    gamma_efficiency: float
    flips: int | None = None
    flips_same_threshold: int | None = None
    auc: float | None = None
    auc_float: float | None = None


def compare_with_float(
    firmware: ArrayLike,
    reference: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    source: str = "firmware",
    gamma_efficiency: float = 0.7,
) -> FloatComparison:
    """Compare logits.

    Parameters
    ----------
    firmware, reference : array_like of float, shape (events,)
    labels : array_like of int, shape (events,), optional
        1 gamma, 0 hadron.
    source : str
    gamma_efficiency : float

    Returns
    -------
    FloatComparison
    """
    a, b = np.asarray(firmware, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"shapes {a.shape} and {b.shape} are not two equal vectors")
    if not len(a):
        return FloatComparison(source, 0, None, None, None, {}, None, gamma_efficiency)
    difference = a - b
    varies = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    decisions = _decisions(a, b, labels, gamma_efficiency)
    return FloatComparison(
        source,
        len(a),
        float(difference.mean()),
        float(np.sqrt(np.mean(difference**2))),
        float(np.abs(difference).max()),
        {str(p): float(q) for p, q in zip(PERCENTILES, np.percentile(difference, PERCENTILES), strict=True)},
        float(np.corrcoef(a, b)[0, 1]) if varies else None,
        gamma_efficiency,
        *decisions,
    )


def _decisions(
    a: NDArray[np.float64], b: NDArray[np.float64], labels: ArrayLike | None, efficiency: float
) -> tuple[int | None, int | None, float | None, float | None]:
    if labels is None:
        return None, None, None, None
    gamma = np.asarray(labels) == 1
    if gamma.all() or not gamma.any():
        return None, None, None, None
    cut_a, cut_b = (np.quantile(x[gamma], 1 - efficiency) for x in (a, b))
    accepted = b >= cut_b
    return (
        int(np.sum((a >= cut_a) != accepted)),
        int(np.sum((a >= cut_b) != accepted)),
        float(roc_auc_score(gamma, a)),
        float(roc_auc_score(gamma, b)),
    )
