r"""The adapter that adds a log-density to a model which can decode and be inverted."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from ._adapt import Inverted, _residual
from ._latents import Latents
from ._model import (
    AbstractDensity,
    AbstractEncoder,
    AbstractLikelihood,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)


class Marginal(AbstractLikelihood, AbstractEncoder, AbstractDensity):
    r"""An inverted decoder with a log-density added, by importance sampling.

    $\log p(x) \approx \log \tfrac1K \sum_k p(x \mid z(e_k)) \, p(e_k) / q(e_k)$ with $e_k$ drawn
    from the Laplace approximation $q = \mathcal{N}(\hat e, (J^\top J + I)^{-1})$ about the mode
    of the posterior, in the independent standard scores $e$ of the prior (Tierney and Kadane
    1986; Geweke 1989). In these coordinates the prior is a standard normal whatever the latents'
    supports are, and an observation in which nothing was seen has log-density 0.

    **Arguments:** `model`, an `Inverted` with its prior whose decoder knows its likelihood;
    `draws`, $K$.
    """

    density_kind: ClassVar[DensityKind] = "estimate"

    model: Inverted
    draws: int = eqx.field(static=True, default=64)

    def __check_init__(self):
        if not self.model.with_prior or not isinstance(self.model.decoder, AbstractLikelihood):
            raise ValueError(
                "Marginal needs a model that was inverted with its prior and knows its likelihood:"
                " Marginal(Inverted(equation, with_prior=True))."
            )
        if self.draws < 2:
            raise ValueError(f"{self.draws} draws make no average; give at least 2.")

    @property
    def latents(self) -> Latents:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The decoder's."""
        return self.model.latents

    @property
    def decoder(self) -> AbstractLikelihood:
        """The model that was inverted."""
        assert isinstance(self.model.decoder, AbstractLikelihood)
        return self.model.decoder

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """As the decoder does."""
        return self.decoder.decode(z, condition, key=key)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        """As the decoder does."""
        return self.decoder.log_likelihood(x, z, condition)

    @eqx.filter_jit
    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The mode of the posterior, or with a key a draw from its Laplace approximation."""
        mode = self.model._mode(x, condition)
        if key is not None:
            factor = _precision(self.model, x, condition, mode)
            e = jax.random.normal(key, mode.shape, mode.dtype)
            mode = mode + jsl.solve_triangular(factor, e, lower=True, trans=1)
        return self.latents.from_white(mode)

    @eqx.filter_jit
    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """The estimate from `draws` draws, those of one fixed key where none is given."""
        mode = self.model._mode(x, condition)
        # what is drawn from is a choice: the estimate's slope is that of the integrand
        mode = jax.lax.stop_gradient(mode)
        factor = jax.lax.stop_gradient(_precision(self.model, x, condition, mode))
        key = jax.random.key(0) if key is None else key
        noise = jax.random.normal(key, (self.draws, mode.size), mode.dtype)
        points = mode[None] + jsl.solve_triangular(factor, noise.T, lower=True, trans=1).T
        # both normals have the same constant
        prior = -0.5 * (points**2).sum(-1)
        drawn = -0.5 * (noise**2).sum(-1) + jnp.log(jnp.diagonal(factor)).sum()

        def likelihood(e: Latent) -> Scalar:
            value = self.log_likelihood(x, self.latents.from_white(e), condition)
            return jnp.where(jnp.isfinite(value), value, -jnp.inf).astype(mode.dtype)

        weights = jax.lax.map(likelihood, points) + prior - drawn
        return jax.nn.logsumexp(weights) - jnp.log(jnp.asarray(self.draws, mode.dtype))


def _precision(
    model: Inverted, x: Observation, condition: Condition, mode: Latent
) -> Float[Array, "latent latent"]:
    """The Cholesky factor of the Gauss-Newton curvature at the mode; the prior's residuals are
    among those of the model, so it is at least the identity."""
    slopes = jax.jacfwd(_residual)(mode, (model, x, condition))
    return jnp.linalg.cholesky(slopes.T @ slopes)
