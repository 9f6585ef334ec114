"""The estimator `KernelScoreDensity`: parameters, documentation, little code."""

import numbers
from dataclasses import replace

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from . import flow
from ._base import BaseDiffusionDensity
from ._torch import resolve_device, to_tensor
from ._validation import check_choice, check_integer, check_real
from .bandwidths import (
    bandwidths_of_blocks,
    effective_size,
    n_left_out,
    same_in_contexts,
    theory_bandwidth,
)
from .kernels import KernelDenoiser
from .process import stopping_time
from .thresholds import make_threshold

RULES = ("loo", "theory")
THRESHOLDS = ("none", "hard", "soft", "max")
NOT_A_DENSITY = (
    "threshold={!r} changes the score where few rows are near, and the result is the "
    "score of no normalised density."
)


class KernelScoreDensity(BaseDiffusionDensity):
    r"""Density of a table from a kernel estimate of the score; nothing is trained.

    The score of the noisy data at every time is that of a Gaussian kernel density
    estimate whose width is the noise. Its probability flow is stopped early, at noise
    of standard deviation :math:`h` in each column, and leaves exactly the kernel density
    estimate of bandwidth h: early stopping and the choice of a bandwidth are one and
    the same [1]_. Without any lower bound on the density its total variation error falls
    like :math:`n^{-\beta / (2 \beta + d)}` for a smoothness :math:`\beta \le 2`.

    With a graph the density is a product of conditional kernel estimates,
    :math:`p(x) = \prod_j p(x_j \mid x_{context(j)})`, and d is the number of columns of
    the largest factor instead of the number of all columns.

    Parameters
    ----------
    graph : networkx.DiGraph, networkx.Graph or None, default=None
        How the columns depend on each other, as for
        :class:`FactorizedDiffusionDensity`. None is one kernel estimate of all columns.
    bandwidth : {"loo", "theory"}, float or array-like of shape (n_features,), \
            default="loo"
        Standard deviation of the kernels in units of the standard deviation of each
        column. "loo" maximises the leave-one-out log-likelihood, for each block over one
        bandwidth of its own columns and one of its context. "theory" is
        ``n ** (-1 / (2 * smoothness + d))`` for all columns, with Kish's effective
        number of rows n. One number serves all columns.
    smoothness : float, default=2
        Assumed smoothness :math:`\beta` of the density, in (0, 2], for "theory" and for
        the thresholds.
    threshold : {"none", "hard", "soft", "max"}, default="none"
        What becomes of the score where the estimated density is below a level that a
        few rows make up; see Notes. Only "none" defines a density.
    threshold_constant : float, default=1.0
        Positive factor on the level of the threshold.
    max_factor_size : int or None, default=12
        Largest number of columns in one factor of `graph`.
    n_steps : int, default=16
        Number of steps of the fourth-order solver in `sample`; may be changed after
        fit. `score_samples` uses the closed form and no solver.
    device : str, default="cpu"
        Where to compute: "cpu", "cuda", "cuda:1", ..., or "auto" for CUDA if present.
    random_state : int, RandomState instance or None, default=None
        With "loo" and more than 2000 rows, chooses the rows that are left out in turn:
        2000 of up to 20,000 rows, then fewer, but at least 500.

    Attributes
    ----------
    bandwidth_ : ndarray of shape (n_features,)
        Standard deviation of the kernels of each column, in data units.
    context_bandwidth_ : list of ndarray
        For each column the bandwidths of the columns of its context, in data units.
    effective_size_ : float
        Kish's effective number of rows.
    factorization_ : Factorization
        Blocks, cliques, largest factor and treewidth; prints readably.
    noise_floor_ : float
        tan(t_min) at the end of the path: geometric mean of the bandwidths in
        standardised units.
    margins_ : Standardization
        Location and scale of each column.
    model_ : dict
        Training rows, weights and bandwidths as numpy arrays.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had string names.

    See Also
    --------
    FactorizedDiffusionDensity : Learns the score with small networks instead.
    sklearn.neighbors.KernelDensity : The same density for ``graph=None`` and one
        bandwidth on standardised columns.

    Notes
    -----
    With `threshold` other than "none" the score at noise variance :math:`\tau` (heat
    clock, columns in units of their bandwidths) is multiplied by a factor that depends on
    the estimated density :math:`\hat p`, for a constant C:

    - "hard" [1]_: zero where :math:`\hat p < C / (n \tau^{d/2})`, else one;
    - "soft" [2]_: smooth from one at the level :math:`C \log n / (n (2 \pi \tau)^{d/2})`
      to zero at half of it;
    - "max" [3]_: the score is
      :math:`\nabla \hat p / \max(\hat p, C / (n (2 \pi \tau)^{d/2}))`.

    The path starts at :math:`\tau = n^{2 \beta / (2 \beta + d)}` instead of at infinity.
    What follows: samples far from the rows are pulled back too little, so tails are
    heavier; the field is the score of no process, so `score_samples` and `score` refuse;
    for the same reason it cannot be combined with a graph. In more than two or three
    columns the level of "hard" asks for so many near rows that most of the score is zero.

    Memory is bounded: queries are handled in chunks whose size falls with the number of
    training rows.

    References
    ----------
    .. [1] K. Zhang, C. H. Yin, F. Liang and J. Liu, "Minimax optimality of score-based
           diffusion models: beyond the density lower bound assumptions", ICML 2024,
           theorem 3.8. https://arxiv.org/abs/2402.15602
    .. [2] C. Cai and G. Li, "Minimax optimality of the probability flow ODE for
           diffusion models", 2025. https://arxiv.org/abs/2503.09583
    .. [3] A. Wibisono, Y. Wu and K. Y. Yang, "Optimal score estimation via empirical
           Bayes smoothing", COLT 2024. https://arxiv.org/abs/2402.07747

    Examples
    --------
    >>> from skdiffusion import KernelScoreDensity
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> chain = make_nonlinear_chain(1000, n_features=4, random_state=0)
    >>> new = make_nonlinear_chain(1000, n_features=4, random_state=1).data
    >>> full = KernelScoreDensity().fit(chain.data)
    >>> factorized = KernelScoreDensity(chain.graph).fit(chain.data)
    >>> bool(factorized.score(new) > full.score(new) + 0.4)
    True
    >>> factorized.sample(5, random_state=0).shape
    (5, 4)
    """

    _smoothing = "bandwidth"

    def __init__(
        self,
        graph=None,
        *,
        bandwidth="loo",
        smoothness=2,
        threshold="none",
        threshold_constant=1.0,
        max_factor_size=12,
        n_steps=16,
        device="cpu",
        random_state=None,
    ):
        self.graph = graph
        self.bandwidth = bandwidth
        self.smoothness = smoothness
        self.threshold = threshold
        self.threshold_constant = threshold_constant
        self.max_factor_size = max_factor_size
        self.n_steps = n_steps
        self.device = device
        self.random_state = random_state

    def score_samples(self, X):
        """Log-density of each row, in closed form.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of a density in the units of the data: it may be positive. Rows do
            not influence each other.

        Raises
        ------
        ValueError
            If `threshold` is not "none": there is no density then.
        """
        check_is_fitted(self, "model_")
        threshold = self.model_["threshold"]
        if threshold != "none":
            raise ValueError(
                f"{NOT_A_DENSITY.format(threshold)} Fit with threshold='none' for "
                "log-densities; sample and log_density_gradient work with any."
            )
        return super().score_samples(X)

    @property
    def bandwidth_(self) -> np.ndarray:
        """Standard deviation of the kernels of each column, in data units."""
        return self.model_["bandwidth"] * self.margins_.scale

    @property
    def context_bandwidth_(self) -> list:
        """For each column the bandwidths of its context, in data units."""
        contexts, given = self.factorization_.contexts, self.model_["context_bandwidth"]
        scale = self.margins_.scale
        return [h * scale[list(contexts.get(j, ()))] for j, h in enumerate(given)]

    def _check_parameters(self) -> None:
        if self.max_factor_size is not None:
            check_integer("max_factor_size", self.max_factor_size, low=1)
        check_integer("n_steps", self.n_steps, low=1)
        check_real("smoothness", self.smoothness, low=0, high=2, open_low=True)
        check_real("threshold_constant", self.threshold_constant, low=0, open_low=True)
        check_choice("threshold", self.threshold, THRESHOLDS)
        if isinstance(self.bandwidth, str):
            check_choice("bandwidth", self.bandwidth, RULES, "or a positive number")
        elif isinstance(self.bandwidth, numbers.Real):
            check_real("bandwidth", self.bandwidth, low=0, open_low=True)
        if self.graph is not None and self.threshold != "none":
            raise ValueError(
                f"{NOT_A_DENSITY.format(self.threshold)} Factors of a graph must be "
                "densities: use threshold='none' with it, or graph=None."
            )
        resolve_device(self.device)

    def _fit_model(self, Z, weight, log_derivative, factorization, random_state) -> dict:
        if self.graph is None:
            factorization = factorization.joined()
        n, d = effective_size(weight), factorization.largest_factor
        own, context = self._bandwidths(Z, weight, n, factorization, random_state)
        engines = {block.columns: "kernel" for block in factorization.blocks}
        model = {
            "rows": Z,
            "weight": weight / weight.sum(),
            "bandwidth": own,
            "context_bandwidth": context,
            "threshold": self.threshold,
            "threshold_constant": self.threshold_constant,
            "largest_variance": n ** (2 * self.smoothness / (2 * self.smoothness + d)),
        }
        return {
            "model_": model,
            "effective_size_": n,
            "noise_floor_": float(np.exp(np.log(own).mean())),
            "factorization_": factorization.with_engines(engines),
        }

    def _bandwidths(self, Z, weight, n, factorization, random_state):
        """Bandwidths of the columns and, column by column, of their contexts."""
        contexts = [factorization.contexts[j] for j in range(Z.shape[1])]
        if not isinstance(self.bandwidth, str):
            return same_in_contexts(self._given_bandwidth(Z.shape[1]), contexts)
        h = theory_bandwidth(n, self.smoothness, factorization.largest_factor)
        own, given = same_in_contexts(np.full(Z.shape[1], h), contexts)
        if self.bandwidth == "loo":
            left_out = random_state.permutation(len(Z))[: n_left_out(len(Z))]
            device = resolve_device(self.device)
            found = bandwidths_of_blocks(
                factorization.blocks, Z, weight, left_out, device
            )
            for j, (h, h_context) in found.items():
                own[j], given[j][:] = h, h_context
        return own, given

    def _given_bandwidth(self, n_features: int) -> np.ndarray:
        """The parameter as one positive number for each column."""
        given = check_array(
            np.atleast_1d(self.bandwidth),
            ensure_2d=False,
            dtype=np.float64,
            input_name="bandwidth",
        )
        if given.shape not in ((1,), (n_features,)):
            raise ValueError(
                f"bandwidth has shape {given.shape}; expected one number, or one for "
                f"each of the {n_features} columns, in units of their standard "
                "deviations."
            )
        if (given <= 0).any():
            raise ValueError(f"bandwidth must be positive, got {given.min():g}.")
        return np.broadcast_to(given, n_features).copy()

    def _build_denoisers(self) -> list:
        model = self.model_
        rows, log_weight = to_tensor(model["rows"]), to_tensor(model["weight"]).log()
        own, context = to_tensor(model["bandwidth"]), model["context_bandwidth"]
        threshold = make_threshold(
            model["threshold"], model["threshold_constant"], self.effective_size_
        )
        return [
            KernelDenoiser(
                block.columns,
                block.context,
                rows,
                log_weight,
                own[list(block.columns)],
                to_tensor(context[block.columns[0]]),
                self.noise_floor_,
                threshold,
            )
            for block in self.factorization_.blocks
        ]

    def _path(self) -> flow.Path:
        path = super()._path()
        if self.model_["threshold"] == "none":
            return path
        return replace(path, t_max=stopping_time(self.model_["largest_variance"] ** 0.5))

    def _log_density(self, z: Tensor) -> Tensor:
        terms = [denoiser.log_density(z) for denoiser in self._denoisers()]
        return torch.stack(terms, dim=1)

    def _gradient(self, z: Tensor) -> Tensor:
        if self.model_["threshold"] == "none":
            return super()._gradient(z)
        (denoiser,) = self._denoisers()
        return denoiser.score(z, z.new_tensor(self._path().t_min))
