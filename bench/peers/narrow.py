"""A shorter comparison, without a network: warm contenders of one case.

    python3 bench/peers/narrow.py --widedeq PROGRAM --case 4096 --threads 8 --out FILE.json

runs with the python that has numpy, torch, torchdeq and jax, of whatever versions. Everything is
compare.py's: problem, contenders, workers, statistics, checks, report. Different:

- No trials: torchdeq takes part with the solver that won every trial so far (fixed_point_iter,
  warm, at the tolerance itself); its residuals are checked as everyone's. No cold contenders
  (--cold brings them back), no kernel alone, and no Gram unless --gram-every says so.
- Workers start, and import, at the same time; they warm up and train one after the other.
- A contender that dies or hangs is noted under "broken"; the others go on.
- Fewer epochs if --seconds would not suffice. The file is written after every turn.
- Other people's work disturbs from 0.05 of the cores in use, which is compare.py's 0.1 on two.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

import checks
import compare
import lineup
import machine
import problem as problems
import report
import turns
import widedeq_runner
from contender import Peer

BEGAN = time.monotonic()
START_LIMIT = 45.0  # seconds for a worker to import
FEWEST_EPOCHS = 5
TORCHDEQ = [
    {
        "title": "torchdeq fixed_point_iter, warm",
        "options": {"solver": "fixed_point_iter", "warm": True},
        "tolerance": problems.TOLERANCE,
    }
]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--widedeq", type=Path, required=True)
    add("--case", choices=tuple(problems.CASES), required=True)
    add("--out", type=Path, required=True)
    add("--epochs", type=int, default=20)
    add("--warm-ups", type=int, default=3)
    add("--rounds", type=int, default=1)
    add("--gram-every", type=int, default=0)
    add("--law", choices=("lattice", "gaussian"), default="lattice")
    add("--threads", type=int, default=16)
    add("--patience", type=float, default=3.0)
    add("--seconds", type=float, default=86400.0, help="to be done in")
    add("--scratch", type=Path)
    add("--mnist", type=Path)
    add("--cold", action="store_true")
    options = parser.parse_args()
    options.threads = min(options.threads, len(os.sched_getaffinity(0)))
    return options


OPTIONS = None


def time_left():
    return OPTIONS.seconds - (time.monotonic() - BEGAN)


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


class Widedeq(widedeq_runner.Widedeq):
    def limit(self):
        return max(20.0, time_left())


# ---- turns, as turns.take_turns has them


def attempt(broken, contender, what):
    """What `what` returns; None, and a note, where it fails."""
    try:
        return what()
    except Exception as error:
        say(f"{contender.title}: BROKEN: {error}")
        traceback.print_exc()
        broken.append({"title": contender.title, "error": f"{type(error).__name__}: {error}"})
        end(contender)
        return None


def kill(contender):
    worker = getattr(contender, "worker", None)
    if worker is not None:
        worker.kill()


def end(contender):
    try:
        if isinstance(contender, Peer):
            kill(contender)
        elif contender.out.exists():
            contender.end()
    except Exception:
        traceback.print_exc()


def start(contender):
    if isinstance(contender, Peer):
        contender.start()
        contender.worker.limit = START_LIMIT
    return True


def imported(contender):
    if isinstance(contender, Peer):
        contender.versions = contender.worker.ask("versions")
    return True


def warm_up(contender):
    if isinstance(contender, Peer):
        contender.worker.limit = max(30.0, time_left())
        contender.turn(contender.plan.warm_ups)
        say(
            f"{contender.title}: {contender.versions}, warm-ups "
            + ", ".join(f"{record['seconds']:.3f}" for record in contender.records)
        )
    return True


def seconds_of(contenders):
    """Guesses at an epoch of everyone: a peer's last warm-up; widedeq's as shares of the fastest
    peer's, as they were on machines without AMX."""
    peers = [c.records[-1]["seconds"] for c in contenders if isinstance(c, Peer)]
    least = min(peers, default=1.0)
    guesses = {"widedeq mixed": 0.45 * least, "widedeq fp32": 0.8 * least}
    return {
        c.title: c.records[-1]["seconds"] if isinstance(c, Peer) else guesses.get(c.title, least)
        for c in contenders
    }


