"""Who takes part, and what they all start from."""

import problem as problems
from contender import Peer, WidedeqRuns

HAND_WRITTEN = {
    "PyTorch loop, cold": ("torch", {"warm": False}),
    "PyTorch loop, warm": ("torch", {"warm": True}),
    "JAX, cold": ("jax", {"warm": False}),
    "JAX, warm": ("jax", {"warm": True}),
}


def make_problem(case, law, mnist, widedeq, scratch):
    """The case, written once, with the learning rate that widedeq would take. Raises NoData."""
    directory = scratch / f"problem-{case.name}"
    if not directory.exists():
        problems.create(directory, case, law, mnist)
        problems.finish(directory, widedeq.learning_rate(directory, problems.GAMMA, scratch))
    return problems.load(directory)


def make_contenders(problem, plan, widedeq, torchdeq, scratch, *, cold=True):
    """widedeq in every precision, everything written by hand, without `cold` only what starts warm,
    and torchdeq as the given attempts of trials.py have it, unless there are Grams: it has no
    kernel."""
    contenders = [
        WidedeqRuns(precision, problem, widedeq, plan, scratch / f"widedeq-{precision}")
        for precision in widedeq.precisions()
    ]
    for title, (library, options) in HAND_WRITTEN.items():
        if cold or options["warm"]:
            contenders.append(Peer(title, problem, library, options, plan, scratch / title))
    for attempt in [] if plan.gram_every else torchdeq:
        title, options, tolerance = attempt["title"], attempt["options"], attempt["tolerance"]
        contenders.append(
            Peer(title, problem, "torchdeq", options, plan, scratch / title, tolerance)
        )
    return contenders
