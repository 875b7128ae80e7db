"""The table of telescope events that flows between readers, the generator and the feed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from astropy.time import Time
from ctapipe.containers import NAN_TIME, EventType
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
type Rows = slice | NDArray[np.bool_] | NDArray[np.int64]
"""Rows of a table: a slice, a mask, or an index array."""

# particle codes of sim_telarray, which ctapipe keeps in `true_shower_primary_id`
# what ctapipe gives a shower of which nothing is known: events of a simulated night sky
NO_PRIMARY = int(np.iinfo(np.int16).max)
NO_TRUE_IMAGE = -1
NO_TIME = int(np.iinfo(np.int64).min)

# Julian date of 1970-01-01
EPOCH = 2440587.5
DAY = 86_400


def nanoseconds(time: Time) -> NDArray[np.int64]:
    """Nanoseconds since 1970-01-01 (TAI), exact: a float of seconds would round to 240 ns."""
    tai = time.tai
    days, rest = np.asarray(tai.jd1) - EPOCH, np.asarray(tai.jd2)
    whole = np.round(days * DAY)
    rest = (days * DAY - whole) * 1e9 + rest * (DAY * 1e9)
    finite = np.isfinite(rest) & (whole >= 0)
    result = np.full(finite.shape, NO_TIME, dtype=np.int64)
    result[finite] = whole[finite].astype(np.int64) * 1_000_000_000 + np.round(rest[finite]).astype(np.int64)
    # ctapipe's unknown time is of 1858, of which its files keep the start of 1970: they hold nothing earlier
    result[result <= 0] = NO_TIME
    return result


def as_time(nanoseconds: NDArray[np.int64]) -> Time:
    """The inverse of `nanoseconds`; what is not known gets ctapipe's unknown time, of 1858."""
    known = nanoseconds != NO_TIME
    seconds, rest = np.divmod(np.where(known, nanoseconds, 0), 1_000_000_000)
    time = Time(seconds.astype(np.float64), rest * 1e-9, format="unix_tai")
    if not known.all():
        time[~known] = NAN_TIME
    return time


@dataclass(frozen=True, eq=False)
class Truth:
    """Simulated quantities, one row per telescope event.

    Parameters
    ----------
    primary_id : numpy.ndarray of int64
        sim_telarray particle code (see ``PRIMARY_IDS``).
    energy : numpy.ndarray of float64
        TeV.
    alt, az : numpy.ndarray of float64
        Direction in radians.
    core_x, core_y : numpy.ndarray of float64
        Metres on the ground (ctapipe's ground frame: x north, y west).
    h_first_int : numpy.ndarray of float64
        Height of the first interaction in metres.
    x_max : numpy.ndarray of float64
        Depth of the shower maximum in g/cm2; NaN where unknown.
    shower_id : numpy.ndarray of int64
        Equal for all uses of one shower (within one file); the unit of splitting and of bootstrap.
    """

    primary_id: NDArray[np.int64]
    energy: FloatArray
    alt: FloatArray
    az: FloatArray
    core_x: FloatArray
    core_y: FloatArray
    h_first_int: FloatArray
    x_max: FloatArray
    shower_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.primary_id)

    def __getitem__(self, rows: Rows) -> "Truth":
        return Truth(*(getattr(self, item.name)[rows] for item in fields(self)))


