"""The experiment's configuration: pydantic models, one module for each section."""

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.compression import CompressionConfig, Training
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
from trigger_ml.core.config.pruning import PruningConfig
from trigger_ml.core.config.quantization import BitsConfig, QuantizationConfig
from trigger_ml.core.config.simulation import ParticleConfig, SimulationConfig
from trigger_ml.core.config.steps import (
    BudgetConfig,
    DistilStep,
    FineTuneStep,
    FoldStep,
    LearnBitsStep,
    PostTrainingStep,
    PruneStep,
    QuantizeStep,
    StepConfig,
    TrainingStep,
)

__all__ = [
    "OWN_FAMILIES",
    "BitsConfig",
    "BudgetConfig",
    "CompressionConfig",
    "DistilStep",
    "EvaluationConfig",
    "EventsConfig",
    "ExperimentConfig",
    "FineTuneStep",
    "FirmwareConfig",
    "FoldStep",
    "HlsConfig",
    "InputConfig",
    "IntakeConfig",
    "LearnBitsStep",
    "ModelConfig",
    "NuisancesConfig",
    "ParticleConfig",
    "PostTrainingStep",
    "PruneStep",
    "PruningConfig",
    "QuantizationConfig",
    "QuantizeStep",
    "RtlConfig",
    "Section",
    "SimulationConfig",
    "SplitConfig",
    "StageConfig",
    "StepConfig",
    "SynthesisConfig",
    "TrainConfig",
    "Training",
    "TrainingStep",
    "UnitConfig",
    "VerifyConfig",
    "load_experiment",
    "load_yaml",
    "parse",
    "resolved_paths",
    "schema",
]
