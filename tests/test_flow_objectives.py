"""The flows' objectives against closed forms: the velocity of a Gaussian, an assignment by brute
force, an exact likelihood."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import linear_sum_assignment

from unweave import train
from unweave._families import AbstractVelocity
from unweave._transport import Motion, exact_growth, transport
from unweave.networks import MLP
from unweave.train import Averaged, Descend

KEY = jax.random.key(0)
STEP = jnp.asarray(0)


class Field(AbstractVelocity):
    """A velocity and nothing else."""

    net: eqx.Module

    def coordinates(self, x, *, key=None):
        fill = jnp.zeros_like(x) if key is None else jax.random.normal(key, x.shape)
        return jnp.where(jnp.isnan(x), fill, x)

    def velocity(self, y, t, condition=None):
        return self.net(y, t)


class BestForGaussian(eqx.Module):
    """The mean of the velocity given where it is, for data N(0, s²) coordinate by coordinate."""

    variance: jax.Array

    def __call__(self, y, t):
        return (t * self.variance - (1 - t)) / (t**2 * self.variance + (1 - t) ** 2) * y


class Timed(eqx.Module):
    """A net of the point and the time."""

    net: MLP

    def __call__(self, y, t):
        return self.net(jnp.concatenate([y, t[None]]))


@pytest.mark.parametrize("logit_normal", [True, False])
def test_the_best_field_has_no_slope_under_flow_matching(logit_normal):
    objective = train.flow_matching(optimal_transport=False, logit_normal=logit_normal)
    variance = jnp.asarray([0.5, 2.0])
    x = jnp.sqrt(variance)[None] * jax.random.normal(jax.random.key(1), (40_000, 2))
    model = Field(BestForGaussian(variance))
    slope = eqx.filter_grad(lambda m: objective(m, x, KEY, STEP)[0])(model).net.variance
    np.testing.assert_allclose(slope, 0.0, atol=0.01)
    off = Field(BestForGaussian(2 * variance))
    slope = eqx.filter_grad(lambda m: objective(m, x, KEY, STEP)[0])(off).net.variance
    assert (slope > 0.02).all()


def test_a_small_assignment_is_the_best_of_all():
    random = np.random.default_rng(0)
    for _ in range(5):
        a, b = random.normal(size=(2, 6, 3)).astype(np.float32)
        cost = ((a[:, None] - b[None]) ** 2).sum(-1)
        best = min(cost[range(6), list(p)].sum() for p in itertools.permutations(range(6)))
        got = np.asarray(train.assign(jnp.asarray(a), jnp.asarray(b)))
        assert sorted(got) == list(range(6))
        assert cost[range(6), got].sum() == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0])
def test_an_assignment_is_that_of_scipy_at_any_scale(spread):
    random = np.random.default_rng(1)
    a = (spread * random.normal(size=(128, 2))).astype(np.float32)
    b = (spread * (3 + random.normal(size=(128, 2)) ** 3)).astype(np.float32)
    cost = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    exact = cost[linear_sum_assignment(cost)].sum()
    got = np.asarray(jax.jit(train.assign)(jnp.asarray(a), jnp.asarray(b)))
    assert cost[np.arange(128), got].sum() == pytest.approx(exact, rel=1e-5)


def test_an_assignment_without_numbers_is_the_identity():
    nothing = jnp.full((4, 2), jnp.nan)
    np.testing.assert_array_equal(train.assign(nothing, nothing), np.arange(4))


def test_pairing_makes_flow_matching_easier():
    """Under the pairing the best field leaves less behind: the loss of a good field falls."""
    x = 3.0 + 0.1 * jax.random.normal(jax.random.key(1), (256, 2))
    model = Field(lambda y, t: jnp.full_like(y, 3.0))
    loss = {
        paired: float(train.flow_matching(optimal_transport=paired)(model, x, KEY, STEP)[0])
        for paired in (True, False)
    }
    assert loss[True] < 0.9 * loss[False]


def test_maximum_likelihood_is_that_of_the_exact_density():
    net = MLP(3, 2, (16, 16), activation=jnp.tanh, key=KEY)
    model = Field(Timed(net))
    x = jax.random.normal(jax.random.key(1), (32, 2))
    loss, told = train.maximum_likelihood(steps=16)(model, x, KEY, STEP)
    motion = Motion(model.net, lambda y, t: exact_growth(model.net, y, t), 1.0, 0.0, 1e-6)
    z, grown = jax.vmap(lambda y: transport(motion, y))(x)
    normal = jax.scipy.stats.norm.logpdf(z).sum(-1)
    # on the way back the growth counts the other way round
    assert float(loss) == pytest.approx(-float((normal + grown).mean()), abs=1e-4)
    assert float(told["nll"]) == float(loss)
    weighed, _ = train.maximum_likelihood(steps=16, kinetic=2.0, jacobian=3.0)(model, x, KEY, STEP)
    expected = loss + 2 * told["kinetic"] + 3 * told["jacobian"]
    assert float(weighed) == pytest.approx(float(expected), rel=1e-5)


def test_the_regularisers_of_a_constant_turning_are_known():
    """v = w J y keeps lengths: the energy is w²|y|², the Jacobian's norm 2 w², the trace 0."""
    turn = 1.5 * jnp.asarray([[0.0, -1.0], [1.0, 0.0]])
    model = Field(lambda y, t: turn @ y)
    x = jax.random.normal(KEY, (16, 2))
    loss, told = train.maximum_likelihood(steps=8, kinetic=0.0)(model, x, KEY, STEP)
    assert float(told["kinetic"]) == pytest.approx(2.25 * float((x**2).sum(-1).mean()), rel=1e-3)
    assert float(told["jacobian"]) == pytest.approx(4.5, rel=1e-5)
    normal = -jax.scipy.stats.norm.logpdf(x).sum(-1).mean()
    assert float(loss) == pytest.approx(float(normal), abs=1e-3)


