"""Models of series against closed forms, SciPy's solvers and Equinox's cells."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave import check_model
from unweave._course import Course
from unweave._save import load_model, save_model
from unweave._schema import Schema
from unweave.data import Scale, dataset, split_at_random
from unweave.networks import series
from unweave.networks.schemes import EULER, RK4
from unweave.networks.schemes import integrate as integrate_scheme
from unweave.networks.series import CDE, GRU, LSTM, ODERNN, GatedLayer, SolverUnit
from unweave.recipes import RECIPES, latent_ode
from unweave.report import write_run_report
from unweave.run import fit
from unweave.show import codes, traverse
from unweave.train import Conditioned, conditioned, elbo, variational_terms

KEY = jax.random.key(0)
LENGTH = 12


def waves(n=60, length=LENGTH, channels=2, gaps=0.0, seed=0):
    """Sines of two frequencies, which are their labels, of chance phase and level, and noise."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, n)
    t = np.linspace(0, 1, length)
    phase = random.uniform(0, 2 * np.pi, (n, 1, 1)) + np.arange(channels) * np.pi / 2
    x = np.sin(2 * np.pi * (1 + 2 * label[:, None, None]) * t[None, :, None] + phase)
    level = random.normal(size=(n, 1, channels)) * [1.0, 0.5][:channels]
    x = 3 + 2 * (x + level + 0.05 * random.normal(size=x.shape))
    x[random.random(x.shape) < gaps] = np.nan
    schema = Schema(
        "waves", ("time", "channel"), x.shape[1:], ("a", "b")[:channels], ("mV",) * channels,
        step=1 / (length - 1), time_unit="s",
    )  # fmt: skip
    names = ("slow", "fast")
    return dataset(x.astype(np.float32), schema, labels=label, label_names=names)


def recurrent(data=None, cell=lambda inputs, key: GRU(inputs, 8, key=key), moved=0.3):
    """One whose head says something, as after training."""
    model = series.start_recurrent(waves() if data is None else data, cell, key=KEY)
    weight = model.head.weights[0]
    moving = moved * jax.random.normal(KEY, weight.shape)
    return eqx.tree_at(lambda m: m.head.weights[0], model, moving)


