"""Energy that an observer without an energy model has: what a gamma of the same light would have had.

A proton shows about a third of the light of a gamma of its energy. In a bin of true energy, gammas and
protons of very different images would meet; a telescope compares images of equal light. The estimate is one
monotone relation from light to energy, set by gammas and applied to every particle alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from trigger_ml.core.errors import InputError

__all__ = ["LightEnergy", "fit_light_energy"]

FloatArray = NDArray[np.float64]

# width of the bins of light in decades, and the fewest gammas whose median is a point of the relation
STEP = 0.1
FEWEST = 30
# beyond its points the relation goes on with the mean slope, which noise must not make flat
LEAST_SLOPE = 0.2


@dataclass(frozen=True, eq=False)
class LightEnergy:
    """A rising relation between light and energy.

    Parameters
    ----------
    log_size, log_energy : numpy.ndarray of float64, shape (points,)
        log10 of photo-electrons, ascending, and of TeV, not falling.
    slope : float
        Beyond the points, in decades of energy for a decade of light.
    """

    log_size: FloatArray
    log_energy: FloatArray
    slope: float

    def __call__(self, size: ArrayLike) -> FloatArray:
        """Energy in TeV for light in photo-electrons; NaN where there is no light."""
        light = np.asarray(size, dtype=np.float64)
        seen = light > 0
        place = np.log10(light, where=seen, out=np.full(light.shape, np.nan))
        inside = np.interp(place, self.log_size, self.log_energy)
        beyond = np.minimum(place - self.log_size[0], 0.0) + np.maximum(place - self.log_size[-1], 0.0)
        return np.asarray(10.0 ** (inside + self.slope * beyond))


def fit_light_energy(size: ArrayLike, energy: ArrayLike) -> LightEnergy:
    """Median energy of gammas in bins of light, made monotone.

    Medians of log energy in bins of a tenth of a decade of light (wider where gammas are few), then isotonic
    regression weighted by the numbers of gammas. What "the energy of this light" is depends on the spectrum
    that was thrown, on offsets and on distances; use gammas that are not the ones judged.

    Parameters
    ----------
    size : array_like of float, shape (gammas,)
        Photo-electrons; gammas without light are left out.
    energy : array_like of float, shape (gammas,)
        True energy in TeV.

    Returns
    -------
    LightEnergy

    Raises
    ------
    InputError
        If no gamma has light.
    """
    light, true = np.asarray(size, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    seen = light > 0
    if not seen.any():
        raise InputError(
            "gammas", "none has light in its cleaned image", "Give images of gammas that triggered"
        )
    order = np.argsort(light[seen], kind="stable")
    x, y = np.log10(light[seen][order]), np.log10(true[seen][order])
    groups, start = [], 0
    while start < len(x):
        end = max(int(np.searchsorted(x, x[start] + STEP)), start + FEWEST)
        # what would be left over joins the last group
        end = len(x) if len(x) - end < FEWEST else end
        groups.append(slice(start, end))
        start = end
    points = np.array([np.median(x[group]) for group in groups])
    medians = np.array([np.median(y[group]) for group in groups])
    weights = np.array([group.stop - group.start for group in groups], dtype=np.float64)
    rising = IsotonicRegression().fit_transform(points, medians, sample_weight=weights)
    # one point alone: energy in proportion to light
    slope = 1.0
    if points[-1] > points[0]:
        slope = float(np.polyfit(points, rising, 1, w=np.sqrt(weights))[0])
    return LightEnergy(points, np.asarray(rising, dtype=np.float64), max(slope, LEAST_SLOPE))
