"""How the time of an epoch grows with the width: `widedeq bench`, case by case, as one table.

    bench/scaling/run                                  everything: a quarter of an hour a round
    bench/scaling/run --widths 256,512 --samples 64    minutes
    bench/scaling/run --self-test                      the arithmetic, on made-up numbers

A case is a width and a number of threads, and has a process of its own; one runs at a time. Rounds
go through the widths upwards and downwards in turn, so that a drift of the machine's speed does not
fall on one width alone. Prints Markdown and writes a JSON file with every row of the bench. Ends
with 0 only if every check passed.
"""

import argparse
import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import self_test
import summary

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench/peers"))
import machine  # noqa: E402  needs the standard library alone

BENCH_SCHEMA = 2
# Bench's own code for a check that failed; its JSON file is there all the same.
CHECK_FAILED = 4


def numbers(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1 or len(set(values)) < len(values):
        raise ValueError
    return sorted(values)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--widedeq", type=Path, default=ROOT / "build/release/widedeq", help="the program")
    add("--widths", type=numbers, default=numbers("1024,2048,4096,8192,16384"), metavar="LIST",
        help="m [1024,2048,4096,8192,16384]")  # fmt: skip
    add("--samples", type=int, default=1000, help="n [%(default)s]")
    add("--threads", type=numbers, default=numbers("1,2"), metavar="LIST", help="[1,2]")
    add("--rounds", type=int, default=1, help="[%(default)s]")
    add("--max-seconds", type=float, default=30.0, metavar="S",
        help="of the bare product's row up to m = 4096; times (m/4096)^2 beyond [%(default)s]")  # fmt: skip
    add("--epochs", type=int, default=20, metavar="N",
        help="epochs timed, after three: the same ones in every case [%(default)s]")  # fmt: skip
    add("--patience", type=float, default=60.0, metavar="S",
        help="seconds a case waits for a quiet machine [%(default)s]")  # fmt: skip
    add("--out", type=Path, default=ROOT / "bench/results/cpu/scaling.json", help="[%(default)s]")
    add("--self-test", action="store_true", help="the arithmetic, on made-up numbers; no times")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    if options.threads[-1] > len(os.sched_getaffinity(0)):
        parser.error("--threads: more than there are cores")
    return options


def bench_command(options, m, threads, json_file):
    limit = options.max_seconds * max(1.0, (m / 4096.0) ** 2)
    return [
        options.widedeq, "bench", "--stages", "product,epoch", "--precision", "mixed",
        "--shapes", f"{m}x{options.samples}", "--threads", threads, "--backend", "cpu",
        "--max-seconds", f"{limit:g}", "--epochs", str(options.epochs), "--json", json_file,
    ]  # fmt: skip


def run_bench(command, threads):
    """Exit code, standard error, and how many cores others kept busy meanwhile."""
    with machine.ForeignLoad(machine.children_seconds) as load:
        process = machine.start(
            command, threads, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            errors = process.communicate()[1]
        except BaseException:
            process.kill()
            raise
    return process.returncode, errors.strip(), load.cores


def read_bench(json_file):
    document = json.loads(json_file.read_text())
    if document["schema"] != BENCH_SCHEMA:
        sys.exit(f"scaling: the bench's JSON has schema {document['schema']}, not {BENCH_SCHEMA}")
    return document


def measure(options, m, threads, round_number, scratch):
    """One case in one round, as summary.py describes it, with the bench's own document."""
    json_file = scratch / "bench.json"
    json_file.unlink(missing_ok=True)
    machine.wait_until_quiet(options.patience)
    command = bench_command(options, m, threads, json_file)
    code, errors, foreign_cores = run_bench(command, threads)
    document = read_bench(json_file) if json_file.exists() else None
    rows = {row["stage"]: row for row in document["rows"]} if document else {}
    failures = [f"{stage}: {row['failure']}" for stage, row in rows.items() if not row["ok"]]
    if code not in (0, CHECK_FAILED) or (len(rows) < 2 and not failures):
        failures.append(f"bench ended with {code}: {errors}")
    return {
        "m": m,
        "threads": threads,
        "round": round_number,
        "exit_code": code,
        "failures": failures,
        "foreign_cores": foreign_cores,
        "product": rows.get("product"),
        "epoch": rows.get("epoch"),
        "bench": document and {name: document[name] for name in document if name != "rows"},
    }


def measure_all(options, scratch):
    """Every measurement as it is made."""
    for round_number in range(options.rounds):
        for m in options.widths if round_number % 2 == 0 else reversed(options.widths):
            for threads in options.threads:
                print(f"round {round_number}: m = {m}, threads {threads}", file=sys.stderr)
                yield measure(options, m, threads, round_number, scratch)


def provenance(options):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["bench/scaling/run", *sys.argv[1:]]),
        "settings": {
            name: value.name if isinstance(value, Path) else value
            for name, value in vars(options).items()
        },
        "machine": machine.description(),
    }


def summarise(document, measurements):
    """Adds the figures, and from the bench what it says of itself and of the processor."""
    benches = [one["bench"] for one in measurements if one["bench"]]
    for name in ("version", "commit"):
        # More than one where the program was built anew meanwhile.
        document[name] = ", ".join(sorted({bench[name] for bench in benches})) or None
    if benches:
        document["machine"] |= benches[0]["machine"]
        # "cpu: 1 thread, oneDNN ...": the threads are the case's.
        document["libraries"] = benches[0]["backend"].partition(", ")[2]
    document["cases"] = summary.all_cases(measurements)
    document["fits"] = summary.all_fits(document["cases"])
    document["measurements"] = measurements


def save(document, path):
    """The whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(document, indent=1) + "\n")
    unfinished.replace(path)


def print_report(document):
    settings, its_machine = document["settings"], document["machine"]
    print(
        f"# Scaling, {document['date']}\n\n"
        f"{its_machine['cpu']}, {its_machine['cores']} cores; widedeq {document['version']} "
        f"({document['commit']}), {document.get('libraries', '')}\n"
        f"n = {settings['samples']}, mixed, rounds: {settings['rounds']}; "
        f"`{document['command']}`\n"
    )
    print(summary.report(document["cases"], document["fits"]))


def main():
    # Ended from outside, it still ends its process and removes its files.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = parse_arguments()
    if options.self_test:
        return self_test.main()
    if not options.widedeq.exists():
        sys.exit(f"scaling: {options.widedeq} is not there; build it, or give --widedeq PATH")
    document, measurements = provenance(options), []
    with tempfile.TemporaryDirectory(prefix="widedeq-scaling-") as folder:
        for measurement in measure_all(options, Path(folder)):
            measurements.append(measurement)
            # After every case: an hour's work is not lost with the last one.
            summarise(document, measurements)
            save(document, options.out)
    print_report(document)
    print(f"Every row: {options.out}")
    return 1 if any(case["failures"] for case in document["cases"]) else 0


if __name__ == "__main__":
    sys.exit(main())