def test_gated_cells_are_those_of_equinox():
    keys = jax.random.split(KEY, 3)
    x, h, c = (jax.random.normal(key, (n,)) for key, n in zip(keys, (4, 5, 5), strict=True))
    width = jnp.asarray(0.7)
    told = jnp.append(x, width)
    gru, lstm = GRU(4, 5, key=KEY), LSTM(4, 5, key=KEY)
    bias = jax.random.normal(KEY, (5,))
    gru = eqx.tree_at(lambda g: g.bias, gru, bias)
    other = eqx.nn.GRUCell(5, 5, key=KEY)
    other = eqx.tree_at(
        lambda o: (o.weight_ih, o.weight_hh, o.bias, o.bias_n), other,
        (gru.gates.inner, gru.gates.outer, gru.gates.bias, bias),
    )  # fmt: skip
    np.testing.assert_allclose(gru.step(h, x, x, width), other(told, h), atol=1e-6)
    other = eqx.nn.LSTMCell(5, 5, key=KEY)
    other = eqx.tree_at(
        lambda o: (o.weight_ih, o.weight_hh, o.bias), other,
        (lstm.gates.inner, lstm.gates.outer, lstm.gates.bias),
    )  # fmt: skip
    for mine, theirs in zip(lstm.step((h, c), x, x, width), other(told, (h, c)), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_between_samples_an_ode_rnn_solves_its_field():
    cell = ODERNN(3, 4, widths=(), scheme=RK4, substeps=8, key=KEY)
    x, h, width = jnp.ones(3), jnp.linspace(-1, 1, 4), 1.7
    at = np.asarray(cell.unit.step(h, x, x, jnp.asarray(width)))
    net = cell.field.net
    a, b = np.asarray(net.weights[0], float), np.asarray(net.biases[0], float)
    whole = scipy.linalg.expm(width * np.block([[a, b[:, None]], [np.zeros((1, 5))]]))
    exact = (whole @ np.append(at, 1))[:4]
    np.testing.assert_allclose(cell.step(h, x, x, jnp.asarray(width)), exact, atol=1e-5)


def test_a_cde_is_driven_by_the_way_from_sample_to_sample():
    cell = CDE(2, 3, widths=(5,), scheme=RK4, substeps=16, key=KEY)
    before, now, width = jnp.asarray([0.2, -1.0]), jnp.asarray([1.5, 0.4]), jnp.asarray(0.6)
    h = jnp.asarray([0.3, -0.2, 0.8])

    def rates(t, h):
        matrix = np.tanh(np.asarray(cell.net(jnp.asarray(h, jnp.float32)))).reshape(3, 3)
        return matrix @ np.append(np.asarray(now - before), 0.6)

    exact = scipy.integrate.solve_ivp(rates, (0, 1), np.asarray(h), rtol=1e-6, atol=1e-8).y[:, -1]
    np.testing.assert_allclose(cell.step(h, before, now, width), exact, atol=1e-5)
    # where neither the samples nor time move, nothing does
    still = cell.step(h, now, now, jnp.zeros(()))
    np.testing.assert_array_equal(still, h)


def test_any_field_and_scheme_make_a_cell():
    a = np.asarray([[-0.3, 1.0], [-1.0, -0.1]])

    def linear(t, hu):
        return jnp.asarray(a, hu.dtype) @ hu[:2] + hu[2:]

    u, h, width = jnp.asarray([0.5, -0.2]), jnp.asarray([1.0, 0.0]), jnp.asarray(0.8)
    exact = scipy.linalg.expm(0.8 * np.block([[a, np.asarray(u)[:, None]], [np.zeros((1, 3))]]))
    exact = (exact @ [1.0, 0.0, 1.0])[:2]
    coarse, fine = (
        np.abs(np.asarray(SolverUnit(linear, 2, EULER, n).step(h, u, u, width)) - exact).max()
        for n in (16, 32)
    )
    assert 1.8 < coarse / fine < 2.2
    np.testing.assert_allclose(SolverUnit(linear, 2, RK4, 8).step(h, u, u, width), exact, atol=1e-6)
    # Euler's method over unit time of tanh(W u + V h) - h is Elman's network
    elman = SolverUnit(lambda t, hu: jnp.tanh(hu[:2] + hu[2:]) - hu[:2], 2)
    np.testing.assert_allclose(elman.step(h, u, u, jnp.ones(())), np.tanh(h + u), atol=1e-6)


def test_at_the_start_a_recurrent_model_is_an_autoregression():
    """Of a stationary one the whole series is Gaussian, with covariance a^|i - j|."""
    keep = 0.8
    model = series.start_recurrent(waves(channels=1), lambda n, key: GRU(n, 4, key=key), key=KEY)
    model = eqx.tree_at(
        lambda m: (m.persistence, m.log_std), model,
        (jnp.asarray([keep]), jnp.asarray([0.5 * np.log(1 - keep**2)], jnp.float32)),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(LENGTH, 1)).astype(np.float32)
    covariance = keep ** np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH)))
    gaussian = scipy.stats.multivariate_normal(np.zeros(LENGTH), covariance)
    units = model.scale.undo(jnp.asarray(x))
    exact = gaussian.logpdf(x[:, 0]) - LENGTH * np.log(model.scale.spread[0])
    np.testing.assert_allclose(model.log_density(units), exact, rtol=1e-4)


def test_the_density_is_that_of_the_map_from_innovations():
    model = recurrent()
    z = jax.random.normal(KEY, (2 * LENGTH,))
    x = model.decode(z)
    slope = jax.jacfwd(lambda z: model.decode(z).reshape(-1))(z)
    exact = jax.scipy.stats.norm.logpdf(z).sum() - jnp.linalg.slogdet(slope)[1]
    np.testing.assert_allclose(model.log_density(x), exact, rtol=1e-4)
    np.testing.assert_allclose(model.encode(x), z, atol=1e-4)


def test_a_gap_is_filled_by_what_was_expected_and_by_draws_of_it():
    model = recurrent()
    x = np.asarray(waves().observations[0])
    gappy = x.copy()
    gappy[5:, 0] = np.nan
    filled = model.decode(model.encode(jnp.asarray(gappy)))
    np.testing.assert_allclose(filled[~np.isnan(gappy)], x[~np.isnan(gappy)], atol=1e-4)
    drawn = jax.vmap(lambda key: model.decode(model.encode(jnp.asarray(gappy), key=key)))(
        jax.random.split(KEY, 4000)
    )
    # the first missing sample: its innovation is the only chance there is
    mean = float(drawn[:, 5, 0].mean())
    np.testing.assert_allclose(mean, float(filled[5, 0]), atol=4 * float(drawn[:, 5, 0].std()) / 60)


