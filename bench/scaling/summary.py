"""Figures from what `widedeq bench` wrote: medians over rounds, the fitted exponent, Markdown.

The seconds of an epoch are the mean over those timed, since some of them hold an audit; their noise
is that of the median epoch.

A measurement is one case (a width, a number of threads) in one round:

    {"m", "threads", "round", "failures": [sentence, ...], "foreign_cores",
     "product": row, "epoch": row}       rows of the bench's JSON; null where there is none
"""

import math
import statistics

# Fits are over all widths, and over these, whose matrices no cache holds.
WIDE = 4096
# Cores' worth of other people's work above which a case counts as disturbed, as in bench/peers.
DISTURBED = 0.1


def fit(points):
    """Exponent b of seconds = a m^b and its standard error, by least squares in logarithms:

        b = Sxy/Sxx,   error^2 = sum of squared residuals / (N - 2) / Sxx

    None for what the number of points does not determine."""
    if len({m for m, _ in points}) < 2:
        return None, None
    x = [math.log(m) for m, _ in points]
    y = [math.log(seconds) for _, seconds in points]
    x_mean, y_mean = statistics.fmean(x), statistics.fmean(y)
    Sxx = sum((a - x_mean) ** 2 for a in x)
    exponent = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y)) / Sxx
    if len(points) < 3:
        return exponent, None
    squares = sum((b - y_mean - exponent * (a - x_mean)) ** 2 for a, b in zip(x, y))
    return exponent, math.sqrt(squares / (len(points) - 2) / Sxx)


def noise(rows):
    """The largest of the rounds' own noise and of half their spread; None where it is not known."""
    if any(row["noise"] is None for row in rows):
        return None
    seconds = [row["seconds_median"] for row in rows]
    spread = (max(seconds) - min(seconds)) / (2.0 * statistics.median(seconds))
    return max(spread, *(row["noise"] for row in rows))


def undisturbed(measurements):
    """Those that count: disturbed ones only where there are no others."""
    quiet = [one for one in measurements if one["foreign_cores"] < DISTURBED]
    return quiet or measurements


def summarise(measurements):
    """All rounds of one case. One that failed has no figures."""
    case = {"m": measurements[0]["m"], "threads": measurements[0]["threads"]}
    case["rounds"] = len(measurements)
    case["failures"] = sorted({text for one in measurements for text in one["failures"]})
    case["speed_up"] = None
    # Rounds in which other work kept the machine busy, and whether the figures are from such.
    case["disturbed_rounds"] = sum(one["foreign_cores"] >= DISTURBED for one in measurements)
    case["disturbed"] = case["disturbed_rounds"] == case["rounds"]
    if case["failures"]:
        return case
    counted = undisturbed(measurements)
    epochs = [one["epoch"] for one in counted]
    products = [one["product"] for one in counted]
    warnings = [f"{row['stage']}: {row['warning']}" for row in epochs + products if row["warning"]]
    case["warnings"] = list(dict.fromkeys(warnings))
    case["seconds"] = statistics.median(row["seconds_mean"] for row in epochs)
    case["seconds_median"] = statistics.median(row["seconds_median"] for row in epochs)
    case["noise"] = noise(epochs)
    case["products"] = statistics.median(row["products"] for row in epochs)
    case["share_of_product"] = statistics.median(row["share_of_product"] for row in epochs)
    case["product_seconds"] = statistics.median(row["seconds_median"] for row in products)
    case["product_noise"] = noise(products)
    return case


def speed_up(measurements, alone):
    """Median over rounds of the seconds with one thread / with these. A round has both, one right
    after the other, of the same epochs. None where no round of both counts."""
    before = {one["round"]: one["epoch"]["seconds_mean"] for one in undisturbed(alone)}
    ratios = [
        before[one["round"]] / one["epoch"]["seconds_mean"]
        for one in undisturbed(measurements)
        if one["round"] in before
    ]
    return statistics.median(ratios) if ratios else None


def all_cases(measurements):
    """A summary of every case, in order of width and threads."""
    groups = {}
    for one in measurements:
        groups.setdefault((one["m"], one["threads"]), []).append(one)
    cases = {key: summarise(group) for key, group in sorted(groups.items())}
    for (m, threads), case in cases.items():
        alone = cases.get((m, 1))
        if threads > 1 and alone and not alone["failures"] and not case["failures"]:
            case["speed_up"] = speed_up(groups[m, threads], groups[m, 1])
            case["speed_up_disturbed"] = case["disturbed"] or alone["disturbed"]
    return list(cases.values())


def all_fits(cases):
    fits = []
    for threads in sorted({case["threads"] for case in cases}):
        for least in (0, WIDE):
            fitted = [
                case
                for case in cases
                if case["threads"] == threads and case["m"] >= least and not case["failures"]
            ]
            exponent, error = fit([(case["m"], case["seconds"]) for case in fitted])
            fits.append(
                {
                    "threads": threads,
                    "least_width": least,
                    "widths": [case["m"] for case in fitted],
                    "disturbed": any(case["disturbed"] for case in fitted),
                    "exponent": exponent,
                    "standard_error": error,
                }
            )
    return fits


def duration(seconds):
    if seconds < 0.9995e-3:
        return f"{1e6 * seconds:.3g} us"
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def percent(share, digits=1):
    return "?" if share is None else f"{100.0 * share:.{digits}f} %"


def number(value, digits, doubtful=False):
    return "-" if value is None else f"{value:.{digits}f}" + (" !" if doubtful else "")


def table(header, rows):
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---:"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


def case_cells(case):
    start = [str(case["m"]), str(case["threads"])]
    if case["failures"]:
        return [*start, "FAILED", "-", "-", "-", "-", "-", "-"]
    return [
        *start,
        duration(case["seconds"]),
        duration(case["seconds_median"]),
        percent(case["noise"], 2) + (" !" if case["warnings"] or case["disturbed"] else ""),
        f"{case['products']:.1f}",
        percent(case["share_of_product"]),
        duration(case["product_seconds"]),
        number(case["speed_up"], 2, case.get("speed_up_disturbed")),
    ]


def case_table(cases):
    header = ["m", "threads", "an epoch", "median", "noise", "products", "product share"]
    header += ["an int8 product", "speed-up"]
    return table(header, map(case_cells, cases))


def fit_table(fits):
    rows = [
        [
            str(one["threads"]),
            f"m >= {one['least_width']}" if one["least_width"] else "all",
            str(len(one["widths"])),
            number(one["exponent"], 3, one["disturbed"]),
            number(one["standard_error"], 3),
        ]
        for one in fits
    ]
    return table(["threads", "widths", "points", "exponent", "standard error"], rows)


def remarks(cases):
    """A sentence for every case that failed, was noisy or was disturbed."""
    lines = []
    for case in cases:
        name = f"m = {case['m']}, threads {case['threads']}"
        if case["failures"]:
            lines.append(f"- {name}: FAILED, {'; '.join(case['failures'])}")
            continue
        if case["warnings"]:
            lines.append(f"- {name}: noisy (!), {'; '.join(case['warnings'])}")
        if case["disturbed_rounds"]:
            left = "no other was left (!)" if case["disturbed"] else "which do not count"
            lines.append(
                f"- {name}: other work disturbed {case['disturbed_rounds']} of {case['rounds']} "
                f"rounds; {left}"
            )
    return "\n".join(lines or ["No case failed, was noisy or was disturbed."]) + "\n"


def report(cases, fits):
    exponents = "Fitted exponent b of seconds = a m^b:\n\n" + fit_table(fits)
    return "\n".join([case_table(cases), exponents, remarks(cases)])