@dataclass(frozen=True, eq=False)
class EventTable:
    """Telescope events of one camera, one row each.

    Parameters
    ----------
    obs_id, event_id, tel_id : numpy.ndarray of int64, shape (events,)
    image : numpy.ndarray of float32, shape (events, pixels)
        Charge in photo-electrons.
    peak_time : numpy.ndarray of float32, shape (events, pixels), or None
        Nanoseconds from the start of the window.
    pointing_alt, pointing_az : numpy.ndarray of float64, shape (events,)
        Radians.
    truth : Truth or None
        None for recorded data.
    waveform : numpy.ndarray of float32, shape (events, pixels, samples), or None
        R1 waveform in photo-electrons per sample.
    true_image : numpy.ndarray of int32, shape (events, pixels), or None
        Simulated Cherenkov photo-electrons; `NO_TRUE_IMAGE` in all pixels of an event without such an image.
    event_type : numpy.ndarray of int64, shape (events,), or None
        ctapipe's ``EventType`` codes (32: triggered shower, 2: clocked, sky pedestal).
    block : numpy.ndarray of int64, shape (events,), or None
        Row of the file's conditions (`trigger_ml.events.monitoring.Conditions`) that holds for the event; -1
        where unknown. To be written: number of the block of simulated events.
    time : numpy.ndarray of int64, shape (events,), or None
        Nanoseconds since 1970-01-01 (TAI) of the event; `NO_TIME` where unknown.
    """

    obs_id: NDArray[np.int64]
    event_id: NDArray[np.int64]
    tel_id: NDArray[np.int64]
    image: NDArray[np.float32]
    peak_time: NDArray[np.float32] | None
    pointing_alt: FloatArray
    pointing_az: FloatArray
    truth: Truth | None = None
    waveform: NDArray[np.float32] | None = None
    true_image: NDArray[np.int32] | None = None
    event_type: NDArray[np.int64] | None = None
    block: NDArray[np.int64] | None = None
    time: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.event_id)
        for item in fields(self):
            column = getattr(self, item.name)
            if column is not None and len(column) != n:
                raise ValueError(f"column {item.name} has {len(column)} rows, event_id has {n}")

    def __len__(self) -> int:
        return len(self.event_id)

    @property
    def kinds(self) -> NDArray[np.int64]:
        """Ctapipe's ``EventType`` codes, those of triggered showers where the table does not tell."""
        if self.event_type is None:
            return np.full(len(self), EventType.SUBARRAY.value, dtype=np.int64)
        return self.event_type

    def __getitem__(self, rows: Rows) -> "EventTable":
        """Rows chosen by a slice, a mask or an index array."""
        columns: dict[str, Any] = {
            item.name: None if getattr(self, item.name) is None else getattr(self, item.name)[rows]
            for item in fields(self)
        }
        return replace(self, **columns)


def has_true_image(events: EventTable) -> NDArray[np.bool_]:
    """Events of which the true image is known."""
    assert events.true_image is not None
    return np.asarray((events.true_image != NO_TRUE_IMAGE).any(axis=1))


def no_showers(n: int) -> Truth:
    """What a file tells of ``n`` events without a shower; readers give no truth for them."""
    nan = np.full(n, np.nan)
    primary, shower = np.full(n, NO_PRIMARY, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    return Truth(primary, nan, nan, nan, nan, nan, nan, nan, shower)


def concatenate(tables: list[EventTable]) -> EventTable:
    """Tables one after the other; a column that one of them lacks is dropped.

    Raises
    ------
    ValueError
        If the list is empty.
    """
    if not tables:
        raise ValueError("nothing to concatenate")

    def column(rows: list[Any], name: str) -> Any:
        parts = [getattr(row, name) for row in rows]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    columns = {f.name: column(tables, f.name) for f in fields(EventTable) if f.name != "truth"}
    truths = [table.truth for table in tables]
    truth = None
    if all(t is not None for t in truths):
        truth = Truth(*(column(truths, f.name) for f in fields(Truth)))
    return EventTable(**columns, truth=truth)


def whole_array_events(chunks: Iterable[EventTable], least_bytes: int = 0) -> Iterator[EventTable]:
    """The same events, divided so that no array event is split between two tables.

    Parameters
    ----------
    chunks : iterable of EventTable
    least_bytes : int
        Tables are joined until their images and waveforms take this many bytes (the last may be smaller).
    """
    held: list[EventTable] = []
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        held.append(chunk)
        if sum(_bytes(table) for table in held) < least_bytes:
            continue
        joined = concatenate(held)
        last = (joined.obs_id == joined.obs_id[-1]) & (joined.event_id == joined.event_id[-1])
        held = [joined[last]]
        if not last.all():
            yield joined[~last]
    if held:
        yield concatenate(held)


def _bytes(events: EventTable) -> int:
    columns = (events.image, events.peak_time, events.true_image, events.waveform)
    return sum(column.nbytes for column in columns if column is not None)
