"""What a reader of the instrument response must know, in words."""

from trigger_ml.core.config.evaluation import EvaluationConfig

__all__ = ["assumptions"]

ENERGIES = {
    "light": (
        "Trigger level: background and sensitivity are in bins of the energy that a gamma of equal light has "
        "(one relation for all particles, set on other gammas); events without a cleaned image are in none."
    ),
    "true": (
        "Trigger level: no light was given, so background and sensitivity are in bins of true energy, which "
        "no observer has."
    ),
    "reconstructed": (
        "Background and sensitivity are in bins of the energy that each model's own chain reconstructs."
    ),
}
"""By the energy that stands behind the bins."""


def assumptions(level: str, energy: str, config: EvaluationConfig, reach: float) -> list[str]:
    """Definitions and assumptions of a response.

    Parameters
    ----------
    level : {"trigger", "reconstructed"}
    energy : str
        Key of `ENERGIES`.
    config : EvaluationConfig
    reach : float
        Degrees from the pointing within which background is counted.
    """
    irf = config.irf
    region = f"The on-region holds {irf.theta_containment:.0%} of the gammas of its energy bin."
    if level == "trigger":
        region = (
            f"The on-region has the assumed angular resolution of {irf.assumed_resolution:g} degrees with "
            f"{irf.theta_containment:.0%} of the gammas inside."
        )
    return [
        f"Sensitivity: {irf.observation_hours:g} h, 5 standard deviations (Li and Ma), at least 10 events "
        f"and 5 % of the background, on-region to off-regions {irf.alpha:g}; the background is the mean "
        f"within {reach:g} degrees of the pointing. "
        f"Gammaness is cut at {config.gamma_efficiency:.0%} gamma efficiency in each energy bin; "
        "cuts are held fixed in the resamples.",
        f"{ENERGIES[energy]} The effective area is that of gammas, by true energy.",
        region,
    ]
