"""The machine: how contenders are started on it, whether it is quiet, and what it is."""

import os
import platform
import resource
import subprocess
import time
from pathlib import Path

# Cores' worth of other people's work above which a block of epochs counts as disturbed, and below
# which a turn may begin.
DISTURBED = 0.1


def environment(threads):
    """One number of threads for every library that is asked by a variable."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    # JAX would look for accelerators and say so.
    return os.environ | {name: str(threads) for name in names} | {"JAX_PLATFORMS": "cpu"}


def start(command, threads, **arguments):
    """Starts a process on the first `threads` cores this one may use: XLA counts cores and obeys no
    variable, and everyone gets the same ones."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment(threads),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        **arguments,
    )


def busy_seconds():
    """CPU seconds that the cores this process may use have worked since boot, for anybody."""
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, _, counts = line.partition(" ")
        if name in mine:
            user, nice, system, _, _, irq, softirq, steal = map(int, counts.split()[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    """CPU seconds of a running process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    """CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class ForeignLoad:
    """Measures how many cores others kept busy: everything less what `own_seconds()` counts."""

    def __init__(self, own_seconds):
        self.own_seconds = own_seconds

    def __enter__(self):
        self.before = time.perf_counter(), busy_seconds(), self.own_seconds()
        return self

    def __exit__(self, *_):
        clock, busy, own = self.before
        self.wall = time.perf_counter() - clock
        busy, own = busy_seconds() - busy, self.own_seconds() - own
        self.own_cores = own / self.wall
        # Both counters tick in hundredths of a second.
        self.cores = max(0.0, busy - own - 0.02) / self.wall


def wait_until_quiet(patience):
    """Returns when others have done nothing for half a second, or after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        with ForeignLoad(lambda: 0.0) as load:
            time.sleep(0.5)
        if load.cores < DISTURBED or time.monotonic() > deadline:
            return


def output_of(*command):
    """What a command prints; nothing where it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def description():
    lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]

    def field(name):
        """Of the first processor; None where the system does not tell."""
        return next((value.strip() for key, _, value in lines if key.strip() == name), None)

    return {
        "cpu": field("model name") or platform.machine(),
        # Generations that go by one name: family 26 of AMD is Zen 5.
        "family": field("cpu family"),
        "model": field("model"),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
