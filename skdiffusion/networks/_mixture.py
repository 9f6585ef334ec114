r"""Mixtures of linear regressions as denoisers.

Noise keeps a mixture of normal distributions what it is. With weights :math:`w_k` and
means :math:`\mu_k` given the context, and variances :math:`v_k`,

.. math::
    p_t(r_t) = \sum_k w_k\, N(r_t;\ \cos(t) \mu_k,\ V_k), \qquad
    V_k = \cos^2(t) v_k + \sin^2(t), \\
    v(r_t, t) = \sum_k \rho_k \left(\sin(t) \cos(t) \frac{1 - v_k}{V_k}
    (r_t - \cos(t) \mu_k) - \sin(t) \mu_k\right),

where :math:`\rho_k` is the probability of component k given :math:`r_t`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..mixtures import Regressions
from ..process import noise_floor
from ._conditional import ConditionalNetwork
from ._partner import NARROWEST, ConditionalPartner


class ConditionalMixture(ConditionalPartner):
    """Velocities of mixtures of regressions of columns on their contexts, exactly.

    Parameters
    ----------
    columns, contexts, context_size
        As for `ConditionalColumns`.
    n_components : int
        Largest number of components of a column.

    Notes
    -----
    It starts as the standard normal distribution of every residual. Contexts outside the
    range of the training rows level off, as they do for the networks.
    """

    name = "mixture"
    arrays_at_once = 10

    def __init__(self, columns, contexts, *, n_components, context_size=None):
        super().__init__(columns, contexts, context_size=context_size)
        k, C = self.context_index.shape
        K = n_components
        only_first = torch.full((k, K), -torch.inf)
        only_first[:, 0] = 0.0
        self.register_buffer("log_weight", only_first)
        self.register_buffer("centre", torch.zeros(k, K, C))
        self.register_buffer("whitening", torch.zeros(k, K, C, C))
        self.register_buffer("slope", torch.zeros(k, K, C))
        self.register_buffer("mean", torch.zeros(k, K))
        self.register_buffer("variance", torch.ones(k, K))

    @classmethod
    def beside(
        cls, network: ConditionalNetwork, known: Sequence[Regressions]
    ) -> "ConditionalMixture":
        """Regressions of its columns in the coordinates of a network.

        Parameters
        ----------
        network : ConditionalNetwork
            Its columns, contexts, linear regressions and ranges are taken over.
        known : sequence of Regressions
            Of each column, in standard units.
        """
        n_components = max(len(regressions.log_weight) for regressions in known)
        new = cls.like(network, n_components=n_components)
        least = (NARROWEST * noise_floor(network.t_min)) ** 2
        for i, regressions in enumerate(known):
            new._take(i, regressions, least)
        return new

    def _take(self, i: int, given: Regressions, least: float) -> None:
        """Regressions of column i, from standard units to those of its residual."""
        n, c = given.slope.shape
        coef, scale = self.coef[i, :c, 0].cpu().numpy(), self.scale[i].item()
        values = {
            "log_weight": given.log_weight,
            "centre": given.centre,
            "whitening": given.whitening,
            "slope": (given.slope - coef) / scale,
            "mean": (given.intercept - self.intercept[i].item()) / scale,
            "variance": np.maximum(given.variance / scale**2, least),
        }
        for name, value in values.items():
            place = (i, slice(n), *[slice(c)] * (value.ndim - 1))
            getattr(self, name)[place] = torch.as_tensor(np.asarray(value)).to(self.coef)

    def sizes(self) -> dict:
        return {"n_components": self.log_weight.shape[1], **super().sizes()}

    @property
    def floats_per_row(self) -> int:
        k, K, C = self.centre.shape
        return k * K * (self.arrays_at_once + C)

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of weights and means given the contexts, both (k, K, n)."""
        # once a path, so in double precision, in which the place of a row does not count
        context = self.context_inputs(z).double()
        away = context.unsqueeze(1) - self.centre.double().unsqueeze(2)
        whitening = self.whitening.double().transpose(2, 3)
        distance = torch.matmul(away, whitening).square().sum(-1)
        log_weight = self.log_weight.unsqueeze(2) - 0.5 * distance
        mean = torch.matmul(self.slope.double(), context.transpose(1, 2))
        code = torch.log_softmax(log_weight, dim=1), mean + self.mean.unsqueeze(2)
        return tuple(x.to(self.coef.dtype) for x in code)

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        log_weight, mean = code
        t, variance = t.to(mean.dtype), self.variance.unsqueeze(2)
        cos, sin = torch.cos(t), torch.sin(t)
        noisy = cos**2 * variance + sin**2
        away = r_t.to(mean.dtype).T.unsqueeze(1) - cos * mean
        score = -away / noisy
        exponent = log_weight - 0.5 * torch.log(noisy) + 0.5 * away * score
        share = torch.softmax(exponent, dim=1)
        slope = sin * cos * (1 - variance) / noisy
        v = slope * away - sin * mean
        mean_v, mean_score = ((share * x).sum(1, keepdim=True) for x in (v, score))
        # shares change with the difference of their score from the mean one
        dv = (share * (slope + (v - mean_v) * (score - mean_score))).sum(1)
        return mean_v.squeeze(1).T, dv.T
