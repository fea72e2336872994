"""Diffusion models against closed forms: Gaussian mixtures at every level of noise, the published
special cases in their papers' own words, SciPy's solver."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.spatial
import scipy.stats

import unweave as uw
from unweave import train
from unweave._check import check_model
from unweave._families import AbstractDenoiser, AbstractSmoothed
from unweave._latents import Latents
from unweave._noising import VE, VP, drift, noise_within, score
from unweave._save import load_model, save_model
from unweave._schema import Schema
from unweave.data import Scale, dataset
from unweave.networks import (
    CourseNet,
    DenseNet,
    Diffusion,
    Given,
    UNet,
    ancestral,
    annealed_langevin,
    given_labels,
    start_denoising_density,
    start_diffusion,
)
from unweave.networks.flows._gaps import fit_reference
from unweave.train import Averaged, Conditioned, Plan, Trainer, Watch, divergence

KEY = jax.random.key(0)
STEP = jnp.asarray(0)
# a mixture of three Gaussians of mean zero; weights, means, deviations
WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.2], [0.6, 0.8], [1.6, -1.7]])
DEVIATIONS = np.array([0.4, 0.3, 0.5])


def mixture_log_density(x, sigma=0.0):
    """Of points `(n, 2)`, the data noised to a level."""
    variance = DEVIATIONS**2 + sigma**2
    squares = ((x[:, None] - MEANS) ** 2).sum(-1) / variance
    each = np.log(WEIGHTS) - 0.5 * squares - np.log(2 * np.pi * variance)
    return np.logaddexp.reduce(each, axis=1)


def mixture_score(x, sigma, offset=(0.0, 0.0), spread=(1.0, 1.0)):
    """Of points in scaled units, where the noise is white."""
    means = (MEANS - offset) / np.asarray(spread)
    variance = (DEVIATIONS[:, None] / np.asarray(spread)) ** 2 + sigma**2
    squares = (x[:, None] - means) ** 2 / variance
    each = np.log(WEIGHTS) - 0.5 * (squares + np.log(variance)).sum(-1)
    share = np.exp(each - np.logaddexp.reduce(each, axis=1, keepdims=True))
    return (share[..., None] * (means - x[:, None]) / variance).sum(1)


def mixture(n, seed=0):
    random = np.random.default_rng(seed)
    which = random.choice(3, n, p=WEIGHTS)
    return MEANS[which] + DEVIATIONS[which, None] * random.normal(size=(n, 2))


class BestNet(eqx.Module):
    r"""The net of the best denoiser of data whose score is known, $F = \frac{\sigma}{\sigma_d} (u +
    r \nabla \log p)$; a code moves the data by its first place."""

    sigma_data: float = eqx.field(static=True)

    def __call__(self, u, noise, code):
        sigma = jnp.exp(4 * noise)
        spread = jnp.sqrt(sigma**2 + self.sigma_data**2)
        weights, means, deviations = (
            jnp.asarray(part, jnp.float32) for part in (WEIGHTS, MEANS, DEVIATIONS)
        )
        variance = deviations**2 + sigma**2
        means = means + (code[0] if code.size else 0.0)

        def log_density(y):
            squares = ((y[None] - means) ** 2).sum(-1)
            return jax.nn.logsumexp(jnp.log(weights / variance) - 0.5 * squares / variance)

        slope = jax.grad(log_density)(spread * u)
        return sigma / self.sigma_data * (u + spread * slope)


class GaussianNet(eqx.Module):
    """The same for independent Gaussians of these variances."""

    variance: jax.Array

    def __call__(self, u, noise, code):
        sigma = jnp.exp(4 * noise)
        spread = jnp.sqrt(sigma**2 + 1)
        return sigma * u * (1 - spread**2 / (self.variance + sigma**2))


def best(scale=None, given=None, **more):
    """The diffusion model of the mixture, with the scale's units on top."""
    scale = Scale((0.0, 0.0), (1.0, 1.0)) if scale is None else scale
    rows = np.asarray(scale.undo(jnp.asarray(mixture(400, seed=9), jnp.float32)))
    reference = fit_reference(rows, scale)
    latents, net = Latents.standard(2), BestNet(1.1)
    return Diffusion(latents, net, scale, reference, (2,), given, sigma_data=1.1, **more)


