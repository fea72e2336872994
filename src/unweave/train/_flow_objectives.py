r"""What a flow is fitted to: the velocity of straight paths, or the likelihood.

Observations of whole numbers are spread evenly over the unit about each, so that a density of
real numbers can describe them (Theis et al. 2016, section 3.1).
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from .._families import AbstractCoordinates, AbstractVelocity
from .._libraries import default_promotion
from .._model import (
    AbstractDensity,
    Condition,
    Key,
)
from ._objectives import Batch, Objective, Rows, Step, parts

Points = Float[Array, "batch coordinate"]
Many = Float[Array, " batch"]
# in more coordinates than this training estimates the trace
_MOST_EXACT = 16
# rounds of Sinkhorn's algorithm, and its blur as a part of the mean cost
_ROUNDS, _BLUR = 15, 0.05


def flow_matching(
    *,
    optimal_transport: bool = True,
    logit_normal: bool = True,
    base: Callable[[Key, tuple[int, ...]], Array] = jax.random.normal,
) -> Objective:
    r"""$\mathbb{E}\, |v(y_t, t) - (y_1 - y_0)|^2 / d$ along the straight path $y_t = (1 - t) y_0 +
    t y_1$ from a standard normal draw to an observation of $d$ numbers (Lipman et al. 2023, eq.
    23; Liu et al. 2023).

    **Arguments:** `optimal_transport`, whether draws and observations are paired within the
    batch so that the squared distances are least in sum (Tong et al. 2024; Pooladian et al.
    2023), which straightens the paths; `logit_normal`, whether $t = 1/(1 + e^{-u})$ with $u$
    standard normal, which
    dwells in the middle (Esser et al. 2024, eq. 19), or is uniform; `base`, what draws $y_0$ where
    it is not standard normal (other data), from a key and a shape.
    """

    def objective(model: AbstractVelocity, x: Batch, key: Key, step: Step):
        fill_key, base_key, time_key = jax.random.split(key, 3)
        y = _coordinates(model, x, fill_key)
        start = base(base_key, y.shape)
        if optimal_transport:
            y = y[assign(start, y)]
        if logit_normal:
            t = jax.nn.sigmoid(jax.random.normal(time_key, (len(y),), y.dtype))
        else:
            t = jax.random.uniform(time_key, (len(y),), y.dtype)
        there = t[:, None]
        v = jax.vmap(model.velocity)((1 - there) * start + there * y, t)
        return ((v - (y - start)) ** 2).mean(), {}

    return objective


def assign(base: Points, y: Points) -> Int[Array, " batch"]:
    r"""The permutation $\pi$ with the least $\sum_i |b_i - y_{\pi(i)}|^2$, exactly: shortest
    augmenting paths (Crouse 2016, as SciPy has it) on the host.

    A few rounds of Sinkhorn's algorithm on the device come first (Cuturi 2013). Taking its
    potentials off the costs changes no order among assignments, and leaves paths so short that
    they are found in less than half the time. Of a batch that several devices share each finds the
    whole assignment by itself (the Hungarian algorithm of Optax), which takes longer.
    """
    base, y = jax.lax.stop_gradient((base, y))
    cost = 0.5 * ((base**2).sum(-1)[:, None] + (y**2).sum(-1)[None, :]) - base @ y.T
    spread = _BLUR * cost.mean()
    kernel = jnp.exp(-cost / spread)
    least = jnp.finfo(cost.dtype).tiny

    def scale(_: Any, scales: tuple[Array, Array]) -> tuple[Array, Array]:
        _, right = scales
        left = 1 / jnp.maximum(kernel @ right, least)
        return left, 1 / jnp.maximum(left @ kernel, least)

    ones = jnp.ones(len(y), y.dtype)
    left, right = jax.lax.fori_loop(0, _ROUNDS, scale, (ones, ones))
    reduced = cost - spread * (jnp.log(left)[:, None] + jnp.log(right)[None, :])
    shape = jax.ShapeDtypeStruct((len(y),), jnp.int32)

    if not jax.sharding.get_abstract_mesh().empty:
        # devices that share a batch have no host between them to ask
        with default_promotion():
            places, found = optax.assignment.hungarian_algorithm(reduced)
        return found[jnp.argsort(places)].astype(jnp.int32)
    return jax.pure_callback(_assign_on_host, shape, reduced, vmap_method="sequential")


def _assign_on_host(cost: Array) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    numbers = np.array(cost, np.float64)
    # what is not finite ends training with a sentence of its own, one line further on
    if not np.isfinite(numbers).all():
        return np.arange(len(numbers), dtype=np.int32)
    numbers -= numbers.min(1, keepdims=True)
    numbers -= numbers.min(0)
    return linear_sum_assignment(numbers)[1].astype(np.int32)


def maximum_likelihood(*, steps: int = 8, kinetic: float = 0.0, jacobian: float = 0.0) -> Objective:
    r"""$-\log p(y)$ in nats per observation, in the flow's coordinates, plus $\lambda_K \int |v|^2
    dt + \lambda_J \int |\partial v / \partial y|_F^2 \, dt$ (Grathwohl et al. 2019, eq. 4; Finlay
    et al. 2020, eqs. 8 and 10).

    The way back takes `steps` steps of the classical Runge–Kutta method, as Finlay et al. train;
    the integrals along it are Simpson's over each step. In more than 16 coordinates one direction
    a batch estimates the trace and the norm.

    **Arguments:** `kinetic`, $\lambda_K$, and `jacobian`, $\lambda_J$: paths that are short and
    smooth take a solver fewer steps.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps lead nowhere; give at least 1.")

    def objective(model: AbstractVelocity, x: Batch, key: Key, step: Step):
        fill_key, probe_key = jax.random.split(key)
        y = _coordinates(model, x, fill_key)
        probe = jax.random.rademacher(probe_key, y.shape, y.dtype)

        def rates(y: Points, t: Array) -> Points:
            return jax.vmap(model.velocity, (0, None))(y, t)

        def along(y: Points, v: Points, t: Array) -> tuple[Many, Many, Many]:
            growth, norm = jax.vmap(_growth_and_norm, (None, 0, None, 0))(model, y, t, probe)
            return growth, (v**2).sum(-1), norm

        z, (grown, energy, norm) = _backwards(rates, along, y, steps)
        log_p = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1) - grown
        loss = -log_p.mean()
        penalty = kinetic * energy.mean() + jacobian * norm.mean()
        return loss + penalty, {"nll": loss, "kinetic": energy.mean(), "jacobian": norm.mean()}

    return objective


