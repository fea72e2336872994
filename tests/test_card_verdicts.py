"""Whom to believe for what, the mixture of all, what a formula misses, what data are needed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from heartbeats import beat_schema
from test_compare import drawn, world
from unweave import plots
from unweave.card import ROWS, Fitted, Reading, Row
from unweave.card._card import make_card
from unweave.card._cells import Cell
from unweave.card._density import DENSITY
from unweave.card._left_over import LEFT_OVER, kept_rows
from unweave.card._missed import missed, shortest
from unweave.card._needed import needed
from unweave.card._parameters import PARAMETERS
from unweave.card._purposes import purposes
from unweave.card._repeated import REPEATED
from unweave.card._said import of_missed, of_stacking
from unweave.card._stacking import stacking, weights_of
from unweave.card._trial import Trial
from unweave.data import dataset, split_at_random
from unweave.networks import fit_mean, fit_pca


def named(trial, rows=ROWS):
    return {one.purpose: one for one in purposes(trial, rows)}


def test_who_is_ahead_is_named():
    found = named(world({"equation": 0.02, "vae": 0.03}))["to describe what was not seen"]
    assert (found.finding, found.named, found.among) == ("ahead", "equation", ("equation",))
    assert found.sentence.startswith("To describe what was not seen: equation, by 0.0")
    assert found.sentence.endswith("before vae.")


def test_of_a_tie_the_simplest_is_named():
    # a name's length is the number of fitted numbers of these made-up models
    found = named(world({"hybrid": 0.02, "ode": 0.0201, "vaes": 0.05}))
    one = found["to describe what was not seen"]
    assert (one.finding, one.named, set(one.among)) == ("tie", "ode", {"hybrid", "ode"})
    assert "Of these ode is the simplest" in one.sentence


@pytest.mark.parametrize("more", [{"seeds": 2}, {"seeds": 4, "each_group": 60}])
def test_too_little_names_nobody(more):
    found = named(world({"equation": 0.02, "vae": 0.2}, **more))["to describe what was not seen"]
    assert (found.finding, found.named) == ("not enough", None)
    assert "not enough data to say. It takes 3 seeds and 8 test observations" in found.sentence


def test_who_finds_the_data_likeliest_is_named_among_exact_densities():
    kinds = {"flow": ("exact", 5.0), "pca": ("exact", 3.0), "vae": ("bound", 9.0)}
    found = named(world({"flow": 0.02, "pca": 0.02, "vae": 0.02}, kinds=kinds))
    one = found["to say how likely an observation is, of those that know it exactly"]
    assert (one.finding, one.named, one.among) == ("ahead", "flow", ("flow",))
    assert "flow, by 2" in one.sentence or "flow, by 1.9" in one.sentence
    assert "nats" in one.sentence


def with_row(row, values):
    """A trial in which each recipe has these values of a row, one for each seed."""
    trial = world({name: 0.02 for name in values}, seeds=5)
    cells = {
        (name, share, seed): Cell({**cell.readings, row.key: Reading(values[name][seed])})
        for (name, share, seed), cell in trial.cells.items()
    }
    return replace(trial, cells=cells)


def test_measures_without_pairs_are_told_apart_by_their_ranges():
    row = Row("told_apart", "samples told apart", lambda fitted: None, "lower")
    clear = with_row(row, {"flow": [0.5, 0.52, 0.51, 0.5, 0.53], "vae": [0.7, 0.8, 0.7, 0.7, 0.6]})
    one = named(clear, (row,))["to generate"]
    assert (one.finding, one.named) == ("ahead", "flow")
    assert "told from real data in 0.51 of cases (0.5–0.53)" in one.sentence
    level = with_row(row, {"flow": [0.5, 0.52, 0.51, 0.5, 0.61], "vae": [0.7, 0.8, 0.7, 0.7, 0.6]})
    one = named(level, (row,))["to generate"]
    assert (one.finding, one.among, one.named) == ("tie", ("flow", "vae"), "vae")


def test_intervals_are_judged_by_what_they_promise():
    row = Row("interval", "coverage", lambda fitted: None)
    trial = with_row(row, {"wide": [0.99] * 5, "narrow": [0.7] * 5, "honest": [0.9] * 5})
    assert named(trial, (row,))["to trust its 90 % intervals"].named == "honest"


# what is copied


def test_pca_copies_as_much_noise_as_it_has_axes():
    data = drawn(0)
    model = fit_pca(data.train.observations, 2)
    copied = Fitted(model, "pca", data, 1.0).copied
    slope = jax.jacobian(lambda x: model.decode(model.encode(x)))(jnp.zeros((6, 1)))
    exact = float(jnp.trace(slope.reshape(6, 6))) / 6
    # a probe of signs for each of 16 observations
    off = np.asarray(slope.reshape(6, 6))
    error = np.sqrt(2 * ((off**2).sum() - (np.diag(off) ** 2).sum()) / 16) / 6
    assert abs(copied - exact) < 3 * error
    reading = REPEATED.measure(Fitted(model, "pca", data, 1.0))
    raw = np.sqrt(np.mean((Fitted(model, "pca", data, 1.0).x
                           - Fitted(model, "pca", data, 1.0).x_hat) ** 2))  # fmt: skip
    np.testing.assert_allclose(reading.value, raw / (1 - copied), rtol=1e-6)


def test_the_error_of_a_second_measurement_is_that():
    # noise of 0.1 about a line through six samples: whoever knows the line errs by 0.1 and a bit
    rng = np.random.default_rng(1)
    axis = np.linspace(-1, 1, 60)
    truth = rng.normal(size=(400, 1)) * axis
    x, again = (truth + 0.1 * rng.normal(size=truth.shape) for _ in range(2))
    schema = replace(beat_schema(), shape=(60, 1), channels=("ii",), units=("mV",))
    data = split_at_random(dataset(x[..., None].astype(np.float32), schema))
    for latents in (1, 12):
        model = fit_pca(data.train.observations, latents)
        fitted = Fitted(model, "pca", data, 1.0)
        place = [int(record.split()[-1]) if " " in str(record) else int(record)
                 for record in data.test.records.tolist()]  # fmt: skip
        second = again[place][..., None]
        expected = np.sqrt(np.mean((second - fitted.x_hat) ** 2))
        found = REPEATED.measure(fitted).value
        assert abs(found / expected - 1) < 0.03
    # and the plain residual rewards the twelve latents, eleven of which are noise
    assert np.sqrt(np.mean((fitted.x - fitted.x_hat) ** 2)) < 0.095 < expected


def test_a_copy_of_everything_has_no_error():
    data = drawn(0)
    mean = fit_mean(data.train.observations)
    assert Fitted(mean, "mean", data, 1.0).copied == pytest.approx(0.0, abs=1e-6)
    assert mean.latents.size == 0
    assert jnp.isfinite(REPEATED.measure(Fitted(mean, "mean", data, 1.0)).value)


# the mixture


def test_weights_are_those_of_a_general_optimiser():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(200, 3)) + np.array([0.0, 0.3, -1.0])
    counts = rng.integers(1, 3, size=200).astype(float)

    def loss(u):
        w = np.exp(u - u.max())
        return -(counts @ np.log(np.exp(logs) @ (w / w.sum()))) / counts.sum()

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8})
    expected = np.exp(best.x) / np.exp(best.x).sum()
    np.testing.assert_allclose(weights_of(logs, counts), expected, atol=2e-3)


def stacked(levels, each):
    trial = world({name: 0.02 for name in levels}, seeds=3, kinds=levels)
    cells = {}
    for (name, share, seed), cell in trial.cells.items():
        values = each(name, np.random.default_rng((5, seed)))
        cells[name, share, seed] = Cell(
            {**cell.readings, DENSITY.key: Reading(float(values.mean()), values, levels[name][0])}
        )
    return replace(trial, cells=cells)


def test_two_halves_of_the_data_want_a_model_each():
    side = np.arange(60) % 2

    def each(name, rng):
        return np.where(side == (name == "b"), 1.0, -9.0) + 0.1 * rng.normal(size=60)

    trial = stacked({"a": ("exact", 0.0), "b": ("exact", 0.0)}, each)
    found = stacking(trial)
    np.testing.assert_allclose([found.weights[n][0] for n in "ab"], 0.5, atol=0.01)
    # the best alone has -4 on average, the mixture 1 - log 2
    assert found.gain == pytest.approx(1 - np.log(2) + 4, abs=0.2)
    assert 0 < found.weights["a"][1] < 0.1
    assert "so each adds something" in of_stacking(trial, found)[0]


def test_a_mixture_of_alike_models_gains_nothing():
    def each(name, rng):
        return rng.normal(size=60)

    found = stacking(stacked({"a": ("exact", 0.0), "b": ("bound", 0.0)}, each))
    assert abs(found.gain) <= 2 * found.gain_error + 1e-9
    assert found.kinds == ("bound", "exact")


def test_what_has_no_common_measure_is_not_mixed():
    def each(name, rng):
        return rng.normal(size=60)

    assert stacking(stacked({"a": ("exact", 0.0), "b": ("unnormalised", 0.0)}, each)) is None
    kinds = {"a": ("exact", 0.0), "b": ("exact, of a probability", 0.0)}
    assert stacking(stacked(kinds, each)) is None


# what the formula misses


def left_by(misses, *, n=60, seeds=4, length=50):
    """A trial in which a formula leaves a bump of some height, and a network does not."""
    rng = np.random.default_rng(3)
    times = np.arange(length)
    bump = misses * np.exp(-0.5 * ((times - 20) / 3.0) ** 2)
    schema = replace(
        beat_schema(), axes=("time", "channel"), shape=(length, 1), channels=("ii",),
        units=("mV",), step=0.01, origin=0.0, time_unit="s",
    )  # fmt: skip
    cells, names = {}, ("zoo:ecg", "vae", "mean")
    for seed in range(seeds):
        noise = 0.1 * rng.normal(size=(n, length))
        size = rng.normal(1, 0.2, size=(n, 1))
        for name in names:
            rest = noise + (bump * size if name != "vae" else 0)
            square = (rest**2).mean(1)
            parts = rest[kept_rows(n)][..., None].astype(np.float32)
            cells[name, 1.0, seed] = Cell({
                REPEATED.key: Reading(float(np.sqrt(square.mean())), square),
                LEFT_OVER.key: Reading(0.0, parts=parts),
                PARAMETERS.key: Reading(3.0),
            })  # fmt: skip
    units = tuple(np.asarray([f"{s} {i}" for i in range(n)]) for s in range(seeds))
    kinds = dict(zip(names, ("equation", "vae", "mean"), strict=True))
    return Trial(
        schema, names, frozenset({"mean"}), {1.0: 90}, "training observations", units,
        "test observation", cells, recipes=kinds,
    )  # fmt: skip


def test_what_a_formula_misses_is_found_where_it_is_and_as_much():
    trial = left_by(0.3)
    found = missed(trial)
    assert (found.formula, found.network) == ("zoo:ecg", "vae")
    power = 0.09 * 1.04 * (np.exp(-((np.arange(50) - 20) ** 2) / 9.0)).sum()
    expected = power / (power + 50 * 0.01)
    assert found.share == pytest.approx(expected, abs=0.05)
    assert found.low < found.share < found.high
    # half of a Gaussian bump's square lies within 0.674 of its deviation, 3 / sqrt(2) samples
    assert 0.18 <= found.first < found.last <= 0.22
    assert len(found.times) == len(found.before) == 50
    assert "zoo:ecg leaves over, vae explains" in of_missed(trial, found)[0]
    card = make_card(trial, ROWS, data="bumps", split="by hand")
    assert card.missed == found
    assert card.verdict[-1].startswith("Of what zoo:ecg leaves over")


def test_noise_alone_is_nothing_missed():
    trial = left_by(0.0)
    found = missed(trial)
    assert not found.is_something
    assert "is noise to vae" in of_missed(trial, found)[0]


def test_the_shortest_run_holds_half():
    assert shortest(np.array([0.0, 1.0, 4.0, 1.0, 0.0])) == (2, 2)
    assert shortest(np.array([3.0, 3.0, 0.0, 0.0, 1.0])) in ((0, 1), (0, 0))
    assert shortest(np.ones(8)) == (0, 3)


def test_the_figure_draws_what_is_missed():
    figure = plots.missed(
        [0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [1.0, 2.0, 3.0], names=("f", "n"), span=(0.0, 1.0)
    )
    lines = figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), [3, 4, 5])
    np.testing.assert_array_equal(lines[1].get_ydata(), [1, 2, 3])
    with pytest.raises(ValueError, match="give as many"):
        plots.missed([0.0, 1.0], [3.0], [1.0], names=("f", "n"), span=(0.0, 1.0))


# what data are needed


def test_the_data_that_are_needed_are_the_least_with_nearly_all_of_the_gain():
    trial = world({"equation": 0.02, "vae": 0.02, "mean": 0.2},
                  curve={"equation": 0.02, "vae": 0.1, "mean": 0.2})  # fmt: skip
    assert needed(trial, "equation").median == 12
    assert needed(trial, "vae").median == 96
    assert needed(trial, "mean") is None
    worse = world({"vae": 0.3, "mean": 0.2})
    assert needed(worse, "vae") is None