TOLD = Given(("shift",), (0.0,), (1.0,))


@pytest.mark.parametrize("spread", [(1.0, 1.0), (0.1, 20.0)])
def test_the_density_of_the_best_denoiser_is_that_of_the_data(spread):
    model = best(Scale((5.0, -1.0), spread))
    x = mixture(500, seed=1)
    units = model.scale.undo(jnp.asarray(x, jnp.float32))
    exact = mixture_log_density(x) - np.log(spread).sum()
    error = np.asarray(model.log_densities(units)) - exact
    assert np.abs(error).mean() < 1e-3
    np.testing.assert_allclose(model.log_density(units[0]), exact[0], atol=5e-3)


def test_the_score_is_that_of_the_noised_data():
    model, x = best(), mixture(50, seed=2)
    for sigma in (0.05, 0.5, 5.0):
        noised = x + sigma * np.random.default_rng(3).normal(size=x.shape)
        got = jax.vmap(lambda y, s=sigma: model.score(y, jnp.asarray(s)))(jnp.asarray(noised))
        np.testing.assert_allclose(got, mixture_score(noised, sigma), atol=1e-4 / sigma)


def test_decode_follows_the_probability_flow():
    z = np.array([[0.3, -1.2], [-0.7, 0.4]])

    def rates(t, y):
        # in the logarithm of the level, where the equation is smooth
        return -np.exp(2 * t) * mixture_score(y.reshape(-1, 2), np.exp(t)).reshape(-1)

    model = best()
    ends = np.log([model.sigma_max, model.sigma_min])
    start = (model.sigma_max * z).reshape(-1)
    exact = scipy.integrate.solve_ivp(rates, ends, start, rtol=1e-9, atol=1e-9).y[:, -1]
    error = []
    for steps in (32, 64):
        got = jax.vmap(best(steps=steps).decode)(jnp.asarray(z, jnp.float32))
        error.append(np.abs(np.asarray(got).reshape(-1) - exact).max())
    assert error[0] < 0.01
    # of order two
    assert error[1] < 0.35 * error[0]


def test_there_and_back():
    model = best()
    z = jax.random.normal(KEY, (200, 2))
    x = jax.vmap(model.decode)(z)
    back = jax.vmap(model.encode)(x)
    np.testing.assert_allclose(back, z, atol=5e-3)


def drawn_as_the_mixture(draws):
    """How many fell to each component, to four standard errors; and the spread within."""
    draws, n = np.asarray(draws, np.float64), len(draws)
    scaled = ((draws[:, None] - MEANS) ** 2).sum(-1) / DEVIATIONS**2
    nearest = (np.log(WEIGHTS / DEVIATIONS**2) - 0.5 * scaled).argmax(1)
    fresh = mixture(200_000, seed=4)
    other = ((fresh[:, None] - MEANS) ** 2).sum(-1) / DEVIATIONS**2
    expected = np.bincount((np.log(WEIGHTS / DEVIATIONS**2) - 0.5 * other).argmax(1)) / len(fresh)
    found = np.bincount(nearest, minlength=3) / n
    assert (np.abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / n)).all()
    np.testing.assert_allclose(draws.std(0), fresh.std(0), rtol=0.06)


@pytest.mark.parametrize("way", ["decode", "churn", "ancestral", "langevin"])
def test_every_sampler_draws_the_data(way):
    model = best(churn=20.0) if way == "churn" else best()
    draw = {
        "decode": model.sample,
        "churn": model.sample,
        "ancestral": lambda key: ancestral(model, key, steps=100),
        "langevin": lambda key: annealed_langevin(model, key),
    }[way]
    drawn_as_the_mixture(jax.jit(jax.vmap(draw))(jax.random.split(KEY, 1000)))


