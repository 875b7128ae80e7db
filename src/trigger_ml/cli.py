"""The command line: one short function for each verb."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from trigger_ml.core.config import ExperimentConfig, IntakeConfig, Section, load_experiment, schema
from trigger_ml.core.foreign import explain
from trigger_ml.core.task import TASKS
from trigger_ml.intake.verbs import estimate, firmware, support
from trigger_ml.studies import trigger_verbs


class Verbs(TyperGroup):
    """The verbs behind the one boundary: what libraries and the system raise becomes what / why / remedy."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # those of trigger_ml and of the argument parser know their exit code
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                raise
            raise explain(error, f"trigger-ml {ctx.invoked_subcommand}") from error


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From Cherenkov telescope images to verified FPGA trigger firmware, with what it costs in physics.",
)
console = Console(emoji=False)

Config = Annotated[Path, typer.Argument(help="The experiment's YAML file.", show_default=False)]
Run = Annotated[Path | None, typer.Option("--run", help="Run directory.  [default: runs/NAME]")]


Implementation = Annotated[
    bool | None,
    typer.Option(
        "--implementation/--no-implementation",
        envvar="IMPL",
        show_default=False,
        help="Vendor tools also place and route.  [default: firmware.synthesis.implementation]",
    ),
]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, too.")] = False,
) -> None:
    """Options of every verb."""


def _say(text: str) -> None:
    """Print text as it is: brackets in a path are no markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _until(
    goal: str | tuple[str, ...], config_path: Path, run: Path | None, implementation: bool | None = None
) -> tuple[ExperimentConfig, Path]:
    from trigger_ml.pipeline.execute import execute

    config = load_experiment(config_path)
    if implementation is not None:
        synthesis = config.hardware.synthesis.model_copy(update={"implementation": implementation})
        firmware = config.hardware.model_copy(update={"synthesis": synthesis})
        config = config.model_copy(update={"firmware": firmware})
    directory = run or Path("runs") / config.name
    execute(config, directory, goal, console=console)
    return config, directory


@app.command()
def simulate(config: Config, run: Run = None) -> None:
    """Make the events (or check that the configured files are there)."""
    _until("simulate", config, run)


@app.command()
def train(config: Config, run: Run = None) -> None:
    """Train the float model."""
    _until("train", config, run)


@app.command()
def compress(config: Config, run: Run = None) -> None:
    """Quantize and prune; leaves the fixed-point network and its ONNX emulator."""
    _until("compress", config, run)


@app.command()
def build(config: Config, run: Run = None) -> None:
    """Write the firmware projects with their test vectors."""
    _until("build", config, run)


@app.command()
def synthesize(config: Config, run: Run = None, implementation: Implementation = None) -> None:
    """Measure the projects: simulation, synthesis, vendor tools where installed."""
    _until("synthesize", config, run, implementation)


@app.command()
def verify(config: Config, run: Run = None) -> None:
    """Compare all backends bit for bit; exit code 1 if one of them differs."""
    _until("verify", config, run)


@app.command()
def evaluate(config: Config, run: Run = None) -> None:
    """Measure what the compression costs in physics."""
    _until("evaluate", config, run)


@app.command()
def report(
    config: Config,
    run: Run = None,
    reference: Annotated[
        Path | None, typer.Option(help="Published performance to lay over: GADF FITS, or a table or folder.")
    ] = None,
) -> None:
    """Write the figures and the page."""
    _, directory = _until("report", config, run)
    if reference is not None:
        from trigger_ml.report.page import write_report

        write_report(directory, reference)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or the folder of a sweep.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write.")] = Path("comparison.html"),
    to: Annotated[Path | None, typer.Option(help="Run that the others are compared with.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Published performance to lay over.")] = None,
) -> None:
    """Write one page that compares runs."""
    from trigger_ml.report.compare import compare as write_page
    from trigger_ml.studies.sweep import runs_below

    page = write_page([found for run in runs for found in runs_below(run)], output, to, reference)
    _say(f"written to {page}")


@app.command(name="run")
def run_all(config: Config, run: Run = None) -> None:
    """Run every stage and print a summary."""
    from trigger_ml.report.terminal import print_summary

    _, directory = _until("report", config, run)
    print_summary(directory, console)


@app.command(name="hls-build")
def hls_build(
    config: Config,
    run: Run = None,
    output: Annotated[Path, typer.Option(help="Folder for the projects.")] = Path("hls_projects"),
    implementation: Implementation = None,
) -> None:
    """Write, verify and measure the firmware projects; copies them to hls_projects/NAME."""
    from trigger_ml.pipeline.projects import export_projects

    experiment, directory = _until(("synthesize", "verify"), config, run, implementation)
    export_projects(directory, output / experiment.name, console)


for verb in (firmware, estimate, support):
    app.command()(verb)


@app.command()
def emulate(
    network: Annotated[Path, typer.Argument(help="An exported emulator (.onnx) or a run directory.")],
    inputs: Annotated[list[Path], typer.Argument(help="ctapipe HDF5, sim_telarray or DigiCam zfits files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="ctapipe DL2 file to write.")],
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
    outside_domain: Annotated[
        bool, typer.Option("--outside-domain", help="Go on where events are unlike those of the training.")
    ] = False,
    accept: Annotated[
        float | None,
        typer.Option(help="Least gammaness (or energy in TeV) of accepted events.  [default: 0.5]"),
    ] = None,
    write: Annotated[Literal["all", "accepted", "images"], typer.Option(help="Of which events.")] = "all",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out files that cannot be read; exit code 1 then.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes.  [default: one for each processor]")
    ] = None,
) -> None:
    """Run the firmware's emulator over events and write its answers; goes on where it was ended."""
    from trigger_ml.pipeline.emulate import Write, emulate_files

    summary = emulate_files(
        network,
        inputs,
        output,
        overwrite=overwrite,
        outside_domain=outside_domain,
        accept=accept,
        write=Write(write),
        keep_going=keep_going,
        workers=workers,
    )
    for line in summary.lines():
        _say(line)
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def trace(
    run: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    event: Annotated[str, typer.Option(help="Row in the test set, or obs/event/tel.")],
    output: Annotated[Path | None, typer.Option(help="Folder.  [default: RUN/trace]")] = None,
) -> None:
    """Show one event layer by layer, through every backend; exit code 1 if one of them differs."""
    import trigger_ml.core.keras2  # noqa: F401 - before TensorFlow, whose start-up it keeps quiet
    from trigger_ml.pipeline.trace import print_trace, trace_run

    traced = trace_run(run, event, output, console)
    print_trace(traced.trace, console)
    for path in traced.files:
        _say(f"written to {path}")
    if traced.trace.first_difference:
        raise typer.Exit(1)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="The sweep's YAML file.", show_default=False)],
    directory: Annotated[Path | None, typer.Option("--run", help="Folder.  [default: runs/NAME]")] = None,
    point: Annotated[int | None, typer.Option(help="Run one point only (SLURM array).")] = None,
    base: Annotated[bool, typer.Option("--base", help="Run only what all points share.")] = False,
    collect: Annotated[bool, typer.Option("--collect", help="Only make table and figure.")] = False,
) -> None:
    """Try a grid of configuration values; leaves one table and one figure."""
    from trigger_ml.studies import sweep as sweeps
    from trigger_ml.studies.table import write_summary

    settings, experiment = sweeps.load_sweep(config)
    target = directory or Path("runs") / settings.name
    grid = sweeps.points(settings, experiment)
    if base:
        sweeps.run_base(settings, experiment, target, console)
        return
    if point is not None:
        if not 0 <= point < len(grid):
            raise typer.BadParameter(f"the grid has points 0 to {len(grid) - 1}", param_hint="--point")
        sweeps.run_point(settings, grid[point], target, console)
        return
    failures = {} if collect else sweeps.run_sweep(settings, experiment, target, console)
    if sweeps.finished(settings, grid, target) or collect:
        table, figure = write_summary(settings, grid, target)
        _say(f"table {table}")
        if figure is not None:
            _say(f"figure {figure}")
        elif settings.until in ("evaluate", "report"):
            _say("no figure: the points' tasks have no figure of merit in common")
        else:
            _say(f"no figure: the points end with {settings.until}, before they are evaluated")
    for index, reason in failures.items():
        _say(f"point {index} failed: {reason}")
    if failures:
        raise typer.Exit(1)