def test_a_condition_says_when_the_samples_were_taken():
    model = recurrent(cell=lambda inputs, key: ODERNN(inputs, 8, key=key))
    x = jnp.asarray(waves().observations[0])
    own = jnp.asarray(model.times, jnp.float32)
    plain = model.log_density(x)
    np.testing.assert_allclose(model.log_density(x, Course(times=own)), plain, rtol=1e-6)
    other = jnp.sqrt(own)
    assert abs(float(model.log_density(x, Course(times=other)) - plain)) > 1e-3
    z = model.encode(x, Course(times=other))
    np.testing.assert_allclose(model.decode(z, Course(times=other)), x, atol=1e-4)


FLOATS = st.floats(-5, 5, width=32, allow_subnormal=False)
CARRIED, LINES = jax.jit(series.carried_forward), jax.jit(series.interpolated)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), FLOATS), min_size=7, max_size=7),
    st.lists(st.floats(0.125, 4, width=32), min_size=7, max_size=7),
)
def test_lines_and_last_values_are_those_of_numpy_and_pandas(values, steps):
    x = np.asarray([np.nan if v is None else v for v in values], np.float32)
    times = np.cumsum(np.asarray(steps, np.float32))
    carried = CARRIED(jnp.asarray(x[:, None]))
    np.testing.assert_allclose(carried[:, 0], pd.Series(x).ffill().fillna(0.0), rtol=1e-6)
    lines = LINES(jnp.asarray(x[:, None]), jnp.asarray(times))
    known = ~np.isnan(x)
    exact = np.interp(times, times[known], x[known]) if known.any() else np.zeros(len(x))
    np.testing.assert_allclose(lines[:, 0], exact, atol=1e-4)


def test_a_gated_layer_is_a_dilated_convolution():
    layer = GatedLayer(2, 3, key=KEY)
    x = np.asarray(jax.random.normal(KEY, (10, 2)))
    exact = np.zeros_like(x)
    for t in range(10):
        taps = [x[t + d] if 0 <= t + d < 10 else np.zeros(2) for d in (-3, 0, 3)]
        both = np.asarray(layer.weight) @ np.concatenate(taps)
        gate = 1 / (1 + np.exp(-both[2:]))
        exact[t] = (1 - gate) * x[t] + gate * both[:2]
    np.testing.assert_allclose(layer(jnp.asarray(x)), exact, atol=1e-5)


def test_attention_is_shared_out_among_the_samples():
    net = series.GatedConvolutions(2, 3, width=4, dilations=(1, 2), key=KEY)
    x = jnp.asarray(waves(gaps=0.3).observations[0])
    times = jnp.arange(LENGTH, dtype=jnp.float32)
    weights = net.attention(x, times)
    assert weights.shape == (LENGTH,)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(net(x, times), net.head(weights @ net.features(x, times)), rtol=1e-5)


@pytest.mark.parametrize("name", ["dgcnn", "gru"])
def test_the_labels_of_a_series_are_learned(name, tmp_path):
    data = split_at_random(waves(300, gaps=0.1))
    options = {"dgcnn": {"width": 8, "dilations": (1, 2)}, "gru": {"hidden": 8, "answers": True}}
    recipe = RECIPES[name](**options[name], epochs=25, batch=32, learning_rate=1e-2, patience=25)
    run = fit(recipe, data, out=tmp_path / "run", quiet=True)
    told = run.result["prediction"]
    assert told["score"] > 0.9
    assert told["refined"] == []
    assert told["verdict"] == ""
    assert "Log loss" in write_run_report(run).read_text()


LATENT = {"latents": 3, "hidden": 8, "widths": (16,), "epochs": 2, "batch": 16}


def start_latent(**more):
    reader = series.recurrent_reader(lambda n, key: GRU(n, 8, key=key), backwards=True)
    return series.start_latent_ode(
        waves(gaps=0.2), reader, latents=3, widths=(16,), key=KEY, **more
    )


