"""Raw files of every known generation of DigiCam's server give the same charges."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.events import raw
from trigger_ml.events.raw import ADC_PER_PHOTOELECTRON, WINDOW_WIDTH, baseline_unit, read_zfits

RECORDED = "sst1m-digicam-raw/example_SST1M_20180822.fits.fz"


class Rewritten:
    """A raw file whose events pass through a function while they are read."""

    def __init__(self, change):
        self.change, self.file = change, raw.File

    def __call__(self, path):
        opened = self.file(path)
        change = self.change

        class Events:
            def __enter__(self):
                self.Events = map(change, opened.Events)
                return self

            def __exit__(self, *error):
                opened.close()

        return Events()


def with_baselines(change):
    def rewrite(event):
        waveforms = event.hiGain.waveforms
        waveforms = waveforms._replace(baselines=change(waveforms.baselines))
        return event._replace(hiGain=event.hiGain._replace(waveforms=waveforms))

    return rewrite


def charges(path: Path) -> np.ndarray:
    return np.concatenate([table.image for table in read_zfits(path)])


def test_whole_counts_give_the_charges_of_sixteenths(shared_data, monkeypatch):
    expected = charges(shared_data / RECORDED)
    whole = with_baselines(lambda b: np.rint(b / 16).astype(b.dtype))
    monkeypatch.setattr(raw, "File", Rewritten(whole))
    found = charges(shared_data / RECORDED)
    # rounding moves a baseline by half a count at most, in each of the samples summed
    np.testing.assert_allclose(found, expected, atol=0.5 * WINDOW_WIDTH / ADC_PER_PHOTOELECTRON + 1e-4)
    assert np.abs(np.mean(found - expected)) < 0.02


@pytest.mark.parametrize("factor", [0.25, 4, 1 / 256])
def test_a_unit_that_is_not_known_is_refused(shared_data, monkeypatch, factor):
    other = with_baselines(lambda b: np.rint(b * factor).astype(b.dtype))
    monkeypatch.setattr(raw, "File", Rewritten(other))
    with pytest.raises(InputError, match=r"event 0: its samples \(median 32\d ADC counts\) do not lie on"):
        charges(shared_data / RECORDED)


def test_a_file_of_2017():
    """An old file that protozfits ships: one module of 48 pixels flashes, the others see the night."""
    path = files("protozfits") / "tests/resources/example_10evts.fits.fz"
    image = charges(Path(str(path)))
    assert image.shape == (10, 1296)
    assert 2.5 < np.median(image) < 4.5
    assert np.sum(np.median(image, axis=0) > 12) == pytest.approx(48, abs=4)


def test_a_bright_shower_does_not_hide_the_unit():
    rng = np.random.default_rng(1)
    baselines = rng.normal(320, 5, 1296)
    samples = rng.poisson(baselines[:, np.newaxis], (1296, 50))
    samples[:400, 15:30] += 3000
    assert baseline_unit(samples, np.rint(16 * baselines), "it") == 1 / 16
    assert baseline_unit(samples, np.rint(baselines), "it") == 1.0
