"""Turns: A B C A B C ..., so that whatever else the machine does hits everyone alike.

Every peer has a process of its own from beginning to end, which trains a block of epochs when it
is its turn and sleeps while others have theirs; compiled code and a warm start stay with it.
widedeq is a command, so its turn is a whole run (contender.WidedeqRuns). A turn waits until nobody
else keeps the machine busy, within limits, and the load that others made during it is measured.
Whoever has no undisturbed turn after all rounds gets more of them, as many again at most, from the
first epoch on, for later ones take less. Disturbed turns are left out of the statistics; of a
contender that has no others, the figure is shown without a ratio.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

import machine

# Idle OpenMP threads spin for some milliseconds before they sleep.
PAUSE = 0.2


@dataclass(frozen=True)
class Plan:
    """How long everyone trains."""

    warm_ups: int
    epochs: int
    rounds: int
    gram_every: int  # 0: no Gram
    threads: int
    patience: float

    def blocks(self):
        """Epochs of each turn. With a Gram, a turn is from one Gram to the next."""
        if self.gram_every:
            return [self.gram_every] * (self.epochs // self.gram_every)
        least, more = divmod(self.epochs, self.rounds)
        return [least + (index < more) for index in range(self.rounds)]

    def with_gram(self, gram_every):
        """The same with a Gram, its epochs rounded up to a multiple of the Gram's."""
        epochs = gram_every * math.ceil(self.epochs / gram_every)
        return Plan(self.warm_ups, epochs, self.rounds, gram_every, self.threads, self.patience)


def samples(records, gram_every):
    """Seconds an epoch: of every single one, or averaged from one Gram to the next."""
    seconds = np.array([record["seconds"] for record in records])
    return list(seconds.reshape(-1, gram_every).mean(axis=1) if gram_every else seconds)


def undisturbed(blocks):
    return [block for block in blocks if block["foreign_cores"] < machine.DISTURBED]


def measured_turn(contender, count, patience):
    """The records of a turn, and the load while it took place."""
    time.sleep(PAUSE)
    machine.wait_until_quiet(patience)
    with machine.ForeignLoad(contender.own_seconds) as load:
        records = contender.turn(count)
    return records, load


def take_turns(contenders, plan):
    """Trains all contenders; returns their results in the same order, not yet judged."""
    blocks = {contender.title: [] for contender in contenders}

    def take_turn(contender, count):
        records, load = measured_turn(contender, count, plan.patience)
        blocks[contender.title].append({"foreign_cores": load.cores, "epochs": records})

    for contender in contenders:
        contender.begin()
    for count in plan.blocks():
        for contender in contenders:
            take_turn(contender, count)
    for contender in contenders:
        if not undisturbed(blocks[contender.title]):
            contender.begin_again()
    for count in plan.blocks():
        for contender in contenders:
            if not undisturbed(blocks[contender.title]):
                take_turn(contender, count)
    return [finish(contender, blocks[contender.title], plan) for contender in contenders]


def finish(contender, blocks, plan):
    """The contender's result: its statistics and its residuals."""
    forward, adjoint = contender.residuals()
    contender.end()
    quiet = undisturbed(blocks)
    counted = [
        second for block in quiet or blocks for second in samples(block["epochs"], plan.gram_every)
    ]
    epochs = [record for block in blocks for record in block["epochs"]]
    quartiles = np.quantile(counted, (0.25, 0.5, 0.75))
    return {
        "title": contender.title,
        "seconds": quartiles[1],
        "mean": float(np.mean(counted)),
        "quartiles": [quartiles[0], quartiles[2]],
        "samples": len(counted),
        "disturbed_blocks": len(blocks) - len(quiet),
        "disturbed": not quiet,
        "sweeps_forward": float(np.median([record["sweeps_forward"] for record in epochs])),
        "sweeps_adjoint": float(np.median([record["sweeps_adjoint"] for record in epochs])),
        "tolerance": contender.tolerance,
        "residual_forward": forward,
        "residual_adjoint": adjoint,
        "versions": contender.versions,
        "losses": contender.losses(),
        "blocks": blocks,
        "failures": [],
    }