def test_churn_is_drawn_and_without_a_key_there_is_none():
    model, z = best(churn=20.0), jnp.asarray([0.3, -1.2])
    np.testing.assert_array_equal(model.decode(z), best().decode(z))
    one, two = (model.decode(z, key=jax.random.key(i)) for i in (1, 2))
    assert jnp.abs(one - two).max() > 1e-2


def test_samplers_refuse_what_leads_nowhere():
    with pytest.raises(ValueError, match="steps is 0; give at least 1"):
        ancestral(best(), KEY, steps=0)
    with pytest.raises(ValueError, match="does not settle"):
        annealed_langevin(best(), KEY, rate=2.5)
    with pytest.raises(ValueError, match="the first below the second"):
        best(sigma_min=3.0, sigma_max=2.0)
    with pytest.raises(ValueError, match="at least 1 step"):
        best(steps=0)
    with pytest.raises(ValueError, match=r"needs Latents.standard\(2\)"):
        eqx.tree_at(lambda m: m.latents, best(), Latents.standard(3)).__check_init__()


# the special cases


def test_courses_of_noise_are_undone():
    t = jnp.linspace(0.01, 1.0, 20)
    for noising in (VP(), VE()):
        back = jax.vmap(lambda t, n=noising: n.time(n.sigma(t)))(t)
        np.testing.assert_allclose(back, t, rtol=2e-5)
    scale, sigma = jax.vmap(VP().scale)(t), jax.vmap(VP().sigma)(t)
    # Song et al. 2021, equation 33: mean and variance of x_t given y
    t = np.asarray(t, np.float64)
    np.testing.assert_allclose(scale, np.exp(-0.25 * t**2 * 19.9 - 0.5 * t * 0.1), rtol=1e-5)
    variance = 1 - np.exp(-0.5 * t**2 * 19.9 - t * 0.1)
    np.testing.assert_allclose((scale * sigma) ** 2, variance, rtol=1e-5)
    exploding = jax.vmap(VE().sigma)(jnp.asarray(t, jnp.float32))
    np.testing.assert_allclose(exploding, 0.01 * 5000**t, rtol=1e-5)
    with pytest.raises(ValueError, match=r"from 0.1 to 20"):
        VP(1.0, 0.5)
    with pytest.raises(ValueError, match=r"from 0.01 to 50"):
        VE(0.0, 1.0)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_scores_and_drifts_of_all_parametrisations_agree(t):
    """One denoiser, read as Song et al. (2021) write their two equations."""
    model, x, t = best(), jnp.asarray([0.4, -0.9]), jnp.asarray(t)
    for noising in (VP(), VE(0.01, 20.0)):
        s, sigma = noising.scale(t), noising.sigma(t)
        # the density of x = s y is that of y, spread by s
        exact = mixture_score(np.asarray(x / s)[None], float(sigma))[0] / float(s)
        got = score(model, noising, x, t)
        np.testing.assert_allclose(got, exact, rtol=1e-3)
        np.testing.assert_allclose(noise_within(model, noising, x, t), -s * sigma * got, rtol=1e-5)
        if isinstance(noising, VP):
            beta = 0.1 + 19.9 * t
            expected = -0.5 * beta * (x + got)
        else:
            rate = jax.grad(lambda t, n=noising: n.sigma(t) ** 2)(t)
            expected = -0.5 * rate * got
        np.testing.assert_allclose(drift(model, noising, x, t), expected, rtol=1e-5, atol=1e-5)


def small(given=None, **more):
    """A model whose net knows nothing yet, but moves."""
    code = 0 if given is None else given.size
    net = DenseNet(2, code, (16, 16), key=KEY)
    leaves, form = jax.tree.flatten(eqx.filter(net, eqx.is_inexact_array))
    random = np.random.default_rng(0)
    moved = [a + 0.2 * jnp.asarray(random.normal(size=a.shape), a.dtype) for a in leaves]
    net = eqx.combine(jax.tree.unflatten(form, moved), net)
    unit = Scale((0.0, 0.0), (1.0, 1.0))
    reference = fit_reference(mixture(100), unit)
    return Diffusion(Latents.standard(2), net, unit, reference, (2,), given, **more)


