r"""Adapters: each adds exactly one capability to a model that lacks it.

Fitting an equation to a series and inverting a generator are one problem, least squares over
the latents, and so one piece of code.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._latents import Latents
from ._least_squares import Descent, least_squares
from ._model import (
    AbstractCurve,
    AbstractDecoder,
    AbstractEncoder,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)


class Fits(eqx.Module):
    """What least squares reached from each start, the best first.

    `z` `(start, latent)`; `cost` `(start,)`, half the sum of squares, infinite where the model
    gave no finite observation; `steps` `(start,)`; `converged` `(start,)`, whether the steps
    had become smaller than the tolerance.
    """

    z: Float[Array, "start latent"]
    cost: Float[Array, " start"]
    steps: Int[Array, " start"]
    converged: Bool[Array, " start"]


# of many starts so many go on after these first steps: most of the way is made in them
_AHEAD, _FIRST_STEPS = 2, 16


class Inverted(AbstractDecoder, AbstractEncoder):
    r"""A decoder with an encoder added: the latents that explain an observation best.

    $\hat z = \arg\min_z \sum_i \big((x_i - f_i(z)) / s_i\big)^2$ over the observed entries, by
    Levenberg–Marquardt (Levenberg 1944; Marquardt 1963) from the prior's median and from draws
    of the prior, on coordinates in which every latent's support is the real line.

    A decoder that is a curve with a noise (an equation) gives its own deviance residuals
    instead, so that the latents are the most likely ones under that noise.

    **Arguments:** `decoder`; `starts`, how many; `steps`, at most so many from each; `scale`,
    $s$, one for each channel in the units of the observation, or none; `with_prior`, whether
    the prior counts as $\sum_j e_j^2$ with $e$ the independent standard scores that stand for
    $z$: the mode of the posterior in these scores, where `scale` is the noise's standard
    deviation.
    """

    decoder: AbstractDecoder
    starts: int = eqx.field(static=True, default=8)
    steps: int = eqx.field(static=True, default=128)
    scale: tuple[float, ...] = eqx.field(static=True, default=())
    with_prior: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.starts < 1 or self.steps < 1:
            raise ValueError(
                f"Inverted was given {self.starts} starts of {self.steps} steps; it needs at "
                "least one of each."
            )
        if not all(scale > 0 for scale in self.scale):
            raise ValueError(f"the scales {self.scale} are not all positive.")
        if self.with_prior and not self.scale and not isinstance(self.decoder, AbstractCurve):
            raise ValueError(
                "a prior counts against the noise; give Inverted each channel's standard "
                "deviation of the noise as scale=."
            )

    @property
    def latents(self) -> Latents:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The decoder's."""
        return self.decoder.latents

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """As the decoder does."""
        return self.decoder.decode(z, condition, key=key)

    # compiled here, so that a call outside any jit does not trace the solver anew
    @eqx.filter_jit
    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The best of the starts, NaN if none gave a finite observation; `key` draws the
        starts, and without it they are the same each time."""
        return self._latents_at(self._mode(x, condition, key=key))

    @eqx.filter_jit
    def fits(self, x: Observation, condition: Condition = None, *, key: Key | None = None) -> Fits:
        """What every start reached: whether the answer depends on the start."""
        points, cost, steps, converged = _descend(
            self, x, condition, self._starts(x, key), self.steps
        )
        z = jax.vmap(self._latents_at)(points)
        return Fits(z, cost, steps, converged)

    def _mode(self, x: Observation, condition: Condition, *, key: Key | None = None) -> Latent:
        """The best point, in the coordinates that are searched: real numbers, or with a prior
        its independent standard scores."""
        return _best(self, x, condition, self._starts(x, key))

    def _latents_at(self, u: Latent) -> Latent:
        return self.latents.from_white(u) if self.with_prior else self.latents.constrain(u)

    def _starts(self, x: Observation, key: Key | None) -> Float[Array, "start latent"]:
        """The prior's median and draws of the prior, in the unconstrained coordinates."""
        key = jax.random.key(0) if key is None else key
        latents = self.latents
        if self.with_prior:
            scores = jax.random.normal(key, (self.starts, latents.size))
            return _floating(scores.at[0].set(0.0), x)
        centre = latents.unconstrain(latents.from_normal(jnp.zeros(latents.size)))
        draws = jax.vmap(latents.sample)(jax.random.split(key, self.starts))
        points = jax.vmap(latents.unconstrain)(draws).at[0].set(centre)
        # a draw on the very end of an interval lies at infinity
        points = jnp.where(jnp.isfinite(points), points, centre[None, :])
        return _floating(points, x)


