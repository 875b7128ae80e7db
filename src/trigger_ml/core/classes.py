"""Decisions between several classes: what the logits of a softmax say without it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

__all__ = ["class_scores", "decisions", "scores_of_probabilities"]

# the least positive number of float32: what a probability that underflowed is taken for
_TINY = 1e-45


def class_scores(logits: ArrayLike) -> NDArray[np.float64]:
    """Score of each class against all others: the logit of its probability under a softmax.

    Parameters
    ----------
    logits : array_like of float, shape (events, classes)

    Returns
    -------
    numpy.ndarray of float64, shape (events, classes)
        ``z[k] - log(sum of exp(z[j]) over j != k)``; positive where the class has more than a half.
    """
    z = np.asarray(logits, dtype=np.float64)
    others = [logsumexp(np.delete(z, k, axis=1), axis=1) for k in range(z.shape[1])]
    return np.asarray(z - np.stack(others, axis=1))


def scores_of_probabilities(values: ArrayLike) -> NDArray[np.float64]:
    """The same scores from a softmax's probabilities, as far as float32 holds them.

    Parameters
    ----------
    values : array_like of float, shape (events, classes)
    """
    # only sums over the others count, which a constant summand of all logits leaves alone
    return class_scores(np.log(np.maximum(np.asarray(values, dtype=np.float64), _TINY)))


def decisions(logits: ArrayLike) -> NDArray[np.int64]:
    """The class of each event: that of the largest logit, the first where several are equal.

    Parameters
    ----------
    logits : array_like, shape (events, classes)
        Logits, or integers in one unit: firmware decides by comparing them.
    """
    return np.argmax(np.asarray(logits), axis=1).astype(np.int64)
