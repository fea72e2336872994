"""What differs from fit to fit is an argument of a compiled program, and no part of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import unweave as uw
from unweave._many import many
from unweave._programs import Given, as_arguments, program, without_arguments
from unweave.hybrid._net import scaled_net, weights_of
from unweave.networks import MLP
from unweave.train import Descend
from unweave.train._steppers import for_program

PRIORS = (
    uw.normal(1.0, 2.0),
    uw.log_normal(0.5, 0.3),
    uw.uniform(-1.0, 3.0),
    uw.log_uniform(0.1, 20.0),
    uw.truncated_normal(0.2, 1.0, -1.0, 2.0),
)
FACTOR = np.linalg.cholesky(0.3 * np.ones((5, 5)) + 0.7 * np.eye(5))
LATENTS = {
    "apart": uw.latents("abcde", PRIORS),
    "correlated": uw.Latents(tuple("abcde"), ("",) * 5, PRIORS, tuple(map(tuple, FACTOR.tolist()))),
}
QUESTIONS = {
    "from_white": lambda latents, e: latents.from_white(e),
    "to_normal": lambda latents, e: latents.to_normal(latents.from_normal(e)),
    "log_prior": lambda latents, e: latents.log_prior(latents.from_white(e)),
    "unconstrain": lambda latents, e: latents.unconstrain(latents.from_white(e)),
    "sample": lambda latents, e: latents.sample(jax.random.key(3)),
}


def _weights(tree) -> int:
    return len(jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array)))


@pytest.mark.parametrize("latents", LATENTS.values(), ids=LATENTS)
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_latents_say_the_same_of_given_numbers(latents, ask):
    e = jnp.asarray([0.3, -1.0, 0.8, 1.5, -0.2])
    given = as_arguments(latents)
    assert given.names == latents.names
    # a program takes its numbers for constants and folds them, which may cost the last bit
    np.testing.assert_allclose(
        eqx.filter_jit(ask)(given, e), eqx.filter_jit(ask)(latents, e), rtol=2e-6
    )
    assert not _weights(given), "an optimiser would take the numbers of priors for weights"


def test_standard_latents_stay_as_they_are():
    latents = uw.Latents.standard(3)
    assert as_arguments(latents) is latents
    assert as_arguments(as_arguments(LATENTS["apart"])) == as_arguments(LATENTS["apart"])


@pytest.mark.parametrize("scale", [0.2, (0.2, 3.0)], ids=["one", "each channel"])
@pytest.mark.parametrize("family", [uw.Gaussian, uw.LogNormal, uw.Laplace, uw.StudentT])
def test_noise_of_a_known_scale_says_the_same(family, scale):
    noise = family.fixed(scale)
    given = as_arguments(noise)
    x, eta = jnp.asarray([[1.0, 2.0], [jnp.nan, 0.3]]), jnp.asarray([[0.5, 2.5], [1.0, 0.1]])
    np.testing.assert_allclose(given.log_prob(x, eta), noise.log_prob(x, eta), rtol=1e-6)
    assert not _weights(given)


class Known(eqx.Module):
    """A net whose noise is known, or learned."""

    net: MLP
    noise: uw.Gaussian


@pytest.mark.parametrize(
    "noise", [uw.Gaussian.fixed(0.2), uw.Gaussian.fixed((0.2, 3.0)), uw.Gaussian.learned((2,))]
)
def test_a_model_of_a_known_noise_descends_and_keeps_it(noise):
    def objective(model, x, key, step):
        made = jax.vmap(lambda row: model.noise.log_prob(row, model.net(row)).sum())(x)
        return -made.mean(), {}

    model = Known(MLP(2, 2, (4,), key=jax.random.key(0)), noise)
    descend, x = Descend(objective, optax.adam(1e-2)), jnp.ones((3, 2))
    state = for_program(descend.init(model, key=jax.random.key(1)))
    for _ in range(2):
        state, metrics = eqx.filter_jit(descend.step)(state, x, jax.random.key(2))
    moved = without_arguments(state.model, model)
    assert np.isfinite(metrics["loss"])
    assert not eqx.tree_equal(moved.net, model.net)
    known = isinstance(noise.log_scale, float | tuple)
    assert eqx.tree_equal(moved.noise, noise) == known


def test_a_learned_scale_stays_a_weight():
    noise = uw.Gaussian.learned((2,))
    assert as_arguments(noise) is noise


def test_numbers_survive_as_bits():
    numbers = np.asarray([0.0, -1.5, np.pi, np.inf, 1e-30])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(Given.of(numbers).numbers, numbers)
    np.testing.assert_array_equal(Given.of(numbers).numbers, numbers.astype(np.float32))


def test_the_units_of_a_network_are_no_weights():
    net = scaled_net(np.ones(2), np.full(2, 3.0), np.full(1, 0.5), (4,), key=jax.random.key(0))
    given = as_arguments(net)
    np.testing.assert_allclose(given(jnp.ones(2) * 2), net(jnp.ones(2) * 2), rtol=1e-6)
    np.testing.assert_array_equal(weights_of(given), weights_of(net))


def test_a_program_serves_models_that_differ_in_their_priors():
    compiled = []

    @program
    def centre(latents):
        compiled.append(latents)
        return latents.from_normal(jnp.zeros(latents.size))

    for mean in (1.0, 2.0, 3.0):
        latents = uw.latents("ab", [uw.normal(mean, 1.0), uw.log_normal(0.0, mean)])
        np.testing.assert_allclose(centre(latents), [mean, 1.0])
    assert len(compiled) == 1
    centre(uw.latents("ab", [uw.log_normal(), uw.normal(1.0, 2.0)]))
    assert len(compiled) == 2, "other families are another program"


def test_many_compiles_an_equation_once_for_all_its_fits():
    times = np.linspace(0.0, 2.0, 9)
    base = uw.equation("x' = -k*x\nk in (0.1, 3)\nx(0) in (0.5, 2)", times=times)
    z, answers = np.asarray([[0.7, 1.0], [1.3, 0.9]]), []
    for k in (0.5, 1.0):
        latents = uw.latents(base.latents.names, [uw.normal(k, 0.1), uw.log_normal(0.0, k)])
        model = eqx.tree_at(lambda m: m.noise, base, uw.Gaussian.fixed((k,)))
        model = eqx.tree_at(
            lambda m: m.latents, model, latents, is_leaf=lambda n: isinstance(n, uw.Latents)
        )
        before = _traces()
        answers.append(many(model.decode, z))
        after = _traces()
    assert after == before, "the second fit was compiled anew"
    for answer in answers:
        np.testing.assert_allclose(answer[:, -1, 0], z[:, 1] * np.exp(-2 * z[:, 0]), rtol=1e-4)


def _traces() -> int:
    from unweave._many import _program

    return _program._cache_size()  # pyright: ignore[reportFunctionMemberAccess]
