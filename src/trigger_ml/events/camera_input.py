"""From the events of one file to what a network reads: the same steps wherever a network is fed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from ctapipe.instrument import CameraGeometry
from numpy.typing import NDArray

from trigger_ml.core.config import EventsConfig, InputConfig
from trigger_ml.events.dead_pixels import (
    DeadPixels,
    fill_with_neighbours,
    interpolated_noise,
    refuse_dead,
)
from trigger_ml.events.dl1 import Dl1Reader
from trigger_ml.events.domain import dark_fraction
from trigger_ml.events.image_parameters import neighbour_table
from trigger_ml.events.pedestals import FileNoise, FlaggedPixels, find_flagged, find_noise
from trigger_ml.events.quantize import Counts, channel_values, charge_rule, read_out, to_counts
from trigger_ml.events.sources import EventSource
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.bilinear import BilinearMap, bilinear_map
from trigger_ml.instrument.camera import AxialGrid, axial_grid

__all__ = ["NOT_FINITE", "CameraInput", "pixel_map"]

NOT_FINITE = "pixel not finite"


def pixel_map(geometry: CameraGeometry, mapping: str) -> AxialGrid | BilinearMap:
    """Map of a camera by the name that the configuration gives it."""
    return axial_grid(geometry) if mapping == "axial" else bilinear_map(geometry)


class CameraInput:
    """The events of one file as a network's input.

    `prepare` gives each event its noise, does to dead pixels what is asked for and tells which events are
    usable; of those `counts` makes the input, and `conditions` says how they were taken.

    Parameters
    ----------
    config : InputConfig
    dead_pixels : {"interpolate", "zero", "refuse"}
        See `EventsConfig.dead_pixels`.
    geometry : ctapipe.instrument.CameraGeometry
    grid : AxialGrid or BilinearMap
        Of that camera.
    noise : FileNoise or FlaggedPixels
        The second where the input does without pedestals.
    """

    def __init__(
        self,
        config: InputConfig,
        dead_pixels: DeadPixels,
        geometry: CameraGeometry,
        grid: AxialGrid | BilinearMap,
        noise: FileNoise | FlaggedPixels,
    ) -> None:
        self.config, self.grid = config, grid
        self._policy, self._geometry, self._noise = dead_pixels, geometry, noise
        self._neighbours: NDArray[np.intp] | None = None
        self._pixels = noise.noise if isinstance(noise, FileNoise) else None
        if self._pixels is not None and dead_pixels == "interpolate" and self._pixels.dead.any():
            self._pixels = interpolated_noise(self._pixels, self._around)
        self._rule = charge_rule(config, self._pixels, grid.n_pixels)

    @classmethod
    def of_reader(cls, reader: Dl1Reader, tel_ids: Sequence[int], config: EventsConfig) -> "CameraInput":
        """The input of some telescopes, all of one camera, of an open DL1 file."""
        geometry = reader.subarray.tel[tel_ids[0]].camera.geometry
        silent = {tel_id: reader.silent(tel_id) for tel_id in tel_ids}
        noise: FileNoise | FlaggedPixels
        if config.input.pedestal == "pixel":
            noise = find_noise(reader.conditions, reader.tables(tel_ids), str(reader.path), silent)
        else:
            noise = find_flagged(reader.conditions, str(reader.path), silent)
        grid = pixel_map(geometry, config.input.mapping)
        return cls(config.input, config.dead_pixels, geometry, grid, noise)

    @classmethod
    def of_source(cls, source: EventSource, config: InputConfig, dead_pixels: DeadPixels) -> "CameraInput":
        """The input of an event source, on its own grid."""
        noise: FileNoise | FlaggedPixels
        if config.pedestal == "none":
            noise = find_flagged(source.conditions, str(source.path), source.silent())
        else:
            # noise that is measured in the images tells by itself
            silent = None if source.conditions is None else source.silent()
            noise = find_noise(source.conditions, source, str(source.path), silent)
        return cls(config, dead_pixels, source.geometry, source.grid, noise)

    @property
    def noise_source(self) -> str | None:
        """How the noise of the pixels was found, in words; None where the input does without."""
        return None if self._pixels is None else self._pixels.source

    @property
    def _around(self) -> NDArray[np.intp]:
        if self._neighbours is None:
            self._neighbours = neighbour_table(self._geometry)
        return self._neighbours

    def prepare(self, table: EventTable) -> tuple[EventTable, NDArray[np.bool_]]:
        """The events with their noise, dead pixels treated, and which of them are usable.

        A dead pixel is one that the file flags, one that is NaN in all images, one whose noise is; with
        ``interpolate`` and ``refuse`` also one that is NaN in an event. With ``zero`` an event with such a
        pixel is not usable, since it is not known what its other events show.

        Parameters
        ----------
        table : EventTable

        Returns
        -------
        table : EventTable
            All events; dead pixels hold no light (their charge is the median pedestal), or the mean of their
            living neighbours.
        usable : numpy.ndarray of bool, shape (events,)
            Events with a living pixel and whose every pixel is finite, in all channels of the input.

        Raises
        ------
        InputError
            If no noise is known for an event, or dead pixels are to be refused.
        """
        table = self._noise.assign(table)
        missing = known = self._noise.dead(table)
        if self._policy != "zero":
            # a sum is finite only if every term is, and costs no array of flags
            with np.errstate(invalid="ignore"):
                sums = table.image.sum(axis=1)
            if not np.isfinite(sums).all():
                nan = np.isnan(table.image)
                missing = nan if missing is None else missing | nan
        if missing is not None and missing.any():
            if self._policy == "refuse":
                refuse_dead(table, missing, self._noise.path)
            table = self._filled(table, missing, known)
            return table, self._finite(table) & ~missing.all(axis=1)
        return table, self._finite(table)

    def _filled(
        self, table: EventTable, missing: NDArray[np.bool_], known: NDArray[np.bool_] | None
    ) -> EventTable:
        times = table.peak_time
        if self._policy == "interpolate":
            image, left = fill_with_neighbours(table.image, missing, self._around)
            if times is not None:
                times = fill_with_neighbours(times, missing, self._around)[0]
            dark = np.zeros_like(left) if known is None else left & known
            # what only this event lacks, and no neighbour tells, makes it unusable
            image[left & ~dark] = np.nan
        else:
            image, dark = table.image.copy(), missing
            if times is not None:
                times = np.where(missing, np.float32(0), times)
        level = np.zeros(len(table)) if self._pixels is None else self._pixels.level[table.block]
        event, pixel = np.nonzero(dark)
        image[event, pixel] = level[event]
        return replace(table, image=image, peak_time=times)

    def _finite(self, table: EventTable) -> NDArray[np.bool_]:
        good = np.ones(len(table), dtype=bool)
        for channel in self.config.channels:
            # opposite infinities make NaN
            with np.errstate(invalid="ignore"):
                good &= np.isfinite(channel_values(table, channel).sum(axis=1))
        return good

    def counts(self, table: EventTable, out: Counts | None = None) -> Counts:
        """Input of usable events that `prepare` gave; see `to_counts`."""
        return to_counts(table, self.config, self.grid, self._rule, out=out)

    def read_out(
        self, table: EventTable
    ) -> tuple[EventTable, Counts, dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
        """Usable events, their input and their conditions; and which of all they are.

        The same as `prepare`, `counts` and `conditions`, in one pass over the pixels where that can be: where
        the input is charge alone, and no pixel has to be filled. The table's images stay as they are then.

        Parameters
        ----------
        table : EventTable

        Raises
        ------
        InputError
            As `prepare`.
        """
        if self._one_pass is not None:
            assigned = self._noise.assign(table)
            assert isinstance(self.grid, AxialGrid)
            counts, usable, lit = read_out(assigned, self.config, self.grid, self._rule, self._one_pass)
            if usable.all():
                return assigned, counts, self._conditions(assigned, 1 - lit / self.grid.n_pixels), usable
            if self._policy == "zero":
                table, counts = assigned[usable], counts[usable]
                return table, counts, self._conditions(table, 1 - lit[usable] / self.grid.n_pixels), usable
        table, usable = self.prepare(table)
        table = table[usable]
        counts = self.counts(table)
        return table, counts, self.conditions(table, counts), usable

    @cached_property
    def _one_pass(self) -> NDArray[np.bool_] | None:
        """Dead pixels of each block where one pass over the pixels is enough; None where it is not."""
        if self.config.channels != ("image",) or not isinstance(self.grid, AxialGrid) or self._pixels is None:
            return None
        assert isinstance(self._noise, FileNoise)
        # dead pixels that are filled, or refused, are looked at one by one
        dead = self._noise.noise.dead
        return None if self._policy != "zero" and dead.any() else dead

    def conditions(self, table: EventTable, counts: Counts) -> dict[str, NDArray[np.float64]]:
        """What is known of the camera while it took each event; see `Dataset.conditions`.

        Pixels that were filled from their neighbours are not dead to a network.
        """
        return self._conditions(table, dark_fraction(counts, self.grid.n_pixels))

    def _conditions(self, table: EventTable, dark: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found: dict[str, NDArray[np.float64]] = {"dark": dark}
        if self._pixels is not None:
            assert isinstance(self._noise, FileNoise)
            block = table.block
            found |= {"pedestal": self._pixels.level[block], "spread": self._pixels.width[block]}
            found |= {"dead": self._pixels.dead_fraction[block]}
            found |= {f"true_{name}": values[block] for name, values in self._noise.nuisances.items()}
        return found
