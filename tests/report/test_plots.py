import itertools

import numpy as np
import pytest

from trigger_ml.core.documents.base import parse, plain
from trigger_ml.core.documents.evaluation import EVALUATION
from trigger_ml.report.plots import binned_label, energy_axis, logarithmic
from trigger_ml.report.published import PUBLISHED_SENSITIVITY
from trigger_ml.report.reference import read_reference
from trigger_ml.report.style import figure


def labels(drawing, axis):
    """Boxes and texts of the labels that are drawn inside an axis' view."""
    drawing.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    found = []
    for ticks, places in (
        (axis.get_major_ticks(), axis.get_majorticklocs()),
        (axis.get_minor_ticks(), axis.get_minorticklocs()),
    ):
        for tick, place in zip(ticks, places, strict=False):
            text = tick.label1
            if text.get_text() and low <= place <= high:
                found.append((text.get_text(), text.get_window_extent()))
    return found


LIMITS = [
    (1e-12, 4e-12),
    (3e-13, 2e-12),
    (9e-14, 3e-12),
    (2e-12, 1.2e-10),
    (0.03, 0.4),
    (20, 700),
    (2e3, 6e5),
]


@pytest.mark.parametrize("limits", LIMITS)
def test_labels_of_logarithmic_axes_differ_and_keep_apart(limits):
    drawing = figure(5.4, 4.8)
    top, _ = drawing.subplots(2, 1, height_ratios=(2.4, 1))
    top.set_ylim(*limits)
    top.plot([1, 2], limits)
    logarithmic(top)
    found = labels(drawing, top.yaxis)
    assert len(found) >= 1
    assert len({text for text, _ in found}) == len(found)
    assert not any(a.overlaps(b) for (_, a), (_, b) in itertools.combinations(found, 2))


@pytest.mark.parametrize("limits", [(1, 1.6), (1, 4), (0.63, 25), (0.3, 100), (0.3, 300)])
@pytest.mark.parametrize("width", [4.4, 5.4])
def test_labels_of_energy_axes_differ_and_keep_apart(limits, width):
    drawing = figure(width, 3.2)
    axes = drawing.subplots()
    energy_axis(axes, limits)
    found = labels(drawing, axes.xaxis)
    assert len({text for text, _ in found}) == len(found) >= 1
    assert not any(a.overlaps(b) for (_, a), (_, b) in itertools.combinations(found, 2))


def test_runs_of_earlier_versions_have_bins_of_true_energy(sample):
    content = plain(sample.comparison())
    content["energy_bins"] = {"edges": content["energy_bins"]["edges"]}
    assert binned_label(parse({"schema": 2, **content}, EVALUATION, "x")) == "True energy (TeV)"


def test_the_published_sensitivity_is_the_collaborations(shared_data):
    (theirs,) = [
        curve
        for curve in read_reference(shared_data / "sst1m-irf" / "flux_sensitivity_tel_001.h5")
        if curve.quantity == "sensitivity"
    ]
    known = np.isfinite(theirs.value)
    np.testing.assert_allclose(PUBLISHED_SENSITIVITY.value, theirs.value[known], rtol=5e-3)
    np.testing.assert_allclose(PUBLISHED_SENSITIVITY.energy, theirs.energy[known], rtol=5e-3)
    best = PUBLISHED_SENSITIVITY.energy[np.argmin(PUBLISHED_SENSITIVITY.value)]
    assert 2 < best < 20
