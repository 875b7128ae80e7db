"""One experiment, one YAML file."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.compression import CompressionConfig
from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.config.events import EventsConfig
from trigger_ml.core.config.firmware import FirmwareConfig, VerifyConfig
from trigger_ml.core.config.model import ModelConfig, TrainConfig
from trigger_ml.core.config.simulation import SimulationConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.foreign import reason
from trigger_ml.core.task import Task

__all__ = ["ExperimentConfig", "load_experiment", "load_yaml", "parse", "schema"]


class ExperimentConfig(Section):
    """An experiment: from events to a report."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the run directory and of the firmware project."""
    seed: int = Field(1, ge=0)
    """Every random number of the run follows from it."""
    task: Task = "type"
    """What the model tells: particle type (one logit), log10 of the energy, or camera offsets."""
    simulation: SimulationConfig = SimulationConfig()
    events: EventsConfig = EventsConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    compression: CompressionConfig = CompressionConfig()
    firmware: FirmwareConfig | None = FirmwareConfig()
    """The firmware projects; null: the compressed model is judged off-line, as a QKeras model, and may hold
    layers that firmware lacks (what these are stands in ``network/obstacles.json`` and in the report)."""
    verify: VerifyConfig = VerifyConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _augmentation_is_sound(self) -> "ExperimentConfig":
        if self.train.augment and self.task == "direction":
            raise ValueError("train.augment turns images but not the direction they point to: set it false")
        if self.train.augment and self.events.input.mapping != "axial":
            raise ValueError("train.augment needs the axial mapping, in which a rotation moves whole pixels")
        return self

    @model_validator(mode="after")
    def _firmware_reads_pixels(self) -> "ExperimentConfig":
        asked = self.firmware is not None and (self.firmware.hls or self.firmware.rtl)
        if self.events.input.mapping != "axial" and asked:
            raise ValueError(
                "events.input.mapping: bilinear interpolates between pixels, which cannot be built into "
                "firmware: set firmware to null, or take the axial mapping"
            )
        return self

    @property
    def hardware(self) -> FirmwareConfig:
        """The firmware that is asked for.

        Raises
        ------
        ConfigError
            If none is.
        """
        if self.firmware is None:
            raise ConfigError(
                "firmware",
                "is null: this experiment ends off-line, without firmware",
                "Remove `firmware: null`",
            )
        return self.firmware

    @model_validator(mode="after")
    def _budget_has_a_measure(self) -> "ExperimentConfig":
        if self.compression.budget is not None and (self.firmware is None or self.firmware.rtl is None):
            raise ValueError(
                "compression.budget is of the RTL project's lookup tables and clocks: configure firmware.rtl"
            )
        return self

    @model_validator(mode="after")
    def _unit_fits_channels(self) -> "ExperimentConfig":
        unit, channels = self.model.input, len(self.events.input.channels)
        if unit is not None:
            for name, value in (("scale", unit.scale), ("offset", unit.offset)):
                if isinstance(value, tuple) and len(value) != channels:
                    raise ValueError(f"model.input.{name} has {len(value)} values for {channels} channels")
        return self


def schema(model: type[Section] = ExperimentConfig) -> str:
    """JSON schema of a configuration file."""
    return json.dumps(model.model_json_schema(), indent=2)


