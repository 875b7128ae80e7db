"""How much light an image holds: the charge of its cleaned pixels, at any night-sky rate."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.events.image_parameters import BOUNDARY_THRESHOLD, PICTURE_THRESHOLD, ImageParameters

__all__ = ["cleaned_charge", "level_and_spread"]

PICTURE_SPREADS = 4.0
"""Least picture threshold in units of the spread of the image's dark pixels."""
BOUNDARY_SPREADS = 2.0
"""Least boundary threshold in the same unit."""
# the level and spread of 1296 pixels are known well from a third of them, at a third of the cost
EVERY = 3
# the lower 16 % point of a normal distribution is one standard deviation below its median
ONE_SIGMA_BELOW = 0.1587


def level_and_spread(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An image's own noise: the median of its pixels, and the spread of the dark ones about it.

    The spread is the distance from the median down to the 16 % point, which is the standard deviation of
    normal noise; light above the median hardly moves either.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, pixels)
        All finite.

    Returns
    -------
    level, spread : numpy.ndarray, shape (n,)
    """
    some = images[:, ::EVERY]
    places = (int(ONE_SIGMA_BELOW * some.shape[1]), some.shape[1] // 2)
    ordered = np.partition(some, places, axis=1)
    level = ordered[:, places[1]]
    return level, level - ordered[:, places[0]]


def cleaned_charge(images: NDArray[np.float32], parameters: ImageParameters) -> NDArray[np.float64]:
    """Charge of the cleaned images above the level of their dark pixels.

    From each image its level is taken off (`level_and_spread`), and the tail cuts are those of
    `ImageParameters.clean`, raised where the night sky is bright: to `PICTURE_SPREADS` and `BOUNDARY_SPREADS`
    times the spread of its dark pixels. So a brighter sky neither adds charge nor lets noise pass.

    Parameters
    ----------
    images : numpy.ndarray of float32, shape (n, pixels)
        Photo-electrons, all finite.
    parameters : ImageParameters
        Of the camera.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Photo-electrons; 0 where no pixel survives.
    """
    if not len(images):
        return np.zeros(0)
    level, spread = (column[:, np.newaxis] for column in level_and_spread(images))
    above = images - level
    lit = parameters.clean(
        above,
        np.maximum(PICTURE_THRESHOLD, PICTURE_SPREADS * spread),
        np.maximum(BOUNDARY_THRESHOLD, BOUNDARY_SPREADS * spread),
    )
    return np.asarray(np.einsum("np,np->n", above, lit, dtype=np.float64))
