"""What a comparison with a recorded trigger found, on the terminal."""

from rich.console import Console
from rich.table import Table

from trigger_ml.core.documents.hardware import Agreement, Clusters, HardwareCheck

__all__ = ["print_hardware_check"]

WORST = 5
"""Patches, and differences, that the terminal shows; the document has all."""


def _share(found: Agreement) -> str:
    if not found.compared:
        return "none"
    return f"{found.equal} of {found.compared} ({100 * found.equal / found.compared:.3f} %)"


def _outputs(size: int, found: Clusters) -> list[tuple[str, str]]:
    name = f"clusters of {size}"
    if found.threshold is None:
        return [(name, f"none of {found.bits} bits fired, sums up to {found.largest_quiet}")]
    source = "given" if found.given else "found in the even events"
    rows = [
        (name, f"{found.fired} of {found.bits} bits fired; threshold {found.threshold} ({source})"),
        ("", f"largest sum that was quiet {found.largest_quiet}, smallest that fired {found.smallest_fired}"),
    ]
    parts = [("hardware's inputs, even events", found.even), ("hardware's inputs, odd events", found.odd)]
    if found.emulated is not None:
        parts.append(("emulated from the samples", found.emulated))
    rows += [(f"  {what}", f"{part.missed} missed, {part.false} false") for what, part in parts]
    if found.decided is not None:
        rows.append(("  of these decided by the file", _share(found.decided)))
    return rows


def print_hardware_check(found: HardwareCheck, console: Console) -> None:
    """Print a summary, the worst patches, and what contradicts the rule."""
    rule, traces = found.rule, found.traces
    window = f"mean of the last {rule.window} samples, {rule.delay} clocks old, rounded down"
    events = f"{found.events}: {found.physics} physics, {found.clocked} clocked"
    clip = f"pixels are clipped to {rule.pixel_most} counts"
    if rule.pixel_most is None:
        clip = f"no pixel is clipped, up to {rule.largest_pixel} counts"
    rows = [
        ("events", f"{events}, of {found.samples} samples"),
        ("rule of the baseline", f"{window}; recorded for sample {rule.recorded_at}"),
        ("before patches are summed", clip),
        (f"inputs at sample {rule.recorded_at}, even events", _share(rule.derived)),
        (f"inputs at sample {rule.recorded_at}, odd events", _share(rule.confirmed)),
        ("inputs of physics events, best guess", _share(traces.physics)),
        ("inputs of clocked events, best guess", _share(traces.clocked)),
        ("largest difference", f"{traces.largest} counts"),
        ("decided by what the file holds, equal", _share(traces.decided)),
        ("not decided, one of the possible values", _share(traces.undecided)),
        *_outputs(7, found.patch7),
        *_outputs(19, found.patch19),
    ]
    if found.silent:
        rows.append(("patches that deliver nothing", f"{len(found.silent)}, not compared"))
    if found.saturated:
        rows.append(("saturated samples", str(found.saturated)))
    summary = Table.grid(padding=(0, 2))
    for row in rows:
        summary.add_row(*row)
    console.print(summary)

    worst = sorted(
        (row for row in found.patches if row.equal < row.compared),
        key=lambda row: (-row.unexplained, row.equal / row.compared),
    )[:WORST]
    if worst:
        table = Table("patch", "inputs", "equal", "unexplained", "largest difference", title="Worst patches")
        for patch in worst:
            cells = (patch.patch, patch.compared, patch.equal, patch.unexplained, patch.largest)
            table.add_row(*map(str, cells))
        console.print(table)
    for item in traces.differences[:WORST]:
        console.print(
            f"event {item.event_id}, patch {item.patch}, sample {item.sample}: hardware {item.hardware}, "
            f"possible {item.low} to {item.high}",
            highlight=False,
        )
    verdict = "nothing contradicts the rule" if found.agrees else "the hardware differs from the rule"
    console.print(verdict, highlight=False)