def _valid_keys(model: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed where an unknown one was found, by walking the JSON schema along ``location``."""
    root = model.model_json_schema()
    node = root
    for step in location[:-1]:
        options = [node, *node.get("anyOf", [])]
        if step in (tags := node.get("discriminator", {}).get("mapping", {})):
            node = root["$defs"][tags[step].split("/")[-1]]
            continue
        options = [root["$defs"][o["$ref"].split("/")[-1]] if "$ref" in o else o for o in options]
        for option in options:
            child = (
                option.get("properties", {}).get(step)
                or option.get("additionalProperties")
                or option.get("items")
            )
            if isinstance(child, dict):
                node = root["$defs"][child["$ref"].split("/")[-1]] if "$ref" in child else child
                break
    options = [node, *node.get("anyOf", [])]
    options = [root["$defs"][o["$ref"].split("/")[-1]] if "$ref" in o else o for o in options]
    return sorted({key for option in options for key in option.get("properties", {})})


def parse[T: Section](model: type[T], values: Mapping[str, object], source: str) -> T:
    """Validate a dictionary.

    Raises
    ------
    ConfigError
        Naming the first wrong key, the reason, and for an unknown key the nearest valid one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # an unknown key often causes the "field required" beside it: name it first
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        location = ".".join(str(part) for part in first["loc"]) or "(top level)"
        more = f" ({error.error_count() - 1} more errors follow)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            valid = _valid_keys(model, first["loc"])
            near = difflib.get_close_matches(str(first["loc"][-1]), valid, n=1, cutoff=0.4)
            remedy = f"Did you mean `{near[0]}`?" if near else f"Valid keys here: {', '.join(valid)}"
            raise ConfigError(f"{source}: {location}", f"unknown key{more}", remedy) from None
        why = first["msg"].removeprefix("Value error, ")
        value = first.get("input")
        given = f" (given: {value!r})" if isinstance(value, str | int | float | bool) else ""
        raise ConfigError(
            f"{source}: {location}", f"{why}{given}{more}", "`trigger-ml schema` lists keys, types and limits"
        ) from None


PATHS = ("events.files", "events.night_sky_files", "model.weights")
"""Keys that name files."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain data only, and no key twice: YAML's readers would silently take the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen: dict[object, int] = {}
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        name = loader.construct_object(key)
        line = key.start_mark.line + 1
        if not isinstance(name, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(
                problem="a key must be plain text", problem_mark=key.start_mark
            )
        if name in seen:
            raise yaml.constructor.ConstructorError(
                problem=f"the key {name!r} is there already, in line {seen[name]}",
                problem_mark=key.start_mark,
            )
        seen[name] = line
    loader.flatten_mapping(node)
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(path: Path) -> dict[str, object]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or is no mapping.
    """
    try:
        # as bytes: YAML says itself that it is UTF-8 (or UTF-16 with a mark), whatever the locale says
        values = yaml.load(path.read_bytes(), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(str(path), "no such file", "Check the path; examples are in configs/") from None
    except OSError as error:
        why = f"cannot be read ({error.strerror or reason(error)})"
        raise ConfigError(str(path), why, "Give a YAML text file") from None
    except yaml.reader.ReaderError as error:
        why = f"is no UTF-8 text (byte {error.position}: {error.reason})"
        raise ConfigError(str(path), why, "Give a YAML text file, saved as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(str(path), f"{line}{problem}", "Correct the YAML there") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        # what YAML's own types raise for a value that is none, as the date 2026-13-01
        why = f"a value in it cannot be read ({reason(error)})"
        raise ConfigError(str(path), why, "Put quotes around it, or correct it") from None
    if not isinstance(values, dict):
        raise ConfigError(
            str(path), "holds no mapping of keys to values", "See configs/demo.yaml for an example"
        )
    return values


def resolved(value: object, folder: Path) -> object:
    """A path of a configuration, or a list of them, seen from the folder of the file that names it.

    What is no path stays as it is, for the configuration's own check to name.
    """
    if isinstance(value, str):
        return str((folder / value).resolve())
    return tuple(resolved(item, folder) for item in value) if isinstance(value, list | tuple) else value


def resolved_paths(values: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Values by dotted key, those of `PATHS` seen from a folder."""
    return {key: resolved(value, folder) if key in PATHS else value for key, value in values.items()}


def load_experiment(path: Path) -> ExperimentConfig:
    """Read and validate an experiment; the files that it names are seen from the configuration's folder."""
    config = parse(ExperimentConfig, load_yaml(path), str(path))
    for key in PATHS:
        section, name = key.split(".")
        part = getattr(config, section)
        changed = part.model_copy(update={name: resolved(getattr(part, name), path.parent)})
        config = config.model_copy(update={section: changed})
    return config
