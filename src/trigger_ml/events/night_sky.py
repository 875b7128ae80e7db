"""Clocked events, which show a network what the sky looks like without a shower."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.camera_input import CameraInput
from trigger_ml.events.dl1 import Dl1Reader, open_dl1
from trigger_ml.events.loading import telescopes_of_camera
from trigger_ml.events.quantize import Counts

__all__ = ["NightSky", "load_night_sky", "split_night_sky"]


@dataclass(frozen=True, eq=False)
class NightSky:
    """Clocked events as network input, one row each.

    Parameters
    ----------
    counts : numpy.ndarray of uint8 or uint16, shape (n, H, W, C)
    conditions : dict of str to numpy.ndarray of float64, shape (n,)
        As `Dataset.conditions` has them.
    """

    counts: Counts
    conditions: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> "NightSky":
        return NightSky(self.counts[rows], {name: values[rows] for name, values in self.conditions.items()})


def load_night_sky(paths: Sequence[Path], config: EventsConfig) -> NightSky | None:
    """Read clocked events as a network's input.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        ctapipe DL1 files whose events are all clocked.
    config : EventsConfig

    Returns
    -------
    NightSky or None
        None without files.

    Raises
    ------
    InputError
        If a file cannot be read.
    CameraMismatchError
        If it has another camera.
    """
    parts: list[NightSky] = []
    for path in paths:
        with open_dl1(path) as h5:
            reader = Dl1Reader(h5, path)
            tel_ids = telescopes_of_camera(reader, config)
            feed = CameraInput.of_reader(reader, tel_ids, config)
            for read in reader.tables(tel_ids, peak_time="peak_time" in config.input.channels):
                table, good = feed.prepare(read)
                table = table[good]
                counts = feed.counts(table)
                parts.append(NightSky(counts, feed.conditions(table, counts)))
    if paths and not any(map(len, parts)):
        raise InputError(
            ", ".join(path.name for path in paths), "holds no usable clocked events", "Simulate it again"
        )
    if not parts:
        return None
    names = parts[0].conditions
    return NightSky(
        np.concatenate([part.counts for part in parts]),
        {name: np.concatenate([part.conditions[name] for part in parts]) for name in names},
    )


def split_night_sky(night: NightSky, seed: int) -> tuple[NightSky, NightSky]:
    """One half to train on, one half to judge by, drawn with a seed."""
    order = np.random.default_rng([seed, 77]).permutation(len(night))
    return night[np.sort(order[::2])], night[np.sort(order[1::2])]
