"""The command line's verbs about the camera's trigger, which `cli` offers."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["hardware_check", "queue"]


def hardware_check(
    file: Annotated[Path, typer.Argument(help="Raw DigiCam file (zfits).", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Document to write.")] = Path(
        "hardware-check.json"
    ),
    threshold7: Annotated[
        int | None, typer.Option(help="Least sum of 7 patches that fires.  [default: found in the file]")
    ] = None,
    threshold19: Annotated[
        int | None,
        typer.Option(help="Least sum of 19 patches that fires.  [default: found in the file]"),
    ] = None,
) -> None:
    """Compare the emulated level 0 with the recorded trigger; exit code 1 if one contradicts the other."""
    from trigger_ml.core.documents.base import write
    from trigger_ml.core.documents.hardware import HARDWARE_CHECK
    from trigger_ml.report.hardware_terminal import print_hardware_check
    from trigger_ml.trigger.hardware_check import check_hardware

    found = check_hardware(file, threshold7, threshold19)
    write(output, HARDWARE_CHECK, found)
    print_hardware_check(found, Console(emoji=False))
    typer.echo(f"written to {output}")
    if not found.agrees:
        raise typer.Exit(1)


def queue(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory whose network decides.", show_default=False)
    ] = None,
    interval: Annotated[
        int | None, typer.Option(help="Clocks between events of the network.  [default: the run's]")
    ] = None,
    latency: Annotated[
        int | None, typer.Option(help="Clocks from an event to its decision.  [default: the run's]")
    ] = None,
    clock: Annotated[float | None, typer.Option(help="MHz.  [default: the run's clock period]")] = None,
    depth: Annotated[int, typer.Option(help="Events that the FIFO before the network holds.")] = 16,
    level0: Annotated[int, typer.Option(help="Clocks that level 0 takes.")] = 0,
    ring: Annotated[
        int | None, typer.Option(help="Clocks for which samples are kept.  [default: for ever]")
    ] = None,
    dead_time: Annotated[int, typer.Option(help="Clocks that the read-out takes for an event.")] = 0,
    accepted: Annotated[float, typer.Option(help="Part of the events that the network accepts.")] = 1.0,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", help="Hz of level 0; may be repeated.  [default: 1 kHz to 2 MHz]"),
    ] = None,
    events: Annotated[int, typer.Option(help="Events simulated at each rate.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Of the random arrivals.")] = 1,
    output: Annotated[Path, typer.Option("--output", "-o", help="Document to write.")] = Path("queue.json"),
) -> None:
    """Follow events through FIFO, network and read-out: throughput, losses and latency against rate."""
    from trigger_ml.core.documents.base import write
    from trigger_ml.core.documents.queue import QUEUE
    from trigger_ml.studies.read_out import RATES, NetworkClocks, print_queue, queue_over_rates
    from trigger_ml.trigger.queueing import ReadOut

    network = NetworkClocks.choose(run, interval, latency, clock)
    path = ReadOut(network.interval, network.latency, depth, level0, ring, dead_time, accepted)
    found = queue_over_rates(path, network, rates or RATES, events, seed)
    write(output, QUEUE, found)
    print_queue(found, Console(emoji=False))
    typer.echo(f"written to {output}")
