"""The sweep's table and figure, from the files that its points leave."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from done import manifest
from matplotlib.figure import Figure

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import read, write
from trigger_ml.core.documents.estimates import Comparison, Estimate, Pair
from trigger_ml.core.documents.evaluation import (
    EVALUATION,
    Bins,
    Evaluation,
    EventCounts,
    FairReference,
    Settings,
)
from trigger_ml.core.errors import InputError
from trigger_ml.core.run import RunDirectory
from trigger_ml.evaluation.quantities import QUANTITIES
from trigger_ml.pipeline.execute import stage_fingerprint
from trigger_ml.pipeline.stages import STAGES
from trigger_ml.studies.sweep import Point, SweepConfig, finished, points
from trigger_ml.studies.table import SEED, SPARSITY, curves, write_summary

BASE = ExperimentConfig(name="base")


AUC = {0.5: 0.80, 0.9: 0.70}


def _auc(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.02)


def _evaluation(task: str, metric: str, auc: float) -> Evaluation:
    row = Comparison(
        reference=_auc(0.82),
        model=_auc(auc),
        difference=_auc(auc - 0.82),
        ratio=_auc(auc / 0.82),
        state="better",
        verdict="better by 1 %",
    )
    return Evaluation(
        task=task,
        reference="float",
        events=EventCounts(given=100, used=100, gamma=50, hadron=50, showers=100),
        settings=Settings(20, 0.68, 1, 0.7, 0.5),
        energy_bins=Bins((1.0, 10.0)),
        quantities={metric: QUANTITIES[metric]},
        comparisons={"float": {"compressed": Pair({metric: row})}},
    )


def _sweep(grid: dict[str, tuple[object, ...]]) -> SweepConfig:
    return SweepConfig.model_validate({"name": "s", "base": "b.yaml", "grid": grid})


def _print(stage: str, point: Point) -> str:
    return stage_fingerprint(STAGES[stage], point.config, RunDirectory(Path("none")))


def _finish(point: Point, directory: Path, metric: str = "auc") -> None:
    """The files of a finished point: the figure falls with the sparsity, and every seed has its own."""
    pruning, seed = point.config.compression.pruning, point.config.compression.seed or 0
    auc = AUC[pruning.sparsity] + 0.01 * seed
    run = directory / f"point-{point.index:03d}"
    (run / "model").mkdir(parents=True)
    write(run / "evaluation.json", EVALUATION, _evaluation(point.config.task, metric, auc))
    size = round(1000 * (1 - pruning.sparsity))
    compressed = {
        "sparsity": pruning.sparsity + 0.001 * seed,
        "weights": 1000,
        "nonzero_weights": size,
        "bytes": {"packed": size},
    }
    model = {"compressed": compressed, "float": {"bytes": {"dense": 4000}}}
    (run / "manifest.json").write_text(json.dumps(manifest("evaluate")))
    (run / "model" / "model.json").write_text(json.dumps(model))


@pytest.fixture
def summary(tmp_path):
    """Rows of ``sweep.csv`` for a grid of which all points are finished."""

    def of(grid: dict[str, tuple[object, ...]]) -> list[dict[str, str]]:
        sweep = _sweep(grid)
        for point in points(sweep, BASE):
            _finish(point, tmp_path)
        table, figure = write_summary(sweep, points(sweep, BASE), tmp_path)
        assert figure.stat().st_size > 0
        assert figure.with_suffix(".pdf").stat().st_size > 0
        with table.open() as file:
            return list(csv.DictReader(file))

    return of


def test_trainings_that_differ_by_their_seed_are_one_point_of_a_curve(summary) -> None:
    grid = {
        "compression.pruning.schedule": ("polynomial", "constant"),
        SPARSITY: (0.5, 0.9),
        SEED: (1, 2, 4),
    }
    rows = summary(grid)
    assert len(rows) == 12
    assert {row[SEED] for row in rows} == {"1", "2", "4"}
    found = curves(rows, list(grid))
    assert list(found) == [("polynomial",), ("constant",)]
    for trainings in found.values():
        assert [[row["auc"] for row in point] for point in trainings] == [
            ["0.81", "0.8200000000000001", "0.8400000000000001"],
            ["0.71", "0.72", "0.74"],
        ]


def test_without_seeds_every_row_is_a_point(summary) -> None:
    grid = {SPARSITY: (0.5, 0.9)}
    (curve,) = curves(summary(grid), list(grid)).values()
    assert [len(trainings) for trainings in curve] == [1, 1]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that a test has saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


def test_the_figure_shows_each_point_where_it_was_measured(summary, drawn) -> None:
    """Curves stand aside of each other, by less than a reader of the axis would see as another sparsity."""
    summary({"compression.pruning.schedule": ("polynomial", "constant"), SPARSITY: (0.5, 0.9)})
    left, right = drawn[0].axes
    for axes, measured in ((left, (50.0, 90.0)), (right, (0.5, 0.1))):
        within = 0.02 * abs(measured[0] - measured[1])
        low, high = sorted(axes.get_xlim())
        bottom, top = axes.get_ylim()
        for container in axes.containers:
            x, y = container.lines[0].get_data()
            assert sorted(x) == pytest.approx(sorted(measured), abs=within)
            assert all((low < x) & (x < high) & (bottom < y) & (y < top))
        assert len(axes.containers) == 2


def test_curves_of_a_single_point_do_not_hide_each_other(summary, drawn) -> None:
    summary({"compression.pruning.schedule": ("polynomial", "constant"), SPARSITY: (0.5,)})
    for axes in drawn[0].axes:
        first, second = (container.lines[0].get_xdata()[0] for container in axes.containers)
        assert first < second < 1.01 * first


def test_values_may_be_lists(summary) -> None:
    """A model's stages, say: each list is a curve."""
    stages = ([{"filters": 8}], [{"filters": 8}, {"filters": 12}])
    grid = {"model.stages": stages, "compression.pruning.sparsity": (0.5, 0.9)}
    assert len(curves(summary(grid), list(grid))) == 2


