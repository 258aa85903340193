"""The kernel alone: H from weights to matrix, by everyone who can.

Peers compute it at the problem's start, from cold solves. widedeq has no command that does only
that, so an epoch of `train --gram-every 1` stands for it: both solves, from a warm start, H and,
which the others need not do, gradient, update, two eigendecompositions and an estimate of ||A||.
What the warm start saves, the rest about makes up for; ratios near one say little. What of it the
Gram costs is that epoch less one without a Gram. The Gram of an epoch runs while the next epoch
does, which must wait for its end, so every epoch but the first pays for exactly one.
"""

import shutil

import numpy as np

import checks
import machine
from contender import WorkerProcess

PEERS = {
    "Jacobian contraction (JAX)": ("jacobian", {}),
    "PyTorch loop, closed form": ("torch", {"warm": False}),
    "JAX, closed form": ("jax", {"warm": False}),
}
REPEATS = 5


def widedeq_rows(widedeq, problem, plan, scratch):
    rows = []
    for precision in widedeq.precisions():
        out = scratch / f"kernel-{precision}"
        seconds, foreign_cores = {}, []
        for gram_every in (0, 1):
            machine.wait_until_quiet(plan.patience)
            with machine.ForeignLoad(machine.children_seconds) as load:
                records = widedeq.epochs(problem, out, precision, 2 + REPEATS, gram_every)
            foreign_cores.append(load.cores)
            seconds[gram_every] = float(np.median([record["seconds"] for record in records[2:]]))
            shutil.rmtree(out)
        solution = widedeq.solve(
            problem, problem.directory / "weights.npz", scratch / "kernel.npz", precision
        )
        rows.append(
            {
                "title": f"widedeq {precision}, an epoch with a Gram",
                "seconds": seconds[1],
                "gram_seconds": seconds[1] - seconds[0],
                "disturbed": max(foreign_cores) >= machine.DISTURBED,
                "H": solution["ntk"],
            }
        )
    return rows


def peer_row(title, library, options, problem, plan, scratch):
    worker = WorkerProcess(problem, library, options, problem.tolerance, plan.threads, scratch)
    worker.ntk()
    machine.wait_until_quiet(plan.patience)
    seconds = []
    with machine.ForeignLoad(lambda: machine.process_seconds(worker.process.pid)) as load:
        for _ in range(REPEATS):
            H, taken = worker.ntk()
            seconds.append(taken)
    worker.close()
    return {
        "title": title,
        "seconds": float(np.median(seconds)),
        "gram_seconds": None,
        "disturbed": load.cores >= machine.DISTURBED,
        "H": H,
    }


def run(widedeq, problem, plan, scratch, truth=None):
    """One row for everyone; values are compared with `truth`, or else widedeq's in fp32."""
    rows = widedeq_rows(widedeq, problem, plan, scratch)
    if truth is None:
        truth = rows[-1]["H"]
    for title, (library, options) in PEERS.items():
        rows.append(peer_row(title, library, options, problem, plan, scratch))
    for row in rows:
        row["difference"] = checks.kernel_difference(row.pop("H"), truth)
        row["failures"] = []
        if not row["difference"] <= checks.KERNEL_TOLERANCE:
            row["failures"].append(f"differs by {row['difference']:.2g}")
    return rows
