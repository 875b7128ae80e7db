"""How many weights pruning takes from each layer."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["allocate", "lamp_scores", "removed"]


def removed(weights: int, sparsity: float) -> int:
    """Weights that pruning removes from a layer: those beyond ``round((1 - sparsity) * weights)``.

    At least one weight stays. Halves round to even and the product is in float32, as
    tensorflow-model-optimization computes it.
    """
    kept = np.rint(np.float32(weights) * (np.float32(1) - np.float32(sparsity)))
    return weights - max(int(kept), 1)


def lamp_scores(kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """Layer-adaptive magnitudes (Lee et al. 2021, arXiv:2010.07611, equation 4), in ascending order.

    The square of a weight over the sum of the squares of the weights of its layer that are not smaller: what
    is lost by removing it after all smaller ones, relative to what the layer still has. Of weights that are
    all zero the last has score 1, the others 0.

    Parameters
    ----------
    kernel : numpy.ndarray

    Returns
    -------
    numpy.ndarray of float64, shape (kernel.size,)
    """
    squares = np.sort(np.square(kernel.astype(np.float64)), axis=None)
    left = np.cumsum(squares[::-1])[::-1]
    scores = np.divide(squares, left, out=np.zeros_like(squares), where=left > 0)
    # the largest is all that its layer has left: no layer loses its last weight before another has one only
    scores[-1] = 1.0
    return np.asarray(scores, dtype=np.float64)


def allocate(kernels: dict[str, NDArray[np.floating]], sparsity: float, allocation: str) -> dict[str, float]:
    """Sparsity of each layer such that together they have the one asked.

    Parameters
    ----------
    kernels : dict of str to numpy.ndarray
        Weights of the layers to prune.
    sparsity : float
        Fraction of all these weights.
    allocation : {'lamp', 'uniform'}
        ``uniform``: the same in each layer. ``lamp``: as many of each layer as have the least
        :func:`lamp_scores` of all layers.

    Returns
    -------
    dict of str to float
        The fraction of each layer; :func:`removed` gives the number of its weights. Each layer keeps one.
    """
    if allocation == "uniform" or not kernels:
        return dict.fromkeys(kernels, sparsity)
    scores = np.concatenate([lamp_scores(kernel) for kernel in kernels.values()])
    layer = np.repeat(np.arange(len(kernels)), [kernel.size for kernel in kernels.values()])
    number = min(removed(len(scores), sparsity), len(scores) - len(kernels))
    gone = np.bincount(layer[np.argsort(scores, kind="stable")[:number]], minlength=len(kernels))
    return {
        name: int(count) / kernel.size for count, (name, kernel) in zip(gone, kernels.items(), strict=True)
    }
