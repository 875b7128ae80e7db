"""The experiment's configuration: pydantic models, one module for each section."""

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.compression import (
    BitsConfig,
    CompressionConfig,
    PruningConfig,
    QuantizationConfig,
)
from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.config.events import EventsConfig, InputConfig, SplitConfig
from trigger_ml.core.config.experiment import (
    ExperimentConfig,
    load_experiment,
    load_yaml,
    parse,
    resolved_paths,
    schema,
)
from trigger_ml.core.config.firmware import (
    FirmwareConfig,
    HlsConfig,
    RtlConfig,
    SynthesisConfig,
    VerifyConfig,
)
from trigger_ml.core.config.intake import IntakeConfig
from trigger_ml.core.config.model import OWN_FAMILIES, ModelConfig, StageConfig, TrainConfig, UnitConfig
from trigger_ml.core.config.nuisances import NuisancesConfig
from trigger_ml.core.config.simulation import ParticleConfig, SimulationConfig

__all__ = [
    "OWN_FAMILIES",
    "BitsConfig",
    "CompressionConfig",
    "EvaluationConfig",
    "EventsConfig",
    "ExperimentConfig",
    "FirmwareConfig",
    "HlsConfig",
    "InputConfig",
    "IntakeConfig",
    "ModelConfig",
    "NuisancesConfig",
    "ParticleConfig",
    "PruningConfig",
    "QuantizationConfig",
    "RtlConfig",
    "Section",
    "SimulationConfig",
    "SplitConfig",
    "StageConfig",
    "SynthesisConfig",
    "TrainConfig",
    "UnitConfig",
    "VerifyConfig",
    "load_experiment",
    "load_yaml",
    "parse",
    "resolved_paths",
    "schema",
]
