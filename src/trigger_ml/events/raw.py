"""Reading what telescopes record and sim_telarray simulates: DigiCam zfits and simtel files.

Both get the charge extraction of the SST-1M collaboration's analysis: in each pixel, seven samples around
its largest.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time
from ctapipe.calib import CameraCalibrator
from ctapipe.containers import EventType
from ctapipe.image.extractor import extract_around_peak
from ctapipe.io import SimTelEventSource
from numpy.typing import NDArray
from protozfits import File
from traitlets.config import Config

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import require_file
from trigger_ml.core.foreign import naming
from trigger_ml.events.table import NO_TIME, NO_TRUE_IMAGE, EventTable, Truth, nanoseconds
from trigger_ml.instrument import sst1m

WINDOW_WIDTH = 7
"""Samples summed."""
WINDOW_SHIFT = 3
"""Samples summed before the largest."""

BASELINE_UNITS = (1 / 16, 1.0)
"""ADC counts of one unit of the running baselines that the camera writes: sixteenths from 2018 on, whole
counts in 2017. No field of the file says which: the samples do (`baseline_unit`)."""
BASELINE_TOLERANCE = 30.0
"""ADC counts by which the samples of a camera may lie off its baselines (median of the pixels): the running
mean lags behind the night sky by 2 to 3 counts, while the wrong unit is off by thousands or by 94 %."""
ADC_PER_PHOTOELECTRON = 23.6
"""Sum of seven samples for one photo-electron, optical cross talk included.

Median over the pixels of SST-1M telescope 1 in the collaboration's calibration of 2023 and 2024 (column
``dc_to_pe`` of ``averaged_calib_param_v2_2023_2024_tel1.h5`` in sst1mpipe); pixels differ by 3.5 %.
"""

# the camera server's event types and ctapipe's
PHYSICS, CLOCKED = 1, 8
EVENT_TYPES = {PHYSICS: EventType.SUBARRAY, CLOCKED: EventType.SKY_PEDESTAL}


def window_sum(waveform: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Charge around each pixel's largest sample, and when it came.

    Parameters
    ----------
    waveform : numpy.ndarray of float32, shape (..., samples)
        Baseline subtracted.

    Returns
    -------
    charge : numpy.ndarray of float32, shape (...)
        Sum of `WINDOW_WIDTH` samples, in the waveform's unit; NaN where a sample is.
    peak_time : numpy.ndarray of float32, shape (...)
        Nanoseconds from the first sample.
    """
    charge, time = extract_around_peak(
        waveform, waveform.argmax(axis=-1), WINDOW_WIDTH, WINDOW_SHIFT, 1 / sst1m.SAMPLE
    )
    return charge, time


