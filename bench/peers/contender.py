"""Whoever takes turns: a peer in its worker process, or widedeq as whole runs of its command.

Both have

    begin()             gets ready, warm-up epochs included
    begin_again()       the same, all that has been forgotten
    turn(count)         trains; returns the epoch records that count as measured
    own_seconds()       CPU time spent so far, to tell it from other people's
    losses()            {epoch: loss} of all epochs so far
    residuals()         the worst sample's true relative residual, forward and adjoint
    end()
"""

import json
import select
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import machine
import reference


class WorkerProcess:
    """worker.py, and what is said to it."""

    limit = None  # seconds that an answer may take; None: as many as it wants

    def __init__(self, problem, library, options, tolerance, threads, scratch):
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        specification = scratch / "specification.json"
        specification.write_text(
            json.dumps(
                {
                    "problem": str(problem.directory),
                    "library": library,
                    "options": options,
                    "tolerance": tolerance,
                    "threads": threads,
                }
            )
        )
        self.process = machine.start(
            [sys.executable, Path(__file__).with_name("worker.py"), specification],
            threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request, **arguments):
        try:
            print(json.dumps({"do": request, **arguments}), file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], self.limit)[0]:
                self.kill()
                raise WorkerError(f"no answer to '{request}' in {self.limit:.0f} s")
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise WorkerError(f"the worker died with exit code {self.process.wait()}")
        return json.loads(answer)

    def solution(self):
        path = self.scratch / "solution.npz"
        self.ask("solution", path=str(path))
        with np.load(path) as arrays:
            solution = dict(arrays)
        path.unlink()
        return solution

    def ntk(self):
        """The kernel and the seconds it took."""
        path = self.scratch / "ntk.npy"
        seconds = self.ask("ntk", path=str(path))["seconds"]
        return np.load(path), seconds

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


class WorkerError(Exception):
    """A worker process ended before it was told to, its traceback is on standard error; or it took
    too long."""


class Peer:
    def __init__(self, title, problem, library, options, plan, scratch, tolerance=None):
        self.title, self.plan = title, plan
        self.library, self.options = library, options
        self.problem, self.scratch = problem, scratch
        self.tolerance = tolerance or problem.tolerance
        self.records = []

    def start(self):
        """Starts the worker, which takes a while to be ready."""
        self.worker = WorkerProcess(
            self.problem,
            self.library,
            self.options,
            self.tolerance,
            self.plan.threads,
            self.scratch,
        )

    def begin(self):
        self.start()
        self.versions = self.worker.ask("versions")
        self.turn(self.plan.warm_ups)

    def turn(self, count):
        records = self.worker.ask("epochs", count=count, gram_every=self.plan.gram_every)
        self.records += records
        return records

    def own_seconds(self):
        return machine.process_seconds(self.worker.process.pid)

    def losses(self):
        return {record["epoch"]: record["loss"] for record in self.records}

    def residuals(self):
        """Of the solution at the final weights, found as the next epoch would find it."""
        problem = self.problem
        return reference.residuals(self.worker.solution(), problem.inputs, problem.gamma)

    def end(self):
        self.worker.close()

    def begin_again(self):
        self.end()
        self.records = []
        self.begin()


class WidedeqRuns:
    """Every turn is one whole run from the start: as many epochs as a peer has in all, of which
    those after the warm-ups count. Going on from saved weights would need warm-ups every turn."""

    def __init__(self, precision, problem, widedeq, plan, scratch):
        self.title = f"widedeq {precision}"
        self.precision, self.problem, self.widedeq, self.plan = precision, problem, widedeq, plan
        self.tolerance = problem.tolerance
        self.out = scratch
        self.versions = {}
        self.records = []

    def begin(self):
        pass

    def begin_again(self):
        pass

    def turn(self, count):
        del count
        if self.out.exists():
            shutil.rmtree(self.out)
        self.records = self.widedeq.epochs(
            self.problem,
            self.out,
            self.precision,
            self.plan.warm_ups + self.plan.epochs,
            self.plan.gram_every,
        )
        return self.records[self.plan.warm_ups :]

    def own_seconds(self):
        return machine.children_seconds()

    def losses(self):
        return {record["epoch"]: record["loss"] for record in self.records}

    def residuals(self):
        """The larger of two. One is measured here, of what `widedeq solve` finds at the weights
        that the last run saved: the solver that training uses, but started cold. The other is
        widedeq's own report: states that go from epoch to epoch cannot be had from outside, but
        `train` audits them, in double and from nothing but weights and Z, in the last epoch at
        least, and says what it found before it mended anything."""
        solution = self.widedeq.solve(
            self.problem, self.out / "weights.npz", self.out / "solution.npz", self.precision
        )
        measured = reference.residuals(solution, self.problem.inputs, self.problem.gamma)
        return tuple(
            max([residual, *(record.get(f"audit_{which}", 0.0) for record in self.records)])
            for residual, which in zip(measured, ("forward", "adjoint"), strict=True)
        )

    def end(self):
        shutil.rmtree(self.out)
