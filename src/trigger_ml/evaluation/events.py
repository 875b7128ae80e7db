"""The events that models are judged on: what they are, which can be used, and their energy bins."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.errors import InputError

__all__ = ["BINNED_BY", "EnergyBins", "EvaluationEvents", "energy_bins", "observed_bins", "usable"]

FloatArray = NDArray[np.float64]
type Column = NDArray[np.integer] | NDArray[np.floating]

BINNED_BY = {
    "true": "True energy",
    "light": "Energy of a gamma of equal light",
    "reconstructed": "Reconstructed energy ({reference} model)",
}
"""What events can be binned by, in words; ``reference`` is the model whose energy is taken."""


@dataclass(frozen=True, eq=False)
class EvaluationEvents:
    """Truth of the events on which models are compared, one row per telescope event.

    Parameters
    ----------
    label : numpy.ndarray of int, shape (events,)
        1 gamma, 0 hadron.
    energy : numpy.ndarray of float64, shape (events,)
        True energy in TeV.
    shower_id : numpy.ndarray of int64, shape (events,)
        Equal for all uses of one simulated shower; the unit of the bootstrap.
    weight : numpy.ndarray of float64, shape (events,), optional
        Non-negative weight of each event; None is one for all.
    alt, az : numpy.ndarray of float64, shape (events,), optional
        True direction in radians.
    pointing_alt, pointing_az : numpy.ndarray of float64, shape (events,), optional
        Pointing of the telescope in radians.
    obs_id, event_id, tel_id : numpy.ndarray of int64, shape (events,), optional
        Identity; with it, repeated events are found and left out.
    primary_id : numpy.ndarray of int64, shape (events,), optional
        sim_telarray particle code (0 gamma, 1 electron, 101 proton, 402 helium, 1608 oxygen, 5626 iron).
    size : numpy.ndarray of float64, shape (events,), optional
        Charge of the cleaned image in photo-electrons; 0 where nothing survived the cleaning.
    light_energy : numpy.ndarray of float64, shape (events,), optional
        Energy in TeV that a gamma of this light has (see `trigger_ml.evaluation.light`); NaN without light.
    """

    label: Column
    energy: Column
    shower_id: Column
    weight: Column | None = None
    alt: Column | None = None
    az: Column | None = None
    pointing_alt: Column | None = None
    pointing_az: Column | None = None
    obs_id: Column | None = None
    event_id: Column | None = None
    tel_id: Column | None = None
    primary_id: Column | None = None
    size: Column | None = None
    light_energy: Column | None = None

    def __post_init__(self) -> None:
        n = len(self.label)
        for item in fields(self):
            column = getattr(self, item.name)
            if column is not None and np.shape(column) != (n,):
                raise ValueError(f"column {item.name} has shape {np.shape(column)}, label has ({n},)")

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> "EvaluationEvents":
        """Rows chosen by a slice, a mask or an index array."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        chosen: dict[str, Column] = {
            name: column[rows] for name, column in given.items() if column is not None
        }
        return replace(self, **chosen)

    @property
    def weights(self) -> FloatArray:
        """Weights, ones where none were given."""
        if self.weight is None:
            return np.ones(len(self))
        return np.asarray(self.weight, dtype=np.float64)

    @property
    def gamma(self) -> NDArray[np.bool_]:
        """Mask of the gammas."""
        return np.asarray(np.asarray(self.label) == 1)


