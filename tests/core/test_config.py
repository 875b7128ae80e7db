import json
from pathlib import Path
from typing import get_args

import pytest

from trigger_ml.core.config import ExperimentConfig, Section, load_experiment, schema
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.fixed_point import FixedPoint

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\ncompression: {pruning: {sparsty: 0.5}}", ["compression.pruning.sparsty", "`sparsity`"]),
        ("name: x\nfirmware: {hls: {backnd: Vitis}}", ["firmware.hls.backnd", "`backend`"]),
        ("name: x\nsimulation: {particles: {gamma: {evnts: 3}}}", ["particles.gamma.evnts", "`events`"]),
        ("name: x\nmodel: {stages: [{filtrs: 3}]}", ["model.stages.0.filtrs", "`filters`"]),
        ("name: x\ncompression: {pruning: {sparsity: 1.5}}", ["less than 1", "1.5"]),
        ("name: x\ncompression: {pruning: {begin: 0.8}}", ["begin must be smaller than end"]),
        ("name: x\nevents: {split: {validation: 0.5, test: 0.5}}", ["must leave showers for training"]),
        ("name: x\nevents: {input: {channels: [image, image]}}", ["at most once"]),
        ("name: x\ntask: direction\ntrain: {augment: true}", ["not the direction"]),
        ("name: x\nevents: {input: {mapping: bilinear}}\ntrain: {augment: true}", ["axial mapping"]),
        ("name: x\nevents: {input: {mapping: bilinear}}", ["bilinear", "firmware to null"]),
        ("name: x\nmodel: {input: counts}", ["model", "name it in weights"]),
        ("name: x\nmodel: {weights: m.h5, input: {scale: 0}}", ["model.input", "scale must not be 0"]),
        ("name: x\nmodel: {weights: m.h5, input: {scale: [1, 2]}}", ["2 values for 1 channels"]),
        ("name: [x", ["line 1"]),
        ("- a\n- b", ["no mapping"]),
        ("seed: 1", ["name", "required"]),
        ("name: a/b", ["name"]),
    ],
)
def test_errors_name_key_reason_and_remedy(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_experiment(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    for part in expected:
        assert part in message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*configs/"):
        load_experiment(tmp_path / "none.yaml")


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(ConfigError):
        load_experiment(path)


def test_files_are_seen_from_the_configuration(tmp_path: Path) -> None:
    text = "name: x\nevents: {files: [data/a.h5], night_sky_files: [/b.h5]}\nmodel: {weights: ../m.h5}"
    config = load_experiment(write(tmp_path, text))
    assert config.events.files == (str(tmp_path / "data/a.h5"),)
    assert config.events.night_sky_files == ("/b.h5",)
    assert config.model.weights == str(tmp_path.parent / "m.h5")


def test_round_trip_through_json(tmp_path: Path) -> None:
    config = load_experiment(write(tmp_path, "name: x\nfirmware: {hls: null}"))
    assert ExperimentConfig.model_validate(json.loads(config.model_dump_json())) == config
    assert config.firmware.hls is None


def test_every_field_is_documented() -> None:
    def walk(model: type[Section]) -> None:
        for name, field in model.model_fields.items():
            annotation = field.annotation
            for part in (annotation, *get_args(annotation)):
                if isinstance(part, type) and issubclass(part, Section):
                    walk(part)
            # the sections of the top level explain themselves by their own docstrings
            if model is not ExperimentConfig and not field.description:
                undocumented.append(f"{model.__name__}.{name}")

    undocumented: list[str] = []
    walk(ExperimentConfig)
    assert undocumented == []


def test_schema_is_json_and_closed() -> None:
    assert json.loads(schema())["additionalProperties"] is False


def test_input_type_has_only_fraction_bits() -> None:
    assert ExperimentConfig(name="x").events.input.dtype == FixedPoint(False, 8, 8)


@pytest.mark.parametrize("path", [p for p in CONFIGS if "\nbase:" not in p.read_text()], ids=lambda p: p.name)
def test_committed_experiments_are_valid(path: Path) -> None:
    load_experiment(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name: x\nname: y", "'name' is there already, in line 1"),
        (b"name: x\ntrain: {epochs: 1, epochs: 2}", "'epochs' is there already"),
        (b"name: \xff\xfeabc", "no UTF-8 text"),
        (b"name: 2026-13-01", "cannot be read"),
        (b"name: " + b"[" * 3000, "x.yaml"),
        (b"name: x\ntrain: {learning_rate: .nan}", "train.learning_rate"),
        (b"name: x\nevents: {min_size: .inf}", "events.min_size"),
        (b"? [a, b]\n: 1", "plain text"),
        (b"name: !!python/object/apply:os.system ['exit 3']", "could not determine a constructor"),
        (b"name: *nothing", "undefined alias"),
        (b"name: x\n\x00", "no UTF-8 text"),
        (b"", "no mapping"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_experiment(path)
    assert expected in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_merged_mapping_may_be_overridden(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\ntrain: &a {epochs: 3}\ncompression: {<<: *a, epochs: 2}")
    assert load_experiment(path).compression.epochs == 2