class Bare(AbstractDenoiser):
    """A model's denoiser and nothing else, of data that are their own coordinates."""

    model: Diffusion
    sigma_data: float = eqx.field(static=True, default=1.0)
    sigma_min: float = eqx.field(static=True, default=0.05)
    sigma_max: float = eqx.field(static=True, default=10.0)

    def coordinates(self, x, *, key=None):
        return x

    def denoise(self, y, sigma, condition=None):
        return self.model.denoise(y, sigma, condition)

    def hidden(self, condition, away):
        return self.model.hidden(condition, away)


@eqx.filter_jit
def both_losses(model, y, key):
    """Of each published objective the loss, and the loss in its paper's own words."""
    n, vp, ve, bare = len(y), VP(), VE(0.05, 10.0), Bare(model)
    _, level_key, noise_key, _ = jax.random.split(key, 4)
    e = jax.random.normal(noise_key, y.shape)
    offset = jax.random.uniform(level_key, (), minval=1e-4, maxval=1 - 1e-4)
    even = (jnp.arange(n, dtype=jnp.float32) + offset) / n
    times = 1e-5 + (1 - 1e-5) * even
    ratios = jnp.asarray(np.geomspace(0.05, 10.0, 10), jnp.float32)
    annealed = ratios[jax.random.randint(level_key, (n,), 0, 10)]
    log_normal = 2 * jnp.exp(-1.2 + 1.2 * jax.scipy.special.ndtri(even))

    def vincent(sigma, y, e):
        """Half the squared distance of scores."""
        return 0.5 * ((model.score(y + sigma * e, sigma) + e / sigma) ** 2).mean()

    def song_and_ermon(sigma, y, e):
        return sigma**2 * vincent(sigma, y, e)

    def ho(t, y, e):
        """The noise within scaled data."""
        x = vp.scale(t) * y + vp.scale(t) * vp.sigma(t) * e
        return ((noise_within(model, vp, x, t) - e) ** 2).mean()

    def song(noising, t, y, e):
        """The score of x, weighed by the variance of its noise."""
        spread = noising.scale(t) * noising.sigma(t)
        x = noising.scale(t) * y + spread * e
        return spread**2 * ((score(model, noising, x, t) + e / spread) ** 2).mean()

    def karras(sigma, y, e):
        """The net against its own target."""
        spread, noised = jnp.sqrt(sigma**2 + 1), y + sigma * e
        wanted = (y - noised / spread**2) / (sigma / spread)
        f = model.net(noised / spread, jnp.log(sigma) / 4, jnp.zeros(0))
        return ((f - wanted) ** 2).mean()

    cases = {
        "DSM": (train.denoising_score_matching(0.7), vincent, jnp.full(n, 0.7)),
        "NCSN": (train.annealed_score_matching(10), song_and_ermon, annealed),
        "DDPM": (train.noise_prediction(vp), ho, times),
        "VP": (train.noise_prediction(vp), functools.partial(song, vp), times),
        "VE": (train.noise_prediction(ve), functools.partial(song, ve), times),
        "EDM": (train.edm(), karras, log_normal),
    }
    return {
        name: (ours(bare, y, key, STEP)[0], jax.vmap(theirs)(levels, y, e).mean())
        for name, (ours, theirs, levels) in cases.items()
    }


def test_every_objective_is_that_of_its_paper():
    y = jnp.asarray(mixture(64, seed=5), jnp.float32)
    for name, (ours, theirs) in both_losses(small(), y, jax.random.key(3)).items():
        assert float(ours) == pytest.approx(float(theirs), rel=1e-5), name


def test_objectives_refuse_what_has_no_meaning():
    with pytest.raises(ValueError, match="must be positive"):
        train.denoising_score_matching(0.0)
    with pytest.raises(ValueError, match="give 2"):
        train.annealed_score_matching(1)
    with pytest.raises(ValueError, match="from 0 to below 1"):
        train.edm(hide=1.0)


