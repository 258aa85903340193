"""One training epoch in widedeq and in other libraries, on this machine, from the same start.

    bench/peers/run --mnist DIR            everything: hours
    bench/peers/run --quick                digits, few epochs: minutes
    bench/peers/run --self-test            m = 64, n = 16, everyone against float64 NumPy

Prints Markdown and writes a JSON file with every epoch. Ends with 0 only if everyone passed.
"""

import argparse
import datetime
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import checks
import kernels
import lineup
import machine
import problem as problems
import reference
import report
import self_test
import trials
from turns import Plan, take_turns
from widedeq_runner import Widedeq

FULL = {"cases": ",".join(problems.CASES), "epochs": 20, "rounds": 3, "patience": 60.0}
QUICK = {"cases": "digits", "epochs": 5, "rounds": 1, "patience": 5.0}
# The widest network that the float64 reference trains in a minute.
REFERENCE_WIDTH = 1024


def parse_arguments():
    root = problems.REPOSITORY
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--widedeq", type=Path, default=root / "build/release/widedeq", help="the program")
    add("--cases", help=f"some of {FULL['cases']} [all; with --quick digits]")
    add("--mnist", type=Path, help="directory of the MNIST files; without it that case is skipped")
    add("--epochs", type=int, help="measured epochs [20; with --quick 5]")
    add("--warm-ups", type=int, default=3, help="epochs before those [%(default)s]")
    add("--rounds", type=int, help="turns that each contender takes [3; with --quick 1]")
    add("--gram-every", type=int, default=10, help="0: only without Gram [%(default)s]")
    add("--law", choices=("lattice", "gaussian"), default="lattice", help="of A [%(default)s]")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="[%(default)s]")
    add("--patience", type=float, metavar="S",
        help="seconds a turn waits for a quiet machine [60; with --quick 5]")  # fmt: skip
    add("--out", type=Path, default=root / "bench/results/cpu/peers.json", help="[%(default)s]")
    add("--scratch", type=Path, help="directory for large temporary files [the system's]")
    add("--quick", action="store_true", help="less of everything, and one solver of torchdeq")
    add("--self-test", action="store_true", help="everyone on a small network; no times")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    unknown = set(options.cases.split(",")) - set(problems.CASES)
    if unknown:
        parser.error(f"--cases: there is no {', '.join(sorted(unknown))}")
    if not 1 <= options.rounds <= options.epochs:
        parser.error("--rounds: at least one, and no more than --epochs")
    if options.warm_ups < 2:
        parser.error(
            "--warm-ups: two or more, for JAX compiles one function with a Gram, one without"
        )
    return options


def true_losses(problem, plan):
    if problem.width > REFERENCE_WIDTH:
        return None
    truth = reference.Reference(problem)
    return {epoch: truth.epoch() for epoch in range(plan.warm_ups + plan.epochs)}


def compare_epochs(case, problem, plan, widedeq, torchdeq, scratch):
    contenders = lineup.make_contenders(problem, plan, widedeq, torchdeq, scratch)
    results = take_turns(contenders, plan)
    checks.check_residuals(results, problem.tolerance)
    checks.check_losses(results, true_losses(problem, plan))
    print(report.section(case, results, plan.gram_every), flush=True)
    return {"gram_every": plan.gram_every, "contenders": results}


def case_document(name, problem, sections):
    """A case as it is written to the file."""
    return {
        "case": name,
        "width": problem.width,
        "samples": problem.samples,
        "inputs": problem.inputs.shape[1],
        "learning_rate": problem.learning_rate,
        "sections": sections,
    }


def compare_all(options, widedeq, scratch):
    plan = Plan(
        options.warm_ups, options.epochs, options.rounds, 0, options.threads, options.patience
    )
    plans = [plan] + ([plan.with_gram(options.gram_every)] if options.gram_every else [])
    document = {"trials": [], "kernel": [], "cases": []}

    digits = problems.CASES["digits"]
    problem = lineup.make_problem(digits, options.law, options.mnist, widedeq, scratch)
    candidates = trials.all_options()
    if options.quick:
        candidates = {
            title: its_options
            for title, its_options in candidates.items()
            if its_options["solver"] == "fixed_point_iter"
        }
    document["trials"] = trials.run(candidates, problem, plan, scratch / "trial")
    print(report.trials(document["trials"]), flush=True)
    torchdeq = trials.best(document["trials"])

    for name in options.cases.split(","):
        case = problems.CASES[name]
        try:
            problem = lineup.make_problem(case, options.law, options.mnist, widedeq, scratch)
        except problems.NoData as reason:
            print(f"## {case.title()}: SKIPPED, {reason}\n", flush=True)
            document["cases"].append({"case": name, "skipped": str(reason)})
            continue
        sections = [
            compare_epochs(case, problem, its_plan, widedeq, torchdeq, scratch)
            for its_plan in plans
        ]
        document["cases"].append(case_document(name, problem, sections))
        if case is digits:
            document["kernel"] = kernels.run(widedeq, problem, plan, scratch / "kernel")
            print(report.kernel(case, document["kernel"]), flush=True)
    return document


def provenance(options, widedeq):
    commit = machine.output_of(
        *("git", "-C", problems.REPOSITORY, "describe", "--always", "--dirty"),
        *("--abbrev=40", "--exclude", "*"),
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.description(),
        "commit": commit or None,
        "widedeq": widedeq.info(),
        # Without folders of this machine, which say nothing elsewhere.
        "settings": {
            name: value.name if isinstance(value, Path) else str(value)
            for name, value in vars(options).items()
        },
        "gamma": problems.GAMMA,
        "tolerance": problems.TOLERANCE,
        "seed": problems.SEED,
    }


def everyone_passed(document):
    results = [
        result
        for case in document["cases"]
        for section in case.get("sections", [])
        for result in section["contenders"]
    ]
    # Attempts that failed were repeated with less; that none passed is a failure.
    tried = bool(trials.best(document["trials"]))
    return tried and not any(result["failures"] for result in results + document["kernel"])


def print_heading(document):
    its_machine, widedeq = document["machine"], document["widedeq"]
    print(
        f"# Peers, {document['date']}\n\n"
        f"{its_machine['cpu']}, {document['settings']['threads']} threads; "
        f"commit {document['commit']}; {document['settings']['law']} weights, "
        f"gamma {document['gamma']}, tolerance {document['tolerance']:.0e}\n"
        f"widedeq {widedeq['version']}: {widedeq['cpu']}\n",
        flush=True,
    )


def main():
    # Ended from outside, it still ends its processes and removes its files.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = parse_arguments()
    if not options.widedeq.exists():
        sys.exit(f"compare: {options.widedeq} is not there; build it, or give --widedeq PATH")
    widedeq = Widedeq(options.widedeq, options.threads)
    with tempfile.TemporaryDirectory(prefix="widedeq-peers-", dir=options.scratch) as folder:
        if options.self_test:
            return self_test.run(options, widedeq, Path(folder))
        document = provenance(options, widedeq)
        print_heading(document)
        document.update(compare_all(options, widedeq, Path(folder)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"Every epoch and check: {options.out}")
    return 0 if everyone_passed(document) else 1


if __name__ == "__main__":
    sys.exit(main())
