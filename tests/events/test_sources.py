import gzip
import json

import numpy as np
import pytest
from protozfits import File

from trigger_ml.core.errors import CameraMismatchError, InputError
from trigger_ml.events.raw import ADC_PER_PHOTOELECTRON
from trigger_ml.events.sources import open_events, require_camera
from trigger_ml.events.table import concatenate
from trigger_ml.instrument.camera import AxialGrid, axial_grid
from trigger_ml.instrument.digicam import digicam_geometry

RAW = "sst1m-digicam-raw/example_SST1M_20180822.fits.fz"
SIMTEL = "digicam-simtel-small/simtel_test_file.simtel.gz"
ARRAY = "sst1m-prod4-simtel/gamma_20deg_0deg_run102___cta-prod4-sst-1m_desert-2150m-Paranal-sst-1m.simtel.zst"


@pytest.fixture
def config_table(shared_data):
    """The camera's configuration: rows in the order of the pixel software numbers."""
    table = np.loadtxt(shared_data / "digicam-geometry/camera_config.cfg")
    return table[np.argsort(table[:, 8])]


@pytest.mark.parametrize(
    ("name", "kind", "n_events", "simulated"),
    [
        (RAW, "digicam", 32, False),
        ("sst1m-digicam-raw/SST1M_01_20180822_001.fits.fz", "digicam", 1, False),
        (SIMTEL, "simtel", 9, True),
        (ARRAY, "simtel", 129, True),
    ],
)
def test_real_inputs_can_be_read(shared_data, name, kind, n_events, simulated):
    source = open_events(shared_data / name, chunk_size=20)
    assert source.kind == kind
    assert source.simulated is simulated
    events = concatenate(list(source))
    assert len(events) == n_events
    assert np.isfinite(events.image).all()
    assert (events.truth is not None) is simulated
    assert source.grid.same_layout(axial_grid(digicam_geometry()))
    require_camera(source, axial_grid(digicam_geometry()))


def test_raw_events_keep_their_times(shared_data):
    events = concatenate(list(open_events(shared_data / RAW)))
    with File(str(shared_data / RAW)) as zfits:
        clock = [(event.local_time_sec, event.local_time_nanosec) for event in zfits.Events]
    seconds, rest = np.array(clock, dtype=np.int64).T
    # TAI is 37 s ahead of UTC since 2017
    np.testing.assert_array_equal(events.time, (seconds + 37) * 1_000_000_000 + rest)


def test_simulated_charges_follow_the_true_ones(shared_data):
    events = concatenate(list(open_events(shared_data / SIMTEL)))
    bright = events.true_image > 30
    assert bright.sum() > 10
    ratio = events.image[bright].sum() / events.true_image[bright].sum()
    assert 0.8 < ratio < 1.2
    assert np.corrcoef(events.image[bright], events.true_image[bright])[0, 1] > 0.9


def test_raw_pixels_are_in_their_places(shared_data, config_table):
    """Sums over patches of the waveforms are what the camera's trigger summed, patch by patch."""
    order = json.loads((shared_data / "digicam-geometry/patch_order.json").read_text())["input"]
    events = concatenate(list(open_events(shared_data / RAW, waveform=True)))
    with File(str(shared_data / RAW)) as zfits:
        raw = [event.trigger_input_traces.reshape(50, 3, 192)[:, :, :144] for event in zfits.Events]
    recorded = np.empty((32, 432, 50))
    recorded[:, order] = np.array(raw).reshape(32, 50, 432).transpose(0, 2, 1)

    def trigger_sums(pixels):
        patches = config_table[:, 11].astype(int)[pixels]
        adc = events.waveform * ADC_PER_PHOTOELECTRON
        sums = np.stack([adc[:, patches == patch].sum(axis=1) for patch in range(432)], axis=1)
        return np.clip(sums, 0, 255)

    # the trigger rounds three baselines down and follows their drift: a few counts
    assert np.mean(np.abs(trigger_sums(np.arange(1296)) - recorded) <= 4) > 0.98
    # pixels in another order would not do
    assert np.mean(np.abs(trigger_sums(np.roll(np.arange(1296), 1)) - recorded) <= 4) < 0.6


