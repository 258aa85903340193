"""Everyone on a network of m = 64, n = 16 against float64 NumPy, and the checks against cheats.

A line for every check; the last says how many passed. Nothing is timed.
"""

import os
import shutil

import numpy as np

import checks
import kernels
import lineup
import problem as problems
import reference
import trials
from contender import Peer
from turns import Plan, take_turns

EIGENVALUE_TOLERANCE = 1e-5  # of lambda_max: the kernel is formed in single precision


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, condition, what):
        print(f"{'ok    ' if condition else 'FAILED'} {what}", flush=True)
        if condition:
            self.passed += 1
        else:
            self.failed += 1

    def expect_passed(self, result):
        self.expect(not result["failures"], "; ".join([result["title"], *result["failures"]]))


def train_all(problem, plan, widedeq, torchdeq, scratch, tally):
    """Losses, residuals and, with a Gram, its extreme eigenvalues."""
    results = take_turns(lineup.make_contenders(problem, plan, widedeq, torchdeq, scratch), plan)
    truth = reference.Reference(problem)
    losses, extremes = {}, {}
    for epoch in range(plan.warm_ups + plan.epochs):
        if plan.gram_every and epoch % plan.gram_every == 0:
            extremes[epoch] = np.linalg.eigvalsh(truth.gram())[[0, -1]]
        losses[epoch] = truth.epoch()
    checks.check_residuals(results, problem.tolerance)
    checks.check_losses(results, losses)
    for result in results:
        for record in [record for block in result["blocks"] for record in block["epochs"]]:
            # widedeq has records of their own for its Grams. Turns beyond the plan, which a busy
            # machine brings, are not in the reference.
            if "lambda_min" not in record or record["epoch"] not in extremes:
                continue
            smallest, largest = extremes[record["epoch"]]
            error = max(abs(record["lambda_min"] - smallest), abs(record["lambda_max"] - largest))
            if not error <= EIGENVALUE_TOLERANCE * largest:
                result["failures"].append(f"eigenvalues of epoch {record['epoch']} are wrong")
        tally.expect_passed(result)


def expect_cheats_found(problem, plan, scratch, tally):
    """A loose tolerance, another learning rate and a wrong kernel must not pass."""
    losses = {}
    truth = reference.Reference(problem)
    for epoch in range(plan.warm_ups + plan.epochs):
        losses[epoch] = truth.epoch()

    loose = Peer("loose", problem, "torch", {"warm": False}, plan, scratch / "loose", 1e-4)
    (result,) = take_turns([loose], plan)
    checks.check_residuals([result], problem.tolerance)
    tally.expect(len(result["failures"]) == 2, "a tolerance of 1e-4 fails forward and adjoint")

    directory = scratch / "other-rate"
    shutil.copytree(problem.directory, directory)
    problems.finish(directory, 1.01 * problem.learning_rate)
    other = Peer(
        "other", problems.load(directory), "torch", {"warm": False}, plan, scratch / "other"
    )
    (result,) = take_turns([other], plan)
    checks.check_residuals([result], problem.tolerance)
    tally.expect(not result["failures"], "another learning rate solves as well")
    checks.check_losses([result], losses)
    tally.expect(len(result["failures"]) == 1, "another learning rate fails by its losses")

    H = reference.Reference(problem).gram()
    difference = checks.kernel_difference(1.001 * H, H)
    tally.expect(difference > checks.KERNEL_TOLERANCE, "a kernel 0.1 % too large fails")


def run(options, widedeq, scratch):
    # Times do not matter here, and threads that sleep while they wait get on with other work's.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    tally = Tally()
    plan = Plan(3, 6, 2, 0, options.threads, 0.0)
    problem = lineup.make_problem(problems.TINY, options.law, None, widedeq, scratch)
    truth = reference.Reference(problem).gram()

    expected = 1.0 / np.linalg.eigvalsh(truth)[-1]
    tally.expect(
        abs(problem.learning_rate - expected) <= 1e-5 * expected,
        "widedeq's learning rate is 1/lambda_max(H(0))",
    )
    attempts = trials.run(trials.all_options(), problem, plan, scratch / "trial")
    passed = [attempt for attempt in attempts if not attempt["failures"]]
    tally.expect(len(passed) == len(trials.all_options()), "every solver of torchdeq gets there")
    train_all(problem, plan, widedeq, passed, scratch, tally)
    train_all(problem, plan.with_gram(3), widedeq, [], scratch, tally)
    for row in kernels.run(widedeq, problem, plan, scratch / "kernel", truth):
        tally.expect_passed(row)
    expect_cheats_found(problem, plan, scratch, tally)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0
