"""The inputs of an equation between the times at which they were recorded."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._course import Course
from ..._model import Condition, Latent

#: The ways to read an input between two of its samples.
INTERPOLATIONS = ("linear", "previous", "cubic")


class Drive(eqx.Module):
    """Inputs `values` `(time, input)` at `times` `(time,)`, each read between its samples as
    `kinds` says: on the straight line, held from the sample before, or on the cubic Hermite
    curve whose slopes are central differences (Catmull and Rom 1974)."""

    times: Float[Array, " time"]
    values: Float[Array, "time input"]
    kinds: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, " input"]:
        """The inputs at one time; outside the record its nearest sample."""
        if not self.kinds:
            return jnp.zeros(0, t.dtype)
        last = self.times.shape[0] - 1
        i = jnp.clip(jnp.searchsorted(self.times, t, side="right") - 1, 0, max(last - 1, 0))
        j = jnp.minimum(i + 1, last)
        width = self.times[j] - self.times[i]
        share = jnp.clip((t - self.times[i]) / jnp.where(width > 0, width, 1), 0, 1)
        a, b = self.values[i], self.values[j]
        read = {
            "linear": lambda: a + share * (b - a),
            "previous": lambda: jnp.where(share < 1, a, b),
            "cubic": lambda: _hermite(a, b, self._slope(i) * width, self._slope(j) * width, share),
        }
        ways = {kind: read[kind]() for kind in dict.fromkeys(self.kinds)}
        return jnp.stack([ways[kind][c] for c, kind in enumerate(self.kinds)])

    def over(
        self, times: Float[Array, " edge"]
    ) -> tuple[Float[Array, "step input"], Float[Array, "step input"], Float[Array, "step input"]]:
        """The inputs at the beginning, the middle and the end of every step.

        An input that is held jumps at its samples: within a step it is what it was at the
        step's beginning, or a method of order four would see the jump and lose its order.
        """
        steps = times.shape[0] - 1
        if not self.kinds:
            none = jnp.zeros((steps, 0), times.dtype)
            return none, none, none
        at = jax.vmap(self)
        begin, end = at(times[:-1]), at(times[1:])
        middle = at(0.5 * (times[:-1] + times[1:]))
        held = jnp.asarray([kind == "previous" for kind in self.kinds])[None, :]
        return begin, jnp.where(held, begin, middle), jnp.where(held, begin, end)

    def _slope(self, i: Array) -> Float[Array, " input"]:
        last = self.times.shape[0] - 1
        before, after = jnp.maximum(i - 1, 0), jnp.minimum(i + 1, last)
        width = self.times[after] - self.times[before]
        return (self.values[after] - self.values[before]) / jnp.where(width > 0, width, 1)


def _hermite(a: Array, b: Array, slope_a: Array, slope_b: Array, s: Array) -> Array:
    return (
        (1 + 2 * s) * (1 - s) ** 2 * a
        + s * (1 - s) ** 2 * slope_a
        + s**2 * (3 - 2 * s) * b
        + s**2 * (s - 1) * slope_b
    )


def drive(
    times: Float[Array, " time"], inputs: Float[Array, "time input"] | None, kinds: Sequence[str]
) -> Drive:
    """The `Drive` of an equation with these kinds of inputs; a gap carries the last value on."""
    if not kinds:
        return Drive(times, jnp.zeros((times.shape[0], 0), times.dtype), ())
    if inputs is None:
        raise ValueError(
            f"the equation has {len(kinds)} input(s) and none was given; name their columns with "
            "--inputs, or give condition=Course(inputs=...)."
        )
    if inputs.shape != (times.shape[0], len(kinds)):
        raise ValueError(
            f"inputs of shape {inputs.shape} do not fit {times.shape[0]} times and {len(kinds)} "
            "input(s); give one row for each time."
        )
    return Drive(times, _carried(jnp.asarray(inputs, times.dtype)), tuple(kinds))


def _carried(values: Float[Array, "time input"]) -> Float[Array, "time input"]:
    """NaN replaced by the last value before it, or the first after it at the beginning."""
    seen = ~jnp.isnan(values)
    row = jnp.arange(values.shape[0])[:, None]
    last = jax.lax.cummax(jnp.where(seen, row, -1), axis=0)
    first = jnp.argmax(seen, axis=0)[None, :]
    return jnp.take_along_axis(values, jnp.where(last < 0, first, last), axis=0)


def course(
    default: tuple[float, ...], condition: Condition, z: Latent
) -> tuple[Float[Array, " time"], Float[Array, "time input"] | None]:
    """The times of one observation, in the dtype of `z`, and its inputs."""
    times, inputs = condition if isinstance(condition, Course) else (condition, None)
    driven = None if inputs is None else jnp.asarray(inputs, z.dtype)
    return jnp.asarray(default if times is None else times, z.dtype), driven