def test_the_best_denoiser_has_no_slope():
    """Under each objective the loss of Gaussian data is least at their own variance."""
    variance = jnp.asarray([0.5, 2.0])
    y = jnp.sqrt(variance)[None] * jax.random.normal(jax.random.key(1), (40_000, 2))
    model = Bare(eqx.tree_at(lambda m: m.net, small(), GaussianNet(variance)))
    off = eqx.tree_at(lambda m: m.model.net, model, GaussianNet(2 * variance))
    for objective in (
        train.edm(),
        train.denoising_score_matching(1.0),
        train.noise_prediction(VP()),
    ):
        slope = eqx.filter_jit(eqx.filter_grad(lambda m, f=objective: f(m, y, KEY, STEP)[0]))
        np.testing.assert_allclose(slope(model).model.net.variance, 0.0, atol=0.01)
        assert (slope(off).model.net.variance > 0.005).all()


# many numbers, gaps, conditions


def test_in_many_numbers_the_trace_is_estimated():
    """Of independent numbers any signs give it exactly."""
    variance = jnp.linspace(0.2, 3.0, 300)
    scale = Scale((0.0,) * 300, (1.0,) * 300)
    rows = np.sqrt(variance) * np.random.default_rng(0).normal(size=(40, 300))
    reference = fit_reference(rows, scale)
    model = Diffusion(Latents.standard(300), GaussianNet(variance), scale, reference, (300,))
    x = jnp.asarray(rows[:2], jnp.float32)
    exact = scipy.stats.norm.logpdf(rows[:2], scale=np.sqrt(variance)).sum(1)
    np.testing.assert_allclose(model.log_densities(x), exact, atol=0.05)


def test_a_gap_is_integrated_out():
    model = best(draws=1024)
    x = mixture(3, seed=6).astype(np.float32)
    for row in x:
        gappy = jnp.asarray([row[0], np.nan])
        marginal = (WEIGHTS * scipy.stats.norm.pdf(row[0], MEANS[:, 0], DEVIATIONS)).sum()
        assert float(model.log_density(gappy)) == pytest.approx(np.log(marginal), abs=0.15)
    assert float(model.log_density(jnp.full(2, jnp.nan))) == 0.0


def test_a_condition_moves_the_data_and_guidance_goes_on():
    shift = jnp.asarray([0.7])
    # where the data are not centred, the start is theirs only as far as the noise exceeds that
    told, x = best(given=TOLD, sigma_max=1000.0), mixture(20, seed=7)
    moved = told.log_densities(jnp.asarray(x + 0.7, jnp.float32), shift)
    np.testing.assert_allclose(moved, mixture_log_density(x), atol=5e-3)
    plain = told.log_densities(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(plain, mixture_log_density(x), atol=5e-3)
    y, sigma = jnp.asarray([0.4, -0.9]), jnp.asarray(0.6)
    none, given = told.denoise(y, sigma), told.denoise(y, sigma, shift)
    guided = best(given=TOLD, guidance=2.5)
    np.testing.assert_allclose(guided.denoise(y, sigma, shift), given, rtol=1e-6)
    expected = none + 2.5 * (given - none)
    np.testing.assert_allclose(guided.guided(y, sigma, shift), expected, rtol=1e-5)
    np.testing.assert_allclose(guided.guided(y, sigma), none, rtol=1e-6)
    # unknown, it is as if nothing were said
    np.testing.assert_allclose(guided.guided(y, sigma, jnp.asarray([jnp.nan])), none, rtol=1e-5)


def test_hiding_all_conditions_trains_what_nothing_tells():
    told = Bare(small(Given(("a", "b", "c"))))
    y, labels = jnp.asarray(mixture(32), jnp.float32), jnp.arange(32) % 3

    def loss(labels, hide):
        return eqx.filter_jit(train.edm(hide=hide))(told, Conditioned(y, labels), KEY, STEP)[0]

    hidden, alone, shown = loss(labels, 0.999999), loss(None, 0.1), loss(labels, 0.0)
    assert float(hidden) == pytest.approx(float(alone), rel=1e-6)
    assert float(shown) != pytest.approx(float(alone), rel=1e-3)


def test_a_model_that_was_told_nothing_takes_no_condition():
    with pytest.raises(ValueError, match="leave it out"):
        best().decode(jnp.zeros(2), jnp.asarray(1))


# what training begins with


def series(n=60):
    random = np.random.default_rng(0)
    walk = np.cumsum(random.normal(size=(n, 8, 2)), axis=1).astype(np.float32)
    schema = Schema("series", ("time", "channel"), (8, 2), ("a", "b"), ("mV", "K"))
    labels = np.arange(n) % 3
    factors = random.normal(size=(n, 1)).astype(np.float32)
    walk = walk * np.array([1.0, 50.0], np.float32)
    names = {"label_names": ("x", "y", "z"), "factor_names": ("slope",)}
    return dataset(walk, schema, labels=labels, factors=factors, **names)


def images(n=20, size=9):
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size + 1, 1), dtype=np.uint8)
    schema = Schema("images", ("row", "column", "channel"), pixels.shape[1:], ("grey",), ("",))
    return dataset(pixels, schema)


