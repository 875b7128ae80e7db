"""Trigger inputs and outputs of raw files: what is read, and what is refused."""

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.events import trigger_record
from trigger_ml.events.trigger_record import pack_inputs, pack_outputs, read_trigger_records

RESOURCES = Path(str(files("protozfits") / "tests" / "resources"))
RECORDED = RESOURCES / "example_SST1M_20180822.fits.fz"


@pytest.fixture
def rewritten(monkeypatch):
    """Passes the events of the recorded file through a function while they are read."""
    real = trigger_record.File

    def install(change):
        class Opened:
            def __init__(self, path):
                self.file = real(path)

            def __enter__(self):
                self.Events = (change(i, event) for i, event in enumerate(self.file.Events))
                return self

            def __exit__(self, *error):
                self.file.close()

        monkeypatch.setattr(trigger_record, "File", Opened)

    return install


def with_waveforms(event, **changes):
    waveforms = event.hiGain.waveforms._replace(**changes)
    return event._replace(hiGain=event.hiGain._replace(waveforms=waveforms))


def test_bytes_of_the_file_come_back(rewritten):
    """What is read, packed as the camera does, is what the file holds."""
    kept = []
    rewritten(lambda i, event: kept.append(event) or event)
    records = list(read_trigger_records(RECORDED))
    assert len(records) == 32
    assert sum(record.patch7.sum() for record in records) == 56
    for record, event in zip(records, kept, strict=True):
        used = event.trigger_input_traces.reshape(50, 3, 192)[:, :, :144]
        packed = pack_inputs(record.inputs).reshape(50, 3, 192)
        np.testing.assert_array_equal(packed[:, :, :144], used)
        np.testing.assert_array_equal(pack_outputs(record.patch7), event.trigger_output_patch7)
        np.testing.assert_array_equal(pack_outputs(record.patch19), event.trigger_output_patch19)


def test_a_pixel_that_was_not_read_out_is_absent(rewritten):
    def drop(i, event):
        waveforms = event.hiGain.waveforms
        return with_waveforms(
            event,
            samples=waveforms.samples[50:],
            baselines=waveforms.baselines[1:],
            pixelsIndices=waveforms.pixelsIndices[1:],
        )

    rewritten(drop)
    record = next(read_trigger_records(RECORDED))
    assert np.flatnonzero(~record.present).tolist() == [425]
    assert not record.samples[425].any()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda e: e._replace(trigger_input_traces=None), "event 0: has no trigger_input_traces"),
        (lambda e: e._replace(trigger_output_patch7=np.zeros(0, np.uint8)), "has no trigger_output_patch7"),
        (
            lambda e: e._replace(trigger_input_traces=e.trigger_input_traces[:-192]),
            "trigger_input_traces has 28608 bytes, 50 samples have 28800",
        ),
        (
            lambda e: e._replace(trigger_output_patch19=e.trigger_output_patch19[1:]),
            "trigger_output_patch19 has 2699 bytes, 50 samples have 2700",
        ),
        (lambda e: e._replace(hiGain=None), "has no samples"),
        (lambda e: with_waveforms(e, samples=e.hiGain.waveforms.samples[:-3]), "are not DigiCam's"),
        (lambda e: with_waveforms(e, baselines=e.hiGain.waveforms.baselines[:-1]), "are not DigiCam's"),
        (
            lambda e: with_waveforms(e, pixelsIndices=e.hiGain.waveforms.pixelsIndices + 1),
            "are not DigiCam's",
        ),
    ],
)
def test_events_without_the_trigger_s_arrays_are_refused(rewritten, change, why):
    rewritten(lambda i, event: change(event))
    with pytest.raises(InputError, match=why):
        list(read_trigger_records(RECORDED))


def test_windows_of_two_lengths_are_refused(rewritten):
    def shorten(i, event):
        if i < 2:
            return event
        samples = event.hiGain.waveforms.samples.reshape(1296, 50)[:, :40].ravel()
        return with_waveforms(event, samples=samples)._replace(
            trigger_input_traces=event.trigger_input_traces[: 40 * 576],
            trigger_output_patch7=event.trigger_output_patch7[: 40 * 54],
            trigger_output_patch19=event.trigger_output_patch19[: 40 * 54],
        )

    rewritten(shorten)
    with pytest.raises(InputError, match="event 2: has 40 samples, those before it 50"):
        list(read_trigger_records(RECORDED))


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    whole = RECORDED.read_bytes()
    cut = tmp_path / "cut.fits.fz"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match="is cut off"):
        list(read_trigger_records(cut))


def test_other_cameras_are_refused(tmp_path):
    other = shutil.copy(RESOURCES / "example_9evts_NectarCAM.fits.fz", tmp_path / "other.fits.fz")
    with pytest.raises(InputError):
        list(read_trigger_records(Path(other)))