def likelihood() -> Objective:
    r"""$-\log p(x)$ in nats per observation, of a model that knows its density."""

    def objective(model: AbstractDensity, batch: Rows, key: Key, step: Step):
        x, conditions = parts(batch)
        noise_key, key = jax.random.split(key)
        keys = jax.random.split(key, len(x))

        def one(x: Array, condition: Condition, key: Key) -> Array:
            return model.log_density(x, condition, key=key)

        return -jax.vmap(one)(_real(x, noise_key), conditions, keys).mean(), {}

    return objective


def _coordinates(model: AbstractCoordinates, x: Batch, key: Key) -> Points:
    noise_key, key = jax.random.split(key)
    x, keys = _real(x, noise_key), jax.random.split(key, len(x))

    def filled(x: Batch) -> Points:
        return jax.vmap(lambda x, key: model.coordinates(x, key=key))(x, keys)

    def whole(x: Batch) -> Points:
        return jax.vmap(model.coordinates)(x)

    return jax.lax.cond(jnp.isnan(x).any(), filled, whole, x)


def _real(x: Batch, key: Key) -> Batch:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.float32) + jax.random.uniform(key, x.shape, minval=-0.5, maxval=0.5)


def _growth_and_norm(
    model: AbstractVelocity, y: Array, t: Array, probe: Array
) -> tuple[Array, Array]:
    r"""$\operatorname{tr} \partial v / \partial y$ and $|\partial v / \partial y|_F^2$ at one
    point, exact in few coordinates and else along one probe."""

    def push(direction: Array) -> Array:
        return jax.jvp(lambda y: model.velocity(y, t), (y,), (direction,))[1]

    if y.size > _MOST_EXACT:
        pushed = push(probe)
        return pushed @ probe, pushed @ pushed
    pushed = jax.vmap(push)(jnp.eye(y.size, dtype=y.dtype))
    return jnp.trace(pushed), (pushed**2).sum()


def _backwards(
    rates: Callable[[Points, Array], Points],
    along: Callable[[Points, Points, Array], tuple[Many, Many, Many]],
    y: Points,
    steps: int,
) -> tuple[Points, tuple[Many, Many, Many]]:
    """From t = 1 to t = 0 in even steps, and the integrals over t of what `along` tells."""
    h = 1 / steps

    def step(carry, t):
        y, v, here, sums = carry
        k2 = rates(y - 0.5 * h * v, t - 0.5 * h)
        k3 = rates(y - 0.5 * h * k2, t - 0.5 * h)
        k4 = rates(y - h * k3, t - h)
        new = y - h / 6 * (v + 2 * k2 + 2 * k3 + k4)
        after = rates(new, t - h)
        # Hermite's cubic in the middle, of the method's own order
        middle = 0.5 * (y + new) - h / 8 * (v - after)
        there = along(new, after, t - h)
        between = along(middle, rates(middle, t - 0.5 * h), t - 0.5 * h)
        sums = jax.tree.map(
            lambda s, a, b, c: s + h / 6 * (a + 4 * b + c), sums, here, between, there
        )
        return (new, after, there, sums), None

    one = jnp.ones((), y.dtype)
    v = rates(y, one)
    here = along(y, v, one)
    start = (y, v, here, jax.tree.map(jnp.zeros_like, here))
    times = jnp.asarray(1 - h * np.arange(steps), y.dtype)
    (z, _, _, sums), _ = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), start, times)
    return z, sums
