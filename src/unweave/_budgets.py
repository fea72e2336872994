r"""Budgets: what an adversary may change about one input, and how best to spend it.

A budget is a ball of perturbations. Whatever climbs within it needs three things of it: the way
back into the ball, the direction in which a unit of its norm raises a linear function most, and a
random point. They are pure functions of one perturbation; `jax.vmap` outside makes them many.
"""

import abc
import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._model import Key, Scalar

#: One perturbation, of the shape of an input.
Perturbation = Float[Array, "..."]

# the kernel of a smooth budget ends after as many of its widths
_REACH = 5.0


class AbstractBudget(eqx.Module):
    r"""The perturbations $\delta = L s$ with $\|s\| \le$ `radius`; $L$ is the identity for most.

    `norm_name` is how the norm is written; `plain` says whether $L$ is the identity, so that the
    entries of $s$ are those of the input.
    """

    norm_name: eqx.AbstractClassVar[str]
    plain: eqx.AbstractClassVar[bool]
    radius: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def norm(self, s: Perturbation) -> Scalar:
        r"""$\|s\|$."""

    @abc.abstractmethod
    def project(self, s: Perturbation) -> Perturbation:
        """The nearest point of the ball, in the Euclidean sense."""

    @abc.abstractmethod
    def steepest(self, slope: Perturbation) -> Perturbation:
        r"""$\arg\max_{\|d\| \le 1} \langle \text{slope}, d \rangle$; 0 where the slope is."""

    @abc.abstractmethod
    def draw(self, key: Key, like: Perturbation) -> Perturbation:
        """A point drawn evenly from the ball, shaped as `like`."""

    @abc.abstractmethod
    def spread(self, s: Perturbation) -> Perturbation:
        r"""$L s$, what is added to the input."""

    @abc.abstractmethod
    def with_radius(self, radius: float | Array) -> "AbstractBudget":
        """The same kind of ball with another radius."""


class LInf(AbstractBudget):
    r"""$\max_i |\delta_i| \le$ `radius`, in the input's units."""

    radius: float | Float[Array, ""]
    norm_name: ClassVar[str] = "L∞"
    plain: ClassVar[bool] = True

    def __check_init__(self):
        _check_radius(self.radius)

    def norm(self, s: Perturbation) -> Scalar:
        r"""$\max_i |s_i|$."""
        return jnp.abs(s).max()

    def project(self, s: Perturbation) -> Perturbation:
        """Each entry cut to the radius."""
        return jnp.clip(s, -self.radius, self.radius)

    def steepest(self, slope: Perturbation) -> Perturbation:
        """The sign of each entry."""
        return jnp.sign(slope)

    def draw(self, key: Key, like: Perturbation) -> Perturbation:
        """Each entry evenly."""
        return self.radius * jax.random.uniform(key, like.shape, like.dtype, minval=-1.0)

    def spread(self, s: Perturbation) -> Perturbation:
        """As it is."""
        return s

    def with_radius(self, radius: float | Array) -> "LInf":
        """The cube of this half side."""
        return LInf(radius)


class L2(AbstractBudget):
    r"""$\sqrt{\sum_i \delta_i^2} \le$ `radius`, in the input's units."""

    radius: float | Float[Array, ""]
    norm_name: ClassVar[str] = "L2"
    plain: ClassVar[bool] = True

    def __check_init__(self):
        _check_radius(self.radius)

    def norm(self, s: Perturbation) -> Scalar:
        r"""$\sqrt{\sum_i s_i^2}$."""
        return _length(s)

    def project(self, s: Perturbation) -> Perturbation:
        """Shortened to the radius where it is longer."""
        length = _length(s)
        return s * jnp.minimum(1.0, self.radius / jnp.where(length > 0, length, 1.0))

    def steepest(self, slope: Perturbation) -> Perturbation:
        """The slope at length 1."""
        length = _length(slope)
        # two divisions: the inverse of a very short slope's length would be infinite
        unit = slope / jnp.where(length > 0, length, 1.0)
        return jnp.where(length > 0, unit, 0.0)

    def draw(self, key: Key, like: Perturbation) -> Perturbation:
        r"""A direction evenly, a length with density $\propto r^{d-1}$."""
        way, far = jax.random.split(key)
        direction = self.steepest(jax.random.normal(way, like.shape, like.dtype))
        share = jax.random.uniform(far, (), like.dtype) ** (1.0 / max(1, like.size))
        return self.radius * share * direction

    def spread(self, s: Perturbation) -> Perturbation:
        """As it is."""
        return s

    def with_radius(self, radius: float | Array) -> "L2":
        """The ball of this radius."""
        return L2(radius)


