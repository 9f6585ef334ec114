"""The estimator `KernelScoreDensity`: parameters, documentation, little code."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from . import flow
from ._base import BaseDiffusionDensity
from ._torch import resolve_device, to_tensor
from ._validation import check_choice, check_integer, check_real, effective_size
from .bandwidths import (
    FLOOR,
    leave_one_out,
    n_left_out,
    same_everywhere,
    theory_bandwidth,
)
from .kernels import KernelDenoiser
from .process import stopping_time
from .sequential import Chain
from .thresholds import THRESHOLDS, make_threshold

RULES = ("loo", "theory")
BANDWIDTH_NUMBERS = "or a positive number, or one for each column"
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
    bandwidth : {"loo", "theory"}, float or array-like (n_features,), default="loo"
        Standard deviation of the kernels in units of the standard deviation of each
        column, in the order of the columns (`bandwidth_` is in data units). "loo"
        maximises the leave-one-out log-likelihood, for each block over one bandwidth of
        its own columns, from 0.001 to 3, and one of its context, from 0.001 to 10.
        "theory" is ``n ** (-1 / (2 * smoothness + d))`` for all columns, with Kish's
        effective number of rows n. Numbers must be from 0.001 to 1000; one serves all
        columns, own or context.
    smoothness : float, default=2
        Assumed smoothness :math:`\beta` of the density, in (0, 2], for "theory" (also
        the bandwidth of constant columns with "loo") and for the start of a thresholded
        path.
    threshold : {"none", "hard", "soft", "max"}, default="none"
        What becomes of the score where the estimated density is below a level that a
        few rows make up; see Notes. Only "none" defines a density.
    threshold_constant : float, default=1.0
        Positive factor on the level of the threshold.
    max_factor_size : int or None, default=12
        Largest number of columns in one factor of `graph`. It does not apply to
        ``graph=None``.
    n_steps : int, default=12
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
        Training rows, weights and bandwidths of the blocks in standardised units, and
        the threshold.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    See Also
    --------
    FactorizedDiffusionDensity : Learns the score with small networks instead.
    sklearn.neighbors.KernelDensity : The same density for ``graph=None`` and one
        bandwidth on standardised columns.

    Notes
    -----
    With `threshold` other than "none" the score at noise variance :math:`\tau` (heat
    clock; standardised columns, scaled to a common bandwidth `noise_floor_`) is
    multiplied by a factor that depends on the estimated density :math:`\hat p`. For a
    constant C:

    - "hard" [1]_: zero where :math:`\hat p < C / (n \tau^{d/2})`, else one;
    - "soft" [2]_: smooth from one at the level
      :math:`C \max(\log n, 1) / (n (2 \pi \tau)^{d/2})` to zero at half of it;
    - "max" [3]_: the score is
      :math:`\nabla \hat p / \max(\hat p, C / (n (2 \pi \tau)^{d/2}))`.

    The path starts at :math:`\tau = n^{2 \beta / (2 \beta + d)}` instead of at infinity.
    What follows: samples far from the rows are pulled back too little, so tails are
    heavier; the field is the score of no process, so `score_samples` and `score` raise
    ValueError; for the same reason it cannot be combined with a graph. In more than two
    or three columns the level of "hard" asks for so many near rows that most of the score
    is zero.

    With "loo" an undirected graph gives a density that depends a little on the order of
    the columns, because own columns and contexts have bandwidths of their own; with one
    bandwidth per column it does not. Weights are not counts: "theory" sees a row of
    weight two as less than two rows.

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

    _smoothing = "bandwidth_"

    def __init__(
        self,
        graph=None,
        *,
        bandwidth="loo",
        smoothness=2,
        threshold="none",
        threshold_constant=1.0,
        max_factor_size=12,
        n_steps=12,
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

    @property
    def bandwidth_(self) -> np.ndarray:
        """Standard deviation of the kernels of each column, in data units."""
        bandwidth = np.empty(self.n_features_in_)
        for block, (own, _) in self._blocks_and_bandwidths():
            bandwidth[list(block.columns)] = own
        return bandwidth * self.margins_.scale

    @property
    def context_bandwidth_(self) -> list:
        """For each column the bandwidths of its context, in data units."""
        found = {}
        for block, (_, given) in self._blocks_and_bandwidths():
            given = given * self.margins_.scale[list(block.context)]
            found |= dict.fromkeys(block.columns, given)
        return [found[j] for j in range(self.n_features_in_)]

    def _blocks_and_bandwidths(self):
        bandwidths = self.model_["bandwidths"]
        return zip(self.factorization_.blocks, bandwidths, strict=True)

    def _check_parameters(self) -> None:
        check_real("smoothness", self.smoothness, low=0, high=2, open_low=True)
        check_real("threshold_constant", self.threshold_constant, low=0, open_low=True)
        check_choice("threshold", self.threshold, THRESHOLDS)
        check_integer("n_steps", self.n_steps, low=1)
        if isinstance(self.bandwidth, str):
            check_choice("bandwidth", self.bandwidth, RULES, BANDWIDTH_NUMBERS)
        if self.graph is not None and self.threshold != "none":
            raise ValueError(
                f"{NOT_A_DENSITY.format(self.threshold)} Factors of a graph must be "
                "densities: use threshold='none' with it, or graph=None."
            )

    def _fit_model(self, Z, weight, log_derivative, factorization, random_state) -> dict:
        if self.graph is None:
            factorization = factorization.joined()
        n, d = effective_size(weight), factorization.largest_factor
        bandwidths = self._bandwidths(Z, weight, n, factorization, random_state)
        own = np.concatenate([own for own, _ in bandwidths])
        noise_floor = float(np.exp(np.log(own).mean()))
        largest_noise = n ** (self.smoothness / (2 * self.smoothness + d))
        if self.threshold != "none" and noise_floor >= largest_noise:
            raise ValueError(
                f"bandwidth {noise_floor:.3g} is wider than the noise at which the "
                f"thresholded path starts, {largest_noise:.3g} standard deviations; use "
                "a smaller bandwidth or threshold='none'."
            )
        model = {
            "rows": Z,
            "weight": weight / weight.sum(),
            "bandwidths": bandwidths,
            "threshold": self.threshold,
            "threshold_constant": self.threshold_constant,
            "largest_noise": largest_noise,
        }
        engines = {block.columns: "kernel" for block in factorization.blocks}
        return {
            "model_": model,
            "effective_size_": n,
            "noise_floor_": noise_floor,
            "factorization_": factorization.with_engines(engines),
        }

    def _bandwidths(self, Z, weight, n, factorization, random_state) -> list:
        """Own and context bandwidths of every block, in standardised units."""
        blocks, n_features = factorization.blocks, Z.shape[1]
        if not isinstance(self.bandwidth, str):
            return same_everywhere(blocks, self._given_bandwidth(n_features))
        h = theory_bandwidth(n, self.smoothness, factorization.largest_factor)
        if self.bandwidth == "theory":
            return same_everywhere(blocks, np.full(n_features, h))
        left_out = np.arange(len(Z))
        if n_left_out(len(Z)) < len(Z):
            left_out = random_state.permutation(len(Z))[: n_left_out(len(Z))]
        return leave_one_out(blocks, Z, weight, left_out, h, resolve_device(self.device))

    def _given_bandwidth(self, n_features: int) -> np.ndarray:
        """The parameter as one number of at least the floor for each column."""
        try:
            given = np.atleast_1d(np.asarray(self.bandwidth, dtype=np.float64))
        except (TypeError, ValueError):
            given = np.empty(0)
        wrong_kind = self.bandwidth is None or np.asarray(self.bandwidth).dtype == bool
        if wrong_kind or given.shape not in ((1,), (n_features,)):
            raise ValueError(
                f"bandwidth must be one of {', '.join(map(repr, RULES))} "
                f"{BANDWIDTH_NUMBERS}, in the order of the columns of X; got "
                f"{self.bandwidth!r} for {n_features} columns."
            )
        bad = np.flatnonzero(~((given >= FLOOR) & (given <= 1 / FLOOR)))
        if len(bad):
            raise ValueError(
                f"bandwidth must be from {FLOOR:g} to {1 / FLOOR:g} standard deviations "
                f"of its column, got {given[bad[0]]:g} at position {bad[0]}. Beyond "
                "these limits densities are lost in rounding."
            )
        return np.broadcast_to(given, n_features).copy()

    def _build_denoisers(self) -> list:
        model = self.model_
        rows, log_weight = to_tensor(model["rows"]), to_tensor(model["weight"]).log()
        threshold = make_threshold(
            model["threshold"], model["threshold_constant"], self.effective_size_
        )
        return [
            KernelDenoiser(
                block.columns,
                block.context,
                rows,
                log_weight,
                to_tensor(own),
                to_tensor(given),
                self.noise_floor_,
                threshold,
            )
            for block, (own, given) in self._blocks_and_bandwidths()
        ]

    def _path(self) -> flow.Path:
        path = super()._path()
        if self._is_density():
            return path
        return replace(path, t_max=stopping_time(self.model_["largest_noise"]))

    def _is_density(self) -> bool:
        return self.model_["threshold"] == "none"

    def _chain(self, first=()) -> Chain:
        """Blocks of several columns are taken apart, so that known columns come first."""
        self._check_density()
        chain, contexts, denoisers = super()._chain(), {}, []
        place = {j: i for i, j in enumerate(first)}
        for denoiser in chain.denoisers:
            order = sorted(denoiser.columns, key=lambda j: place.get(j, len(place)))
            parts = denoiser.one_by_one(order)
            contexts |= {part.columns[0]: part.context for part in parts}
            denoisers += parts
        return replace(chain, contexts=contexts, denoisers=denoisers)

    def _check_density(self) -> None:
        if not self._is_density():
            raise ValueError(
                f"{NOT_A_DENSITY.format(self.model_['threshold'])} Fit with "
                "threshold='none' for log-densities; sample and log_density_gradient "
                "work with any."
            )

    def _own_log_density(self, denoiser, z: Tensor) -> Tensor:
        self._check_density()
        return denoiser.log_density(z).unsqueeze(1)

    def _gradient(self, z: Tensor) -> Tensor:
        if self._is_density():
            return super()._gradient(z)
        (denoiser,) = self._denoisers()
        return denoiser.score(z)
