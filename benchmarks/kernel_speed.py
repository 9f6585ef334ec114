"""Scoring speed of KernelScoreDensity beside KernelDensity, in one run.

    python benchmarks/kernel_speed.py

Both score the same rows at the same bandwidth with the same number of kernels.
`KernelDensity` walks a tree and stops at a relative tolerance, 1e-8 by default;
`KernelScoreDensity` adds up all kernels in float64. The ratio is the median over
repetitions taken in turn.
"""

import numpy as np
from reporting import markdown, timed
from sklearn.neighbors import KernelDensity

from skdiffusion import KernelScoreDensity
from skdiffusion.datasets import make_nonlinear_chain

N_FEATURES, N_SCORED, N_REPETITIONS = 8, 2000, 5


def compare(n, rtol):
    """Rows per second of both, and their ratio, for n training rows."""
    X = make_nonlinear_chain(n, N_FEATURES, random_state=0).data
    new = make_nonlinear_chain(N_SCORED, N_FEATURES, random_state=1).data
    ours = KernelScoreDensity(random_state=0).fit(X)
    Z, Z_new = ours.margins_.forward(X), ours.margins_.forward(new)
    bandwidth = ours.bandwidth_[0] / ours.margins_.scale[0]
    theirs = KernelDensity(bandwidth=bandwidth, rtol=rtol).fit(Z)
    pairs = [
        (timed(ours.score_samples, new)[1], timed(theirs.score_samples, Z_new)[1])
        for _ in range(N_REPETITIONS)
    ]
    ratio = np.median([b / a for a, b in pairs])
    speed = [N_SCORED / np.median(column) for column in zip(*pairs, strict=True)]
    return bandwidth, *speed, ratio


if __name__ == "__main__":
    names = ["training rows", "rtol of KernelDensity", "bandwidth"]
    names += ["KernelScoreDensity, rows/s", "KernelDensity, rows/s", "ratio"]
    rows = []
    for n in (1000, 10_000, 50_000):
        for rtol in (1e-8, 1e-4):
            bandwidth, *speeds, ratio = compare(n, rtol)
            ours, theirs = (f"{speed:.0f}" for speed in speeds)
            rows.append(
                [n, f"{rtol:g}", f"{bandwidth:.3f}", ours, theirs, f"{ratio:.1f}"]
            )
    print(markdown(names, rows))
