"""The estimator `FactorizedDiffusionDensity`: parameters, documentation, little code."""

from dataclasses import fields

import torch

from ._base import BaseDiffusionDensity
from ._callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from ._parameters import DTYPES, check_parameters
from ._selection import Choice, choose_graph
from ._torch import TRAINING_DTYPE, make_generator, resolve_device, to_tensor
from ._validation import check_choice
from .continuation import check_continuation
from .defaults import suited
from .graphs import factorize
from .margin_choice import fit_margins
from .networks import Ensemble, initial_ensemble
from .normal_scores import NormalScores
from .objectives import most_checks
from .process import noise_floor, stopping_time
from .records import Options, Record, Rows
from .training import fit_networks

LEARNED_BEFORE = "kept from the previous fit"


class FactorizedDiffusionDensity(CallbackSupportMixin, BaseDiffusionDensity):
    r"""Density of a table, from diffusion models that know how its columns depend.

    The joint density is written as a product of conditional densities,
    :math:`p(x) = \prod_b p(x_b \mid x_{context(b)})`, in the way the graph says. Blocks
    are single columns or, where a graph has long cycles, columns diffused together by
    message passing. Every factor has its own small network; all train together.
    `score_samples` is a normalised log-density, exact up to the error of a solver that
    can be measured, and `sample` draws from the same density.

    What this gains is the rate: with diffusion models suited to the factorization, the
    total variation distance to a density of smoothness :math:`\beta` falls like
    :math:`n^{-\beta / (2 \beta + d)}` [1]_, where d is the size of the largest factor.
    The exponent does not depend on the number of columns; the constant does.

    Parameters
    ----------
    graph : networkx.DiGraph, networkx.Graph, "auto" or None, default=None
        How the columns depend on each other. A directed graph is a Bayesian network:
        every column depends on its parents. An undirected graph is a Markov random
        field: a column is independent of all others given its neighbours. None is no
        knowledge. Nodes are the positions of the columns or, for a DataFrame, their
        names if these are strings. Columns that are not nodes are independent of the
        others, with a warning. "auto" learns graphs and keeps what predicts held-out
        rows best, maybe none; the fit takes about twice as long.
    diffusion : {"auto", "conditional", "joint"}, default="auto"
        What is diffused. "conditional" noises one column at a time, given its parents
        or, in an undirected graph, given earlier neighbours; an undirected graph that
        is not chordal is completed to one. Without a graph every column depends on all
        columns before it. "joint" noises all columns of a connected component together,
        with a network that passes messages along the graph and needs no completion;
        without a graph it is one dense network. "auto" is "conditional" where
        completion stays within `max_factor_size`; a component where it does not is cut
        at its cut nodes, and the parts where it still does not are joint.
    share_weights : bool or str, default=False
        Whether factors share their networks: with True all factors of one size, with
        the name of an attribute of the nodes (or edges) of `graph` those whose columns
        (or pairs of columns) carry equal values, slot by slot in ascending order of the
        columns. With an attribute of edges, columns are alike whose edges carry the same
        set of values. Alike columns share their location and scale, too, so they should
        have the same units. Joint blocks share within themselves; with
        ``diffusion="joint"`` there is one block for all components then.
    max_factor_size : int or None, default=12
        Largest number of columns in one factor of `graph`. A graph with larger factors
        is refused. None sets no limit. It does not apply to ``graph=None``.
    n_networks : int or None, default=None
        Number of networks of every column or joint block whose velocities are averaged;
        each costs the same. None is 2 up to 4000 rows without joint blocks, else 1.
    hidden_size : int, default=64
        Width of the network of one column. In a joint block states have half that size,
        and layers of factors of k columns k quarters of it.
    n_layers : int, default=2
        Number of residual blocks of two layers each, in conditional networks.
    n_rounds : int, default=4
        How often messages are passed in a joint block. A column hears of columns within
        so many edges; columns farther apart share a derivative in the exact divergence,
        whose cost is the number of colours of the graph (5 on a chain with 4 rounds).
    dropout : float or None, default=None
        Share of hidden units dropped in training, in [0, 1), to the nearest 1/256. None
        is 0.3 for joint networks and, with n rows trained on, 160 / n and at most 0.2 for
        conditional ones (rows of alike columns count for each).
    noise_floor : float, default=0.03
        Standard deviation of the normal noise left in the density, relative to the
        scale of a column given its context. Smaller values resolve finer detail and
        cost accuracy elsewhere.
    n_steps : int or None, default=None
        Steps of the solver in `score_samples` and `sample`; may be changed after fit.
        None is `n_steps_`. See :func:`skdiffusion.metrics.integration_error`.
    learning_rate_init : float, default=0.005
        Peak rate of AdamW; for likelihood a fifth. It falls to 0 over the last 40 %.
    weight_decay : float or None, default=None
        Weight decay of AdamW. None is likewise 160 / n and at most 0.1 for conditional
        networks, 320 / n and at most 0.5 for joint ones.
    batch_size : int or None, default=None
        Rows for one step of each network, a quarter for likelihood; None is 512 up to
        4000 rows and 1024 beyond. At most four times the number of training rows.
    max_iter : int or None, default=None
        Largest number of denoising steps; None is 4000, or 2000 up to 4000 rows or in
        joint blocks.
    max_iter_likelihood : int or None, default=None
        Largest number of steps that then raise the log-likelihood itself; up to as many
        follow on all rows, held-out ones included. None is a twentieth of `max_iter`;
        0 with joint blocks or without early stopping.
    max_components : int, default=16
        Largest number of components of Gaussian mixtures that, as kernel estimates, are
        averaged with the networks, column by column, by held-out rows. With 0 neither
        are; nor with joint blocks, with shared weights, or without held-out rows.
    early_stopping : bool, default=True
        Whether to hold out rows, keep for each column (or joint block) the weights with
        the best held-out log-likelihood and stop when none improves. With fewer than 50
        rows nothing is trained then: the density is the linear Gaussian network on the
        graph, of joint blocks that of independent columns. False holds out no rows.
    validation_fraction : float, default=0.2
        Share of rows held out: at most 1000, and of few at least 50 or a quarter.
    n_iter_no_change : int, default=16
        Number of checks without improvement of any column after which denoising stops;
        for likelihood a quarter of it. Checks come every 50 and 20 steps, or more.
    tol : float, default=1e-4
        Least improvement of a column's held-out log-likelihood that counts, in nats per
        row. It must also exceed a quarter of its standard error.
    normal_scores : bool or "auto", default="auto"
        Whether all columns are mapped to normal scores of their smoothed distributions
        before anything is learned. "auto" is if mixtures predict held-out rows clearly
        better then; never with joint blocks, shared weights, factors of more than 40
        columns or fewer than 50 rows.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the previous fit. Scales and linear
        regressions stay those of the first fit; graph, sizes and noise floor must be
        the same. With an integer `random_state` the same rows are held out again;
        there are no steps on all rows, so that these stay unseen.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the networks in `score_samples`, `sample` and the gradient; may be
        changed after fit. "float32" is two to four times as fast, 1e-6 nats less exact.
    device : str, default="cpu"
        Where to compute: "cpu", "cuda", "cuda:1", ..., or "auto" for CUDA if present.
    verbose : int, default=0
        If positive, a bar with the held-out score is printed at every check.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of `fit`. An integer makes fits repeatable to the bit on
        one machine, with any number of threads.

    Attributes
    ----------
    factorization_ : Factorization
        Blocks, cliques, largest factor and treewidth; prints readably.
    graph_ : networkx.DiGraph, networkx.Graph or None
        The graph used: that given or, with "auto", that chosen.
    graph_scores_ : dict from str to float
        With "auto", held-out mean log-density in nats of a short fit of networks alone
        with each learned graph and with "none"; NaN for graphs with too large factors.
    loss_curve_ : list of float
        Denoising loss of every step, averaged over columns; near 1 at the start.
    likelihood_curve_ : list of float
        Likewise for likelihood, minus the log-density of a column, and last on all rows.
    validation_scores_ : list of float
        Held-out mean log-density of the current weights in nats per row in data units
        (mean over the networks, each on rows it has not seen); empty without such rows.
    validation_steps_ : list of int
        Number of steps taken at each of these checks; the first is 0, before training.
    best_validation_score_ : float or None
        Held-out mean log-density of what was kept, before networks and mixtures were
        shown these rows.
    mixture_shares_, kernel_shares_ : ndarray of shape (`n_features_in_`,)
        Shares of mixtures and kernels in the velocity of each column.
    n_iter_ : int
        Number of denoising steps taken in the last fit; 0 for fewer than 50 rows.
    n_steps_ : int
        Fewest steps of the solver (8 to 32) with which scores of rows are those with
        twice as many, within 0.001 nats times the root of the number of columns.
    noise_floor_ : float
        Noise floor of the fitted density.
    margins_ : InverseSinh or NormalScores
        Map of each column to standard units.
    model_ : dict
        Fitted weights as numpy arrays; with kernels, training rows.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    See Also
    --------
    sklearn.neighbors.KernelDensity : Kernel density estimate; ignores structure.
    sklearn.mixture.GaussianMixture : Mixture of normal distributions.

    Notes
    -----
    Columns are brought to standard units (those with heavy tails or skewness are bent by
    arsinh first, then perhaps mapped to normal scores) and, if conditional, regressed
    linearly on their contexts, with the Jacobian put back. A column determined by its
    context to within a thousandth of its scale is modelled as that regression plus normal
    noise of that size; a constant column as normal noise of standard deviation
    `noise_floor`, in its own units. The density smooths a column given its context by
    normal noise of `noise_floor` times its scale; in a joint block that is the scale of
    the column itself, and finer details are lost.

    References
    ----------
    .. [1] H. K. Kwon, D. Kim, I. Ohn and M. Chae, "Nonparametric estimation of a
           factorizable density using diffusion models", JMLR 27(22), 2026.
           https://arxiv.org/abs/2501.01783

    Examples
    --------
    >>> import networkx as nx
    >>> from skdiffusion import FactorizedDiffusionDensity
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> chain = make_nonlinear_chain(300, n_features=3, random_state=0)
    >>> density = FactorizedDiffusionDensity(chain.graph, max_iter=200, random_state=0)
    >>> density = density.fit(chain.data)
    >>> density.factorization_
    Factorization of 3 columns, from a directed graph
      largest factor: 2 columns; treewidth: 1
      blocks:
        p(x0)  [conditional]
        p(x1 | x0)  [conditional]
        p(x2 | x1)  [conditional]
      cliques:
        {x0, x1}
        {x1, x2}
    >>> density.score_samples(chain.data[:2]).shape
    (2,)
    >>> density.sample(5, random_state=0).shape
    (5, 3)
    """

    def __init__(
        self,
        graph=None,
        *,
        diffusion="auto",
        share_weights=False,
        max_factor_size=12,
        n_networks=None,
        hidden_size=64,
        n_layers=2,
        n_rounds=4,
        dropout=None,
        noise_floor=0.03,
        n_steps=None,
        learning_rate_init=5e-3,
        weight_decay=None,
        batch_size=None,
        max_iter=None,
        max_iter_likelihood=None,
        max_components=16,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=16,
        tol=1e-4,
        normal_scores="auto",
        warm_start=False,
        dtype="float32",
        device="cpu",
        verbose=0,
        random_state=None,
    ):
        self.graph = graph
        self.diffusion = diffusion
        self.share_weights = share_weights
        self.max_factor_size = max_factor_size
        self.n_networks = n_networks
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.n_rounds = n_rounds
        self.dropout = dropout
        self.noise_floor = noise_floor
        self.n_steps = n_steps
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_iter_likelihood = max_iter_likelihood
        self.max_components = max_components
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.normal_scores = normal_scores
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_parameters(self)

    def _choose_graph(self, X, weight, column_names) -> Choice:
        if not isinstance(self.graph, str):
            return Choice(self.graph)
        if self._continues():
            return Choice(self.graph_, self.graph_scores_, LEARNED_BEFORE)
        choice = choose_graph(self, X, weight, self._report)
        return choice.named(column_names)

    def _factorize(self, graph, n_columns: int, column_names):
        return factorize(
            graph,
            n_columns,
            column_names=column_names,
            max_factor_size=self.max_factor_size,
            diffusion=self.diffusion,
            share_weights=self.share_weights,
        )

    def _fit_margins(self, X, weight, factorization):
        if self._continues():
            check_continuation(self, factorization)
            return self.margins_
        given = self.normal_scores, self.noise_floor
        margins = fit_margins(X, weight, factorization, *given)
        if isinstance(margins, NormalScores):
            self._report("columns are mapped to normal scores")
        return margins

    def _continues(self) -> bool:
        return self.warm_start and hasattr(self, "model_")

    @with_callbacks
    def _fit_model(self, Z, weight, log_derivative, factorization, random_state) -> dict:
        device = resolve_device(self.device)
        # both are drawn even if one is not used: a warm start then splits as before
        initial, training = (make_generator(random_state, d) for d in ("cpu", device))
        arrays = (Z, weight, log_derivative)
        rows = Rows(*(to_tensor(a, dtype=TRAINING_DTYPE, device=device) for a in arrays))
        chosen = suited(vars(self), len(rows), factorization.has_joint_blocks)
        ensemble = self._initial_ensemble(
            chosen["n_networks"], factorization, Z, weight, initial
        )
        options = self._options(chosen)
        tasks = FitTasks(self, most_checks(options))

        def report(record: Record | str) -> bool:
            self._report(record)
            return isinstance(record, Record) and tasks.step(**record.last())

        ensemble, record = fit_networks(
            ensemble.to(rows.z), rows, options, training, report
        )
        tasks.end()
        self._report(record.summary())
        return self._fitted(ensemble, record, factorization)

    def _initial_ensemble(self, *table) -> Ensemble:
        if self._continues():
            return Ensemble.from_state(self.model_ | {"beside": ()})
        return initial_ensemble(
            *table,
            t_min=stopping_time(self.noise_floor),
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_rounds=self.n_rounds,
        )

    def _options(self, chosen: dict) -> Options:
        given = vars(self) | chosen | {"ends_on_all_rows": not self.warm_start}
        if not self.early_stopping:
            given["validation_fraction"] = 0
        return Options(**{f.name: given[f.name] for f in fields(Options)})

    def _report(self, record: Record | str) -> None:
        if self.verbose:
            print(record)  # noqa: T201

    def _fitted(self, ensemble, record: Record, factorization) -> dict:
        """Fitted attributes as plain arrays and numbers."""
        return {
            "model_": ensemble.to_state(),
            **ensemble.shares(),
            "noise_floor_": noise_floor(ensemble.t_min),
            "factorization_": factorization.with_engines(ensemble.engines()),
            **record.attributes(),
        }

    def _n_steps(self) -> int:
        return self.n_steps_ if self.n_steps is None else super()._n_steps()

    def _evaluation_dtype(self) -> torch.dtype:
        check_choice("dtype", self.dtype, DTYPES)
        return getattr(torch, self.dtype)

    def _build_denoisers(self) -> list:
        return Ensemble.from_state(self.model_).denoisers()
