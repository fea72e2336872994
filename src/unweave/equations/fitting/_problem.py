"""What is to be fitted: records, an equation's curve, a noise, and which latents records share."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._latents import Latents
from ..._least_squares import value_and_slopes
from ..._noise import AbstractCurveNoise

# of a compiled program, or of NumPy outside of it
Numbers = Array | np.ndarray

Curve = Callable[[Float[Array, " latent"], Any], Float[Array, "time channel"]]


class Problem(eqx.Module):
    r"""What is to be fitted.

    **Arguments:** `curve(z, condition)`, the noiseless reading of one record; `x` `(record,
    time, channel)`, NaN = not observed; `conditions`, a tree with a row for each record, or
    None; `latents`; `is_own`, which of them each record has of its own; `pinned` `(record,
    latent)`, the value of a latent that a record fixes, NaN elsewhere; `floor` `(channel,)`, the
    smallest scale that is believed.

    A problem taken `apart` has a leading axis of lanes in `x`, `conditions` and `pinned`: each
    lane has a record of its own.
    """

    curve: Curve
    noise: AbstractCurveNoise
    latents: Latents
    x: Float[Array, "*lane record time channel"]
    conditions: Any
    pinned: Float[Array, "*lane record latent"]
    floor: Float[Array, " channel"]
    is_own: tuple[bool, ...] = eqx.field(static=True)

    @property
    def shares_nothing(self) -> bool:
        """Whether there are many records, and every latent that moves is a record's own."""
        unshared = np.asarray(self.is_own) | ~np.isnan(np.asarray(self.pinned)).any(axis=0)
        return self.x.shape[0] > 1 and bool(unshared.all())

    @property
    def is_apart(self) -> bool:
        """Whether every lane has a record of its own."""
        return self.x.ndim == 4

    def apart(self, starts: int) -> "Problem":
        """Every start of every record as a lane `(start x record)` of its own, with its own scale
        of the noise: for records that share no latent, so that none waits for another."""

        def each(rows: Array) -> Array:
            return jnp.tile(rows, (starts, *[1] * (rows.ndim - 1)))[:, None]

        return Problem(
            self.curve, self.noise, self.latents, each(self.x),
            jax.tree.map(each, self.conditions), each(self.pinned), self.floor,
            (False,) * self.latents.size,
        )  # fmt: skip

    def rows(self, lanes: Int[np.ndarray, " lane"]) -> "Problem":
        """The problem of some lanes."""
        if not self.is_apart:
            return self
        part = jax.tree.map(lambda leaf: leaf[lanes], _of_records(self))
        return eqx.tree_at(_of_records, self, part)

    def over_lanes(self, function: Callable) -> Callable:
        """`function(problem, *lane)` for all lanes at once."""
        if not self.is_apart:
            return lambda *lanes: jax.vmap(lambda *lane: function(self, *lane))(*lanes)

        def one(part: Any, *lane: Any) -> Any:
            return function(eqx.tree_at(_of_records, self, part), *lane)

        return lambda *lanes: jax.vmap(one)(_of_records(self), *lanes)

    def assemble(
        self, shared: Float[Numbers, " shared"], own: Float[Numbers, "record own"]
    ) -> Float[Array, "record latent"]:
        """All coordinates of every record."""
        u = jnp.zeros((self.x.shape[0], self.latents.size), shared.dtype)
        u = u.at[:, self._columns(False)].set(jnp.broadcast_to(shared, (u.shape[0], shared.size)))
        return u.at[:, self._columns(True)].set(own)

    def part(
        self, u: Float[np.ndarray, "... latent"]
    ) -> tuple[Float[np.ndarray, "... shared"], Float[np.ndarray, "... own"]]:
        """The shared and the own columns."""
        return u[..., self._columns(False)], u[..., self._columns(True)]

    def constrain(
        self, u: Float[Array, " latent"], pinned: Float[Array, " latent"]
    ) -> Float[Array, " latent"]:
        """Coordinates to the latents of one record."""
        return jnp.where(jnp.isnan(pinned), self.latents.constrain(u), pinned)

    def readings(self, u: Float[Array, "record latent"]) -> Float[Array, "record time channel"]:
        r"""The natural parameter $\eta$ of every entry."""

        def one(u: Array, pinned: Array, condition: Any) -> Array:
            return self.noise.link(self.curve(self.constrain(u, pinned), condition))

        return jax.vmap(one)(u, self.pinned, self.conditions)

    def slopes(
        self, u: Float[Array, "record latent"]
    ) -> tuple[Float[Array, "record time channel"], Float[Array, "record latent time channel"]]:
        r"""$\eta$ and $\partial\eta / \partial u$, forward mode: few latents, many entries."""

        def one(u: Array, pinned: Array, condition: Any) -> tuple[Array, Array]:
            def read(u: Array) -> Array:
                return self.noise.link(self.curve(self.constrain(u, pinned), condition))

            return value_and_slopes(read, u)

        return jax.vmap(one)(u, self.pinned, self.conditions)

    def scale(self, eta: Float[Array, "record time channel"]) -> Float[Array, " channel"]:
        """The most likely scale of each channel, no smaller than believed."""
        if not self.noise.has_scale:
            return jnp.ones_like(self.floor)
        return jnp.maximum(self.noise.best_scale(self.x, eta), self.floor)

    def objective(
        self, eta: Float[Array, "record time channel"], scores: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "record time channel"], Float[Array, " channel"]]:
        """$L$, the residuals and the scale; not finite where the curve is not."""
        scale = self.scale(eta)
        residual = self._residual(eta, scale)
        seen = ~jnp.isnan(self.x)
        count = seen.sum(axis=(0, 1)).astype(eta.dtype)
        logs = (count * jnp.log(scale)).sum() if self.noise.has_scale else jnp.zeros((), eta.dtype)
        value = 0.5 * (residual**2).sum() + logs + 0.5 * (scores**2).sum()
        broken = (seen & ~jnp.isfinite(eta)).any()
        return jnp.where(broken | ~jnp.isfinite(value), jnp.inf, value), residual, scale

    def scores(self, u: Float[Array, "record latent"]) -> Float[Array, "record latent"]:
        """Standard scores under the priors that inform; 0 for a range, and for what is shared
        in all records but the first, which stands for it."""
        each = jax.vmap(lambda u: _scores(self.latents, self.latents.constrain(u)))(u)
        first = jnp.arange(each.shape[0])[:, None] == 0
        counts = jnp.asarray(self.is_own)[None, :] | first
        return jnp.where(counts & jnp.isnan(self.pinned), each, 0.0)

    def score_slopes(self, u: Float[Array, "record latent"]) -> Float[Array, "record latent"]:
        """The derivative of each score by its own coordinate."""
        ones = jnp.ones_like(u)
        return jax.jvp(self.scores, (u,), (ones,))[1]

    def weighted(
        self,
        eta: Float[Array, "record time channel"],
        slopes: Float[Array, "record latent time channel"],
        scale: Float[Array, " channel"],
    ) -> Float[Array, "record latent time channel"]:
        r"""$\partial\rho / \partial u$ from $\partial\eta / \partial u$."""

        def residual(eta: Array) -> Array:
            return self._residual(eta, scale)

        chain = jax.jvp(residual, (eta,), (jnp.ones_like(eta),))[1]
        return jnp.where(jnp.isfinite(slopes), slopes, 0.0) * chain[:, None]

    def _residual(self, eta: Array, scale: Array) -> Array:
        seen = ~jnp.isnan(self.x)
        known = jnp.where(seen, self.x, 1.0)
        safe = jnp.where(seen & jnp.isfinite(eta), eta, 0.0)
        return jnp.where(seen, self.noise.residual(known, safe, scale), 0.0)

    def _columns(self, own: bool) -> np.ndarray:
        return np.flatnonzero(np.asarray(self.is_own) == own)


def _of_records(problem: Problem) -> tuple[Any, ...]:
    """What has a row for each record."""
    return problem.x, problem.conditions, problem.pinned


def _scores(latents: Latents, z: Float[Array, " latent"]) -> Float[Array, " latent"]:
    """$(z - m) / s$ for normal priors, cut or not, $(\\log z - m) / s$ for log-normal ones."""
    families = np.asarray([prior.family for prior in latents.priors])
    is_log = families == "log-normal"
    informs = is_log | (families == "normal") | (families == "truncated-normal")
    numbers = latents.numbers(z.dtype)
    centre, width = numbers[:, 0], jnp.where(informs, numbers[:, 1], 1.0)
    value = jnp.where(is_log, jnp.log(jnp.where(is_log, z, 1)), z)
    return jnp.where(informs, (value - centre) / width, 0)
