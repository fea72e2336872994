"""When the samples of a series were taken, and what lies between those that were observed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..._course import Course
from ..._model import Condition


def times_of(condition: Condition, own: tuple[float, ...], like: Array) -> Float[Array, " time"]:
    """The times of an observation: those of its condition, or the model's own."""
    if isinstance(condition, Course) and condition.times is not None:
        return jnp.asarray(condition.times, like.dtype)
    return jnp.asarray(own, like.dtype)


def widths_of(times: Float[Array, " time"], unit: float) -> Float[Array, " time"]:
    """The time from each sample to the next, in `unit`; 0 after the last."""
    return jnp.append(jnp.abs(jnp.diff(times)) / unit, jnp.zeros((), times.dtype))


def interpolated(
    x: Float[Array, "time channel"], times: Float[Array, " time"]
) -> Float[Array, "time channel"]:
    """Straight lines between the observed samples of each channel, level beyond the ends, zero
    where a channel was never observed."""
    observed = ~jnp.isnan(x)
    before, t_before, any_before = _last_seen(x, times, observed)
    after, t_after, any_after = (
        part[::-1] for part in _last_seen(x[::-1], times[::-1], observed[::-1])
    )
    gap = t_after - t_before
    share = jnp.where(gap > 0, (times[:, None] - t_before) / jnp.where(gap > 0, gap, 1), 0)
    between = before + share * (after - before)
    level = jnp.where(any_before, before, after)
    return jnp.where(any_before & any_after, between, level)


def carried_forward(x: Float[Array, "time channel"]) -> Float[Array, "time channel"]:
    """The last observed sample of each channel, zero before the first."""
    times = jnp.zeros(len(x), x.dtype)
    return _last_seen(x, times, ~jnp.isnan(x))[0]


def _last_seen(
    x: Float[Array, "time channel"], times: Float[Array, " time"], seen: Bool[Array, "time channel"]
) -> tuple[Array, Array, Array]:
    """Value and time of the last observed sample up to each time, and whether there is one."""

    def later(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return (
            jnp.where(b[2], b[0], a[0]),
            jnp.where(b[2], b[1], a[1]),
            a[2] | b[2],
        )

    at = jnp.broadcast_to(times[:, None], x.shape)
    start = (jnp.where(seen, x, 0), jnp.where(seen, at, 0), seen)
    return jax.lax.associative_scan(later, start)
