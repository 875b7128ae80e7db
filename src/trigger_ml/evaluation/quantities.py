"""The figures of merit by name: how to say them, in which unit, and which direction is better."""

from trigger_ml.core.documents.estimates import Quantity
from trigger_ml.core.task import TASKS

__all__ = ["HEADLINES", "QUANTITIES"]

# by the names that stand in documents
HEADLINES: dict[str, tuple[str, ...]] = {name: facts.headlines for name, facts in TASKS.items()}

QUANTITIES = {
    "auc": Quantity("AUC", "higher"),
    "accuracy": Quantity("Accuracy", "higher"),
    "precision": Quantity("Precision", "higher"),
    "recall": Quantity("Recall", "higher"),
    "f1": Quantity("F1 score", "higher"),
    "brier": Quantity("Brier score", "lower"),
    "hadron_efficiency": Quantity("Background at equal gamma efficiency", "lower"),
    "gamma_efficiency": Quantity("Gamma efficiency at equal background", "higher"),
    "mse": Quantity("Mean squared error", "lower", "TeV²"),
    "mae": Quantity("Mean absolute error", "lower", "TeV"),
    "rmsle": Quantity("RMSLE", "lower"),
    "r2": Quantity("R²", "higher"),
    "energy_resolution": Quantity("Energy resolution (68 %)", "lower"),
    "energy_bias": Quantity("Energy bias (median)", "zero"),
    "energy_std": Quantity("Energy standard deviation", "lower"),
    "energy_mean_bias": Quantity("Energy bias (mean)", "zero"),
    "energy_gauss_width": Quantity("Energy resolution (Gaussian fit)", "lower"),
    "angular_resolution": Quantity("Angular resolution (68 %)", "lower", "deg"),
    "mean_separation": Quantity("Mean angular separation", "lower", "deg"),
    "rms_separation": Quantity("RMS angular separation", "lower", "deg"),
    "azimuth_mae": Quantity("Azimuth MAE", "lower", "deg"),
    "altitude_mae": Quantity("Altitude MAE", "lower", "deg"),
    "azimuth_bias": Quantity("Azimuth bias", "zero", "deg"),
    "altitude_bias": Quantity("Altitude bias", "zero", "deg"),
    "azimuth_std": Quantity("Azimuth standard deviation", "lower", "deg"),
    "altitude_std": Quantity("Altitude standard deviation", "lower", "deg"),
    "effective_area": Quantity("Effective area", "higher", "m²"),
    "background_rate": Quantity("Background rate", "lower", "1/s"),
    "signal_rate": Quantity("Gamma rate of the Crab Nebula after cuts", "higher", "1/s"),
    "mean_sensitivity": Quantity("Sensitivity, geometric mean of the bins", "lower", "TeV/(cm² s)"),
    "sensitivity": Quantity("Sensitivity (flux)", "lower", "TeV/(cm² s)"),
}
