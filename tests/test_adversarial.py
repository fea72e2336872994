"""Generators and critics: losses and penalties against numbers by hand, the game's dynamics against
theory, and the models against the protocol."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from models import small_beats
from unweave import check_model, load_model, recipes, save_model, train
from unweave._latents import Latents
from unweave.data import Scale, Split
from unweave.networks import GAN, MLP, Critic, Spectral, given_factors, given_labels
from unweave.networks.adversarial import (
    Energy,
    info_latents,
    langevin,
    latent_langevin,
    refresh_spectra,
    start_adversarial_autoencoder,
    start_cycle_gan,
    start_energy_gan,
    start_gan,
    start_info_gan,
)
from unweave.run import fit
from unweave.train import Budget, Plan, Trainer, Watch

KEY = jax.random.key(0)
REAL, FAKE = np.array([0.3, -1.2, 2.0]), np.array([-0.5, 0.4, 1.1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(odds, target):
    return -np.mean(target * np.log(sigmoid(odds)) + (1 - target) * np.log(1 - sigmoid(odds)))


#: Each loss with what its paper says of the critic and of the generator, in NumPy.
BY_HAND = {
    "minimax": (
        train.minimax,
        lambda r, f: bce(r, 1) + bce(f, 0),
        lambda r, f: np.mean(np.log(1 - sigmoid(f))),
    ),
    "non-saturating": (
        train.non_saturating,
        lambda r, f: bce(r, 1) + bce(f, 0),
        lambda r, f: -np.mean(np.log(sigmoid(f))),
    ),
    "least squares": (
        train.least_squares,
        lambda r, f: np.mean((r - 1) ** 2) / 2 + np.mean(f**2) / 2,
        lambda r, f: np.mean((f - 1) ** 2) / 2,
    ),
    "wasserstein": (
        train.wasserstein,
        lambda r, f: np.mean(f) - np.mean(r),
        lambda r, f: -np.mean(f),
    ),
    "hinge": (
        train.hinge,
        lambda r, f: np.mean(np.maximum(0, 1 - r)) + np.mean(np.maximum(0, 1 + f)),
        lambda r, f: -np.mean(f),
    ),
    "relativistic": (
        train.relativistic,
        lambda r, f: -np.mean(np.log(sigmoid(r - f))),
        lambda r, f: -np.mean(np.log(sigmoid(f - r))),
    ),
    "relativistic average": (
        train.relativistic_average,
        lambda r, f: bce(r - f.mean(), 1) + bce(f - r.mean(), 0),
        lambda r, f: bce(f - r.mean(), 1) + bce(r - f.mean(), 0),
    ),
    "relativistic least squares": (
        train.relativistic_least_squares,
        lambda r, f: np.mean((r - f.mean() - 1) ** 2) + np.mean((f - r.mean() + 1) ** 2),
        lambda r, f: np.mean((f - r.mean() - 1) ** 2) + np.mean((r - f.mean() + 1) ** 2),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_are_those_of_the_papers(name):
    make, critic, generator = BY_HAND[name]
    real, fake = jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32)
    assert float(make().critic(real, fake)) == pytest.approx(critic(REAL, FAKE), rel=1e-5)
    assert float(make().generator(real, fake)) == pytest.approx(generator(REAL, FAKE), rel=1e-5)


def test_every_game_of_the_command_line_has_a_loss_and_a_name():
    import typing

    from unweave.recipes._adversarial import GameName, game_of

    assert typing.get_args(GameName) == tuple(recipes.GAMES)
    assert [p.weight for p in game_of("rsgan", None, None).penalties] == [0.05, 0.05]
    assert game_of("rsgan", 0.0, 0.0).penalties == ()
    assert len(game_of("wgan-gp", 1.0, None).penalties) == 2
    with pytest.raises(ValueError, match="none below 0"):
        game_of("rsgan", -1.0, None)


@pytest.mark.parametrize("name", ["infogan", "aae", "vae-gan", "bigan", "cyclegan"])
def test_a_loss_that_needs_spectral_weights_is_refused_where_there_are_none(name):
    with pytest.raises(ValueError, match="only gan and cgan have"):
        recipes.RECIPES[name](loss="hinge")


# The Dirac-GAN (Mescheder et al. 2018, section 2): data at 0, a generator at θ, a critic ψ x.


def dirac_eigenvalues(loss, penalties, theta=0.0, psi=0.0):
    """Of the linearised flow of both players, both moving at once."""

    def judge(psi):
        return lambda x, condition: psi * x[0]

    def flow(state):
        def critic_loss(psi, theta):
            real, fake = jnp.zeros((1, 1)), theta.reshape(1, 1)
            value = loss.critic(psi * real[:, 0], psi * fake[:, 0])
            for penalty in penalties:
                where = penalty.where(real, fake, KEY)
                size = train.slope_penalty(judge(psi), where, None, penalty.centre)
                value = value + penalty.weight * size
            return value

        def generator_loss(theta, psi):
            return loss.generator(jnp.zeros(1), psi * theta.reshape(1))

        theta, psi = state
        return jnp.stack(
            [-jax.grad(generator_loss)(theta, psi), -jax.grad(critic_loss)(psi, theta)]
        )

    return np.linalg.eigvals(np.asarray(jax.jacfwd(flow)(jnp.asarray([theta, psi])), np.float64))


def sorted_eigenvalues(values):
    return np.sort_complex(np.asarray(values, complex))


#: The slope at zero of the function that a loss puts around the score: both players feel it.
SLOPES = {
    "non-saturating": 0.5, "minimax": 0.5, "wasserstein": 1.0, "relativistic": 0.5, "hinge": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_eigenvalues_of_the_dirac_gan(name, gamma):
    slope = SLOPES[name]
    penalties = [train.r1(gamma)] if gamma else []
    found = dirac_eigenvalues(BY_HAND[name][0](), penalties)
    # Mescheder et al. 2018, lemmas 2.3 and 4.1: ± f'(0) i without, and with the penalty
    # -γ/2 ± sqrt(γ²/4 - f'(0)²)
    root = np.sqrt(complex(gamma**2 / 4 - slope**2))
    expected = [-gamma / 2 + root, -gamma / 2 - root]
    np.testing.assert_allclose(sorted_eigenvalues(found), sorted_eigenvalues(expected), atol=1e-5)
    assert (found.real.max() < -1e-3) == (gamma > 0)  # circles without, converges with


def test_eigenvalues_of_the_averaged_relativistic_game():
    # each score against the mean of the other kind counts twice: f'(0) = 1
    found = dirac_eigenvalues(train.relativistic_average(), [train.r1(1.0), train.r2(1.0)])
    root = np.sqrt(complex(1 - 1))
    np.testing.assert_allclose(found, [-1 + root, -1 - root], atol=2e-3)  # a double root


def test_eigenvalues_of_least_squares():
    # critic ½(ψ·0 - 1)² + ½(ψθ)², generator ½(ψθ - 1)²: θ' = ψ, ψ' = 0 at the origin
    found = dirac_eigenvalues(train.least_squares(), [])
    np.testing.assert_allclose(found, [0, 0], atol=1e-5)
    with_penalty = dirac_eigenvalues(train.least_squares(), [train.r1(0.7)])
    np.testing.assert_allclose(np.sort(with_penalty.real), [-0.7, 0], atol=1e-5)


def test_a_one_centred_penalty_has_no_rest_at_the_goal():
    # lemma 2.5: where |ψ| = 1 is asked for, the generator is moved although it is right
    def speed(psi):
        slope = train.slope_penalty(lambda x, c: psi * x[0], jnp.zeros((1, 1)), None, 1.0)
        return slope

    assert float(speed(jnp.asarray(1.0))) == pytest.approx(0, abs=1e-5)
    assert float(speed(jnp.asarray(0.0))) == pytest.approx(1, abs=1e-5)


def test_penalties_against_the_slopes_of_a_quadratic():
    weights = jnp.asarray([1.0, -2.0])
    points = jax.random.normal(KEY, (5, 2))
    fake = jax.random.normal(jax.random.key(1), (5, 2))

    def judge(x, condition):
        return weights @ x**2

    def norms(x):
        return np.sqrt(((2 * np.asarray(weights) * np.asarray(x, np.float64)) ** 2).sum(1))

    def found(penalty):
        where = penalty.where(points, fake, KEY)
        value = train.slope_penalty(judge, where, None, penalty.centre)
        return penalty.weight * float(value), np.asarray(where)

    value, where = found(train.r1(3.0))
    assert value == pytest.approx(1.5 * np.mean(norms(points) ** 2), rel=1e-5)
    value, where = found(train.r2(3.0))
    assert value == pytest.approx(1.5 * np.mean(norms(fake) ** 2), rel=1e-5)
    value, where = found(train.one_centred(10.0))
    assert value == pytest.approx(10 * np.mean((norms(where) - 1) ** 2), rel=1e-5)
    share = (where - np.asarray(points)) / np.asarray(fake - points)
    assert np.allclose(share[:, 0], share[:, 1], atol=1e-4)
    assert ((share > -1e-5) & (share < 1 + 1e-5)).all()
    value, where = found(train.zero_centred(2.0))
    assert value == pytest.approx(2 * np.mean(norms(where) ** 2), rel=1e-5)


def test_the_energy_distance_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400, 1)), rng.standard_normal((300, 1)) * 1.3 + 0.7
    found = float(train.energy_distance(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)))
    # SciPy's counts each point's distance 0 to itself, ours does not
    within = sum(
        np.abs(x - x.T).sum() * (1 / (len(x) * (len(x) - 1)) - 1 / len(x) ** 2) for x in (a, b)
    )
    expected = scipy.stats.energy_distance(a[:, 0], b[:, 0]) ** 2 - within
    assert found == pytest.approx(expected, rel=1e-4)


# What a critic measures. The generator stands still, so that the critic's loss is a distance.


def plain_gan(generator, width=64):
    critic = Critic(MLP(1, 1, (width, width), activation=jax.nn.softplus, key=KEY))
    return GAN(
        latents=Latents.standard(1), generator=generator, critic=critic, scale=Scale((0.0,), (1.0,))
    )


def best_critic(model, data, loss, *penalties, epochs):
    def stepper(budget: Budget):
        return train.MinMax(
            train.generator_objective(loss),
            train.critic_objective(loss, *penalties),
            train.held_out_distance(),
            optax.set_to_zero(),
            optax.adam(optax.cosine_decay_schedule(3e-3, budget.steps)),
        )

    plan = Plan(stepper, epochs, 512, looks=0)
    trainer = Trainer(model, data, data, plan, key=KEY)
    return trainer.run(trainer.start(), [], Watch()).model


def scores(model, x):
    return np.asarray(jax.vmap(lambda x: model.judge(x))(jnp.asarray(x, jnp.float32)))


class Line(eqx.Module):
    """A generator a + b z that no optimiser moves."""

    a: float = eqx.field(static=True)
    b: float = eqx.field(static=True)

    def __call__(self, z):
        return self.a + self.b * z


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "spread"), [(1.5, 1.0), (0.5, 2.0)])
def test_the_wasserstein_critic_measures_the_distance_of_scipy(shift, spread):
    data = np.random.default_rng(0).standard_normal((2048, 1)).astype(np.float32)
    model, loss = plain_gan(Line(shift, spread)), train.wasserstein()
    # on a line a slope that begins with the wrong sign cannot turn round past the penalty's hill
    # at zero, so that the penalty is low at first; at its end it leaves slopes of hardly over one
    for weight, epochs in ((0.1, 40), (300.0, 120)):
        model = best_critic(model, data, loss, train.one_centred(weight), epochs=epochs)
    fake = shift + spread * np.random.default_rng(1).standard_normal((4096, 1))
    expected = scipy.stats.wasserstein_distance(data[:, 0], fake[:, 0])
    gap = scores(model, data).mean() - scores(model, fake).mean()
    assert gap == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_jensen_and_shannon_see_no_distance_between_disjoint_supports():
    data = (0.1 * np.random.default_rng(0).uniform(-1, 1, (1024, 1))).astype(np.float32)
    found = []
    for shift in (2.0, 4.0):
        model = best_critic(plain_gan(Line(shift, 0.02)), data, train.minimax(), epochs=80)
        fake = shift + 0.02 * np.random.default_rng(1).standard_normal((2048, 1))
        loss = bce(scores(model, data).astype(float), 1) + bce(scores(model, fake).astype(float), 0)
        found.append(np.log(2) - loss / 2)
    # log 2 whether the supports are 2 apart or 4
    np.testing.assert_allclose(found, [np.log(2)] * 2, atol=0.01)


def test_a_critic_against_slightly_noised_data_with_r1_learns_the_log_density():
    # E D(x + σn) - E D(x) + (γ/2) E|∇D|² with γ = σ²/2 is σ² times the score-matching loss of
    # Hyvärinen, E [½|∇D|² + ΔD]/2, exactly for a quadratic D = a x², whose optimum is -1/(2 v)
    sigma, variance, n = 0.3, 1.7, 200_000
    x = np.sqrt(variance) * np.random.default_rng(0).standard_normal((n, 1))
    x -= x.mean()
    e = np.random.default_rng(1).standard_normal((n, 1))
    e -= e.mean() + x * (x * e).mean() / (x * x).mean()  # no chance covariance
    e /= e.std()
    x, noised = jnp.asarray(x, jnp.float32), jnp.asarray(x + sigma * e, jnp.float32)
    penalty = train.r1(sigma**2 / 2)

    def loss(a):
        def judge(x, condition):
            return a * (x**2).sum()

        real, fake = (a * (part**2).sum(1) for part in (x, noised))
        value = train.wasserstein().critic(real, fake)
        return value + penalty.weight * train.slope_penalty(judge, x, None, penalty.centre)

    slope, curvature = jax.grad(loss)(0.0), jax.grad(jax.grad(loss))(0.0)
    assert float(-slope / curvature) == pytest.approx(-1 / (2 * variance), rel=0.01)


class Bowl(eqx.Module):
    """A critic that is -a x² / 2."""

    a: float

    def __call__(self, x, code):
        return -0.5 * self.a * (x**2).sum()


def test_a_matched_critic_is_the_log_density_of_the_data_with_noise():
    # E |σ D'(y + σ e) + e|² = 1 - 2 a σ² + a² σ² (v + σ²) for D' = -a x, least at 1 / (v + σ²)
    sigma, variance = 0.4, 0.5
    x = np.sqrt(variance) * np.random.default_rng(0).standard_normal((400_000, 1))
    term, x = train.score_matching(sigma, 3.0), jnp.asarray(x, jnp.float32)

    def with_critic(a):
        return eqx.tree_at(lambda m: m.critic, plain_gan(Line(0.0, 1.0)), Bowl(a))

    for a in (0.0, 0.7, 1 / (variance + sigma**2)):
        value, named = term(with_critic(a), x, None, KEY)
        right = 1 - 2 * a * sigma**2 + a**2 * sigma**2 * (variance + sigma**2)
        assert float(named["misfit"]) == pytest.approx(right, rel=0.01)
        assert float(value) == pytest.approx(3 * float(named["misfit"]), rel=1e-6)
    # what is missing has no noise and does not count
    gappy = x.at[::2].set(jnp.nan)
    half = train.score_matching(sigma)(with_critic(0.0), gappy, None, KEY)[0]
    assert float(half) == pytest.approx(0.5, rel=0.01)
    with pytest.raises(ValueError, match="smooths the data"):
        train.score_matching(0.0)


def test_spectral_weights_have_norm_one():
    net = Spectral(MLP(6, 3, (8,), key=KEY))
    for weight in net.normalised().weights:
        assert np.linalg.svd(np.asarray(weight))[1][0] == pytest.approx(1, abs=2e-3)
    grown = eqx.tree_at(lambda n: n.layer.weights[0], net, 5 * net.layer.weights[0])
    followed = refresh_spectra(Critic(grown)).net
    assert np.linalg.svd(np.asarray(followed.normalised().weights[0]))[1][0] == pytest.approx(
        1, abs=2e-3
    )
    with pytest.raises(ValueError, match="no weight matrix"):
        Spectral(jnp.zeros(3))


def test_a_langevin_chain_has_the_moments_of_its_density():
    def log_density(x):
        return -0.5 * ((x - 1.0) ** 2).sum() / 0.25

    def chain(key):
        return langevin(log_density, jnp.zeros(1), step=0.1, steps=60, key=key)

    x, taken = jax.jit(jax.vmap(chain))(jax.random.split(KEY, 2000))
    assert float(x.mean()) == pytest.approx(1.0, abs=0.05)
    assert float(x.std()) == pytest.approx(0.5, abs=0.04)
    assert 0.5 < float(taken.mean()) < 1
    with pytest.raises(ValueError, match="goes nowhere"):
        langevin(log_density, jnp.zeros(1), step=0.0, steps=5, key=KEY)


def test_langevin_in_latent_space_reweighs_the_prior_by_the_critic():
    model = plain_gan(Line(0.0, 1.0))

    def score(x):
        return 2.0 * x.sum()  # e^{2x} N(0, 1) is N(2, 1)

    draw = jax.jit(jax.vmap(lambda k: latent_langevin(model, score, step=0.5, steps=60, key=k)))
    z = draw(jax.random.split(KEY, 1000))
    assert float(z.mean()) == pytest.approx(2, abs=0.12)
    assert float(z.std()) == pytest.approx(1, abs=0.1)


# The models.


def with_labels(split):
    def one(data):
        return replace(data, labels=np.arange(len(data)) % 2, label_names=("a", "b"))

    return Split(one(split.train), one(split.validation), one(split.test), split.how)


def started(name):
    data = with_labels(small_beats()).train
    small = {"widths": (16,), "key": KEY}
    if name == "gan":
        return start_gan(data, Latents.standard(2), **small)
    if name == "spectral":
        return start_gan(data, Latents.standard(2), spectral=True, **small)
    if name == "told a label":
        return start_gan(data, Latents.standard(2), given=given_labels(data), **small)
    if name == "told factors":
        return start_gan(data, Latents.standard(2), given=given_factors(data), **small)
    if name == "convolutional":
        return start_gan(data, Latents.standard(2), convolutional=True, **small)
    if name == "info":
        return start_info_gan(data, categories=3, codes=2, noise=1, **small)
    if name == "energy":
        return start_energy_gan(data, 2, **small)
    if name == "critic as energy":
        return Energy(start_gan(data, Latents.standard(2), **small))
    if name == "cycle":
        return start_cycle_gan(data, **small)
    sees, reads = {"codes": (False, True), "samples": (True, False), "pairs": (True, True)}[name]
    return start_adversarial_autoencoder(data, 2, sees=sees, reads=reads, **small)


@pytest.mark.parametrize(
    "name",
    ["gan", "told a label", "info", "energy", "pairs", "cycle"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("spectral", "told factors", "convolutional", "codes", "samples")
    ],
)
def test_models_keep_the_protocol_and_survive_the_file(name, tmp_path):
    model = started(name)
    x = jnp.asarray(small_beats().test.observations[0], jnp.float32)
    check_model(model, x=x, key=KEY).raise_if_failed()
    save_model(tmp_path / "model.safetensors", model)
    again = load_model(tmp_path / "model.safetensors").model
    assert eqx.tree_equal(model, again)


def test_a_critic_read_as_an_energy_says_its_score():
    energy = started("critic as energy")
    x = jnp.asarray(small_beats().test.observations[0], jnp.float32)
    gan = energy.model
    assert float(energy.log_density(x)) == float(gan.judge(gan.coordinates(x)))
    assert energy.density_kind == "unnormalised"


def test_a_projection_critic_adds_what_it_is_told():
    net = lambda x: jnp.asarray([x.sum(), 2.0, 3.0, 5.0])  # noqa: E731
    code = jnp.asarray([0.0, 1.0, 0.0])
    assert float(Critic(net)(jnp.ones(4), code)) == 4 + 3
    numbers = lambda x: jnp.asarray([x.sum(), 2.0, 3.0, 5.0, 7.0])  # noqa: E731
    # of numbers the squares too: 0.5 * 2 + 1 * 3 + 0.25 * 5 + 1 * 7
    assert float(Critic(numbers)(jnp.ones(4), jnp.asarray([0.5, 1.0]))) == pytest.approx(16.25)


def test_the_reader_of_an_info_gan_is_scored_by_its_log_probability():
    model = started("info")
    x = jnp.zeros(small_beats().train.schema.shape)
    z = jnp.asarray([1.5, 0.2, -0.4, 0.7])
    out = np.asarray(model.reader(x), np.float64)
    log_softmax = out[:3] - np.log(np.exp(out[:3]).sum())
    expected = log_softmax[1] - 0.5 * (((np.array([0.2, -0.4]) - out[3:]) / 0.5) ** 2).sum()
    assert float(model.information(x, z, z)) == pytest.approx(expected, rel=1e-4)
    assert model.latents.names == ("category", "c1", "c2", "z1")
    with pytest.raises(ValueError, match="needs something to read"):
        info_latents(0, 0, 3)


def test_the_bound_on_information_of_an_energy_gan():
    model = started("energy")
    x = jnp.zeros(small_beats().train.schema.shape)
    z, other = jnp.asarray([1.0, -1.0]), jnp.asarray([0.3, 0.2])
    t = [float(model.statistic(jnp.concatenate([x.reshape(-1), part]))[0]) for part in (z, other)]
    expected = -np.log1p(np.exp(-t[0])) - np.log1p(np.exp(t[1]))
    assert float(model.information(x, z, other)) == pytest.approx(expected, rel=1e-5)


def test_a_translator_begins_as_the_identity_and_its_cycle_costs_nothing():
    model, data = started("cycle"), with_labels(small_beats()).train
    rows = train.unpaired(data)
    assert len(rows.a) == len(rows.b) >= 20
    batch = train.Unpaired(*(jnp.asarray(part[:8], jnp.float32) for part in rows))
    value, named = train.cycle(10.0, 5.0)(model, batch, None, KEY)
    assert float(value) == pytest.approx(0, abs=1e-5)
    moved = eqx.tree_at(lambda m: m.forth.net.net.biases[-1], model,
                        model.forth.net.net.biases[-1] + 0.5)  # fmt: skip
    value, named = train.cycle(10.0, 5.0)(moved, batch, None, KEY)
    # there is 0.5 off and back is not: 0.5 for each way, and 0.5 for the identity of b
    assert float(named["cycle"]) == pytest.approx(1.0, rel=1e-4)
    assert float(value) == pytest.approx(10 * 1.0 + 5 * 0.5, rel=1e-4)
    with pytest.raises(ValueError, match="between two domains"):
        train.unpaired(small_beats().train)


def test_what_critics_are_shown():
    model = started("pairs")
    x = jnp.asarray(small_beats().train.observations[:6], jnp.float32)
    x = x.at[0, 3].set(jnp.nan)
    (real, codes), (fake, z) = train.pairs_shown(model, x, None, KEY)
    assert real.shape == fake.shape == x.shape
    assert codes.shape == z.shape == (6, 2)
    # a gap is a gap on both sides
    assert float(jnp.abs(real[0, 3]).max()) == float(jnp.abs(fake[0, 3]).max()) == 0
    np.testing.assert_allclose(fake[1], model.draft(z[1]), rtol=1e-5)
    (none, prior), (nothing, coded) = train.codes_shown(model, x, None, KEY)
    assert none is nothing is None
    np.testing.assert_array_equal(prior, z)
    np.testing.assert_array_equal(coded, codes)
    (_, _), (decoded, _) = train.decoded_shown(model, x, None, KEY)
    np.testing.assert_allclose(decoded[1], model.draft(codes[1]), rtol=1e-5)
    np.testing.assert_allclose(decoded[2], model.draft(z[2]), rtol=1e-5)


# Training.

SMALL = {"epochs": 2, "batch": 8, "least_steps": 1, "widths": (16,)}


def test_a_game_moves_both_players_and_keeps_the_average():
    recipe = recipes.gan(latents=2, **SMALL)
    data = small_beats()
    stepper = recipe.plan.stepper(Budget(45, 10))
    model = recipe.build(data.train, KEY)
    state = stepper.init(model, key=KEY)
    x = jnp.asarray(data.train.observations[:8], jnp.float32)
    after, metrics = eqx.filter_jit(stepper.step)(state, x, KEY)

    def moved(old, new):
        pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
        return any(eqx.is_inexact_array(a) and not jnp.array_equal(a, b) for a, b in pairs)

    assert moved(model.critic, after.rival.critic)
    assert moved(model.generator, after.rival.generator)
    # at step 0 the average goes 9 / 10 of the way
    for old, new, mean in zip(
        *(jax.tree.leaves(m.generator) for m in (model, after.rival, after.model)), strict=True
    ):
        if eqx.is_inexact_array(old):
            np.testing.assert_allclose(mean, old + 0.9 * (new - old), atol=1e-6)
    assert eqx.tree_equal(after.model.critic, after.rival.critic)
    assert {"loss", "critic_loss", "critic_gap", "critic_wins", "critic_penalty"} <= set(metrics)


def test_a_clipped_critic_stays_within_its_bounds():
    run = fit(recipes.gan(loss="wgan", latents=2, **SMALL), small_beats(), quiet=True)
    leaves = [leaf for leaf in jax.tree.leaves(run.model.critic) if eqx.is_inexact_array(leaf)]
    assert max(float(jnp.abs(leaf).max()) for leaf in leaves) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.GAMES)
def test_every_game_trains(name):
    run = fit(recipes.gan(loss=name, latents=2, **SMALL), small_beats(), quiet=True)
    assert np.isfinite(run.rows[-1]["held_out_loss"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cgan", "infogan", "aae", "vae-gan", "bigan", "cyclegan", "meg"])
def test_every_recipe_trains(name):
    recipe = recipes.RECIPES[name](**SMALL)
    run = fit(recipe, with_labels(small_beats()), quiet=True)
    assert np.isfinite(run.rows[-1]["held_out_loss"])


def test_a_few_steps_bring_a_generator_nearer_to_the_data():
    data = with_labels(small_beats())
    recipe = recipes.cgan(latents=2, epochs=1, batch=16, least_steps=150, widths=(32,))
    run = fit(recipe, data, quiet=True)
    distances = [row["held_out_energy_distance"] for row in run.rows]
    assert len(distances) == 75  # 45 observations are two batches an epoch
    assert np.isfinite(distances).all()
    assert min(distances[20:]) < distances[0]
    told = [run.model.decode(jnp.zeros(2), jnp.asarray(label)) for label in (0, 1, -1)]
    np.testing.assert_allclose(told[2], run.model.decode(jnp.zeros(2)), rtol=1e-5)
    assert not jnp.array_equal(told[0], told[1])


# The command line.


@pytest.mark.slow
def test_a_generator_that_was_told_can_be_asked(unweave, capsys, own_folder):
    fitted = unweave("fit", "cgan", "digits", "--epochs", "1", "--least-steps", "20", "--widths",
                     "16", "--out", "run", "--quiet")  # fmt: skip
    assert "report: " in fitted
    assert "9.npy" in unweave("sample", "run", "--given", "9", "-n", "3", "-o", "9.npy")
    assert np.load("9.npy").shape == (3, 8, 8, 1)
    with pytest.raises(ValueError, match="no class that this model was told"):
        given_labels_of("run").read("ten")


def given_labels_of(folder):
    from unweave.run import load_run

    return load_run(folder).model.given


def test_what_is_told_is_read_from_words():
    labels = given_labels(with_labels(small_beats()).train)
    assert int(labels.read("b")) == 1
    with pytest.raises(ValueError, match="there are a, b"):
        labels.read("c")
    factors = given_factors(small_beats().train)
    words = ",".join(["1"] * (len(factors.names) - 1) + [""])
    assert np.isnan(np.asarray(factors.read(words))[-1])
    np.testing.assert_array_equal(factors.code(factors.read(words))[len(factors.names) :][-1:], [0])
    with pytest.raises(ValueError, match="are 2 numbers"):
        factors.read("1,2")
    with pytest.raises(ValueError, match="are not numbers"):
        factors.read(",".join(["x"] * len(factors.names)))


def test_two_files_are_two_domains(tmp_path):
    from unweave.sources import Source, read_source

    for name, n in (("ill", 5), ("well", 7)):
        np.save(tmp_path / f"{name}.npy", np.ones((n, 6, 1)))
    paths = tuple(str(tmp_path / f"{name}.npy") for name in ("ill", "well"))
    data = read_source(Source(paths, by_file=True))
    assert data.label_names == ("ill", "well")
    assert data.labels.tolist() == [0] * 5 + [1] * 7
    assert data.records[0] == "ill row 0"
    rows = train.unpaired(data)
    assert rows.a.shape == rows.b.shape == (7, 6, 1)
    np.save(tmp_path / "odd.npy", np.ones((3, 5, 1)))
    with pytest.raises(ValueError, match="cut them alike"):
        read_source(Source((paths[0], str(tmp_path / "odd.npy")), by_file=True))