def test_before_training_a_latent_ode_is_a_linear_model_whose_bound_holds():
    """Level courses: x = W z + noise with the noise of each channel, in closed form."""
    model = start_latent()
    x = np.asarray(waves(seed=3).observations[0])
    scaled = (x - model.scale.offset) / model.scale.spread
    weight = np.asarray(model.readout.weight, float)
    tall = np.tile(weight, (LENGTH, 1))
    gaussian = scipy.stats.multivariate_normal(
        np.zeros(2 * LENGTH), tall @ tall.T + np.eye(2 * LENGTH)
    )
    exact = gaussian.logpdf(scaled.reshape(-1)) - LENGTH * np.log(model.scale.spread).sum()
    bound = float(model.log_density(jnp.asarray(x)))
    assert np.abs(weight).max() > 0.3
    assert exact - 2 < bound < exact + 1e-3


def moving(scale=2.0, **more):
    """A latent ODE whose courses are not level."""
    model = start_latent(**more)
    weight = model.dynamics.net.weights[-1]
    new = scale * jax.random.normal(KEY, weight.shape) / weight.shape[1]
    return eqx.tree_at(lambda m: m.dynamics.net.weights[-1], model, new)


def test_a_latent_course_is_the_solution_of_its_field():
    model = moving()
    z = jnp.asarray([0.5, -1.0, 0.3])
    times = jnp.asarray([0.0, 0.013, 0.4, 0.77, 1.0])

    def rates(t, s):
        return np.asarray(model.dynamics.rates(jnp.zeros(()), jnp.asarray(s, jnp.float32), z))

    exact = scipy.integrate.solve_ivp(
        rates, (0, 1), np.asarray(z), t_eval=np.asarray(times), rtol=1e-6, atol=1e-8
    ).y.T
    fine = model.refined(16).path(z, times)
    np.testing.assert_allclose(fine, exact, atol=1e-4)
    # order 4, between the steps as at their ends
    one, two = (np.abs(model.refined(n).path(z, times) - fine).max() for n in (1, 2))
    assert two < one / 8


def test_a_latent_ode_is_asked_at_any_times():
    model = moving()
    z = jnp.asarray([0.5, -1.0, 0.3])
    whole = model.refined(8).decode(z)
    times = jnp.asarray(model.times, jnp.float32)
    some = jnp.concatenate([times[:4], times[-1:]])
    part = model.refined(8).decode(z, Course(times=some))
    np.testing.assert_allclose(part, jnp.concatenate([whole[:4], whole[-1:]]), atol=1e-3)
    # one that is shorter than others repeats its last time
    level = model.decode(z, Course(times=jnp.zeros(LENGTH)))
    assert np.ptp(np.asarray(level), axis=0).max() == 0


@pytest.mark.parametrize(
    "name",
    [
        "gru",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("lstm", "ode-rnn", "neural-cde", "latent-ode")
        ),
    ],
)
def test_every_family_keeps_the_protocol_and_its_file(name, tmp_path):
    small = LATENT if name == "latent-ode" else {"hidden": 8, "epochs": 2, "batch": 16}
    data = split_at_random(waves(gaps=0.1))
    run = fit(RECIPES[name](**small), data, out=tmp_path / "run", quiet=True)
    x = jnp.asarray(waves().observations[0])
    check_model(run.model, x=x, key=KEY).raise_if_failed()
    save_model(tmp_path / "model", run.model)
    again = load_model(tmp_path / "model").model
    np.testing.assert_array_equal(again.encode(x), run.model.encode(x))
    assert np.isfinite(run.result["log_density"])
    turned = traverse(run.model, steps=3)
    assert turned.shape == (run.model.latents.size, 3, LENGTH, 2)
    assert np.isfinite(turned).all()
    page = write_run_report(run).read_text()
    assert "nats" in page


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "least"), [("gru", 0.7), ("ode-rnn", 0.4), ("cde", 0.4)])
def test_a_latent_ode_learns_waves(encoder, least):
    options = {"latents": 6, "hidden": 16, "encoder": encoder, "epochs": 300, "learning_rate": 5e-3}
    run = fit(latent_ode(**options, patience=100), split_at_random(waves(400)), quiet=True)
    assert run.result["explained_variance"] > least


