"""From the numbers that leave a network to the columns of ctapipe's DL2 tables."""

from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trigger_ml.core.errors import InputError
from trigger_ml.core.task import Task
from trigger_ml.evaluation.direction import sky_direction
from trigger_ml.evaluation.energy import energy_of

__all__ = ["ACCEPT", "accepted", "answers_of", "require_threshold"]

FloatArray = NDArray[np.float64]

ACCEPT: dict[Task, float] = {"type": 0.5}
"""Gammaness from which an event is accepted, if nothing else is said."""
THRESHOLDS: dict[Task, tuple[str, float, float]] = {
    "type": ("gammaness", 0.0, 1.0),
    "energy": ("energy in TeV", 0.0, np.inf),
}
"""What a threshold is compared with, and between which values it may lie."""


def answers_of(
    task: Task, output: FloatArray, pointing_alt: FloatArray, pointing_az: FloatArray
) -> dict[str, Any]:
    """Columns of a task's answers, without their prefix.

    Parameters
    ----------
    task : {"type", "energy", "direction"}
    output : numpy.ndarray of float64, shape (events, outputs)
        A logit, log10 of the energy in TeV, or camera offsets in degrees.
    pointing_alt, pointing_az : numpy.ndarray of float64, shape (events,)
        Radians; used for directions alone.

    Returns
    -------
    dict of str to numpy.ndarray or Quantity, shape (events,)
    """
    if task == "type":
        return {"prediction": expit(output[:, 0]), "logit": output[:, 0]}
    if task == "energy":
        return {"energy": energy_of(output[:, 0]) * u.TeV}
    alt, az = sky_direction(output, pointing_alt, pointing_az)
    return {"alt": np.rad2deg(alt) * u.deg, "az": np.rad2deg(az) * u.deg}


def require_threshold(task: Task, threshold: float | None, network: str) -> float | None:
    """The threshold of a network's answers: what was asked for, or that of its task; None if it has none.

    Raises
    ------
    InputError
        If the task has no threshold, or it lies outside of what answers can be.
    """
    if threshold is None:
        return ACCEPT.get(task)
    if task not in THRESHOLDS:
        raise InputError(network, f"its task is {task}: there is nothing to accept by", "Leave --accept away")
    words, low, high = THRESHOLDS[task]
    if not low <= threshold <= high:
        raise InputError(
            "--accept", f"{threshold:g} is no {words}", f"Give a value between {low:g} and {high:g}"
        )
    return threshold


def accepted(task: Task, output: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """Events whose answer reaches a threshold: gammaness, or the energy in TeV.

    Parameters
    ----------
    task : {"type", "energy"}
    output : numpy.ndarray of float64, shape (events, outputs)
    threshold : float
    """
    value = expit(output[:, 0]) if task == "type" else energy_of(output[:, 0])
    return np.asarray(value >= threshold)
