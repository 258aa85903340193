"""Results as Markdown."""


def verdict(result):
    return "FAILED: " + "; ".join(result["failures"]) if result["failures"] else "passed"


def ratio(result, base, figure="seconds"):
    """How many times as long as widedeq; nothing for a contender that failed or was disturbed."""
    if result["failures"] or base is None:
        return "-"
    if result["disturbed"] or base["disturbed"]:
        return "disturbed"
    return f"{result[figure] / base[figure]:.2f}"


def duration(seconds):
    return f"{1e3 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.2f} s"


def table(header, rows):
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


def base_of(results):
    """What ratios are to: the first widedeq that passed, mixed where the machine has it."""
    passed = (result for result in results if not result["failures"])
    return next((result for result in passed if result["title"].startswith("widedeq")), None)


def section(case, results, gram_every):
    base = base_of(results)
    what = f"with a Gram every {gram_every} epochs" if gram_every else "no Gram"
    rows = [
        [
            result["title"],
            duration(result["seconds"]),
            " to ".join(duration(quartile) for quartile in result["quartiles"]),
            duration(result["mean"]),
            f"{result['samples']}",
            f"{result['sweeps_forward']:.0f} + {result['sweeps_adjoint']:.0f}",
            f"{result['residual_forward']:.1e}, {result['residual_adjoint']:.1e}",
            ratio(result, base),
            ratio(result, base, "mean"),
            verdict(result),
        ]
        for result in results
    ]
    header = [
        "contender", "median epoch", "quartiles", "mean", "samples", "products", "residuals",
        f"x {base['title'] if base else 'widedeq'}", "by means", "checks",
    ]  # fmt: skip
    disturbed = sum(result["disturbed_blocks"] for result in results)
    turns = sum(len(result["blocks"]) for result in results)
    note = f"\nOther work disturbed {disturbed} of {turns} turns.\n"
    return f"## {case.title()}: {what}\n\n" + table(header, rows) + note


def trials(attempts):
    rows = [
        [
            attempt["title"],
            f"{attempt['tolerance']:.2g}",
            duration(attempt["seconds"]),
            f"{attempt['sweeps_forward']} + {attempt['sweeps_adjoint']}",
            f"{attempt['residual_forward']:.1e}, {attempt['residual_adjoint']:.1e}",
            verdict(attempt),
        ]
        for attempt in attempts
    ]
    header = ["solver", "tolerance given", "an epoch", "products", "residuals", "checks"]
    return "## torchdeq's solvers, tried on digits\n\n" + table(header, rows)


def kernel(case, rows):
    base = base_of(rows)
    cells = [
        [
            row["title"],
            duration(row["seconds"]),
            "-" if row["gram_seconds"] is None else duration(row["gram_seconds"]),
            ratio(row, base),
            f"{row['difference']:.1e}",
            verdict(row),
        ]
        for row in rows
    ]
    header = ["contender", "weights to H", "of it the Gram", "ratio", "difference", "checks"]
    note = "\nwidedeq's time includes an update and eigenvalues; the others' solves are cold.\n"
    return f"## The kernel alone: {case.title()}\n\n" + table(header, cells) + note