class Smooth(AbstractBudget):
    r"""Perturbations without edges: $\delta = G s$, where $G$ is Gaussian smoothing and $s$ is in
    `ball` (`LInf` or `L2`).

    $G$ smooths along every axis but the last (the channels), reflected at the ends, with a
    standard deviation of `width` samples. Its rows and columns sum to 1, so $\|\delta\| \le \|s\|$
    in both norms: $\delta$ keeps the ball's bound. No two neighbours differ by more than $\sqrt{2 /
    \pi} / \text{width}$ times an L∞ radius, so no square wave passes for physiology (after the
    smooth perturbations of Han et al. 2020). Steps are taken on $s$, where projection and steepest
    direction are exact.
    """

    ball: LInf | L2
    width: float = eqx.field(static=True)
    norm_name: ClassVar[str] = "smooth"
    plain: ClassVar[bool] = False

    def __init__(self, ball: LInf | L2, width: float):
        if not width > 0:
            raise ValueError(
                f"a width of {width} samples smooths nothing; give a positive one, such as 4."
            )
        self.ball = ball
        self.width = float(width)

    @property
    def radius(self) -> float | Array:
        """The radius of the ball."""
        return self.ball.radius

    def norm(self, s: Perturbation) -> Scalar:
        """That of the ball, of what is smoothed."""
        return self.ball.norm(s)

    def project(self, s: Perturbation) -> Perturbation:
        """That of the ball."""
        return self.ball.project(s)

    def steepest(self, slope: Perturbation) -> Perturbation:
        """That of the ball: the slope has come back through the smoothing."""
        return self.ball.steepest(slope)

    def draw(self, key: Key, like: Perturbation) -> Perturbation:
        """That of the ball."""
        return self.ball.draw(key, like)

    def spread(self, s: Perturbation) -> Perturbation:
        """Smoothed along every axis but the last, or along the only one."""
        for axis in range(max(1, s.ndim - 1)):
            kernel = jnp.asarray(_smoother(s.shape[axis], self.width), s.dtype)
            s = jnp.moveaxis(jnp.tensordot(kernel, s, axes=(1, axis)), 0, axis)
        return s

    def with_radius(self, radius: float | Array) -> "Smooth":
        """As smooth, with another bound."""
        return Smooth(self.ball.with_radius(radius), self.width)


