"""What compression changed: firmware logits against the float model's on the same events."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from trigger_ml.core.documents.verification import AgainstFloat

__all__ = ["compare_with_float"]

PERCENTILES = (1, 5, 16, 50, 84, 95, 99)


def compare_with_float(
    firmware: ArrayLike,
    reference: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    source: str = "firmware",
    gamma_efficiency: float = 0.7,
) -> AgainstFloat:
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
    AgainstFloat
    """
    a, b = np.asarray(firmware, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"shapes {a.shape} and {b.shape} are not two equal vectors")
    if not len(a):
        return AgainstFloat(source, 0, gamma_efficiency=gamma_efficiency)
    difference = a - b
    varies = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    decisions = _decisions(a, b, labels, gamma_efficiency)
    return AgainstFloat(
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