def test_many_coordinates_are_estimated_along_one_probe():
    """Of v = a y the trace is a d and the norm a² d along any signs."""
    model = Field(lambda y, t: -0.5 * y)
    x = jnp.ones((4, 40))
    _, told = train.maximum_likelihood(steps=4)(model, x, KEY, STEP)
    assert float(told["jacobian"]) == pytest.approx(0.25 * 40, rel=1e-5)
    assert float(told["nll"]) == pytest.approx(
        -float(jax.scipy.stats.norm.logpdf(np.exp(0.5)) * 40 + 20), rel=1e-3
    )


def test_steps_are_needed():
    with pytest.raises(ValueError, match="give at least 1"):
        train.maximum_likelihood(steps=0)


def test_whole_numbers_are_spread_over_their_unit():
    seen = []
    model = Field(lambda y, t: jnp.zeros_like(y))

    class Spy(AbstractVelocity):
        def coordinates(self, x, *, key=None):
            return x

        def velocity(self, y, t, condition=None):
            jax.debug.callback(lambda y: seen.append(np.asarray(y)), y)
            return model.velocity(y, t)

    x = jnp.full((64, 3), 7, jnp.uint8)
    # at t = 1 the point is the observation itself
    train.maximum_likelihood(steps=1)(Spy(), x, KEY, STEP)
    jax.effects_barrier()
    points = np.stack(seen)
    assert (np.abs(points - 7) <= 0.5).all()
    assert points.std() > 0.2


def test_the_average_follows_its_recursion():
    class Point(eqx.Module):
        at: jax.Array

    def objective(model, x, key, step):
        return ((model.at - x) ** 2).mean(), {}

    averaged, plain = Averaged(objective, optax.sgd(0.1), 0.5), Descend(objective, optax.sgd(0.1))
    x = jnp.asarray([3.0, 5.0])
    one, two = (s.init(Point(jnp.asarray(0.0)), key=KEY) for s in (averaged, plain))
    mean = 0.0
    for n in range(12):
        one, _ = averaged.step(one, x, KEY)
        two, _ = plain.step(two, x, KEY)
        decay = min(0.5, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * float(two.model.at)
        assert float(one.rival.at) == pytest.approx(float(two.model.at))
        assert float(one.model.at) == pytest.approx(mean, rel=1e-5)
    judged = averaged.evaluate(one, x, KEY)["loss"]
    assert float(judged) == pytest.approx(float(objective(one.model, x, KEY, 0)[0]))
