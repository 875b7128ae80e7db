"""Numbers as a reader wants them: with uncertainty and unit, and no more digits than they deserve."""

import math
import re
import sys

from trigger_ml.core.documents.estimates import Estimate

__all__ = ["bytes_", "count", "duration", "glue", "interval", "number", "percent"]

DASH = "–"
NEGLIGIBLE = 1e-5
"""Of the value: a smaller uncertainty is not shown; often it is the rounding of a constant's mean."""


def number(value: object, digits: int = 3) -> str:
    """A number with some significant digits; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e5:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def interval(content: Estimate | None, scale: float = 1.0, sign: bool = False) -> str:
    """An estimate with its interval: one ± where both sides agree, both where they do not.

    Digits follow the uncertainty: two significant ones.
    """
    if content is None or content.value is None:
        return DASH
    value = content.value * scale
    if content.low is None or content.high is None:
        return f"{number(value)} (no interval)"
    low, high = content.low * scale, content.high * scale
    down, up = value - low, high - value
    plus = "+" if sign and value > 0 else ""
    size = max(abs(down), abs(up))
    # a power of ten below the normal range cannot scale what lies there
    if size <= max(NEGLIGIBLE * abs(value), sys.float_info.min):
        return f"{plus}{number(value, 4)}".replace("-", "−")
    place = math.floor(math.log10(size))
    if not -6 < place < 5:
        power = math.floor(math.log10(max(abs(value), size)))
        suffix = f" × 10{str(power).translate(_SUPERSCRIPT)}"
        scaled = Estimate(value / 10**power, low / 10**power, high / 10**power)
        return f"({interval(scaled, 1.0, sign)}){suffix}"
    decimals = max(0, 1 - place)
    text = f"{plus}{value:,.{decimals}f}".replace("-", "−")
    if down >= 0 and up >= 0 and abs(up - down) <= 0.25 * size:
        return f"{text} ± {0.5 * (up + down):.{decimals}f}"
    # a percentile interval may exclude the estimate; give its ends then
    if down < 0 or up < 0:
        ends = (f"{end:,.{decimals}f}".replace("-", "−") for end in (low, high))
        return f"{text} [{', '.join(ends)}]"
    return f"{text} +{up:.{decimals}f} −{down:.{decimals}f}"


def percent(value: float | None, digits: int = 3) -> str:
    """A fraction as a percentage."""
    return DASH if value is None else f"{number(100 * value, digits)} %"


def count(value: float | None) -> str:
    """An integer with separators."""
    return DASH if value is None else f"{int(value):,}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours; below a second in milli- or microseconds."""
    if seconds is None:
        return DASH
    if seconds < 1e-3:
        return f"{number(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{number(seconds * 1e3)} ms"
    if seconds < 120:
        return f"{number(float(seconds))} s"
    if seconds < 7200:
        return f"{int(seconds // 60)} min {round(seconds % 60)} s"
    return f"{seconds / 3600:.1f} h"


def bytes_(value: float | None) -> str:
    """A size in decimal units."""
    if value is None:
        return DASH
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{int(value)} B"


def glue(text: str) -> str:
    """Keep numbers, their errors and their units on one line (no-break spaces)."""
    return re.sub(r"(?<=\d) (?=[±%×kMGB])|(?<=[±×]) (?=\d)", "\u00a0", text)
