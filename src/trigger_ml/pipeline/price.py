"""What a quantized model costs in hardware, for compression to steer by; and what no network can be below."""

from trigger_ml.compression.budget import Hardware, Measure
from trigger_ml.core.config import BudgetConfig, RtlConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.cost.prediction import predict
from trigger_ml.firmware.cost.sensitivity import sensitivity, silenced
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.network import Network

__all__ = ["measure_of", "require_reachable"]


def measure_of(config: RtlConfig, input_type: FixedPoint) -> Measure:
    """The prediction for an RTL project as a function of the quantized model.

    Parameters
    ----------
    config : RtlConfig
    input_type : FixedPoint
        Of the input integers.
    """

    def measure(model: Model) -> Hardware:
        found = sensitivity(extract(model, input_type=input_type), config)
        clocks = found.prediction.timing
        return Hardware(
            found.prediction.total.lut, clocks.latency, clocks.interval, found.per_digit, found.per_bit
        )

    return measure


def require_reachable(network: Network, budget: BudgetConfig, config: RtlConfig) -> None:
    """Refuse a budget that no network of these layers meets, whatever its weights (a second).

    Buffers, adders and counters remain when every weight is zero; the clocks between events follow from the
    topology alone.

    Raises
    ------
    ConfigError
        Says by how much the budget is too small.
    """
    least = predict(silenced(network), config)
    for name, asked, found, words, remedy in (
        ("lut", budget.lut, least.total.lut, "lookup tables remain", "Give more, or take a smaller model"),
        (
            "interval",
            budget.interval,
            least.timing.interval,
            "clocks pass between events",
            "Raise firmware.rtl.pixels_per_clock, or take a smaller camera",
        ),
        (
            "latency_clocks",
            budget.latency_clocks,
            least.timing.latency,
            "clocks pass from the first pixel to the result",
            "Raise firmware.rtl.pixels_per_clock, lower firmware.rtl.duty, or take a model of fewer layers",
        ),
    ):
        if asked is not None and found > asked:
            raise ConfigError(
                f"compression.budget.{name}: {asked}",
                f"{found:,} {words} when every weight of this model is zero, {found - asked:,} more",
                remedy,
            )