def test_what_is_hidden_from_the_posterior_is_still_scored():
    model = start_latent()
    x = jnp.asarray(waves(8).observations)
    seen = variational_terms(model, x, KEY)
    none = variational_terms(model, x, KEY, hidden=1.0)
    # shown nothing, every observation has one and the same posterior
    assert np.ptp(np.asarray(none.mean), axis=0).max() == 0
    assert np.ptp(np.asarray(seen.mean), axis=0).max() > 0.1
    assert np.isfinite(none.reconstruction)
    assert none.reconstruction != seen.reconstruction


def test_the_bound_of_conditioned_rows_is_that_of_each_one():
    model = moving()
    data = waves(4)
    times = np.sort(np.random.default_rng(0).random((4, LENGTH)), axis=1).astype(np.float32)
    rows = Conditioned(jnp.asarray(data.observations), Course(times=jnp.asarray(times)))
    assert conditioned(data).condition is None
    loss, metrics = elbo(warm_up=4)(model, rows, KEY, jnp.asarray(0))
    full, _ = elbo()(model, rows, KEY, jnp.asarray(0))
    # the first of four steps counts a quarter of the divergence
    np.testing.assert_allclose(full - loss, 0.75 * metrics["kl"], rtol=1e-3)
    plain, _ = elbo()(model, rows.x, KEY, jnp.asarray(0))
    assert abs(float(plain - full)) > 1e-3


EQUATION = """x' = a*x - b*x*y
y' = b*x*y - c*y
a, b, c in (0.2, 2)
x(0), y(0) in (0.5, 2)
"""


def preys(n=40, length=15, seed=0):
    """Courses of Lotka and Volterra's equation by SciPy, seen through an unknown mixing."""
    random = np.random.default_rng(seed)
    times, courses = np.linspace(0, 5, length), []
    for _ in range(n):
        a, b, c = random.uniform(0.5, 1.5, 3)
        path = scipy.integrate.solve_ivp(
            lambda t, s, a=a, b=b, c=c: [a * s[0] - b * s[0] * s[1], b * s[0] * s[1] - c * s[1]],
            (0, 5), random.uniform(0.7, 1.5, 2), t_eval=times,
        )  # fmt: skip
        courses.append(path.y.T)
    return np.stack(courses).astype(np.float32), times


def course_data(channels, n=40):
    x, times = preys(n)
    schema = Schema(
        "trajectories", ("time", "channel"), x.shape[1:], channels, ("", ""),
        step=float(times[1]),
    )  # fmt: skip
    return dataset(x, schema)


@pytest.mark.parametrize("channels", [("x", "y"), ("left", "right")])
def test_the_latents_of_an_equation_keep_their_names(channels):
    recipe = latent_ode(equation=EQUATION, hidden=8, widths=(8,))
    model = recipe.build(course_data(channels), KEY)
    assert model.latents.names == ("a", "b", "c", "x(0)", "y(0)")
    # the equation reads itself only where the channels are its observables
    assert (model.readout is None) == (channels == ("x", "y"))


def test_a_dense_encoder_reads_gaps_and_refuses_times_of_their_own():
    data = course_data(("x", "y"))
    recipe = latent_ode(equation=EQUATION, hidden=4, encoder="dense")
    model = recipe.build(data, KEY)
    x = np.array(data.observations[0])
    x[3:6, 0] = np.nan
    assert np.isfinite(np.asarray(model.encode(jnp.asarray(x)))).all()
    own = np.asarray(data.schema.times)[None] + np.arange(len(data))[:, None]
    with pytest.raises(ValueError, match="encoder='ode-rnn'"):
        recipe.build(dataclasses.replace(data, times=own), KEY)


@pytest.mark.slow
def test_a_dense_encoder_reads_the_parameters_of_an_equation_off_a_course():
    options = {"encoder": "dense", "hidden": 16, "hide": 0.0, "epochs": 150, "batch": 32}
    recipe = latent_ode(equation=EQUATION, **options, learning_rate=3e-3, patience=150)
    run = fit(recipe, split_at_random(course_data(("x", "y"), 400)), quiet=True)
    random = np.random.default_rng(5)
    truth = np.stack([np.r_[random.uniform(0.5, 1.5, 3), random.uniform(0.7, 1.5, 2)]
                      for _ in range(100)])  # fmt: skip
    found = codes(run.model, preys(100, seed=5)[0])
    same = [np.corrcoef(found[:, i], truth[:, i])[0, 1] for i in range(5)]
    assert min(same) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("channels", [("x", "y"), ("left", "right")])
