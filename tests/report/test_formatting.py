import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.report import formatting


def band(value, low, high):
    return Estimate(value, low, high)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.5, "0.500"),
        (123456, "123,456"),
        (0.000012, "1.20 × 10⁻⁵"),
        (True, "yes"),
        ("text", "text"),
        (9.0, "9"),
    ],
)
def test_number(value, shown):
    assert formatting.number(value) == shown


@pytest.mark.parametrize(
    ("content", "options", "shown"),
    [
        (band(0.95947, 0.9573, 0.9617), {}, "0.9595 ± 0.0022"),
        (band(-0.0042, -0.0048, -0.0030), {"sign": True}, "−0.0042 +0.0012 −0.0006"),
        (band(0.028, 0.0246, 0.0314), {"scale": 100}, "2.80 ± 0.34"),
        (band(0.5, 0.6, 0.7), {}, "0.50 [0.60, 0.70]"),
        (band(0.5, None, None), {}, "0.500 (no interval)"),
        (band(None, None, None), {}, "–"),
        (band(3.0, 3.0, 3.0), {"sign": True}, "+3"),
        (band(2.0e-12, 1.8e-12, 2.2e-12), {}, "(2.00 ± 0.20) × 10⁻¹²"),
        (band(123456.0, 113456.0, 133456.0), {}, "123,456 ± 10000"),
    ],
)
def test_interval(content, options, shown):
    assert formatting.interval(content, **options) == shown


@given(
    st.floats(-1e300, 1e300),
    st.floats(0, 1e300),
    st.floats(0, 1e300),
    st.sampled_from([1.0, 100.0]),
    st.booleans(),
)
@example(0.6999999999992998, 1e-16, 1e-16, 100.0, False)
@example(1e-300, 1e-290, 0.0, 1.0, True)
@example(0.0, 0.0, 5e-324, 1.0, False)
@example(0.0, 3e-308, 0.0, 1.0, True)
def test_every_interval_can_be_shown(value, down, up, scale, sign):
    assert formatting.interval(band(value, value - down, value + up), scale, sign)


def test_durations_and_sizes():
    shown = [formatting.duration(s) for s in (2e-6, 0.02, 12.34, 130, 9000, None)]
    assert shown == ["2 µs", "20 ms", "12.3 s", "2 min 10 s", "2.5 h", "–"]
    assert [formatting.bytes_(b) for b in (512, 5200, 6.76e7, None)] == ["512 B", "5.20 kB", "67.6 MB", "–"]


def test_numbers_stay_with_their_units():
    assert formatting.glue("worse by 8 ± 2 %, 5 kB") == "worse by 8\u00a0±\u00a02\u00a0%, 5\u00a0kB"