class Neighbourhood(eqx.Module):
    """What a budget allows about each row of a batch `x`.

    **Fields:** `low` and `high`, the valid range of inputs (infinite where there is none);
    `scale`, one number for each entry of the last axis, the unit in which the budget counts
    there. Entries of `x` that are NaN were not observed and stay so. The others say what need not
    be computed: whether there are `gaps`, a unit other than 1, a range.
    """

    x: Float[Array, "batch ..."]
    budget: AbstractBudget
    low: Float[Array, ""]
    high: Float[Array, ""]
    scale: Float[Array, " channel"]
    gaps: bool = eqx.field(static=True, default=True)
    scaled: bool = eqx.field(static=True, default=True)
    ranged: bool = eqx.field(static=True, default=True)

    def none(self) -> Float[Array, "batch ..."]:
        """No perturbation."""
        return jnp.zeros_like(self.x)

    def at(self, s: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """The inputs at these perturbations, which are `valid`."""
        moved = s if self.budget.plain else jax.vmap(self.budget.spread)(s)
        if self.scaled:
            moved = moved * jnp.broadcast_to(self.scale, s.shape)
        # not x + d alone: the slope of an entry that was not observed would be NaN
        moved = self._filled() + moved
        if self.ranged and not self.budget.plain:
            moved = jnp.clip(moved, self.low, self.high)
        return jnp.where(jnp.isnan(self.x), self.x, moved) if self.gaps else moved

    def valid(self, s: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """`s` cut so that no input leaves the valid range, where its entries are the input's."""
        if not self.budget.plain:
            return s
        if self.ranged:
            low, high = self.low - self._filled(), self.high - self._filled()
            unit = jnp.broadcast_to(self.scale, s.shape) if self.scaled else 1.0
            s = jnp.clip(s, low / unit, high / unit)
        return jnp.where(jnp.isnan(self.x), 0, s) if self.gaps else s

    def _filled(self) -> Array:
        return jnp.where(jnp.isnan(self.x), 0, self.x) if self.gaps else self.x

    def confine(self, s: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """`s` back in the ball, and then in the valid range."""
        return self.valid(jax.vmap(self.budget.project)(s))

    def climb(
        self, s: Float[Array, "batch ..."], slope: Float[Array, "batch ..."], step: Any
    ) -> Float[Array, "batch ..."]:
        r"""One step of projected steepest ascent (Madry et al. 2018), $s \mapsto \Pi(s + \eta
        \arg\max_{\|d\| \le 1} \langle g, d \rangle)$, $\eta$ being `step` radii, one number or
        one a row."""
        rate = wide(jnp.asarray(step, s.dtype), s) * jnp.asarray(self.budget.radius, s.dtype)
        return self.confine(s + rate * jax.vmap(self.budget.steepest)(slope))

    def draw(self, key: Key) -> Float[Array, "batch ..."]:
        """A random point for each row."""
        keys = jax.random.split(key, len(self.x))
        return self.valid(jax.vmap(self.budget.draw)(keys, self.x))

    def sizes(self, s: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
        """The norm of each row's perturbation."""
        return jax.vmap(self.budget.norm)(s)


def ascend(
    loss: Any, around: Neighbourhood, start: Float[Array, "batch ..."], *, steps: int, step: float
) -> Float[Array, "batch ..."]:
    """`steps` of projected steepest ascent on `loss`, a function of a batch of inputs to a number
    for each; what adversarial training maximises by.

    `step` is in radii. Returns the perturbations.
    """

    def body(_: Any, s: Array) -> Array:
        slope = jax.grad(lambda s: loss(around.at(s)).sum())(s)
        return around.climb(s, slope, step)

    return jax.lax.fori_loop(0, steps, body, start)


def neighbourhood(
    x: Float[Array, "batch ..."],
    budget: AbstractBudget,
    valid: tuple[float, float] | None = None,
    scale: tuple[float, ...] = (),
    *,
    gaps: bool = True,
) -> Neighbourhood:
    """A `Neighbourhood`, its numbers in the precision of `x`, so that another radius or range is
    no other program; `gaps` says that entries of `x` may be NaN."""
    low, high = (-np.inf, np.inf) if valid is None else valid
    channels = x.shape[-1] if x.ndim > 1 else 1
    unit = jnp.asarray(scale or (1.0,) * channels, x.dtype)
    radius = jnp.asarray(budget.radius, x.dtype)
    bounds = jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)
    whole = budget.with_radius(radius)
    return Neighbourhood(x, whole, *bounds, unit, gaps, bool(scale), valid is not None)


def wide(number: Array, like: Array) -> Array:
    """One number a row as an array that multiplies `like`; a single number as it is."""
    return number.reshape(number.shape + (1,) * (like.ndim - 1)) if number.ndim else number


def _length(s: Array) -> Array:
    """The Euclidean norm, also of entries whose squares are too small to be numbers."""
    most = jnp.abs(s).max()
    unit = s / jnp.where(most > 0, most, 1.0)
    # the sum of squares of a null vector has a slope that is none
    squares = jnp.where(most > 0, (unit**2).sum(), 1.0)
    return jnp.where(most > 0, most * jnp.sqrt(squares), 0.0)


def _check_radius(radius: Any) -> None:
    # a radius that is traced, or one a program is given, was checked where it came from
    if isinstance(radius, int | float) and not radius >= 0:
        raise ValueError(f"a budget of radius {radius} allows nothing; give a positive number.")


@functools.cache
def _smoother(n: int, width: float) -> np.ndarray:
    """Gaussian smoothing of `n` samples as a matrix, reflected about the ends (half a sample
    outside): symmetric, its rows sum to 1."""
    reach = max(1, int(np.ceil(_REACH * width)))
    taps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (taps / width) ** 2)
    kernel /= kernel.sum()
    matrix = np.zeros((n, n))
    rows = np.repeat(np.arange(n), len(taps))
    places = np.mod((np.arange(n)[:, None] + taps).ravel(), 2 * n)
    columns = np.where(places < n, places, 2 * n - 1 - places)
    np.add.at(matrix, (rows, columns), np.tile(kernel, n))
    return matrix