def usable(
    events: EvaluationEvents, *predictions: ArrayLike
) -> tuple[NDArray[np.bool_], dict[str, int], FloatArray]:
    """Which events can be judged by every model, and why the others cannot.

    An event is left out for all models when one of them has no finite prediction for it, so that the
    comparison stays paired.

    Parameters
    ----------
    events : EvaluationEvents
    *predictions : array_like of float, shape (events,) or (events, outputs)
        One array for each model.

    Returns
    -------
    mask : numpy.ndarray of bool, shape (events,)
    dropped : dict of str to int
        Number of events by reason; reasons without events are absent.
    stacked : numpy.ndarray of float64, shape (models, events, outputs)
        The predictions, all events.

    Raises
    ------
    InputError
        If lengths differ, labels are not 0 or 1, weights are negative, or no event is left.
    """
    n = len(events)
    arrays = [np.asarray(p, dtype=np.float64).reshape(len(np.asarray(p)), -1) for p in predictions]
    for index, array in enumerate(arrays):
        if len(array) != n:
            raise InputError(
                f"predictions of model {index}",
                f"{len(array)} rows for {n} events",
                "Predict the same events with every model",
            )
    if n and not np.isin(events.label, (0, 1)).all():
        raise InputError("labels", "hold values other than 0 and 1", "Label gammas 1 and hadrons 0")
    weights = events.weights
    if n and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise InputError("event weights", "hold negative or non-finite values", "Correct the weights")

    keep = np.ones(n, dtype=bool)
    dropped: dict[str, int] = {}

    def drop(bad: NDArray[np.bool_], reason: str) -> None:
        count = int(np.count_nonzero(bad & keep))
        if count:
            dropped[reason] = count
            keep[bad] = False

    if events.event_id is not None:
        columns = [c for c in (events.obs_id, events.event_id, events.tel_id) if c is not None]
        identity = np.stack([np.asarray(c, dtype=np.int64) for c in columns], axis=1)
        _, first = np.unique(identity, axis=0, return_index=True)
        repeated = np.ones(n, dtype=bool)
        repeated[first] = False
        drop(repeated, "repeated event")
    energy = np.asarray(events.energy, dtype=np.float64)
    drop(~(np.isfinite(energy) & (energy > 0)), "no true energy")
    for array in arrays:
        drop(~np.isfinite(array).all(axis=1), "no finite prediction")
    if not keep.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no events given"
        raise InputError("predictions", f"no event can be evaluated ({reasons})", "Check model and events")
    return keep, dropped, np.stack(arrays)


@dataclass(frozen=True, eq=False)
class EnergyBins:
    """Logarithmic energy bins, and the bin of each event.

    Parameters
    ----------
    edges : numpy.ndarray of float64, shape (bins + 1,)
        TeV.
    index : numpy.ndarray of int64, shape (events,)
        The number of bins for an event that is in none.
    by : str
        Key of `BINNED_BY`.
    """

    edges: FloatArray
    index: NDArray[np.int64]
    by: str = "true"

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def centers(self) -> FloatArray:
        """Geometric centres in TeV."""
        return np.sqrt(self.edges[:-1] * self.edges[1:])


def energy_bins(energy: ArrayLike, per_decade: int) -> EnergyBins:
    """Bins that cover all energies, with edges at whole fractions of a decade.

    Parameters
    ----------
    energy : array_like of float, shape (events,)
        TeV, positive.
    per_decade : int
        Bins per decade; 5 gives bins of 0.2 decades with one edge at each power of ten.
    """
    # the tolerance keeps an energy on an edge (simulations end at 100 TeV) in the bin below it
    place = np.log10(np.asarray(energy, dtype=np.float64)) * per_decade
    low = int(np.floor(place.min() + 1e-9))
    high = max(int(np.ceil(place.max() - 1e-9)), low + 1)
    edges = 10.0 ** (np.arange(low, high + 1) / per_decade)
    index = np.clip(np.floor(place + 1e-9).astype(np.int64) - low, 0, high - low - 1)
    return EnergyBins(edges, index)


def observed_bins(
    events: EvaluationEvents, per_decade: int, reconstructed: ArrayLike | None = None
) -> EnergyBins:
    """Bins of an energy that an observer has, for gammas and hadrons alike.

    Parameters
    ----------
    events : EvaluationEvents
        With gammas.
    per_decade : int
    reconstructed : array_like of float, shape (events,), optional
        TeV, of an energy model. Without it the energy is that of a gamma of equal light; without light
        either (events of another making) the true one.

    Returns
    -------
    EnergyBins
        They cover the true energies of the gammas (of all events, where these are what is binned).
    """
    true = np.asarray(events.energy, dtype=np.float64)
    by, estimate = "reconstructed", reconstructed
    if estimate is None:
        by, estimate = "light", events.light_energy
    if estimate is None:
        return energy_bins(true, per_decade)
    edges = energy_bins(true[events.gamma], per_decade).edges
    place = np.searchsorted(edges, np.asarray(estimate, dtype=np.float64), side="right") - 1
    # NaN is sorted behind everything
    index = np.where((place < 0) | (place >= len(edges) - 1), len(edges) - 1, place)
    return EnergyBins(edges, index.astype(np.int64), by)
