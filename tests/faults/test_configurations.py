"""YAML: every key with values that it cannot have, and files that are no configurations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract import Product, damaged

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.pipeline import execute as pipeline

VERBS = ("simulate", "train", "compress", "build", "synthesize", "verify", "evaluate", "report", "run")


def leaves(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        elif not isinstance(value, dict):
            yield (*above, key)


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


DEFAULTS = ExperimentConfig(name="x").model_dump(mode="json")
KEYS = [path for path in leaves(DEFAULTS) if path != ("name",)]


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accepted does no work here."""
    monkeypatch.setattr(pipeline, "execute", lambda *_, **__: pytest.fail("a bad configuration was accepted"))


@pytest.mark.parametrize("value", [[["x"]], {"x": {"y": 1}}, float("nan")], ids=["list", "mapping", "nan"])
def test_no_key_takes_what_it_cannot_be(product: Product, tmp_path: Path, value: Any) -> None:
    assert len(KEYS) > 60
    path = tmp_path / "x.yaml"
    for number, key in enumerate(KEYS):
        path.write_text(yaml.safe_dump({"name": "x", **nested(key, value)}))
        said = product.refuses(VERBS[number % len(VERBS)], path, naming=path)
        assert key[0] in said


def test_no_key_has_another_name(product: Product, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for key in KEYS:
        wrong = (*key[:-1], f"{key[-1]}_")
        path.write_text(yaml.safe_dump({"name": "x", **nested(wrong, 1)}))
        assert f"`{key[-1]}`" in product.refuses("train", path, naming=path)


@pytest.mark.parametrize("verb", ["simulate", "sweep", "reconstruct", "hls-build"])
def test_files_that_are_no_configurations(product: Product, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "x [1].yaml"
    for name, content in damaged(b"seed: [1]\nname: x\n").items():
        # that one is a configuration
        if name == "text" and verb in ("simulate", "hls-build"):
            continue
        path.write_bytes(content)
        product.refuses(verb, path, naming=path)
    path.unlink()
    product.refuses(verb, path, naming=path)
    path.mkdir()
    product.refuses(verb, path, naming=path)


@pytest.mark.parametrize("verb", ["sweep", "reconstruct"])
def test_a_base_that_is_not_there(product: Product, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "x.yaml"
    grid = "grid: {seed: [1, 2]}\n" if verb == "sweep" else ""
    path.write_text(f"name: x\nbase: none.yaml\n{grid}")
    product.refuses(verb, path, naming=tmp_path / "none.yaml")
