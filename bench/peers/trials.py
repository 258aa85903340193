"""Which of torchdeq's solvers to compare with: each is tried, cold and warm, and the fastest taken.

Trials are held on one problem; how many products a solver needs hardly depends on the width. One
that misses the tolerance it was given is tried again with half of it, until what it reaches really
is the tolerance that everybody else reaches.
"""

import checks
import machine
from contender import Peer

SOLVERS = {
    "fixed_point_iter": {"solver": "fixed_point_iter"},
    "anderson": {"solver": "anderson"},
    # The default regularisation drowns the residuals; see torchdeq_peer.py.
    "anderson, lam 1e-12": {"solver": "anderson", "solver_options": {"lam": 1e-12}},
    "broyden": {"solver": "broyden"},
}
TIGHTENINGS = 4
WARM_UPS = 2
EPOCHS = 3


def all_options():
    """Every solver, cold and warm: {title: options of the worker}."""
    return {
        f"torchdeq {title}, {'warm' if warm else 'cold'}": {**solver, "warm": warm}
        for title, solver in SOLVERS.items()
        for warm in (False, True)
    }


def attempt(title, options, tolerance, problem, plan, scratch):
    peer = Peer(title, problem, "torchdeq", options, plan, scratch, tolerance)
    peer.begin()
    machine.wait_until_quiet(plan.patience)
    peer.turn(EPOCHS)
    measured = peer.records[-EPOCHS:]
    forward, adjoint = peer.residuals()
    peer.end()
    result = {
        "title": title,
        "options": options,
        "tolerance": tolerance,
        # The least, not the median: few epochs are to tell which is fastest, disturbed or not.
        "seconds": min(record["seconds"] for record in measured),
        "sweeps_forward": measured[-1]["sweeps_forward"],
        "sweeps_adjoint": measured[-1]["sweeps_adjoint"],
        "residual_forward": forward,
        "residual_adjoint": adjoint,
        "failures": [],
    }
    checks.check_residuals([result], problem.tolerance)
    return result


def run(options, problem, plan, scratch):
    """All attempts, those that failed included."""
    attempts = []
    for title, its_options in options.items():
        tolerance = problem.tolerance
        for _ in range(1 + TIGHTENINGS):
            attempts.append(attempt(title, its_options, tolerance, problem, plan, scratch))
            if not attempts[-1]["failures"]:
                break
            tolerance /= 2.0
    return attempts


def best(attempts):
    """The fastest attempt that passed; no attempt where none did."""
    passed = [attempt for attempt in attempts if not attempt["failures"]]
    return sorted(passed, key=lambda attempt: attempt["seconds"])[:1]
