"""What makes a contender's time count: it solved to the tolerance, and trained the same network.

Every check adds a sentence to the result's "failures"; a result with any is shown as failed, has no
ratio, and makes the program end with 1.
"""

import numpy as np

LOSS_TOLERANCE = 1e-4
KERNEL_TOLERANCE = 1e-4
# Single precision rounds P, and with it z, by about 1e-7 of its length, which no contender can see.
ROUNDING = 1e-7


def check_residuals(results, tolerance):
    for result in results:
        for which in ("forward", "adjoint"):
            residual = result[f"residual_{which}"]
            # Written so that a NaN fails.
            if not residual <= tolerance + ROUNDING:
                result["failures"].append(f"{which} residual {residual:.2g} > {tolerance:.0e}")


def check_losses(results, truth=None):
    """Losses epoch by epoch, against the float64 reference's or else the median of all."""
    if truth is None:
        epochs = set.intersection(*(set(result["losses"]) for result in results))
        truth = {
            epoch: np.nanmedian([result["losses"][epoch] for result in results]) for epoch in epochs
        }
    for result in results:
        for epoch, expected in sorted(truth.items()):
            loss = result["losses"][epoch]
            if not abs(loss - expected) <= LOSS_TOLERANCE * abs(expected):
                result["failures"].append(
                    f"loss of epoch {epoch} is {loss:.6g}, not {expected:.6g}"
                )
                break


def kernel_difference(H, truth):
    """max |H - H'| / max |H'|"""
    return float(np.abs(H - truth).max() / np.abs(truth).max())