@app.command()
def reconstruct(
    config: Annotated[Path, typer.Argument(help="The study's YAML file.", show_default=False)],
    directory: Annotated[Path | None, typer.Option("--run", help="Folder.  [default: runs/NAME]")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Published performance to lay over: GADF FITS, or a table or folder.")
    ] = None,
) -> None:
    """Run type, energy and direction on the same events; leaves their joint instrument response."""
    from trigger_ml.studies import reconstruction as studies

    study, experiment = studies.load_reconstruction(config)
    run = studies.reconstruct(study, experiment, directory or Path("runs") / study.name, console)
    if reference is not None:
        from trigger_ml.report.study import write_study

        write_study(run.path, {task: run.path / task for task in TASKS}, reference)
    _say(f"report: {run.path / 'report.html'}")


app.command(name="hardware-check")(trigger_verbs.hardware_check)
app.command()(trigger_verbs.queue)


@app.command(name="schema")
def print_schema(
    of: Annotated[
        str, typer.Argument(help="`experiment`, `sweep`, `reconstruction` or `firmware`.")
    ] = "experiment",
) -> None:
    """Print the JSON schema of a configuration file."""
    from trigger_ml.studies.reconstruction import ReconstructionConfig
    from trigger_ml.studies.sweep import SweepConfig

    models: dict[str, type[Section]] = {
        "experiment": ExperimentConfig,
        "sweep": SweepConfig,
        "reconstruction": ReconstructionConfig,
        "firmware": IntakeConfig,
    }
    if of not in models:
        raise typer.BadParameter(f"one of {', '.join(models)}", param_hint="OF")
    sys.stdout.write(schema(models[of]) + "\n")


def _any_text() -> None:
    """Let output that the terminal's encoding lacks appear as `?`: no run is lost for a letter."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: every error becomes one line and an exit code; `--debug` may stand anywhere."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = ["--debug"] * debug + [word for word in given if word != "--debug"]
    _any_text()
    try:
        try:
            app(given)
        finally:
            sys.stdout.flush()
    except Exception as error:
        told = explain(error, "trigger-ml")
        if debug:
            traceback.print_exception(error)
        if isinstance(error, OSError):
            # the output cannot be written: nothing is left for the interpreter to try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        text = f"[red]error:[/red] {escape(str(told))}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True, emoji=False)
        sys.exit(told.exit_code)