def check_zfits(path: Path) -> None:
    """Refuse a file that is not whole: the decompressor would crash on it.

    Raises
    ------
    InputError
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(path, disable_image_compression=True) as hdus:
                tables = {hdu.name: hdu.fileinfo() for hdu in hdus}
        except (OSError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                str(path), f"is no FITS file ({error})", "Give a raw data file of DigiCam"
            ) from error
    expected = max((info["datLoc"] + info["datSpan"] for info in tables.values()), default=0)
    if path.stat().st_size < expected:
        raise InputError(
            str(path),
            f"is cut off: {path.stat().st_size} of {expected} bytes are there",
            "Copy the file again",
        )
    if "Events" not in tables and "EVENTS" not in tables:
        raise InputError(str(path), "has no table Events", "Give a raw data file of DigiCam, whole")


def read_zfits(path: Path, *, chunk_size: int = 256, waveform: bool = False) -> Iterator[EventTable]:
    """Events of a raw DigiCam file, calibrated with the baselines that the camera wrote.

    Parameters
    ----------
    path : pathlib.Path
        zfits file (``.fits.fz``) of the camera server.
    chunk_size : int
        Most events in one table.
    waveform : bool
        Keep the waveforms too.

    Yields
    ------
    EventTable
        Pixels in the order of their software numbers, which `events.digicam.digicam_geometry` has; a pixel
        that was not read out is NaN. Clocked events are there, with the event type of sky pedestals.
        ``obs_id`` is 0, pointing NaN: the files tell neither.

    Raises
    ------
    InputError
        If the file is missing, cut off, or is of another kind; if an event has no waveforms or baselines.
    """
    check_zfits(path)
    rows: list[dict[str, Any]] = []
    with naming(str(path)), File(str(path)) as zfits:
        for number, event in enumerate(zfits.Events):
            rows.append(_zfits_event(event, path, number))
            if len(rows) == chunk_size:
                yield _zfits_table(rows, waveform)
                rows = []
    if rows:
        yield _zfits_table(rows, waveform)


def baseline_unit(samples: NDArray[Any], baselines: NDArray[Any], what: str) -> float:
    """Unit of a camera's baselines, found from its own samples.

    Parameters
    ----------
    samples : numpy.ndarray of int, shape (pixels, samples)
        ADC counts.
    baselines : numpy.ndarray of int, shape (pixels,)
        As the camera wrote them.
    what : str
        The event, for the message.

    Returns
    -------
    float
        ADC counts, one of `BASELINE_UNITS`.

    Raises
    ------
    InputError
        If the samples fit no unit that is known: then no charge of the file could be trusted.
    """
    # of each pixel the median sample: a shower's light takes few of them, in few pixels
    level = np.median(samples, axis=1)
    off = {unit: float(np.median(np.abs(level - baselines * unit))) for unit in BASELINE_UNITS}
    best = min(off, key=off.__getitem__)
    if not off[best] <= BASELINE_TOLERANCE:
        raise InputError(
            what,
            f"its samples (median {np.median(level):.0f} ADC counts) do not lie on its baselines "
            f"(median {np.median(baselines):.0f}), in whole ADC counts or in sixteenths",
            "Give raw data of a camera server whose baselines are in one of these units",
        )
    return best


def _zfits_event(event: Any, path: Path, number: int) -> dict[str, Any]:
    # other cameras' events have other fields, or these without content
    waveforms: Any = getattr(getattr(event, "hiGain", None), "waveforms", None)
    fields = ("samples", "baselines", "pixelsIndices")
    if any(getattr(waveforms, name, None) is None for name in fields):
        raise InputError(
            f"{path}: event {number}",
            "has no waveforms with pixel numbers and baselines",
            "Only raw data of DigiCam can be read",
        )
    pixels = np.asarray(waveforms.pixelsIndices, dtype=np.int64)
    if len(pixels) == 0 or len(waveforms.samples) % len(pixels) or pixels.max() >= sst1m.N_PIXELS:
        raise InputError(
            f"{path}: event {number}",
            f"{len(waveforms.samples)} samples of pixels up to {pixels.max(initial=-1)} are not DigiCam's",
            f"Only raw data of DigiCam ({sst1m.N_PIXELS} pixels) can be read",
        )
    samples = waveforms.samples.reshape(len(pixels), -1)
    unit = baseline_unit(samples, waveforms.baselines, f"{path}: event {number}")
    # rows are in the order of the readout boards; pixelsIndices tells whose they are
    waveform = np.full((sst1m.N_PIXELS, samples.shape[1]), np.nan, dtype=np.float32)
    waveform[pixels] = samples - waveforms.baselines[:, np.newaxis] * np.float32(unit)
    waveform /= np.float32(ADC_PER_PHOTOELECTRON)
    return {
        "event_id": event.eventNumber,
        "tel_id": event.telescopeID,
        "event_type": EVENT_TYPES.get(event.event_type, EventType.UNKNOWN).value,
        "time": _zfits_time(event),
        "waveform": waveform,
    }


def _zfits_time(event: Any) -> int:
    """Nanoseconds since 1970 (TAI) by the camera's clock, which counts UTC; `NO_TIME` if it was not set."""
    seconds = int(getattr(event, "local_time_sec", 0))
    if seconds <= 0:
        return NO_TIME
    whole = nanoseconds(Time([seconds], format="unix", scale="utc"))
    return int(whole[0]) + int(getattr(event, "local_time_nanosec", 0))


def _zfits_table(rows: list[dict[str, Any]], keep_waveform: bool) -> EventTable:
    waveform = np.stack([row["waveform"] for row in rows])
    image, peak_time = window_sum(waveform)
    n = len(rows)
    return EventTable(
        obs_id=np.zeros(n, dtype=np.int64),
        event_id=np.array([row["event_id"] for row in rows], dtype=np.int64),
        tel_id=np.array([row["tel_id"] for row in rows], dtype=np.int64),
        image=image,
        peak_time=peak_time,
        pointing_alt=np.full(n, np.nan),
        pointing_az=np.full(n, np.nan),
        waveform=waveform if keep_waveform else None,
        event_type=np.array([row["event_type"] for row in rows], dtype=np.int64),
        time=np.array([row["time"] for row in rows], dtype=np.int64),
    )


