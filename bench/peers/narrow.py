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
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

BEGAN = time.monotonic()
import checks
import compare
import contender as contenders_module
import lineup
import machine
import problem as problems
import reference
import report
import turns
import widedeq_runner
from contender import Peer

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


# ---- processes that cannot hang


class WorkerProcess(contenders_module.WorkerProcess):
    limit = START_LIMIT

    def ask(self, request, **arguments):
        if self.process.poll() is None:
            try:
                print(
                    json.dumps({"do": request, **arguments}), file=self.process.stdin, flush=True
                )
            except BrokenPipeError:
                pass
        ready, _, _ = select.select([self.process.stdout], [], [], self.limit)
        if not ready:
            self.process.kill()
            self.process.wait()
            raise contenders_module.WorkerError(f"no answer to '{request}' in {self.limit:.0f} s")
        answer = self.process.stdout.readline()
        if not answer:
            raise contenders_module.WorkerError(
                f"the worker died with exit code {self.process.wait()}"
            )
        return json.loads(answer)


class Widedeq(widedeq_runner.Widedeq):
    def call(self, *arguments):
        process = machine.start(
            [self.binary, *arguments],
            self.threads,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            output, errors = process.communicate(timeout=max(20.0, time_left()))
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0:
            raise widedeq_runner.WidedeqError(
                f"widedeq {arguments[0]} ended with {process.returncode}: {errors}"
            )
        return output


# ---- the truth


def true_losses(problem, plan):
    """{epoch: loss}, or None above the reference's width; and where they come from."""
    if problem.width > compare.REFERENCE_WIDTH:
        return None, "median of all"
    truth = reference.Reference(problem)
    epochs = range(plan.warm_ups + plan.epochs)
    return {epoch: truth.epoch() for epoch in epochs}, "float64 reference"


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


def end(contender):
    try:
        if isinstance(contender, Peer):
            contender.worker.process.kill()
            contender.worker.process.wait()
        elif contender.out.exists():
            contender.end()
    except Exception:
        traceback.print_exc()


def start(contender):
    if isinstance(contender, Peer):
        contender.worker = WorkerProcess(
            contender.problem, contender.library, contender.options, contender.tolerance,
            contender.plan.threads, contender.scratch,
        )  # fmt: skip


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
    time.sleep(turns.PAUSE)
    machine.wait_until_quiet(contender.plan.patience)
    if isinstance(contender, Peer):
        expected = count * contender.records[-1]["seconds"]
        contender.worker.limit = max(20.0, 4.0 * expected)
    own, clock = contender.own_seconds(), time.perf_counter()
    with machine.ForeignLoad(contender.own_seconds) as load:
        records = contender.turn(count)
    wall = time.perf_counter() - clock
    block = {
        "foreign_cores": load.cores,
        "own_cores": (contender.own_seconds() - own) / wall,
        "wall": wall,
        "epochs": records,
    }
    middle = sorted(record["seconds"] for record in records)[len(records) // 2]
    say(
        f"{contender.title}: {len(records)} epochs, median {middle:.4f} s, turn {wall:.1f} s, "
        f"own cores {block['own_cores']:.1f}, others' {load.cores:.2f}"
    )
    return block


def take_turns(contenders, plan, note):
    """Results of those that held out, not yet judged; those that did not; the plan kept to."""
    broken = []
    alive = [c for c in contenders if attempt(broken, c, lambda c=c: start(c) or True)]
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
    try:
        document = compare.provenance(OPTIONS, widedeq)
    except FileNotFoundError:  # no git
        document = {"machine": machine.description(), "commit": None, "widedeq": widedeq.info()}
    try:
        lscpu = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        lscpu = ""
    document["narrowed"] = {
        "by": "narrow.py: warm contenders, no trials, no kernel alone",
        "disturbed_from_cores": machine.DISTURBED,
        "lscpu": [line for line in lscpu.splitlines() if not line.startswith("Vuln")],
        "affinity": sorted(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    return document


def main():
    global OPTIONS
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    OPTIONS = parse_arguments()
    machine.DISTURBED = max(machine.DISTURBED, 0.05 * OPTIONS.threads)
    if not OPTIONS.cold:
        lineup.HAND_WRITTEN = {
            title: (library, its) for title, (library, its) in lineup.HAND_WRITTEN.items()
            if its["warm"]
        }  # fmt: skip
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
            everyone = lineup.make_contenders(problem, plan, widedeq, TORCHDEQ, scratch)
            results, broken, plan = take_turns(everyone, plan, note)
            checks.check_residuals(results, problem.tolerance)
            truth = None
            if results:
                truth, source = true_losses(problem, plan)
                checks.check_losses(results, truth)
                document["narrowed"]["losses_against"] = source
                say(f"losses compared: {source}")
                print(report.section(case, results, plan.gram_every), flush=True)
        finally:
            for contender in everyone:
                worker = getattr(contender, "worker", None)
                if worker is not None and worker.process.poll() is None:
                    worker.process.kill()
                    worker.process.wait()
    document["trials"], document["kernel"] = [], []
    document["cases"] = [
        {
            "case": case.name,
            "width": problem.width,
            "samples": problem.samples,
            "inputs": problem.inputs.shape[1],
            "learning_rate": problem.learning_rate,
            "sections": [
                {"gram_every": plan.gram_every, "contenders": results, "broken": broken}
            ],
        }
    ]
    OPTIONS.out.write_text(json.dumps(document, indent=1) + "\n")
    for one in broken:
        print(f"BROKEN {one['title']}: {one['error']}")
    say(f"every epoch and check: {OPTIONS.out}")
    return 1 if broken or not results or any(result["failures"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