def test_a_trained_equation_in_latent_space_keeps_the_protocol(channels):
    from unweave.equations import analyse, centre_of
    from unweave.hybrid import latent_system

    data = split_at_random(course_data(channels))
    recipe = latent_ode(equation=EQUATION, hidden=8, widths=(8,), epochs=2, batch=16)
    model = fit(recipe, data, quiet=True).model
    check = check_model(model, x=jnp.asarray(data.test.observations[0]), key=KEY)
    check.raise_if_failed()
    system = latent_system(model)
    box = {"x": (0.0, 4.0), "y": (0.0, 4.0)}
    found = analyse(system, np.array(centre_of(system.latents)), box=box)
    assert len(found.equilibria) == 2


def test_a_course_of_an_equation_is_that_of_scipy():
    from unweave.hybrid import system_dynamics

    data = course_data(("x", "y"))
    chosen = system_dynamics(EQUATION, data)
    reader = series.recurrent_reader(lambda n, key: GRU(n, 4, key=key), backwards=True)
    model = series.start_latent_ode(
        data, reader, dynamics=chosen.dynamics, is_observation=True, steps=chosen.steps, key=KEY
    )
    z = jnp.asarray([1.1, 0.9, 0.8, 1.2, 0.7])
    exact = scipy.integrate.solve_ivp(
        lambda t, s: [1.1 * s[0] - 0.9 * s[0] * s[1], 0.9 * s[0] * s[1] - 0.8 * s[1]],
        (0, 5), [1.2, 0.7], t_eval=model.times, rtol=1e-9,
    ).y.T  # fmt: skip
    np.testing.assert_allclose(model.decode(z), exact, rtol=2e-3)


def test_a_trained_field_is_analysed_by_the_same_call():
    from unweave.equations import analyse
    from unweave.hybrid import latent_system

    model = start_latent()
    # a sink at a known place: s' = -(s - 0.4), all linear
    net = eqx.tree_at(
        lambda n: (n.weights, n.biases), model.dynamics.net,
        ((-jnp.eye(3),), (0.4 * jnp.ones(3),)),
    )  # fmt: skip
    model = eqx.tree_at(lambda m: m.dynamics.net, model, net)
    system = latent_system(model)
    assert [state.name for state in system.states] == ["z1", "z2", "z3"]
    box = {name: (-2.0, 2.0) for name in ("z1", "z2", "z3")}
    found = analyse(system, np.zeros(3), box=box)
    assert len(found.equilibria) == 1
    np.testing.assert_allclose(found.equilibria[0].x, 0.4, atol=1e-6)
    assert "stable" in found.equilibria[0].kind


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: series.start_recurrent(images(), GRU, key=KEY), "needs \\(time, channel\\)"),
        (lambda: series.GatedConvolutions(1, 1, dilations=(0,), key=KEY), "whole numbers from 1"),
        (lambda: latent_ode(equation="x' = -x +"), "x' = -x"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_equation_with_inputs_is_refused_as_dynamics():
    from unweave.hybrid import system_dynamics

    with pytest.raises(ValueError, match="1 inputs"):
        system_dynamics("input u\nx' = -x + u\nx(0) in (0, 1)", course_data(("x", "y")))


def images():
    schema = Schema("image", ("row", "column", "channel"), (8, 8, 1), ("grey",), ("",))
    return dataset(np.zeros((4, 8, 8, 1), np.float32), schema)


def test_a_channel_that_was_never_observed_stays_as_it_is():
    data = waves()
    x = data.observations.copy()
    x[:, :, 1] = np.nan
    scale = Scale.standard(x)
    assert scale.offset[1] == 0
    assert scale.spread[1] == 1
    model = recurrent(dataset(x, data.schema))
    assert np.isfinite(model.log_density(jnp.asarray(x[0])))


def test_the_loop_of_a_scheme_is_the_cells_own():
    cell = ODERNN(2, 3, scheme=RK4, substeps=4, key=KEY)
    h, width = jnp.ones(3), jnp.asarray(0.5)
    at = cell.unit.step(h, jnp.ones(2), jnp.ones(2), width)
    direct = integrate_scheme(RK4, lambda t, h: width * cell.field(t, h), at, 4)
    np.testing.assert_allclose(cell.step(h, jnp.ones(2), jnp.ones(2), width), direct, atol=1e-6)
