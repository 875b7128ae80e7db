"""Models as people bring them, and the least that is made of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkeras import QActivation, QDense, quantized_bits, quantized_relu

from trigger_ml.core.config import IntakeConfig
from trigger_ml.core.keras2 import tf_keras

# no hls4ml: its compilation is a test of its own
SETTINGS = {
    "firmware": {"hls": None, "vectors": 4},
    "verify": {"rtl_events": 10, "random_corners": 4, "random_events": 64},
    "random_inputs": 40,
}


def settings(**update: Any) -> IntakeConfig:
    return IntakeConfig.model_validate({**SETTINGS, **update})


@dataclass(frozen=True)
class Case:
    """A model's file, the model, inputs of it in a file, and the firmware made of it."""

    path: Path
    model: Any
    inputs: Path
    values: Any
    output: Path


def jets() -> Any:
    """Two outputs of six signed features, quantized to 5 bits inside."""
    bits = quantized_bits(5, 0, alpha=1)
    return tf_keras.Sequential(
        [
            tf_keras.Input((6,), name="features"),
            QDense(5, kernel_quantizer=bits, bias_quantizer=bits, name="fc"),
            QActivation(quantized_relu(5, 2), name="relu"),
            QDense(
                2, kernel_quantizer=bits, bias_quantizer=bits, bias_initializer="random_normal", name="out"
            ),
        ],
        name="jets",
    )
