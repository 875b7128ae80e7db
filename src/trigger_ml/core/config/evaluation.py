"""Configuration of the evaluation."""

from pydantic import Field, model_validator

from trigger_ml.core.config.base import Section


class IrfConfig(Section):
    """Instrument response functions and sensitivity."""

    observation_hours: float = Field(50.0, gt=0)
    """Observation time of the sensitivity."""
    theta_containment: float = Field(0.68, gt=0, lt=1)
    """Fraction of the gammas inside the on-region of the sensitivity, per energy bin."""
    alpha: float = Field(0.2, gt=0, le=1)
    """Size of the on-region divided by that of all off-regions."""
    assumed_resolution: float = Field(0.18, gt=0)
    """Degrees: radius of the on-region where directions are not reconstructed (trigger level); the
    default is SST-1M's angular resolution with one telescope."""
    max_offset: float = Field(5.0, gt=0)
    """Degrees from the pointing within which background events are counted (less, where the background was
    simulated in a narrower cone)."""
    signal_offset: tuple[float, float] = (0.0, 2.0)
    """Degrees: ring of true offsets from the pointing whose gammas stand for a point source when gammas are
    diffuse; showers thrown count in proportion to its solid angle. Gammas from one direction all count."""

    @model_validator(mode="after")
    def _is_ring(self) -> "IrfConfig":
        inner, outer = self.signal_offset
        if not 0 <= inner < outer:
            raise ValueError("signal_offset must be two rising angles, not negative")
        return self


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
    fixed_threshold: float = Field(0.5, gt=0, lt=1)
    """Gammaness from which an event counts as a gamma in accuracy, precision, recall and F1."""
    min_events: int = Field(10, gt=0)
    """Fewest gammas of a bin that set the bin's own cut; with fewer it has the cut of all energies."""
    min_showers: int = Field(10, gt=0)
    """Bins with fewer showers of a class are flagged, not dropped; uses of one shower count once."""
    robustness_bins: int = Field(5, ge=2)
    """Bins of equal numbers of events against each condition that varies (fewer where showers are few)."""
    irf: IrfConfig = IrfConfig()
    """Instrument response."""