def _floating(points: Float[Array, "..."], x: Observation) -> Float[Array, "..."]:
    """float64 where the observation is: equations need it, and networks do not."""
    return points.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32)


def _descend(
    model: Inverted,
    x: Observation,
    condition: Condition,
    starts: Float[Array, "start latent"],
    steps: int,
) -> tuple[Array, Array, Array, Array]:
    """Levenberg–Marquardt from each start: points, costs, steps, converged; the best first."""
    tolerance = 1e-10 if starts.dtype == jnp.float64 else 1e-6

    def descend(start: Latent) -> Descent:
        problem = (model, x, condition)
        return least_squares(
            lambda u: _residual(u, problem), start, steps=steps, tolerance=tolerance
        )

    points, cost, taken, converged = jax.vmap(descend)(starts)
    order = jnp.argsort(cost)
    return points[order], cost[order], taken[order], converged[order]


@eqx.filter_custom_jvp
def _best(
    model: Inverted,
    x: Observation,
    condition: Condition,
    starts: Float[Array, "start latent"],
) -> Latent:
    """The best point of `_descend`, NaN where no cost is finite; where there are many starts,
    those that are ahead after some steps alone go on."""
    if len(starts) > _AHEAD and model.steps > _FIRST_STEPS:
        starts = _descend(model, x, condition, starts, _FIRST_STEPS)[0][:_AHEAD]
    points, cost, _, _ = _descend(model, x, condition, starts, model.steps)
    return jnp.where(jnp.isfinite(cost[0]), points[0], jnp.nan)


@_best.def_jvp
def _best_jvp(primals, tangents):
    r"""The implicit function theorem at the minimum: $\nabla_u c(\hat u, \theta) = 0$ gives
    $d\hat u = -(\nabla_u^2 c)^{-1} \, \partial_\theta \nabla_u c \, d\theta$."""
    *problem, _ = primals
    *changes, _ = tangents
    u = _best(*primals)
    slope = jax.jacfwd(_cost)
    curvature = jax.jacfwd(slope)(u, tuple(problem))
    _, moved = eqx.filter_jvp(lambda *theta: slope(u, theta), tuple(problem), tuple(changes))
    return u, -jnp.linalg.solve(curvature, moved)


def _cost(u: Latent, problem: tuple[Inverted, Observation, Condition]) -> Scalar:
    left = _residual(u, problem)
    return 0.5 * (left @ left)


def _residual(
    u: Latent, problem: tuple[Inverted, Observation, Condition]
) -> Float[Array, " residual"]:
    """What is left to explain, entry by entry, then what the prior objects to."""
    model, x, condition = problem
    z = model._latents_at(u)
    if isinstance(model.decoder, AbstractCurve):
        left = model.decoder.residuals(x, z, condition).astype(u.dtype)
    else:
        expected = model.decoder.decode(z, condition).astype(u.dtype)
        observed = ~jnp.isnan(x)
        left = jnp.where(observed, jnp.where(observed, x, 0).astype(u.dtype) - expected, 0.0)
        if model.scale:
            left = left / jnp.broadcast_to(jnp.asarray(model.scale, u.dtype), left.shape)
    flat = left.reshape(-1)
    return jnp.concatenate([flat, u]) if model.with_prior else flat
