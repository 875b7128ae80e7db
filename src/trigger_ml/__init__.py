"""From Cherenkov telescope images to verified FPGA trigger firmware, with what it costs in physics."""

from importlib.metadata import version

from trigger_ml.core.keras_switch import select_keras2

__version__ = version("trigger-ml")

select_keras2()