def points(n=60):
    schema = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
    x = mixture(n).astype(np.float32)
    return dataset(x, schema, labels=np.arange(n) % 2, label_names=("x", "y"))


def moved(model, by=0.05):
    """Every weight a little elsewhere: what starts at zero is not at rest."""
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    random = np.random.default_rng(0)

    def move(a):
        return a + by * jnp.asarray(random.normal(size=a.shape), a.dtype)

    return eqx.combine(jax.tree.map(move, arrays), static)


@pytest.mark.parametrize(
    ("data", "net"), [(series(), CourseNet), (images(), UNet), (points(), DenseNet)]
)
def test_the_net_is_that_of_the_data(data, net):
    model = start_diffusion(data, widths=(16, 16), channels=(4, 8), key=KEY)
    assert isinstance(model.net, net)
    assert model.sigma_data == pytest.approx(1.0, abs=1e-5)
    # at the start the best denoiser of white noise
    y, ask = (
        jnp.ones(model.latents.size),
        eqx.filter_jit(lambda m, y: m.denoise(y, jnp.asarray(2.0))),
    )
    np.testing.assert_allclose(ask(model, y), y / 5, rtol=1e-5)
    other = ask(moved(model), y)
    assert other.shape == y.shape
    assert float((other - y / 5).std()) > 0


def test_the_noise_may_end_where_the_data_do():
    data = points()
    rows = (data.observations - data.observations.mean(0)) / data.observations.std(0)
    largest = scipy.spatial.distance.pdist(rows.astype(np.float64)).max()
    model = start_diffusion(data, widths=(8,), sigma_max=None, key=KEY)
    assert model.sigma_max == pytest.approx(largest, rel=1e-4)


def test_a_fit_learns_a_mixture():
    """The whole way through the recipe: the density and the score of what was learned."""
    data = dataset(mixture(20_000).astype(np.float32), points().schema)
    recipe = uw.diffusion(epochs=20, batch=256, learning_rate=3e-3, widths=(64, 64), steps=16)
    model = recipe.build(data, KEY)
    trainer = Trainer(model, data.observations, data.observations[:256], recipe.plan, key=KEY)
    model = recipe.finish(trainer.run(trainer.start(), [], Watch()).model, data)
    assert model.steps == 16
    x = mixture(500, seed=3)
    error = np.asarray(model.log_densities(jnp.asarray(x, jnp.float32))) - mixture_log_density(x)
    gaussian = scipy.stats.multivariate_normal(x.mean(0), np.cov(x.T)).logpdf(x)
    assert np.abs(error).mean() < 0.3
    assert np.abs(gaussian - mixture_log_density(x)).mean() > 0.6
    sigma = 0.5
    y = np.asarray(jax.vmap(model.coordinates)(jnp.asarray(x, jnp.float32)))
    noised = y + sigma * np.random.default_rng(1).normal(size=y.shape)
    got = jax.vmap(lambda y: model.score(y, jnp.asarray(sigma)))(jnp.asarray(noised, jnp.float32))
    exact = mixture_score(noised, sigma, model.scale.offset, model.scale.spread)
    assert ((np.asarray(got) - exact) ** 2).mean() < 0.02 * (exact**2).mean()


