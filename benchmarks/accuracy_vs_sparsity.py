"""AUC against sparsity and model size, both pruning schedules: the sweep, its table, and JSON.

    python benchmarks/accuracy_vs_sparsity.py [configs/sweep-sparsity.yaml]

The same as ``make sweep``; finished points are not run again.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trigger_ml.core.files import write_json
from trigger_ml.studies.sweep import load_sweep, points, run_sweep
from trigger_ml.studies.table import rows, write_summary

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "configs" / "sweep-sparsity.yaml")
    parser.add_argument("--run", type=Path, help="folder (default: runs/NAME)")
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/accuracy_vs_sparsity.json"
    )
    options = parser.parse_args()
    console = Console()
    sweep, base = load_sweep(options.config)
    directory = options.run or Path("runs") / sweep.name
    grid = points(sweep, base)
    failures = run_sweep(sweep, base, directory, console)
    write_summary(sweep, grid, directory)
    results = rows(grid, directory)
    table = Table(*(key.rsplit(".", 1)[-1] for key in sweep.grid), "sparsity", "bytes", "AUC", "interval")
    for row in results:
        table.add_row(
            *(str(row[key]) for key in sweep.grid),
            f"{row['sparsity_reached']:.3f}",
            f"{row['size_bytes']:,}",
            f"{row['auc']:.4f}",
            f"{row['auc_low']:.4f} to {row['auc_high']:.4f}",
        )
    console.print(table)
    write_json(options.output, {"rows": results, "failures": {str(k): v for k, v in failures.items()}})


if __name__ == "__main__":
    main()