class SimtelReader:
    """Events of a sim_telarray file, calibrated by ctapipe.

    Parameters
    ----------
    path : pathlib.Path
        ``.simtel``, ``.simtel.gz`` or ``.simtel.zst``.

    Raises
    ------
    InputError
        If the file is missing or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        require_file(path)
        with warnings.catch_warnings():
            # what the reader warns of before it gives up would stand before the one line that says so
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*truncated.*")
            self._source = self._guarded(
                lambda: SimTelEventSource(
                    input_url=str(path), focal_length_choice="EQUIVALENT", back_seekable=False
                )
            )
        self.subarray = self._source.subarray
        # ctapipe corrects the sum for the part of the pulse outside the window
        window = Config(LocalPeakWindowSum={"window_width": WINDOW_WIDTH, "window_shift": WINDOW_SHIFT})
        self._calibrate = CameraCalibrator(
            subarray=self.subarray, image_extractor_type="LocalPeakWindowSum", config=window
        )

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """Result of a call into the reader; what a damaged file makes it raise becomes an `InputError`."""
        try:
            return call()
        except StopIteration:
            raise
        except UserWarning as error:
            raise InputError(str(self.path), "is cut off", "Copy the file again") from error
        except Exception as error:
            raise InputError(
                str(self.path),
                f"cannot be read as sim_telarray ({type(error).__name__}: {error})",
                "Give a whole .simtel, .simtel.gz or .simtel.zst file",
            ) from error

    def tables(self, camera: str, *, chunk_size: int = 256, waveform: bool = False) -> Iterator[EventTable]:
        """Tables of the telescopes with one kind of camera.

        Parameters
        ----------
        camera : str
            Name of the camera.
        chunk_size : int
            Most array events' telescopes in one table (an array event is not divided).
        waveform : bool
            Keep the R1 waveforms too.

        Yields
        ------
        EventTable
            With truth and true images.

        Raises
        ------
        InputError
            If the file is cut off or damaged.
        """
        rows: list[dict[str, Any]] = []
        iterator = iter(self._source)
        while True:
            with warnings.catch_warnings():
                # eventio only warns of the end of a file that was cut off; other warnings tell users nothing
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", message=".*truncated.*")
                try:
                    event = self._guarded(lambda: next(iterator))
                except StopIteration:
                    break
                self._calibrate(event)
            for tel_id, dl1 in event.dl1.tel.items():
                if self.subarray.tel[tel_id].camera.name == camera:
                    rows.append(_simtel_row(event, tel_id, dl1, waveform))
            if len(rows) >= chunk_size:
                yield _simtel_table(rows)
                rows = []
        if rows:
            yield _simtel_table(rows)


def _simtel_row(event: Any, tel_id: int, dl1: Any, waveform: bool) -> dict[str, Any]:
    shower, pointing = event.simulation.shower, event.monitoring.tel[tel_id].pointing
    return {
        "obs_id": event.index.obs_id,
        "event_id": event.index.event_id,
        "tel_id": tel_id,
        "image": np.asarray(dl1.image, dtype=np.float32),
        "peak_time": np.asarray(dl1.peak_time, dtype=np.float32),
        "pointing_alt": pointing.altitude.to_value(u.rad),
        "pointing_az": pointing.azimuth.to_value(u.rad),
        "event_type": event.trigger.event_type.value,
        "time": int(nanoseconds(event.trigger.time.reshape(1))[0]),
        "true_image": event.simulation.tel[tel_id].true_image,
        # gain selection has left one channel
        "waveform": np.asarray(event.r1.tel[tel_id].waveform[0], dtype=np.float32) if waveform else None,
        "truth": (
            shower.shower_primary_id,
            shower.energy.to_value(u.TeV),
            shower.alt.to_value(u.rad),
            shower.az.to_value(u.rad),
            shower.core_x.to_value(u.m),
            shower.core_y.to_value(u.m),
            shower.h_first_int.to_value(u.m),
            shower.x_max.to_value(u.g / u.cm**2),
            # sim_telarray counts the uses of a shower in the last two digits
            event.index.event_id // 100,
        ),
    }


def _simtel_table(rows: list[dict[str, Any]]) -> EventTable:
    def column(name: str, dtype: Any) -> Any:
        values = [row[name] for row in rows]
        return None if any(value is None for value in values) else np.asarray(values, dtype=dtype)

    images = [row["true_image"] for row in rows]
    if any(image is not None for image in images):
        # one event without a true image does not take it from the others
        none = np.full(rows[0]["image"].shape, NO_TRUE_IMAGE)
        rows = [
            {**row, "true_image": none if row["true_image"] is None else row["true_image"]} for row in rows
        ]
    truth = np.array([row["truth"] for row in rows], dtype=np.float64).T
    return EventTable(
        obs_id=column("obs_id", np.int64),
        event_id=column("event_id", np.int64),
        tel_id=column("tel_id", np.int64),
        image=column("image", np.float32),
        peak_time=column("peak_time", np.float32),
        pointing_alt=column("pointing_alt", np.float64),
        pointing_az=column("pointing_az", np.float64),
        truth=Truth(
            truth[0].astype(np.int64),
            energy=truth[1],
            alt=truth[2],
            az=truth[3],
            core_x=truth[4],
            core_y=truth[5],
            h_first_int=truth[6],
            x_max=truth[7],
            shower_id=truth[8].astype(np.int64),
        ),
        waveform=column("waveform", np.float32),
        true_image=column("true_image", np.int32),
        event_type=column("event_type", np.int64),
        time=column("time", np.int64),
    )
