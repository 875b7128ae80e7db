"""What a trigger algorithm is given and what it tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trigger_ml.instrument.patches import Patches

__all__ = ["Algorithm", "Decide", "Decision", "LeastLight", "NoiseTail", "Waveform"]

type Waveform = NDArray[np.float32]
"""Shape (pixels, samples): ADC counts above the baseline."""


class Decision(NamedTuple):
    """What an algorithm makes of one readout of a camera.

    Parameters
    ----------
    fires : bool
        Whether ``peak`` is at least the threshold.
    sample : int
        Of the waveform, at which the algorithm's value first is at least the threshold; -1 if never.
    peak : float
        Largest value, which is compared with the threshold.
    """

    fires: bool
    sample: int
    peak: float


class Decide(Protocol):
    """Judges one readout; called once an event, so its loops must be compiled or NumPy's."""

    def __call__(
        self, waveform: Waveform, patches: Patches, threshold: float, first: int, last: int, /
    ) -> Decision:
        """Look at samples [first, last) of a waveform."""


class LeastLight(Protocol):
    """Tells how much light is needed, so that hopeless showers need not be traced."""

    def __call__(
        self, threshold: float, sky: Sequence[Waveform], patches: Patches, first: int, last: int, /
    ) -> float:
        """ADC counts that light must add, summed over the camera's pixels, to be expected to fire.

        ``sky`` holds waveforms of the night sky alone under the conditions; none for the nominal.
        """


@dataclass(frozen=True)
class NoiseTail:
    """How often the night sky alone makes large values, known beyond what can be counted.

    Parameters
    ----------
    count : callable
        From a waveform of the night sky, the camera's patches and the samples [first, last) to counts
        (numpy.ndarray of int64, always of one shape), which are added over waveforms.
    probability : callable
        From the added counts to the probability that the algorithm's value in one place at one time is at
        least 0, 1, 2, ... (numpy.ndarray).
    """

    count: Callable[[Waveform, Patches, int, int], NDArray[np.int64]]
    probability: Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Algorithm:
    """A trigger algorithm.

    Parameters
    ----------
    name : str
    decide : Decide
    least_light : LeastLight or None
        Without it every shower with a few photo-electrons is traced and judged: slower, never wrong.
    noise : NoiseTail or None
        Without it a threshold cannot be found from a rate of accidental triggers.
    """

    name: str
    decide: Decide
    least_light: LeastLight | None = None
    noise: NoiseTail | None = None
