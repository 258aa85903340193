"""The fit, the medians and the table, on made-up numbers; nothing is timed.

A line for every check; the last says how many passed.
"""

import math
import sys

import summary


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, condition, what):
        print(f"{'ok    ' if condition else 'FAILED'} {what}")
        if condition:
            self.passed += 1
        else:
            self.failed += 1


def near(a, b):
    return abs(a - b) <= 1e-12 * max(1.0, abs(b))


def row(stage, seconds, noise=0.001, warning=None):
    return {
        "stage": stage, "seconds_median": 0.8 * seconds, "seconds_mean": seconds, "noise": noise,
        "warning": warning, "products": 25.0, "share_of_product": 0.8,
    }  # fmt: skip


def measurement(m, threads, seconds, round_number=0, **others):
    return {
        "m": m, "threads": threads, "round": round_number, "failures": [], "foreign_cores": 0.0,
        "product": row("product", seconds / 30.0), "epoch": row("epoch", seconds),
    } | others  # fmt: skip


def test_fit(tally):
    exact = [(m, 3e-7 * m**1.9) for m in (1024, 2048, 4096, 8192)]
    exponent, error = summary.fit(exact)
    tally.expect(near(exponent, 1.9) and error < 1e-12, "a power law gives its exponent, error 0")
    # ln m = -1, 0, 1 and ln seconds = 0, 1, 0 more than 2 ln m: residuals -1/3, 2/3, -1/3, whose
    # squares add up to 2/3; Sxx = 2.
    points = [(math.exp(k), math.exp(2 * k + (k == 0))) for k in (-1, 0, 1)]
    exponent, error = summary.fit(points)
    tally.expect(near(exponent, 2.0), "a symmetric disturbance leaves the exponent")
    tally.expect(near(error, math.sqrt(2.0 / 3.0 / 1.0 / 2.0)), "and gives the error by formula")
    tally.expect(summary.fit(points[:1]) == (None, None), "one width has no exponent")
    exponent, error = summary.fit(exact[:2])
    tally.expect(near(exponent, 1.9) and error is None, "two widths have no error")


def test_fits(tally):
    made_up = [measurement(m, 1, 1e-7 * m**2) for m in (1024, 2048, 4096, 8192, 16384)]
    made_up[0]["failures"] = ["epoch: diverged"]
    fits = summary.all_fits(summary.all_cases(made_up))
    tally.expect(fits[0]["widths"] == [2048, 4096, 8192, 16384], "a failed case is not fitted")
    tally.expect(fits[1]["widths"] == [4096, 8192, 16384], "wide ones are fitted apart")


def test_cases(tally):
    # The machine is half as fast in the second round, which doubles both.
    made_up = [
        measurement(1024, threads, seconds * factor, round_number)
        for round_number, factor in enumerate((1.0, 2.0, 1.1))
        for threads, seconds in ((1, 1.0), (2, 0.5))
    ]
    one, two = summary.all_cases(made_up)
    tally.expect(near(one["seconds"], 1.1), "seconds are the median over rounds")
    tally.expect(near(two["speed_up"], 2.0), "speed-up is taken within a round")
    tally.expect(one["speed_up"] is None, "one thread has no speed-up")
    tally.expect(near(one["noise"], 1.0 / 2.2), "half the rounds' spread counts as noise")
    disturbed = [measurement(1024, 1, 9.0, 1, foreign_cores=0.5), measurement(1024, 2, 0.5, 1)]
    one, two = summary.all_cases([measurement(1024, 1, 1.0), *disturbed])
    tally.expect(one["seconds"] == 1.0 and not one["disturbed"], "disturbed rounds do not count")
    tally.expect(two["speed_up"] is None, "and give no speed-up")
    unknown = measurement(1024, 1, 1.0, epoch=row("epoch", 1.0, None, "3 samples"))
    tally.expect(summary.all_cases([unknown])[0]["noise"] is None, "unknown noise stays unknown")


def test_report(tally):
    made_up = [
        measurement(1024, 1, 0.25),
        measurement(1024, 2, 0.125),
        measurement(2048, 1, 1.0, epoch=row("epoch", 1.0, None, "3 samples")),
        measurement(2048, 2, 0.5, foreign_cores=0.5),
        measurement(4096, 1, 4.0, failures=["epoch: error 1, allowed are 2e-05"], epoch=None),
        measurement(4096, 2, 2.0),
    ]
    cases = summary.all_cases(made_up)
    lines = summary.report(cases, summary.all_fits(cases)).splitlines()
    for line in (
        "| 1024 | 1 | 250 ms | 200 ms | 0.10 % | 25.0 | 80.0 % | 6.67 ms | - |",
        "| 1024 | 2 | 125 ms | 100 ms | 0.10 % | 25.0 | 80.0 % | 3.33 ms | 2.00 |",
        "| 2048 | 1 | 1 s | 800 ms | ? ! | 25.0 | 80.0 % | 26.7 ms | - |",
        "| 2048 | 2 | 500 ms | 400 ms | 0.10 % ! | 25.0 | 80.0 % | 13.3 ms | 2.00 ! |",
        "| 4096 | 1 | FAILED | - | - | - | - | - | - |",
        "| 4096 | 2 | 2 s | 1.6 s | 0.10 % | 25.0 | 80.0 % | 53.3 ms | - |",
        "| 1 | all | 2 | 2.000 | - |",
        "| 2 | all | 3 | 2.000 ! | 0.000 |",
        "| 1 | m >= 4096 | 0 | - | - |",
        "- m = 2048, threads 1: noisy (!), epoch: 3 samples",
        "- m = 2048, threads 2: other work disturbed 1 of 1 rounds; no other was left (!)",
        "- m = 4096, threads 1: FAILED, epoch: error 1, allowed are 2e-05",
    ):
        tally.expect(line in lines, line)


def main():
    tally = Tally()
    for test in (test_fit, test_fits, test_cases, test_report):
        test(tally)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