@pytest.mark.parametrize("given", ["label", "factors"])
def test_a_recipe_tells_its_model(given):
    data = series()
    recipe = uw.diffusion(given=given, guidance=2.0, widths=(16,))
    model = recipe.build(data, KEY)
    assert model.given.names == (("x", "y", "z") if given == "label" else ("slope",))
    rows = recipe.plan.rows(data)
    np.testing.assert_array_equal(rows.condition, data.labels if given == "label" else data.factors)
    assert model.guidance == 1
    assert recipe.finish(model, data).guidance == 2


def test_recipes_refuse_what_has_no_meaning():
    with pytest.raises(ValueError, match="nothing that this model is told"):
        uw.diffusion(guidance=2.0)
    with pytest.raises(ValueError, match="at least 1 step"):
        uw.ncsn(steps=0)
    with pytest.raises(ValueError, match="needs data with labels"):
        uw.diffusion(given="label").build(images(), KEY)


@pytest.mark.slow
@pytest.mark.parametrize("told", [False, True])
def test_a_diffusion_model_conforms_and_survives_its_file(told, tmp_path):
    data = points()
    given = given_labels(data) if told else None
    model = moved(start_diffusion(data, widths=(16,), given=given, key=KEY)).sampling(steps=8)
    if told:
        model = model.sampling(guidance=1.5, churn=2.0)
    condition = jnp.asarray(1) if told else None
    report = check_model(model, condition=condition, key=KEY)
    assert report.ok, str(report)
    save_model(tmp_path / "model.safetensors", model, schema=data.schema)
    assert eqx.tree_equal(load_model(tmp_path / "model.safetensors").model, model)


# with a convolutional net the same takes minutes to compile
@pytest.mark.slow
def test_a_diffusion_model_of_series_conforms():
    data = series()
    model = moved(start_diffusion(data, widths=(16,), key=KEY), 0.02)
    model = dataclasses.replace(model, steps=4, draws=2, tolerance=1e-3)
    x = jnp.asarray(data.observations[0], jnp.float32)
    report = check_model(model, x=x, key=KEY)
    assert report.ok, str(report)


# a density learned by denoising


class Known(AbstractSmoothed):
    """A density and a generator that are both known: Gaussians of one number."""

    mean: jax.Array
    deviation: jax.Array
    shift: jax.Array
    stretch: jax.Array
    latents: Latents = Latents.standard(1)
    sigma: float = eqx.field(static=True, default=0.5)

    def coordinates(self, x, *, key=None):
        return x

    def log_smoothed(self, y):
        variance = self.deviation**2 + self.sigma**2
        return (-0.5 * (y - self.mean) ** 2 / variance - 0.5 * jnp.log(variance))[0]

    def generate(self, z):
        return self.stretch * z + self.shift

    def decode(self, z, condition=None, *, key=None):
        return self.generate(z)


def known(mean, deviation, shift=0.0, stretch=1.0):
    return Known(*(jnp.asarray(number) for number in (mean, deviation, shift, stretch)))


def test_the_smoothed_density_denoises_best():
    """Of the density's own mean and deviation the misfit has no slope, of others it has."""
    y = 0.7 + 0.8 * jax.random.normal(jax.random.key(1), (100_000, 1))
    slope = eqx.filter_jit(eqx.filter_grad(lambda m: train.denoising_density()(m, y, KEY, STEP)[0]))
    best, off = slope(known(0.7, 0.8)), slope(known(0.4, 1.2))
    np.testing.assert_allclose([best.mean, best.deviation], 0.0, atol=0.01)
    assert float(off.mean) < -0.05
    assert float(off.deviation) > 0.05


