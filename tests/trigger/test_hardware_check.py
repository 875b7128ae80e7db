"""Recorded triggers of two years, a firmware written down a second time, and what damage is noticed."""

from dataclasses import replace

import numpy as np
import pytest
from recorded_trigger import LABORATORY_2017, NIGHT_2018, PATCHES, firmware_window
from typer.testing import CliRunner

from trigger_ml.cli import app
from trigger_ml.core.documents.base import read, write
from trigger_ml.core.documents.hardware import HARDWARE_CHECK, Agreement, Outputs
from trigger_ml.core.errors import InputError
from trigger_ml.trigger import hardware_check
from trigger_ml.trigger.hardware_check import check_hardware

RIGHT = Outputs(missed=0, false=0)


@pytest.fixture(scope="module")
def night():
    return check_hardware(NIGHT_2018)


def test_the_night_of_2018_follows_the_rule(night):
    assert night.agrees
    assert (night.events, night.physics, night.clocked, night.silent) == (32, 30, 2, ())
    assert night.rule.recorded_at == 6
    assert night.rule.derived == night.rule.confirmed == Agreement(16 * 432, 16 * 432)
    traces = night.traces
    # the file lacks the samples that leave the mean: 88.2 % would be a perfect guess of the rest
    assert traces.physics.equal > 0.88 * traces.physics.compared
    assert traces.decided.compared > 250_000
    assert traces.decided.compared + traces.undecided.compared == 32 * 432 * 50
    assert traces.unexplained == 0
    assert traces.by_sample[6] == 1


def test_its_threshold_is_known_to_the_count(night):
    found = night.patch7
    assert (found.fired, found.largest_quiet, found.smallest_fired, found.threshold) == (56, 336, 337, 337)
    assert found.even == found.odd == found.emulated == RIGHT
    assert found.decided.equal == found.decided.compared > 691_000
    assert (night.patch19.fired, night.patch19.threshold) == (0, None)


def test_the_camera_of_2017_clips_its_pixels():
    found = check_hardware(LABORATORY_2017)
    assert found.agrees
    assert found.rule.unit == 1
    assert found.rule.pixel_most == 30
    assert len(found.silent) == 22
    assert found.saturated == 7
    assert found.rule.confirmed == Agreement(5 * 410, 5 * 410)
    assert found.traces.decided.compared > 60_000


@pytest.fixture
def given_records(monkeypatch):
    def give(records):
        monkeypatch.setattr(hardware_check, "read_trigger_records", lambda path: iter(records))
        return check_hardware

    return give


@pytest.fixture(scope="module")
def firmware():
    rng = np.random.default_rng(4)
    return [firmware_window(rng, i, 150, flash=12 if i % 3 == 0 else 0) for i in range(8)]


def test_a_firmware_written_down_twice_is_the_same(firmware, given_records, tmp_path):
    found = given_records(firmware)(tmp_path)
    assert found.agrees
    assert found.patch7.threshold == found.patch7.smallest_fired > found.patch7.largest_quiet
    assert found.patch7.fired > 10
    assert found.patch7.emulated.missed + found.patch7.emulated.false <= 2
    assert found.traces.decided.equal == found.traces.decided.compared
    path = tmp_path / "check.json"
    write(path, HARDWARE_CHECK, found)
    assert read(path, HARDWARE_CHECK) == found


def test_clipped_pixels_are_found(given_records, tmp_path):
    rng = np.random.default_rng(5)
    records = [firmware_window(rng, i, 100, pixel_most=15) for i in range(4)]
    found = given_records(records)(tmp_path)
    assert found.rule.pixel_most == 15
    assert found.agrees


def changed(record, **parts):
    """A record with one value of an array changed."""
    arrays = {}
    for name, (index, value) in parts.items():
        arrays[name] = getattr(record, name).copy()
        arrays[name][index] = value
    return replace(record, **arrays)


def test_one_wrong_input_is_noticed(firmware, given_records, tmp_path):
    old = int(firmware[5].inputs[77, 6])
    records = [*firmware[:5], changed(firmware[5], inputs=((77, 6), old + 1)), *firmware[6:]]
    found = given_records(records)(tmp_path)
    assert not found.agrees
    (difference,) = found.traces.differences
    assert (difference.event_id, difference.patch, difference.sample) == (5, 77, 6)
    assert (difference.hardware, difference.low, difference.high) == (old + 1, old, old)
    assert found.patches[77].unexplained == 1
    assert sum(row.unexplained for row in found.patches) == 1


@pytest.mark.parametrize("fires", [True, False])
def test_one_wrong_decision_is_noticed(firmware, given_records, tmp_path, fires):
    # far above and far below the threshold; an odd event, so that the threshold stays
    sums = firmware[3].patch7
    index = tuple(np.argwhere(sums)[0]) if fires else (0, 30)
    records = [*firmware[:3], changed(firmware[3], patch7=(index, not fires)), *firmware[4:]]
    found = given_records(records)(tmp_path)
    assert not found.agrees
    assert found.patch7.odd == Outputs(missed=int(not fires), false=int(fires))
    assert found.patch7.even == RIGHT


def test_patches_that_cannot_be_compared_are_left_out(firmware, given_records, tmp_path):
    pixel = int(np.flatnonzero(PATCHES.patch_of_pixel == 12)[0])
    records = [
        changed(
            changed(record, present=(pixel, False), samples=(pixel, 0)), inputs=(40, 0), baselines=(pixel, 0)
        )
        for record in firmware
    ]
    # patch 40 delivers nothing: what its clusters do is known from the recorded inputs only
    found = given_records(records)(tmp_path)
    assert found.patches[12].compared == found.patches[40].compared == 0
    assert found.silent == (40,)
    assert found.traces.unexplained == 0


def test_the_verb_says_what_it_found(tmp_path):
    output = tmp_path / "check.json"
    runner = CliRunner()
    done = runner.invoke(app, ["hardware-check", str(NIGHT_2018), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert "nothing contradicts the rule" in done.output
    assert read(output, HARDWARE_CHECK).patch7.threshold == 337
    wrong = runner.invoke(
        app,
        ["hardware-check", str(NIGHT_2018), "-o", str(output), "--threshold7", "340", "--threshold19", "600"],
    )
    assert wrong.exit_code == 1
    found = read(output, HARDWARE_CHECK)
    assert found.patch7.even.missed + found.patch7.odd.missed > 0
    assert found.patch19.even.false + found.patch19.odd.false > 0
    assert "the hardware differs from the rule" in wrong.output


def test_a_file_without_events_is_refused(given_records, tmp_path):
    with pytest.raises(InputError, match="holds no events"):
        given_records([])(tmp_path)