def test_the_compression_takes_its_own_seed_where_it_has_one() -> None:
    grid = points(_sweep({SEED: (None, 3)}), BASE)
    assert [point.config.compression.seed for point in grid] == [None, 3]
    # events and float model are the base's: their stages depend on the experiment's seed alone
    for stage in ("simulate", "train"):
        assert len({_print(stage, point) for point in grid}) == 1
    assert len({_print("compress", point) for point in grid}) == 2


def test_nothing_finished_is_refused(tmp_path) -> None:
    sweep = _sweep({SPARSITY: (0.5,)})
    with pytest.raises(InputError, match="no point of the sweep is finished"):
        write_summary(sweep, points(sweep, BASE), tmp_path)


def test_the_table_states_the_loss_against_the_control(tmp_path) -> None:
    sweep = _sweep({SPARSITY: (0.5,)})
    (point,) = points(sweep, BASE)
    _finish(point, tmp_path)
    path = tmp_path / "point-000" / "evaluation.json"
    evaluation = read(path, EVALUATION)
    lost = Comparison(_auc(0.83), _auc(0.8), _auc(-0.03), _auc(0.96), "worse", "worse by 4 %")
    control = {"control": {"compressed": Pair({"auc": lost})}}
    judged = replace(
        evaluation,
        comparisons={**evaluation.comparisons, **control},
        fair_reference=FairReference("control", True, ""),
    )
    write(path, EVALUATION, judged)
    table, _ = write_summary(sweep, points(sweep, BASE), tmp_path)
    with table.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["reference"], row["plateau"]) == ("control", "True")
    assert float(row["auc_reference"]) == 0.83
    assert float(row["auc_against_reference"]) == -0.03
    assert float(row["auc_against_reference_high"]) == pytest.approx(-0.01)
    assert float(row["auc_float"]) == 0.82


@pytest.mark.parametrize(
    ("task", "metric", "label"),
    [
        ("energy", "energy_resolution", "Energy resolution (68 %), with 68 % interval"),
        ("direction", "angular_resolution", "Angular resolution (68 %) (deg), with 68 % interval"),
    ],
)
def test_every_task_has_its_own_figure_of_merit(tmp_path, drawn, task, metric, label) -> None:
    sweep = _sweep({SPARSITY: (0.5, 0.9)})
    grid = points(sweep, BASE.model_copy(update={"task": task}))
    for point in grid:
        _finish(point, tmp_path, metric)
    table, figure = write_summary(sweep, grid, tmp_path)
    assert figure is not None
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row[metric]) for row in rows] == [0.8, 0.7]
    assert [float(row[f"{metric}_reference"]) for row in rows] == [0.82, 0.82]
    assert not any("auc" in name for name in rows[0])
    assert drawn[0].axes[0].get_ylabel() == label


def test_what_failed_since_it_was_evaluated_is_not_finished(tmp_path) -> None:
    """The old evaluation is still there; the network that it was of is not."""
    sweep = _sweep({SPARSITY: (0.5, 0.9)})
    grid = points(sweep, BASE)
    for point in grid:
        _finish(point, tmp_path)
    failed = tmp_path / "point-001"
    content = json.loads((failed / "manifest.json").read_text())
    del content["stages"]["compress"]
    (failed / "manifest.json").write_text(json.dumps(content))
    (failed / "model" / "model.json").unlink()
    assert [point.index for point, _ in finished(sweep, grid, tmp_path)] == [0]
    table, _ = write_summary(sweep, grid, tmp_path)
    assert len(table.read_text().splitlines()) == 2


def test_tasks_that_differ_share_no_figure(tmp_path) -> None:
    sweep = _sweep({"task": ("type", "energy")})
    grid = points(sweep, BASE)
    for point, metric in zip(grid, ("auc", "energy_resolution"), strict=True):
        _finish(point, tmp_path, metric)
    table, figure = write_summary(sweep, grid, tmp_path)
    assert figure is None
    with table.open() as file:
        first, second = csv.DictReader(file)
    assert (first["auc"], first["energy_resolution"]) == ("0.8", "")
    assert (second["auc"], second["energy_resolution"]) == ("", "0.8")