def test_the_divergence_moves_the_generator_as_the_exact_one_does():
    """The slope of KL(N(b, a² + σ²) || N(m, s² + σ²)) by b and a."""
    model, own = known(0.7, 0.8, shift=-0.2, stretch=1.5), known(-0.2, 1.5)
    slope = eqx.filter_jit(eqx.filter_grad(lambda m: divergence(m, own, 200_000, KEY)))(model)
    target, generated = 0.8**2 + 0.25, 1.5**2 + 0.25
    assert float(slope.shift) == pytest.approx((-0.2 - 0.7) / target, abs=0.02)
    assert float(slope.stretch) == pytest.approx(1.5 / target - 1.5 / generated, abs=0.02)
    # its own densities are held fixed
    assert float(slope.mean) == float(slope.deviation) == 0.0


KERNELS = np.array([-1.5, -0.7, -0.5, 0.3, 1.1, 1.3])


@pytest.mark.slow
def test_what_is_learned_is_the_kernel_density_estimate():
    schema = Schema("rows", ("entry",), (1,), ("a",), ("",))
    data = dataset(np.repeat(KERNELS, 1000)[:, None].astype(np.float32), schema)
    model = start_denoising_density(data, latents=1, sigma=0.4, widths=(32, 32), key=KEY)
    rate = optax.cosine_decay_schedule(1e-2, 46 * 60)
    stepper = Averaged(train.denoising_density(), optax.adam(rate))
    plan = Plan(lambda budget: stepper, epochs=60, batch=128)
    trainer = Trainer(model, data.observations, data.observations[:64], plan, key=KEY)
    model = trainer.run(trainer.start(), [], Watch()).model
    grid = np.linspace(-4, 4, 801)
    bandwidth = 0.4 * model.scale.spread[0]
    exact = scipy.stats.norm.pdf(grid[:, None], KERNELS, bandwidth).mean(1)
    log = jax.vmap(model.log_density)(jnp.asarray(grid[:, None], jnp.float32))
    found = np.exp(np.asarray(log, np.float64))
    found /= found.sum() * 0.01
    # the total variation between the two
    assert 0.5 * np.abs(found - exact).sum() * 0.01 < 0.02
    assert np.abs(found - exact).max() < 0.04 * exact.max()


@pytest.mark.slow
def test_a_generator_follows_its_density():
    """After few steps the Gaussian that it begins as is nearer to the data."""
    data = points(512)
    recipe = uw.dde(latents=2, epochs=4, batch=64, widths=(16,))
    model = recipe.build(data, KEY)
    start = np.asarray(jax.vmap(model.decode)(jax.random.normal(KEY, (2000, 2))))
    np.testing.assert_allclose(start.mean(0), data.observations.mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(start.T), np.cov(data.observations.T), atol=0.15)
    trainer = Trainer(model, data.observations, data.observations[:64], recipe.plan, key=KEY)
    trained = trainer.run(trainer.start(), [], Watch())
    assert trained.rows[0]["train_divergence"] == 0.0
    assert trained.rows[-1]["train_divergence"] != 0.0
    assert trained.rows[-1]["train_misfit"] < 1.0
    moved_by = jnp.abs(trained.model.generator.net.weights[-1] - model.generator.net.weights[-1])
    assert float(moved_by.max()) > 1e-4


@pytest.mark.slow
def test_a_denoising_density_conforms_and_survives_its_file(tmp_path):
    data = series()
    model = moved(start_denoising_density(data, widths=(16,), key=KEY), 0.02)
    report = check_model(model, x=jnp.asarray(data.observations[0]), key=KEY)
    assert report.ok, str(report)
    save_model(tmp_path / "model.safetensors", model, schema=data.schema)
    assert eqx.tree_equal(load_model(tmp_path / "model.safetensors").model, model)


def test_a_density_needs_noise_to_smooth_it():
    with pytest.raises(ValueError, match=r"such as 0\.25"):
        uw.dde(sigma=0.0)
    with pytest.raises(ValueError, match="positive sigma"):
        start_denoising_density(points(), sigma=-1.0, key=KEY)
