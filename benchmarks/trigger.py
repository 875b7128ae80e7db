"""Speed of the trigger's emulation, on one core: events per second of processor time.

    python benchmarks/trigger.py FILE.fits.fz      # a raw DigiCam file with trigger inputs

Level 0 goes from all samples of a window in memory to its decision. The best of several turns counts; nothing
is compiled in a turn that counts. The queue follows random arrivals at a load of 0.64 and at an overload.
"""

import sys
import time
from pathlib import Path

from trigger_ml.events.trigger_record import read_trigger_records
from trigger_ml.instrument.digicam import digicam
from trigger_ml.trigger.level0 import Level0
from trigger_ml.trigger.queueing import ReadOut, simulate_queue

TURNS = 5
EVENTS = 640
THRESHOLD = 337
ARRIVALS = 2_000_000


def best(work, items):
    """Items per second of the processor."""
    work()
    seconds = []
    for _ in range(TURNS):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return items / min(seconds)


def level0(path):
    records = list(read_trigger_records(path))
    trigger = Level0(digicam().patches, THRESHOLD)
    repeats = max(EVENTS // len(records), 1)

    def work():
        for _ in range(repeats):
            for record in records:
                trigger.window(record.samples, record.baselines, record.unit)

    return best(work, repeats * len(records))


def queue(rate):
    path = ReadOut(1600, 1570, 8, ring=10_000, dead_time=2000, accepted=0.1)
    return best(lambda: simulate_queue(path, 250e6, rate, ARRIVALS, 1), ARRIVALS)


def main():
    print(f"level 0, windows of all pixels: {level0(Path(sys.argv[1])):,.0f} events per second")
    for rate in (1e5, 2e6):
        print(f"queue, level 0 at {rate:g} Hz: {queue(rate):,.0f} arrivals per second")


if __name__ == "__main__":
    main()
