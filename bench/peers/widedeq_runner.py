"""widedeq takes part as it is: the command `widedeq train`, timed by its own metrics.jsonl."""

import json
import shutil
import subprocess

import numpy as np

import machine


class WidedeqError(Exception):
    """The command did not end well."""


class Widedeq:
    def __init__(self, binary, threads):
        self.binary, self.threads = binary, threads

    def limit(self):
        """The seconds that a call may take; None: as many as it wants."""

    def call(self, *arguments):
        process = machine.start(
            [self.binary, *arguments],
            self.threads,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            output, errors = process.communicate(timeout=self.limit())
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0:
            raise WidedeqError(f"widedeq {arguments[0]} ended with {process.returncode}: {errors}")
        return output

    def info(self):
        """What `widedeq info` says, as a dictionary."""
        pairs = (line.partition(" ") for line in self.call("info").splitlines())
        return {name: value.strip() for name, _, value in pairs if name}

    def precisions(self):
        """Those compared that this machine has; mixed first."""
        available = self.info()["precisions"].split(", ")
        return [precision for precision in ("mixed", "fp32") if precision in available]

    def train(self, problem, out, *options):
        """All records of metrics.jsonl."""
        self.call(
            "train",
            *("--data", f"npy:{problem / 'inputs.npy'},{problem / 'targets.npy'}"),
            *("--weights", problem / "weights.npz"),
            *("--backend", "cpu", "--threads", self.threads, "--out", out, *options),
        )
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def learning_rate(self, problem, gamma, scratch):
        """1/lambda_max(H(0)), as `--learning-rate auto` finds it; the same number for everyone."""
        out = scratch / "learning-rate"
        records = self.train(
            problem, out, "--gamma", gamma, "--precision", "fp32",
            "--epochs", 1, "--gram-every", 0, "--learning-rate", "auto",
        )  # fmt: skip
        shutil.rmtree(out)
        return next(record for record in records if record["kind"] == "run")["learning_rate"]

    def epochs(self, problem, out, precision, count, gram_every):
        """The epoch records of one run from the problem's start; its directory stays."""
        records = self.train(
            problem.directory, out,
            "--gamma", problem.gamma, "--tolerance", problem.tolerance, "--precision", precision,
            "--epochs", count, "--gram-every", gram_every,
            "--learning-rate", repr(problem.learning_rate),
        )  # fmt: skip
        return [record for record in records if record["kind"] == "epoch"]

    def solve(self, problem, weights, out, precision):
        """What `widedeq solve` finds at the given weights: Z, adjoint, ntk, ..."""
        self.call(
            "solve", "--weights", weights, "--inputs", problem.directory / "inputs.npy",
            "--gamma", problem.gamma, "--tolerance", problem.tolerance, "--precision", precision,
            "--backend", "cpu", "--threads", self.threads, "--out", out,
        )  # fmt: skip
        with np.load(out) as arrays:
            solution = {name: arrays[name] for name in ("Z", "adjoint", "ntk")}
        out.unlink()
        with np.load(weights) as arrays:
            return solution | {name: arrays[name] for name in ("A", "W", "u", "v")}
