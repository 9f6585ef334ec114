r"""How far messages must travel: networks with few rounds against the best possible.

    python benchmarks/theory/locality.py --n-seeds 3

Rows of a Gaussian chain, x_{i+1} = rho x_i + noise, stay Gaussian with noise added, so
the best velocity that reads columns within r edges only is a linear regression, and the
flow along it ends in a Gaussian law whose divergence from the truth is known. A joint
network of r rounds reads as far. It may come out a little below, as the best velocity
need not give the best law.
"""

import itertools

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from experiment import arguments, over_seeds, run_missing, select, table
from scipy.integrate import solve_ivp

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.metrics import paired_difference

N_COLUMNS, N_SAMPLES, N_FRESH = 10, 8000, 2000
FIELDS = ["rho", "n_rounds", "seed", "kl", "error"]
CORRELATIONS, ROUNDS = [0.5, 0.8], [1, 2, 3, 4]
SETTINGS = list(itertools.product(CORRELATIONS, ROUNDS))
T_MIN, T_MAX = 0.01, np.pi / 2 - 1e-6


def covariance(rho):
    """Correlations of a stationary chain."""
    i = np.arange(N_COLUMNS)
    return rho ** np.abs(i[:, None] - i)


def local_velocity(rho, n_rounds, t):
    """Matrix of the best linear velocity that reads columns within `n_rounds` edges."""
    cos, sin, C = np.cos(t), np.sin(t), covariance(rho)
    noisy = cos**2 * C + sin**2 * np.eye(N_COLUMNS)
    # covariance of the target cos(t) eps - sin(t) z with the noisy columns
    cross = cos * sin * (np.eye(N_COLUMNS) - C)
    V = np.zeros_like(C)
    for j in range(N_COLUMNS):
        ball = slice(max(0, j - n_rounds), j + n_rounds + 1)
        V[j, ball] = np.linalg.solve(noisy[ball, ball], cross[ball, j])
    return V


def limit(rho, n_rounds):
    """Divergence of the law at the end of the best local flow, without a noise floor."""
    size = (N_COLUMNS, N_COLUMNS)

    def slope(t, flow):
        return (local_velocity(rho, n_rounds, t) @ flow.reshape(size)).ravel()

    path = solve_ivp(
        slope, (T_MAX, T_MIN), np.eye(N_COLUMNS).ravel(), rtol=1e-8, atol=1e-10
    )
    flow = path.y[:, -1].reshape(size)
    model = flow @ flow.T
    noise = np.sin(T_MIN) ** 2 * np.eye(N_COLUMNS)
    true = np.cos(T_MIN) ** 2 * covariance(rho) + noise
    ratio = np.linalg.solve(model, true)
    return 0.5 * (np.trace(ratio) - N_COLUMNS - np.linalg.slogdet(ratio)[1])


def draw(rho, n_samples, seed):
    """Rows of the chain."""
    normal = np.random.default_rng(seed).standard_normal((n_samples, N_COLUMNS))
    return normal @ np.linalg.cholesky(covariance(rho)).T


def log_density(rho, X):
    """Exact log-density of the chain."""
    quadratic = (X * np.linalg.solve(covariance(rho), X.T).T).sum(axis=1)
    log_det = np.linalg.slogdet(2 * np.pi * covariance(rho))[1]
    return -0.5 * (quadratic + log_det)


def measure(rho, n_rounds, seed):
    """Divergence of one fit, and the standard error of its estimate."""
    X, fresh = draw(rho, N_SAMPLES, seed), draw(rho, N_FRESH, 10_000 + seed)
    density = FactorizedDiffusionDensity(
        nx.path_graph(N_COLUMNS),
        diffusion="joint",
        share_weights=True,
        n_rounds=n_rounds,
        batch_size=512,
        max_iter=2000,
        random_state=seed,
    ).fit(X)
    kl = paired_difference(log_density(rho, fresh), density.score_samples(fresh))
    return kl.mean, kl.standard_error


def main():
    """Measure, tabulate and draw."""
    options = arguments(__doc__.splitlines()[0], n_seeds=3)
    path = options.output / "locality.csv"
    records = run_missing(path, FIELDS, SETTINGS, options.n_seeds, measure)
    figure, ax = plt.subplots(figsize=(5, 3.6))
    rows = []
    for colour, rho in zip(("C0", "C1"), CORRELATIONS, strict=True):
        limits = [limit(rho, r) for r in ROUNDS]
        fits = [select(records, rho=rho, n_rounds=r) for r in ROUNDS]
        means = [np.mean([r["kl"] for r in fit]) for fit in fits]
        ax.semilogy(ROUNDS, means, "o-", color=colour, label=f"network, rho = {rho}")
        label = f"exact local velocity, rho = {rho}"
        ax.semilogy(ROUNDS, limits, "--", color=colour, label=label)
        rows.append([rho, "network", *map(over_seeds, fits)])
        rows.append([rho, "exact local velocity", *(f"{x:.4f}" for x in limits)])
    ax.set(xlabel="rounds of messages", ylabel="divergence from the truth (nats)")
    ax.set_title("Each round hears farther columns (Gaussian chain)", fontsize=10)
    ax.set_xticks(ROUNDS)
    ax.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(options.output / "locality.png", dpi=150)
    header = ["rho", "", *(f"{r} rounds" for r in ROUNDS)]
    table(header, rows, options.output / "locality.md")


if __name__ == "__main__":
    main()