def test_raw_event_types_are_kept(shared_data):
    events = concatenate(list(open_events(shared_data / RAW)))
    assert np.count_nonzero(events.event_type == 5) == 2
    assert np.count_nonzero(events.event_type == 32) == 30


def test_peak_windows_agree_with_sums_by_hand(shared_data):
    events = concatenate(list(open_events(shared_data / RAW, waveform=True)))
    rng = np.random.default_rng(0)
    for event, pixel in zip(rng.integers(0, 32, 50), rng.integers(0, 1296, 50), strict=True):
        waveform = events.waveform[event, pixel].astype(float)
        peak = int(waveform.argmax())
        by_hand = waveform[max(peak - 3, 0) : peak + 4].sum()
        assert events.image[event, pixel] == pytest.approx(by_hand, rel=1e-4, abs=1e-4)


def test_a_file_can_be_read_twice(shared_data):
    source = open_events(shared_data / SIMTEL)
    first, again = (concatenate(list(source)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)


def test_ctapipe_files_are_read_alike(event_files):
    source = open_events(event_files[0], chunk_size=50)
    tables = list(source)
    assert source.kind == "ctapipe"
    assert [len(table) for table in tables] == [50, 50, 20]
    assert tables[0].peak_time is not None


@pytest.mark.parametrize("name", [RAW, SIMTEL, ARRAY])
@pytest.mark.parametrize("part", [0.6, 0.0002])
def test_files_cut_off_are_told(shared_data, tmp_path, name, part):
    content = (shared_data / name).read_bytes()
    path = tmp_path / ("cut" + "".join((shared_data / name).suffixes[-2:]))
    path.write_bytes(content[: max(int(part * len(content)), 100)])
    with pytest.raises(InputError, match=r"cut\."):
        list(open_events(path))


def test_plain_simtel_cut_off_is_told(shared_data, tmp_path):
    content = gzip.decompress((shared_data / SIMTEL).read_bytes())
    path = tmp_path / "cut.simtel"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut.simtel: is cut off. Copy the file again."):
        list(open_events(path))


def test_fits_of_something_else(tmp_path):
    from astropy.io import fits

    path = tmp_path / "sky.fits.fz"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
    with pytest.raises(InputError, match=r"sky\.fits\.fz: has no table Events"):
        list(open_events(path))


def test_unknown_and_missing_files(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(InputError, match=r"notes.txt: is neither HDF5, sim_telarray nor FITS"):
        open_events(path)
    with pytest.raises(InputError, match=r"gone\.h5: no such file"):
        open_events(tmp_path / "gone.h5")
    gz = tmp_path / "notes.simtel.gz"
    gz.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(InputError, match="cannot be read as sim_telarray"):
        open_events(gz)


def test_other_camera_is_refused(shared_data, event_files):
    with pytest.raises(CameraMismatchError, match="has camera DigiCam, not LSTCam"):
        open_events(shared_data / RAW, camera="LSTCam")
    with pytest.raises(CameraMismatchError, match="has camera DigiCam, not LSTCam"):
        open_events(event_files[0], camera="LSTCam")
    small = AxialGrid("LSTCam", (2, 2), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(
        CameraMismatchError,
        match=r"has camera DigiCam \(1296 pixels on 48 x 48\), the network was made for LSTCam \(2 pixels",
    ):
        require_camera(open_events(event_files[0]), small)


def test_a_directory_is_called_one(tmp_path):
    with pytest.raises(InputError, match="is a directory, not a file"):
        open_events(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        open_events(tmp_path / "none.h5")


def test_a_packed_fits_file_is_not_called_sim_telarray(tmp_path):
    path = tmp_path / "response.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  =                    T"))
    with pytest.raises(InputError, match="FITS file packed with gzip"):
        open_events(path)


@pytest.mark.parametrize("keep", [20_000, 60_000])
def test_damage_is_one_error_without_warnings(tmp_path, shared_data, keep, recwarn):
    path = tmp_path / "cut.simtel.gz"
    path.write_bytes((shared_data / SIMTEL).read_bytes()[:keep])
    with pytest.raises(InputError):
        list(open_events(path))
    assert not [str(item.message) for item in recwarn]
