"""Configuration of the evaluation."""

from pydantic import Field

from trigger_ml.core.config.base import Section


class EvaluationConfig(Section):
    """Metrics and their uncertainties."""

    bootstrap: int = Field(200, ge=20)
    """Resamples of the showers for each interval."""
    confidence: float = Field(0.68, gt=0, lt=1)
    """Probability content of the intervals."""
    bins_per_decade: int = Field(5, gt=0)
    """Energy bins per decade (5 are bins of 0.2 decades)."""
    gamma_efficiency: float = Field(0.7, gt=0, lt=1)
    """Gamma efficiency of the operating point."""
    min_events: int = Field(10, gt=0)
    """Bins with fewer events of a class are flagged, not dropped."""
