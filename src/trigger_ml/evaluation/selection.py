"""Which events pass the cuts of an instrument: gammaness in each energy bin, and the angle to the source.

Cuts are part of the instrument's definition: they are set on the sample and held fixed in the resamples.
"""

import operator
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyirf.cuts import calculate_percentile_cut, evaluate_binned_cut

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.evaluation.direction import separation
from trigger_ml.evaluation.events import EnergyBins, EvaluationEvents

__all__ = ["Reconstruction", "Selection", "place", "select"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What other models say of the events.

    Parameters
    ----------
    energy : numpy.ndarray of float64, shape (events,)
        TeV.
    alt, az : numpy.ndarray of float64, shape (events,)
        Radians.
    """

    energy: FloatArray
    alt: FloatArray
    az: FloatArray

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> "Reconstruction":
        """Rows chosen by a slice, a mask or an index array."""
        return Reconstruction(self.energy[rows], self.alt[rows], self.az[rows])


@dataclass(frozen=True, eq=False)
class Selection:
    """Events that pass the cuts.

    Parameters
    ----------
    passes : numpy.ndarray of bool, shape (events,)
        Gammaness at least its energy bin's cut.
    on : numpy.ndarray of bool, shape (events,)
        And within the on-region around the true source (all, at trigger level).
    energy : numpy.ndarray of float64, shape (events,)
        TeV: reconstructed, or from light at trigger level (NaN without light).
    theta : numpy.ndarray of float64, shape (events,)
        Degrees between reconstructed and true direction; NaN at trigger level.
    offset : numpy.ndarray of float64, shape (events,)
        Degrees from the pointing: reconstructed, or true at trigger level.
    score_cut : numpy.ndarray of float64, shape (bins,)
        Logit.
    theta_cut : numpy.ndarray of float64, shape (bins,)
        Degrees.
    """

    passes: BoolArray
    on: BoolArray
    energy: FloatArray
    theta: FloatArray
    offset: FloatArray
    score_cut: FloatArray
    theta_cut: FloatArray


def _offset(alt: ArrayLike | None, az: ArrayLike | None, events: EvaluationEvents) -> FloatArray:
    """Degrees from the pointing; NaN where one of them is not known."""
    pointing_alt, pointing_az = events.pointing_alt, events.pointing_az
    if alt is None or az is None or pointing_alt is None or pointing_az is None:
        return np.full(len(events), np.nan)
    return separation(alt, az, pointing_alt, pointing_az)


def _estimated(events: EvaluationEvents, reconstruction: Reconstruction | None) -> FloatArray:
    """The energy that an observer has; the true one where events come without light."""
    if reconstruction is not None:
        return np.asarray(reconstruction.energy, dtype=np.float64)
    known = events.energy if events.light_energy is None else events.light_energy
    return np.asarray(known, dtype=np.float64)


def _few(
    events: EvaluationEvents,
    mask: BoolArray,
    index: NDArray[np.int64],
    n_bins: int,
    config: EvaluationConfig,
) -> BoolArray:
    """Bins with too few showers."""
    pairs = np.unique(np.stack([index[mask], np.asarray(events.shower_id)[mask]]), axis=1)
    inside = (pairs[0] >= 0) & (pairs[0] < n_bins)
    return np.bincount(pairs[0][inside], minlength=n_bins) < config.min_showers


def place(energy: FloatArray, edges: FloatArray) -> tuple[NDArray[np.int64], BoolArray]:
    """The bin of each energy, and whether it is in one."""
    index = np.searchsorted(edges, energy, side="right") - 1
    return index.astype(np.int64), (index >= 0) & (index < len(edges) - 1)


def select(
    events: EvaluationEvents,
    score: FloatArray,
    bins: EnergyBins,
    config: EvaluationConfig,
    reconstruction: Reconstruction | None = None,
    source: BoolArray | None = None,
) -> Selection:
    """Cut on gammaness in each energy bin, and on the angle to the source where it is known.

    The gammaness cut keeps its fraction of *all* gammas of the bin, which diffuse gammas have many of; the
    angle is cut on those that stand for the point source.

    Parameters
    ----------
    events : EvaluationEvents
    score : numpy.ndarray of float64, shape (events,)
        Logit.
    bins : EnergyBins
    config : EvaluationConfig
    reconstruction : Reconstruction, optional
    source : numpy.ndarray of bool, shape (events,), optional
        Events at the offsets of the point source (see `trigger_ml.evaluation.bookkeeping.signal_ring`);
        default all.

    Returns
    -------
    Selection
    """
    gamma, irf = events.gamma, config.irf
    energy = _estimated(events, reconstruction)
    edges = bins.edges * u.TeV
    index = place(energy, bins.edges)[0]
    overall = float(np.quantile(score[gamma], 1 - config.gamma_efficiency, method="inverted_cdf"))
    gh = calculate_percentile_cut(
        score[gamma],
        energy[gamma] * u.TeV,
        bins=edges,
        fill_value=overall,
        percentile=100 * (1 - config.gamma_efficiency),
        min_events=config.min_events,
    )
    # many uses of few showers set no cut of their own
    gh["cut"][_few(events, gamma, index, len(bins), config)] = overall
    passes = np.asarray(evaluate_binned_cut(score, energy * u.TeV, gh, operator.ge))
    # a trigger answers to events without a cleaned image too; they have no energy
    passes |= ~np.isfinite(energy) & (score >= overall)
    if reconstruction is None:
        theta = np.full(len(events), np.nan)
        theta_cut = np.full(len(bins), irf.assumed_resolution)
        offset = _offset(events.alt, events.az, events)
        return Selection(passes, passes, energy, theta, offset, np.asarray(gh["cut"]), theta_cut)
    theta = separation(reconstruction.alt, reconstruction.az, events.alt, events.az)  # type: ignore[arg-type]
    kept = gamma & passes if source is None else gamma & passes & source
    # a bin with too few gammas has the cut of all energies, as for gammaness
    usual = irf.assumed_resolution
    if kept.any():
        usual = float(np.quantile(theta[kept], irf.theta_containment))
    on_cut = calculate_percentile_cut(
        theta[kept] * u.deg,
        energy[kept] * u.TeV,
        bins=edges,
        fill_value=usual * u.deg,
        percentile=100 * irf.theta_containment,
        min_events=config.min_events,
    )
    on_cut["cut"][_few(events, kept, index, len(bins), config)] = usual * u.deg
    inside = np.asarray(evaluate_binned_cut(theta * u.deg, energy * u.TeV, on_cut, operator.le))
    return Selection(
        passes,
        passes & inside,
        energy,
        theta,
        _offset(reconstruction.alt, reconstruction.az, events),
        np.asarray(gh["cut"]),
        on_cut["cut"].to_value(u.deg),
    )
