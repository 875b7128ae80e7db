"""What DigiCam's trigger saw and decided, as raw files keep it beside the samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctapipe.containers import EventType
from numpy.typing import NDArray
from protozfits import File

from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import naming
from trigger_ml.events.raw import EVENT_TYPES, baseline_unit, check_zfits
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam_order import SECTOR_PATCHES, SECTOR_SLOTS, SECTORS, patch_order

__all__ = ["TriggerRecord", "pack_inputs", "pack_outputs", "read_trigger_records"]

N_PATCHES = SECTORS * SECTOR_PATCHES
OTHER = "Give raw data of DigiCam with its trigger's inputs and outputs (camera server of 2018 and later)"


@dataclass(frozen=True, eq=False)
class TriggerRecord:
    """One readout: samples, and what the trigger made of them.

    Parameters
    ----------
    event_id : int
    event_type : int
        ctapipe's number: SUBARRAY for a physics trigger, SKY_PEDESTAL for a clocked one.
    samples : numpy.ndarray of int32, shape (pixels, samples)
        ADC counts, in the order of the software's pixel numbers; 0 where a pixel was not read out.
    present : numpy.ndarray of bool, shape (pixels,)
        Pixels that were read out.
    baselines : numpy.ndarray of int64, shape (pixels,)
        As the camera wrote them, in `unit`.
    unit : float
        ADC counts.
    inputs : numpy.ndarray of uint8, shape (patches, samples)
        Clipped sums of patches that the hardware added up.
    patch7, patch19 : numpy.ndarray of bool, shape (patches, samples)
        Whether the cluster around each patch fired.
    """

    event_id: int
    event_type: int
    samples: NDArray[np.int32]
    present: NDArray[np.bool_]
    baselines: NDArray[np.int64]
    unit: float
    inputs: NDArray[np.uint8]
    patch7: NDArray[np.bool_]
    patch19: NDArray[np.bool_]


def read_trigger_records(path: Path) -> Iterator[TriggerRecord]:
    """Readouts of a raw DigiCam file with the inputs and outputs of the trigger.

    Parameters
    ----------
    path : pathlib.Path
        zfits file (``.fits.fz``) of the camera server.

    Yields
    ------
    TriggerRecord

    Raises
    ------
    InputError
        If the file is missing, cut off or of another kind; if an event has no waveforms, baselines, trigger
        inputs or outputs, or arrays of a length that is not DigiCam's or not that of the first event.
    """
    check_zfits(path)
    n_samples = None
    with naming(str(path)), File(str(path)) as zfits:
        for number, event in enumerate(zfits.Events):
            record = _record(event, f"{path}: event {number}")
            if n_samples not in (None, record.samples.shape[1]):
                raise InputError(
                    f"{path}: event {number}",
                    f"has {record.samples.shape[1]} samples, those before it {n_samples}",
                    "Give files of one readout window each",
                )
            n_samples = record.samples.shape[1]
            yield record


def _array(owner: Any, name: str, what: str) -> NDArray[Any]:
    value = getattr(owner, name, None)
    if value is None or len(value) == 0:
        raise InputError(what, f"has no {name}", OTHER)
    return np.asarray(value)


def _record(event: Any, what: str) -> TriggerRecord:
    waveforms = getattr(getattr(event, "hiGain", None), "waveforms", None)
    samples, baselines, pixels = (
        _array(waveforms, name, what) for name in ("samples", "baselines", "pixelsIndices")
    )
    if len(samples) % len(pixels) or len(baselines) != len(pixels) or pixels.max() >= sst1m.N_PIXELS:
        raise InputError(
            what,
            f"{len(samples)} samples and {len(baselines)} baselines of {len(pixels)} pixels up to "
            f"{pixels.max()} are not DigiCam's",
            OTHER,
        )
    own = samples.reshape(len(pixels), -1)
    n_samples = own.shape[1]
    found: dict[str, NDArray[Any]] = {}
    for name, expected in (
        ("trigger_input_traces", SECTORS * SECTOR_SLOTS * n_samples),
        ("trigger_output_patch7", N_PATCHES * n_samples // 8),
        ("trigger_output_patch19", N_PATCHES * n_samples // 8),
    ):
        found[name] = _array(event, name, what)
        if len(found[name]) != expected:
            raise InputError(
                what,
                f"{name} has {len(found[name])} bytes, {n_samples} samples have {expected}",
                OTHER,
            )
    by_pixel = np.zeros((sst1m.N_PIXELS, n_samples), dtype=np.int32)
    by_pixel[pixels] = own
    level = np.zeros(sst1m.N_PIXELS, dtype=np.int64)
    level[pixels] = baselines
    present = np.zeros(sst1m.N_PIXELS, dtype=np.bool_)
    present[pixels] = True
    return TriggerRecord(
        event_id=int(event.eventNumber),
        event_type=int(EVENT_TYPES.get(event.event_type, EventType.UNKNOWN).value),
        samples=by_pixel,
        present=present,
        baselines=level,
        unit=baseline_unit(own, baselines, what),
        inputs=_inputs(found["trigger_input_traces"]),
        patch7=_outputs(found["trigger_output_patch7"]),
        patch19=_outputs(found["trigger_output_patch19"]),
    )


def _inputs(packed: NDArray[Any]) -> NDArray[np.uint8]:
    """By patch number: a file has sample by sample, and in it sector by sector, with empty slots behind."""
    used = packed.reshape(-1, SECTORS, SECTOR_SLOTS)[:, :, :SECTOR_PATCHES].reshape(-1, N_PATCHES)
    found = np.empty((N_PATCHES, len(used)), dtype=np.uint8)
    found[patch_order().inputs] = used.T
    return found


def _outputs(packed: NDArray[Any]) -> NDArray[np.bool_]:
    """By patch number: a file has a bit for each patch, the least significant first, sample by sample."""
    bits = np.unpackbits(packed.astype(np.uint8), bitorder="little").reshape(-1, N_PATCHES)
    found = np.empty((N_PATCHES, len(bits)), dtype=np.bool_)
    found[patch_order().outputs] = bits.T
    return found


def pack_inputs(inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of ``trigger_input_traces`` for sums by patch number, shape (patches, samples)."""
    slots = np.zeros((inputs.shape[1], SECTORS, SECTOR_SLOTS), dtype=np.uint8)
    ordered = inputs[patch_order().inputs].T
    slots[:, :, :SECTOR_PATCHES] = ordered.reshape(-1, SECTORS, SECTOR_PATCHES)
    return slots.ravel()


def pack_outputs(fired: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The bytes of ``trigger_output_patch7`` for bits by patch number, shape (patches, samples)."""
    return np.packbits(fired[patch_order().outputs].T.ravel(), bitorder="little")
