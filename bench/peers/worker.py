"""One contender in a process of its own, which works when told to and sleeps otherwise.

    python worker.py SPECIFICATION.json

Requests come on standard input, answers go to standard output. Both are JSON, one object a line:

    {"do": "epochs", "count": 7, "gram_every": 10}    -> [{"epoch", "loss", "seconds", ...}, ...]
    {"do": "solution", "path": "x.npz"}               -> null; A, W, u, v, Z, adjoint in the file
    {"do": "ntk", "path": "x.npy"}                    -> {"seconds"}; the kernel in the file
    {"do": "versions"}                                -> {"library": "1.2.3"}

A contender is a class with

    Contender(problem, tolerance, threads, **options)
    epoch(gram)   one step; {"loss" before it, "sweeps_forward", "sweeps_adjoint"}, and with `gram`
                  "lambda_min" and "lambda_max"; returns when all work is done
    solution()    solves at the current weights as an epoch does and returns everything as arrays
    ntk()         the kernel at the current weights, from a cold start
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import problem as problems

CONTENDERS = {
    "torch": ("torch_loop", "TorchLoop"),
    "torchdeq": ("torchdeq_peer", "TorchDeq"),
    "jax": ("jax_peer", "Jax"),
    "jacobian": ("ntk_peer", "JacobianContraction"),
}


class Worker:
    def __init__(self, specification):
        module, name = CONTENDERS[specification["library"]]
        self.module = importlib.import_module(module)
        self.contender = getattr(self.module, name)(
            problems.load(specification["problem"]),
            specification["tolerance"],
            specification["threads"],
            **specification["options"],
        )
        self.next_epoch = 0

    def epochs(self, count, gram_every):
        records = []
        for _ in range(count):
            gram = gram_every > 0 and self.next_epoch % gram_every == 0
            start = time.perf_counter()
            record = self.contender.epoch(gram)
            record["seconds"] = time.perf_counter() - start
            records.append({"epoch": self.next_epoch, **record})
            self.next_epoch += 1
        return records

    def solution(self, path):
        np.savez(path, **self.contender.solution())

    def ntk(self, path):
        start = time.perf_counter()
        H = self.contender.ntk()
        seconds = time.perf_counter() - start
        np.save(path, H)
        return {"seconds": seconds}

    def versions(self):
        return self.module.versions()


def main():
    # Libraries print what they like to standard output; answers go through a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(json.loads(Path(sys.argv[1]).read_text()))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