def fit(plan, contenders):
    """The plan with as many epochs as there is time for, five at least."""
    guesses = seconds_of(contenders)
    width = contenders[0].problem.width
    # Quiet before each turn; a solve, files and float64 products for each contender afterwards.
    reserve = sum(1.0 + (width / 4096.0) * 1.5 + 2.0 * guess for guess in guesses.values())
    whole_runs = sum(guesses[c.title] for c in contenders if not isinstance(c, Peer))
    fits = (time_left() - reserve - plan.warm_ups * whole_runs) / sum(guesses.values())
    epochs = max(min(plan.epochs, FEWEST_EPOCHS), min(plan.epochs, int(fits)))
    if plan.gram_every:
        epochs = plan.gram_every * max(1, epochs // plan.gram_every)
    say(f"guesses {({t: round(s, 4) for t, s in guesses.items()})}, time for {fits:.0f} epochs")
    plan = replace(plan, epochs=epochs)
    for contender in contenders:
        contender.plan = plan
    return plan, reserve


def take_turn(contender, count):
    if isinstance(contender, Peer):
        expected = count * contender.records[-1]["seconds"]
        contender.worker.limit = max(20.0, 4.0 * expected)
    records, load = turns.measured_turn(contender, count, contender.plan.patience)
    block = {
        "foreign_cores": load.cores,
        "own_cores": load.own_cores,
        "wall": load.wall,
        "epochs": records,
    }
    middle = sorted(record["seconds"] for record in records)[len(records) // 2]
    say(
        f"{contender.title}: {len(records)} epochs, median {middle:.4f} s, turn {load.wall:.1f} s, "
        f"own cores {load.own_cores:.1f}, others' {load.cores:.2f}"
    )
    return block


def take_turns(contenders, plan, note):
    """Results of those that held out, not yet judged; those that did not; the plan kept to."""
    broken = []
    alive = [c for c in contenders if attempt(broken, c, lambda c=c: start(c))]
    alive = [c for c in alive if attempt(broken, c, lambda c=c: imported(c))]
    say("workers ready")
    alive = [c for c in alive if attempt(broken, c, lambda c=c: warm_up(c))]
    if not alive:
        return [], broken, plan
    plan, reserve = fit(plan, alive)
    blocks = {c.title: [] for c in alive}

    def everyone(wanted):
        nonlocal alive
        for count in plan.blocks():
            for contender in list(alive):
                if not wanted(contender):
                    continue
                block = attempt(broken, contender, lambda: take_turn(contender, count))
                if block is None:
                    alive.remove(contender)
                else:
                    blocks[contender.title].append(block)
                note({"turns": blocks, "broken": broken})

    everyone(lambda contender: True)
    everyone(
        lambda contender: not turns.undisturbed(blocks[contender.title])
        and time_left() > reserve + blocks[contender.title][0]["wall"] + 1.0
    )
    results = []
    for contender in alive:
        if isinstance(contender, Peer):
            contender.worker.limit = max(10.0, min(45.0, time_left() + 5.0))
        result = attempt(
            broken, contender, lambda: turns.finish(contender, blocks[contender.title], plan)
        )
        if result is not None:
            results.append(result)
            note({"results": results, "turns": blocks, "broken": broken})
    say("residuals measured")
    return results, broken, plan


# ---- all of it


def provenance(widedeq):
    document = compare.provenance(OPTIONS, widedeq)
    lscpu = machine.output_of("lscpu").splitlines()
    document["narrowed"] = {
        "by": "narrow.py: warm contenders, no trials, no kernel alone",
        "disturbed_from_cores": machine.DISTURBED,
        "lscpu": [line for line in lscpu if not line.startswith("Vuln")],
        "affinity": sorted(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    return document


def main():
    global OPTIONS
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    OPTIONS = parse_arguments()
    machine.DISTURBED = max(machine.DISTURBED, 0.05 * OPTIONS.threads)
    widedeq = Widedeq(OPTIONS.widedeq, OPTIONS.threads)
    plan = turns.Plan(
        OPTIONS.warm_ups, OPTIONS.epochs, OPTIONS.rounds, 0, OPTIONS.threads, OPTIONS.patience
    )
    if OPTIONS.gram_every:
        plan = plan.with_gram(OPTIONS.gram_every)
    case = problems.CASES[OPTIONS.case]
    OPTIONS.out.parent.mkdir(parents=True, exist_ok=True)

    everyone = []
    document = {}

    def note(progress):
        text = json.dumps(document | {"unfinished": progress}, indent=1)
        OPTIONS.out.write_text(text + "\n")

    with tempfile.TemporaryDirectory(prefix="widedeq-peers-", dir=OPTIONS.scratch) as folder:
        scratch = Path(folder)
        try:
            document.update(provenance(widedeq))
            its_cpu = document["widedeq"].get("cpu")
            say(f"{OPTIONS.threads} threads; {document['machine']['cpu']}; {its_cpu}")
            problem = lineup.make_problem(case, OPTIONS.law, OPTIONS.mnist, widedeq, scratch)
            say(f"problem made, learning rate {problem.learning_rate!r}")
            everyone = lineup.make_contenders(
                problem, plan, widedeq, TORCHDEQ, scratch, cold=OPTIONS.cold
            )
            results, broken, plan = take_turns(everyone, plan, note)
            checks.check_residuals(results, problem.tolerance)
            if results:
                truth = compare.true_losses(problem, plan)
                source = "float64 reference" if truth else "median of all"
                checks.check_losses(results, truth)
                document["narrowed"]["losses_against"] = source
                say(f"losses compared: {source}")
                print(report.section(case, results, plan.gram_every), flush=True)
        finally:
            for contender in everyone:
                kill(contender)
    document["trials"], document["kernel"] = [], []
    section = {"gram_every": plan.gram_every, "contenders": results, "broken": broken}
    document["cases"] = [compare.case_document(case.name, problem, [section])]
    OPTIONS.out.write_text(json.dumps(document, indent=1) + "\n")
    for one in broken:
        print(f"BROKEN {one['title']}: {one['error']}")
    say(f"every epoch and check: {OPTIONS.out}")
    return 1 if broken or not results or any(result["failures"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
