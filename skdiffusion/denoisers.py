r"""Denoisers: the contract between models of the score and the probability flow.

A denoiser owns some columns and gives the velocity of the process at any time,

.. math:: v(r_t, t \mid c) = E[\cos(t)\, \epsilon - \sin(t)\, r \mid r_t, c],

where r are its own columns in its own coordinates and c the clean columns of its
context. Networks and closed forms are denoisers; the flow knows nothing else.
"""

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    """Contract of every model of the velocity.

    Attributes
    ----------
    columns : tuple of int
        Positions of the columns it owns, in the order of the last axis of `r_t`.
    colours : Tensor of shape (n_colours, n_own) or None
        Colouring of the Jacobian of the velocity: a 0/1 probe for each colour, such
        that entry (i, j) vanishes whenever i and j differ and share a colour. None is a
        dense Jacobian, with a colour for each column.
    separable : bool
        Whether own columns are independent given their contexts, so that `select` can
        take some of them.

    Notes
    -----
    A denoiser must implement `velocity`; the rest has defaults. Rows never interact.
    """

    columns: tuple[int, ...]
    colours: Tensor | None = None
    separable: bool = False

    @property
    def floats_per_row(self) -> int:
        """Numbers held at once for one row in evaluation without gradients."""
        return len(self.columns)

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Own coordinates r of clean rows z, and ``log |dr/dz|``, both (n, n_own)."""
        r = z[:, list(self.columns)]
        return r, torch.zeros_like(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        """Own columns of z from r; reads only the columns of the context in z."""
        return r

    def encode(self, z: Tensor):
        """All the velocity needs to know of the clean context; computed once a path.

        The result may hold memory that evaluations overwrite: it serves one path, in the
        gradient mode in which it was made.
        """
        return

    def velocity(self, r_t: Tensor, t: Tensor, code) -> Tensor:
        """Velocity at the noisy own columns, shape (n, n_own).

        The time is 0-d or, in denoising, of shape (n,). The velocity may be of lower
        precision than `r_t`.
        """
        raise NotImplementedError

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        """Velocity and the diagonal of its Jacobian, both of shape (n, n_own).

        One directional derivative for each colour of the Jacobian.
        """
        probes = self.colours
        if probes is None:
            probes = torch.eye(len(self.columns), dtype=r_t.dtype, device=r_t.device)
        diagonal = torch.zeros_like(r_t)
        for probe in probes.to(r_t):
            v, dv = torch.func.jvp(
                lambda r: self.velocity(r, t, code), (r_t,), (probe.expand_as(r_t),)
            )
            diagonal = diagonal + probe * dv
        return v, diagonal

    def split(self) -> "list[Denoiser]":
        """Independent denoisers of fewer columns that together are this one."""
        return [self]

    def select(self, columns: tuple[int, ...]) -> "Denoiser":
        """Denoiser of some of the columns; needed if they fall in several generations."""
        if columns != self.columns:
            raise NotImplementedError(
                f"{type(self).__name__} models columns {self.columns} jointly and cannot "
                f"be restricted to {columns}."
            )
        return self


class GaussianDenoiser(Denoiser):
    r"""Exact denoiser of N(mean, covariance), without context.

    .. math::
        v(z_t, t) = \sin(t) \cos(t)\, (I - \Sigma)
        (\cos^2(t)\, \Sigma + \sin^2(t)\, I)^{-1} (z_t - \cos(t)\, \mu)
        - \sin(t)\, \mu.
    """

    def __init__(self, columns, mean: Tensor, covariance: Tensor):
        super().__init__()
        self.columns = tuple(columns)
        self.register_buffer("mean", mean)
        eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
        # rounding may leave variances of -1e-17
        self.register_buffer("eigenvalues", eigenvalues.clamp(min=0))
        self.register_buffer("eigenvectors", eigenvectors)

    def velocity(self, r_t: Tensor, t: Tensor, code) -> Tensor:
        t = t.unsqueeze(-1)
        centred = (r_t - torch.cos(t) * self.mean) @ self.eigenvectors
        linear = (self._slopes(t) * centred) @ self.eigenvectors.T
        return linear - torch.sin(t) * self.mean

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        diagonal = self._slopes(t.unsqueeze(-1)) @ self.eigenvectors.square().T
        return self.velocity(r_t, t, code), diagonal.expand_as(r_t)

    def _slopes(self, t: Tensor) -> Tensor:
        """Derivatives of the velocity along the principal axes."""
        cos, sin = torch.cos(t), torch.sin(t)
        noisy = cos**2 * self.eigenvalues + sin**2
        return sin * cos * (1 - self.eigenvalues) / noisy
