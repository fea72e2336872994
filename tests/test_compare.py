"""The card: honest parts of the data, fits that are kept, and sentences that numbers force."""

import csv
import html
import io
import itertools
import json
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from heartbeats import beat_schema
from unweave import load_model, plots, save_model
from unweave.card import Fitted, Reading, Row, compare, markdown, table, write_card
from unweave.card._card import make_card
from unweave.card._cells import Cell, cell_key, run_cell
from unweave.card._curve import CURVE
from unweave.card._density import DENSITY
from unweave.card._error import ERROR
from unweave.card._explained import EXPLAINED
from unweave.card._page import render
from unweave.card._paired import difference
from unweave.card._parameters import PARAMETERS
from unweave.card._repeated import REPEATED
from unweave.card._seconds import SECONDS
from unweave.card._subsets import SHARES, check_apart, is_within, shares_of, subset, units_of
from unweave.card._trial import Trial
from unweave.card._verdict import verdict
from unweave.card._write import as_csv
from unweave.cli._compare import read_recipes
from unweave.data import Signal, dataset, series, split_at_random, split_none, split_within
from unweave.networks import fit_autoregression, fit_mean
from unweave.recipes import gaussian_mixture, pca, vae
from unweave.run import fit
from unweave.sources import Source, for_courses
from unweave.train import Interrupted, Recipe


def beats(n=80, seed=0):
    """Courses `(n, 6, 1)` in mV of two latents and little noise, each its own record."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(n, 6))
    return dataset(x[..., None].astype(np.float32), beat_schema(1, 6))


def drawn(seed):
    return split_at_random(beats(), seed=seed)


def pulses(n=3, length=60):
    """Whole recordings of a noisy swing, in volts."""
    rng = np.random.default_rng(1)
    times = np.arange(length) * 0.5
    values = [np.sin(times + i) + 0.01 * rng.normal(size=length) for i in range(n)]
    names = [f"record {i}" for i in range(n)]
    return series(
        [
            Signal(name, name, x[:, None], times, ("u",), ("V",))
            for name, x in zip(names, values, strict=True)
        ]
    )


# the autoregression and the mean, against closed forms


def swings(n=30, length=40, channels=2, seed=0):
    """Courses of x_t = 1 + A x_{t-1} + B x_{t-2} + e, in units of their own."""
    rng = np.random.default_rng(seed)
    first = np.array([[0.5, 0.2], [-0.1, 0.3]])[:channels, :channels]
    second = np.array([[-0.4, 0.0], [0.1, -0.3]])[:channels, :channels]
    x = np.zeros((n, length + 50, channels))
    for t in range(2, length + 50):
        e = rng.normal(size=(n, channels))
        x[:, t] = 1 + x[:, t - 1] @ first.T + x[:, t - 2] @ second.T + e
    return (x[:, 50:] * np.array([1.0, 20.0])[:channels] + 5).astype(np.float32)


def test_autoregression_is_least_squares_of_the_order_that_made_the_data():
    x = swings()
    model = fit_autoregression(x, most=4)
    assert model.order == 2
    scaled = (x.astype(np.float64) - np.asarray(model.centre)) / np.asarray(model.spread)
    # the rows are the same for every order that was tried
    rows = [np.r_[1, scaled[i, t - 1], scaled[i, t - 2]] for i in range(30) for t in range(4, 40)]
    targets = [scaled[i, t] for i in range(30) for t in range(4, 40)]
    found, *_ = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)
    np.testing.assert_allclose(model.offsets[2], found[0], atol=1e-5)
    np.testing.assert_allclose(model.coefficients[2][0], found[1:3].T, atol=1e-5)
    np.testing.assert_allclose(model.coefficients[2][1], found[3:].T, atol=1e-5)
    left = np.array(targets) - np.array(rows) @ found
    np.testing.assert_allclose(
        model.factors[2] @ model.factors[2].T, left.T @ left / len(left), atol=1e-5
    )


def test_autoregression_s_density_is_the_gaussian_of_its_innovations_with_and_without_gaps():
    x = swings(length=8)
    model = fit_autoregression(x, most=3)
    size = 16
    zero = jnp.zeros(size)
    mean = np.asarray(model.decode(zero), np.float64).reshape(-1)
    effect = np.asarray(jax.jacobian(model.decode)(zero), np.float64).reshape(size, size)
    cov = effect @ effect.T
    row = x[3].reshape(-1).astype(np.float64)
    expected = multivariate_normal(mean, cov).logpdf(row)
    np.testing.assert_allclose(model.log_density(jnp.asarray(x[3])), expected, rtol=1e-4)
    kept = np.array([0, 3, 4, 5, 9, 11, 14])
    gappy = np.full(size, np.nan, np.float32)
    gappy[kept] = row[kept]
    part = multivariate_normal(mean[kept], cov[np.ix_(kept, kept)]).logpdf(row[kept])
    got = model.log_density(jnp.asarray(gappy.reshape(8, 2)))
    np.testing.assert_allclose(got, part, rtol=1e-4)
    draws = jax.vmap(model.sample)(jax.random.split(jax.random.key(0), 20_000))
    spread = np.sqrt(np.diag(cov))
    drawn_cov = np.cov(np.asarray(draws).reshape(-1, size).T)
    np.testing.assert_allclose(drawn_cov / np.outer(spread, spread),
                               cov / np.outer(spread, spread), atol=0.05)  # fmt: skip


def test_autoregression_copies_what_was_observed_and_forecasts_what_follows():
    x = swings()
    model = fit_autoregression(x, most=2)
    shown = x[0].copy()
    shown[30:] = np.nan
    back = np.asarray(model.decode(model.encode(jnp.asarray(shown))))
    np.testing.assert_allclose(back[:30], x[0, :30], rtol=1e-3, atol=1e-3)
    scaled = list(
        ((x[0, :30] - np.asarray(model.centre)) / np.asarray(model.spread)).astype(np.float64)
    )
    for _ in range(10):
        scaled.append(
            model.offsets[2] + model.coefficients[2][0] @ scaled[-1]
            + model.coefficients[2][1] @ scaled[-2]
        )  # fmt: skip
    expected = np.array(scaled[30:]) * np.asarray(model.spread) + np.asarray(model.centre)
    np.testing.assert_allclose(back[30:], expected, rtol=1e-3)
    ends = jax.vmap(lambda key: model.decode(model.encode(jnp.asarray(shown), key=key)))(
        jax.random.split(jax.random.key(1), 4000)
    )
    noise = np.asarray(model.factors[2] @ model.factors[2].T) * np.outer(model.spread, model.spread)
    np.testing.assert_allclose(np.cov(np.asarray(ends[:, 30]).T), noise, rtol=0.1, atol=1.5)


def test_mean_is_the_mean_and_its_density_scipy_s(tmp_path):
    x = swings(length=5)
    x[:, 4, 1] = np.nan
    model = fit_mean(x)
    np.testing.assert_allclose(model.decode(jnp.zeros(0))[:4], x.mean(axis=0)[:4], rtol=1e-5)
    np.testing.assert_allclose(model.mean[4, 1], np.nanmean(x[..., 1]), rtol=1e-5)
    each = norm(np.asarray(model.mean), np.asarray(model.deviation)).logpdf(x[2])
    np.testing.assert_allclose(model.log_density(jnp.asarray(x[2])), np.nansum(each), rtol=1e-5)
    for trivial in (model, fit_autoregression(swings())):
        save_model(tmp_path / "model.safetensors", trivial)
        again = load_model(tmp_path / "model.safetensors").model
        sample = jnp.asarray(swings()[0] if trivial is not model else x[2])
        assert again.log_density(sample) == trivial.log_density(sample)


@pytest.mark.parametrize("x", [np.zeros((5, 4)), np.zeros((5, 1, 2)), np.zeros((1, 4, 2))])
def test_what_is_no_course_is_refused(x):
    with pytest.raises(ValueError, match=r"no course in time|pairs of samples"):
        fit_autoregression(x)


# parts of the data

# the rows that this file is about; the others are those of test_card_rows.py
CORE = (REPEATED, ERROR, EXPLAINED, DENSITY, SECONDS, PARAMETERS, CURVE)


def test_parts_lie_within_each_other_and_hold_no_test_row():
    data = drawn(0)
    before: set[str] = set()
    for share in SHARES:
        part = subset(data, share, seed=3)
        rows = set(part.train.records.tolist())
        assert before <= rows <= set(data.train.records.tolist())
        assert len(rows) == round(share * len(data.train))
        assert not rows & set(data.test.records.tolist())
        assert part.test is data.test
        again = subset(data, share, seed=3)
        np.testing.assert_array_equal(again.train.observations, part.train.observations)
        before = rows
    other = subset(data, 0.125, seed=4)
    assert set(other.train.records) != set(subset(data, 0.125, seed=3).train.records)


def test_parts_of_a_course_are_its_latest_times():
    data = split_within(pulses())
    assert is_within(data)
    assert not is_within(drawn(0))
    seen = [~np.isnan(subset(data, share, seed=0).train.observations) for share in SHARES]
    for smaller, larger in itertools.pairwise(seen):
        assert (larger | ~smaller).all()
    counts = [part.sum(axis=(1, 2)).tolist() for part in seen]
    assert counts == [[3] * 3, [5] * 3, [10] * 3, [21] * 3, [42] * 3]
    assert all(np.flatnonzero(part[0, :, 0])[-1] == 41 for part in seen)


def test_few_observations_have_no_curve():
    assert shares_of(split_at_random(beats(12))) == (1.0,)
    assert shares_of(drawn(0)) == SHARES
    assert shares_of(split_within(pulses(length=20))) == (1.0,)
    assert shares_of(drawn(0), (1.0, 0.25)) == (0.25, 1.0)
    with pytest.raises(ValueError, match=r"the shares 0\.25: give numbers above 0 and up to 1"):
        shares_of(drawn(0), (0.25,))


def test_data_that_leak_are_refused():
    data = drawn(0)
    leaking = replace(data, train=data.train.take(np.arange(5)), test=data.train.take([4, 5]))
    with pytest.raises(ValueError, match="1 of the 2 test observations are in the training part"):
        check_apart(leaking)
    with pytest.raises(ValueError, match="hold something out"):
        compare(split_none(beats()), {"pca": pca(latents=1)})


def test_every_recipe_is_fitted_to_the_same_part_and_to_nothing_else():
    seen = {}

    def spy(name):
        def build(data, key):
            rows = tuple(data.records.tolist())
            seen.setdefault(name, []).append(rows)
            return fit_mean(data.observations)

        return Recipe(name, {}, build)

    recipes = {"one": spy("one"), "two": spy("two")}
    compare(drawn, recipes, seeds=1, quiet=True, rows=(ERROR,))
    assert seen["one"] == seen["two"]
    assert [len(rows) for rows in seen["one"]] == [4, 7, 14, 28, 56]
    for rows in seen["one"]:
        assert not set(rows) & set(drawn(0).test.records.tolist())


def test_the_error_of_pca_is_that_of_the_subset_s_own_axes():
    data = drawn(0)
    part = subset(data, 0.25, seed=0)
    cell = run_cell(pca(latents=2), part, seed=0, share=0.25, rows=CORE)
    x = part.train.observations[..., 0].astype(np.float64)
    _, sizes, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    noise = (sizes[2:] ** 2).sum() / len(x) / 4
    # the posterior mean shrinks each coordinate
    shrink = 1 - noise / (sizes[:2] ** 2 / len(x))
    test = data.test.observations[..., 0] - x.mean(0)
    x_hat = (test @ axes[:2].T * shrink) @ axes[:2]
    expected = np.sqrt(((test - x_hat) ** 2).mean())
    found = cell.readings[ERROR.key]
    np.testing.assert_allclose(found.value, expected, rtol=1e-3)
    np.testing.assert_allclose(found.each, ((test - x_hat) ** 2).mean(axis=1), rtol=1e-2)
    assert cell.readings[DENSITY.key].kind == "exact"
    assert cell.readings[PARAMETERS.key].value == 6 * 2 + 6 + 1


# made-up worlds


def world(errors, *, n=60, seeds=5, noise=0.3, baselines=(), kinds=None, each_group=1, curve=None):
    """A trial in which recipes have these root mean square errors, with chance in common.

    `curve` are the errors with an eighth of the data; `kinds` log-densities by name.
    """
    cells = {}
    for seed in range(seeds):
        rng = np.random.default_rng((9, seed))
        hard = rng.lognormal(0, 0.5, size=n)
        for name, size in errors.items():
            for share, scale in ((0.125, (curve or errors)[name]), (1.0, size)):
                square = scale**2 * hard * rng.lognormal(0, noise, size=n)
                readings = {
                    REPEATED.key: Reading(float(np.sqrt(square.mean())), square),
                    SECONDS.key: Reading(1.0 + 0.1 * seed + 10 * len(name)),
                    PARAMETERS.key: Reading(100.0 * len(name)),
                }
                if kinds and name in kinds:
                    kind, level = kinds[name]
                    each = level + rng.normal(size=n)
                    readings[DENSITY.key] = Reading(float(each.mean()), each, kind)
                cells[name, share, seed] = Cell(readings)
    units = tuple(np.asarray([f"{s} {i // each_group}" for i in range(n)]) for s in range(seeds))
    return Trial(
        beat_schema(), tuple(errors), frozenset(baselines), {0.125: 12, 1.0: 96},
        "training observations", units, "test observation", cells,
    )  # fmt: skip


def said(*args, **more):
    return verdict(world(*args, **more))


def test_a_clear_difference_is_a_win():
    sentences = said({"equation": 0.02, "vae": 0.03})
    assert re.fullmatch(
        r"With 96 training observations, equation, 0\.0\d+ mV \(.*\), has the lowest error, ahead "
        r"of vae, 0\.0\d+ mV \(.*\), by 0\.0\d+ mV on average \(95 % interval 0\.0.* to 0\.0.*\)\.",
        sentences[0],
    )
    assert "With 12 training observations, equation" in sentences[1]
    assert sentences[-1] == "To fit it, equation took 81.2 s and has 800 fitted numbers."


def test_a_difference_within_its_error_is_a_tie():
    sentences = said({"equation": 0.02, "vae": 0.0201, "pca": 0.04})
    assert re.match(
        r"With 96 training observations, (equation|vae), .* and (equation|vae), .*, tie for the "
        r"lowest error; pca, 0\.0.*, is behind by 0\.0",
        sentences[0],
    )
    assert (
        "Of those that tie for the lowest error, vae is the cheapest: vae took 31.2 s"
        in (sentences[-1])
    )


def test_little_data_are_a_purpose_of_their_own():
    sentences = said({"equation": 0.02, "vae": 0.0201}, curve={"equation": 0.021, "vae": 0.06})
    assert "tie for the lowest error." in sentences[0]
    assert re.match(r"With 12 .*, equation, .* has the lowest error, ahead of vae", sentences[1])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seeds": 2}, "but 2 seeds and 120 test observations are not enough"),
        ({"seeds": 1}, "but 1 seed and 60 test observations are not enough"),
        ({"seeds": 4, "each_group": 60}, "but 4 seeds and 4 test observations are not enough"),
    ],
)
def test_too_little_is_said_to_be_not_enough(more, words):
    sentences = said({"equation": 0.02, "vae": 0.2}, **more)
    assert words in sentences[0]
    assert "equation" in sentences[0].split("before")[0]
    assert not any("ahead" in s or "tie" in s or "cheapest" in s for s in sentences)


def test_what_does_not_beat_a_baseline_is_told_so():
    level = {"vae": 0.02, "PCA": 0.0201, "mean": 0.5}
    sentences = said(level, baselines=("PCA", "mean"))
    assert "the baseline PCA, 0.0" in sentences[0]
    assert sentences[1] == "So no recipe is ahead of the baseline PCA there."
    better = said({**level, "vae": 0.01}, baselines=("PCA", "mean"))
    assert not any(s.startswith("So no recipe") for s in better)


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (14.0, "The bound of vae lies above every exact value, so its model finds"),
        (10.01, "The bound of vae lies above every exact value, but by no more than chance"),
        (6.0, "No bound lies above every exact value, which says nothing"),
    ],
)
def test_densities_of_two_kinds_meet_only_where_a_bound_lies_above(bound, words):
    kinds = {"pca": ("exact", 10.0), "gm": ("exact", 8.0), "vae": ("bound", bound),
             "energy": ("unnormalised", 1e6)}  # fmt: skip
    sentences = said(dict.fromkeys(kinds, 0.02), kinds=kinds)
    ranked = [s for s in sentences if s.startswith("Of the log-densities")]
    assert "kind 'exact', pca, " in ranked[0]
    assert "ahead of gm" in ranked[0]
    assert "one is of the kind 'bound': vae" in ranked[1]
    assert len(ranked) == 2
    assert any(words in s for s in sentences)
    assert not any("energy" in s for s in ranked)


def test_probabilities_and_densities_never_meet():
    kinds = {"pca": ("exact", 10.0), "vae": ("bound, of a probability", 14.0)}
    sentences = said(dict.fromkeys(kinds, 0.02), kinds=kinds)
    assert not any("lies above" in s for s in sentences)


def test_the_interval_is_that_of_normal_theory():
    rng = np.random.default_rng(0)
    units = [np.arange(400).astype(str)] * 3
    shared = 5 * rng.normal(size=400)
    one = [shared + rng.normal(size=400) + 0.3 for _ in range(3)]
    other = [shared + rng.normal(size=400) for _ in range(3)]
    found = difference(one, other, units, of_mean=lambda mean: mean)
    gaps = np.stack(one) - np.stack(other)
    np.testing.assert_allclose(found.value, gaps.mean(), rtol=1e-12)
    # over observations: seeds drawn with replacement count one of them more than once
    seeds = gaps.mean(axis=1).var()
    inner = gaps.var(axis=1).mean() / 400
    expected = np.sqrt(seeds / 3 + inner * (1 / 3 + 2 / 9))
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * expected, rtol=0.15)


def test_groups_that_were_held_out_whole_are_drawn_whole():
    data = drawn(0)
    patients = np.asarray([f"p{i // 10}" for i in range(80)])
    of_groups = replace(beats(), groups=patients)
    part = replace(
        data,
        train=of_groups.take(np.arange(60)),
        test=of_groups.take(np.arange(60, 80)),
    )
    assert sorted(set(units_of(part))) == ["p6", "p7"]
    assert len(set(units_of(data))) == len(data.test)
    # a patient who is hard for one model makes the interval wide
    rng = np.random.default_rng(1)
    alone = np.arange(200).astype(str)
    of_patient = np.asarray([f"p{i // 20}" for i in range(200)])
    effect = np.repeat(rng.normal(size=10), 20)
    one = [effect + 0.1 * rng.normal(size=200) for _ in range(3)]
    other = [0.1 * rng.normal(size=200) for _ in range(3)]
    narrow, wide = (
        difference(one, other, [names] * 3, of_mean=lambda mean: mean)
        for names in (alone, of_patient)
    )
    assert wide.units == 10
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


# the whole


def breaks(data, key):
    if len(data) < 20:
        raise ZeroDivisionError("too little for this recipe")
    return fit_mean(data.observations)


RECIPES = {
    "pca": pca(latents=2),
    "vae": vae(latents=2, epochs=1, batch=8, widths=(8,)),
    "breaks": Recipe("breaks", {}, breaks),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    return folder, compare(
        drawn, RECIPES, seeds=2, out=folder, name="courses", quiet=True, rows=CORE
    )


def test_a_card_has_every_number_with_its_spread_and_its_n(kept):
    _, card = kept
    assert card.names == ("pca", "vae", "breaks", "mean", "autoregression")
    assert card.baselines == ("mean", "autoregression")
    assert [line.size for line in card.curves] == [4, 7, 14, 28, 56]
    error = {line.name: line for line in card.measures}["error"]
    assert (error.name, error.unit, error.share) == ("error", "mV", 1.0)
    for name in ("pca", "vae", "mean"):
        entry = error.entries[name]
        assert entry.low <= entry.median <= entry.high
        assert (entry.n_seeds, entry.n_observations, len(entry.values)) == (2, 16, 2)
    assert error.entries["autoregression"] is None, "what it hands back is a copy"
    kinds = {line.name: line for line in card.measures}["log_density"].entries
    assert {name: entry.kind for name, entry in kinds.items()} == {
        "pca": "exact", "vae": "bound", "breaks": "exact", "mean": "exact",
        "autoregression": "exact",
    }  # fmt: skip
    assert "each of the 2 draws its own" in card.split


def test_a_crash_is_a_cell_with_its_sentence(kept):
    _, card = kept
    assert card.curves[0].entries["breaks"] is None
    assert card.curves[-1].entries["breaks"] is not None
    assert card.notes == (
        "Failed in 6 of 10 fits, breaks, with 4 training observations and 7 training observations "
        "and 14 training observations: too little for this recipe",
    )


def test_the_same_command_costs_no_fit_and_gives_the_same_card(kept, monkeypatch):
    folder, card = kept
    monkeypatch.setattr("unweave.card._cells.fit", lambda *a, **k: pytest.fail("a fit"))
    again = compare(drawn, RECIPES, seeds=2, out=folder, name="courses", quiet=True, rows=CORE)
    assert again == card
    widths = Row("size", "size of the test part", lambda fitted: Reading(float(len(fitted.x))))
    more = compare(drawn, RECIPES, seeds=2, out=folder, quiet=True, rows=(*CORE, widths))
    # a new row is read off the models that are kept
    lines = {line.name: line for line in more.measures}
    assert lines.pop("size").entries["vae"].median == 16
    assert tuple(lines.values()) == card.measures


def test_what_was_interrupted_goes_on(kept, tmp_path):
    _, card = kept
    calls = []

    def stops(data, key):
        calls.append(len(data))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return breaks(data, key)

    recipes = {**RECIPES, "breaks": Recipe("breaks", {}, stops)}
    with pytest.raises(Interrupted, match=r"after 12 of 50 fits; .* goes on from there"):
        compare(drawn, recipes, seeds=2, out=tmp_path, quiet=True, rows=CORE)
    again = compare(drawn, recipes, seeds=2, out=tmp_path, name="courses", quiet=True, rows=CORE)
    # the two that had failed or finished are not fitted again
    assert calls == [4, 7, 14, 14, 28, 56, 4, 7, 14, 28, 56]
    assert again.verdict[0] == card.verdict[0]
    assert again.curves == card.curves


def test_a_fit_that_goes_on_has_no_time(tmp_path):
    recipe, data = RECIPES["vae"], drawn(0)
    place = tmp_path / cell_key(recipe, data, 0, 1.0)
    fit(recipe, data, out=place, quiet=True)
    (place / "result.json").unlink()
    cell = run_cell(recipe, data, seed=0, share=1.0, rows=CORE, kept=tmp_path)
    assert cell.readings[SECONDS.key] is None
    assert cell.readings[ERROR.key].value > 0


def test_a_cell_s_key_is_of_all_that_its_numbers_depend_on():
    data, recipe = drawn(0), pca(latents=2)
    volts = replace(data.test.schema, units=("V",))
    key = cell_key(recipe, data, 0, 1.0)
    assert key == cell_key(pca(latents=2), drawn(0), 0, 1.0)
    others = [
        cell_key(pca(latents=1), data, 0, 1.0),
        cell_key(gaussian_mixture(latents=2), data, 0, 1.0),
        cell_key(recipe, drawn(1), 0, 1.0),
        cell_key(recipe, data, 1, 1.0),
        cell_key(recipe, data, 0, 0.5),
        cell_key(recipe, replace(data, test=data.test.take([0, 1])), 0, 1.0),
        cell_key(recipe, replace(data, test=replace(data.test, schema=volts)), 0, 1.0),
    ]
    assert len({key, *others}) == 8


def test_a_forecast_is_measured_where_a_course_is_parted_in_time():
    data = split_within(pulses(length=20))
    card = compare(data, {"mean again": Recipe("again", {}, lambda d, k: fit_mean(d.observations))},
                   seeds=1, quiet=True, rows=CORE)  # fmt: skip
    error = card.measures[0]
    assert error.unit == "V"
    assert error.entries["autoregression"].median < 0.2
    assert 0.5 < error.entries["mean"].median < 1.0
    # no more axes than three courses have
    assert "PCA with 2 latents" in card.names
    assert "1 seed and 3 test courses are not enough" in card.verdict[0]
    assert card.size_noun == "training samples a course"
    assert (card.measures[0].size, card.curves) == (14, ())


def test_units_that_differ_are_counted_in_deviations():
    x = swings(n=20, length=6)
    schema = replace(beat_schema(2, 6), units=("mV", "mmHg"))
    card = compare(split_at_random(dataset(x, schema)), {"pca": pca(latents=11)}, seeds=1,
                   rows=(ERROR,), quiet=True)  # fmt: skip
    line = card.measures[0]
    assert line.unit == "standard deviations"
    np.testing.assert_allclose(line.entries["mean"].median, 1, atol=0.5)


def test_what_is_not_finite_is_no_number():
    data = drawn(0)
    broken = fit_mean(data.train.observations)
    broken = replace(broken, mean=broken.mean.at[2, 0].set(jnp.nan))
    reading = ERROR.measure(Fitted(broken, "broken", data, 1.0))
    assert reading.value == np.inf
    trial = world({"vae": 0.02, "pca": 0.03})
    cells = dict(trial.cells)
    for seed in range(5):
        cells["vae", 1.0, seed] = Cell({ERROR.key: reading})
    card = make_card(replace(trial, cells=cells), CORE, data="", split="")
    assert card.measures[0].entries["vae"] is None
    assert "The held-out error of vae is not finite in 5 of 10 fits" in card.notes[0]
    assert "only pca, " in card.verdict[0]


@pytest.mark.parametrize(
    ("recipes", "more", "words"),
    [
        ({}, {}, "no recipe was given"),
        ({"pca": pca(latents=1)}, {"seeds": 0}, "0 seeds were asked for"),
        ({"mean": pca(latents=1)}, {}, "a recipe is called 'mean', as a baseline is"),
    ],
)
def test_what_cannot_be_compared_is_refused(recipes, more, words):
    with pytest.raises(ValueError, match=words):
        compare(drawn, recipes, quiet=True, **more)


# what is written


def test_the_card_is_written_in_every_form(kept, tmp_path):
    _, card = kept
    page = write_card(card, tmp_path)
    assert page == tmp_path / "card.html"
    plain = json.loads((tmp_path / "card.json").read_text())
    assert plain == json.loads(json.dumps(card.to_dict()))
    rows = list(csv.DictReader(io.StringIO(as_csv(card))))
    assert len(rows) == sum(e is not None for line in card.lines for e in line.entries.values())
    first = rows[0]
    assert (first["row"], first["unit"], first["recipe"], first["baseline"]) == (
        "repeated", "mV", "pca", "False",
    )  # fmt: skip
    values = [float(value) for value in first["values"].split()]
    assert float(first["median"]) == np.median(values)
    text, marks = table(card), markdown(card)
    for sentence in (*card.verdict, *card.notes):
        assert sentence in text
        assert sentence in marks
    lines = marks.splitlines()
    assert len({line.count("|") for line in lines[:7]}) == 1
    assert "mean (baseline)" in text
    assert max(map(len, text.split("\n\n")[0].splitlines())) < 130


def test_the_page_stands_alone_and_names_stay_names(kept):
    _, card = kept
    name = "<script>alert(1)</script>|\"'&"
    lines = tuple(
        replace(line, title=name, unit=name, entries={**line.entries, name: line.entries["pca"]})
        for line in card.lines
    )
    hostile = replace(
        card, data=name, split=name, notes=(name,), verdict=(name,), names=(name, *card.names[1:]),
        lines=lines,
    )  # fmt: skip
    for page in (render(card), render(hostile)):
        assert page.startswith("<!DOCTYPE html>")
        assert "<script" not in page
        assert "default-src 'none'" in html.unescape(page)
        assert "<svg" in page
        outside = set(re.findall(r"https?://[^\"'\s<]+", page))
        assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "&lt;script&gt;" in render(hostile)
    assert render(card) == render(card)


def test_the_figure_draws_the_numbers_that_it_was_given():
    curve = np.array([[0.3, 0.2, 0.1], [0.25, 0.15, 0.05], [0.4, 0.3, 0.2]])
    gone = np.full((3, 3), np.nan)
    figure = plots.learning_curves(
        [10, 20, 40], {"vae $x$": curve, "mean": curve * 2, "none": gone},
        baselines=("mean",), unit="mV",
    )  # fmt: skip
    axes = figure.axes[0]
    assert [line.get_linestyle() == "--" for line in axes.lines] == [False, True]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), curve[0])
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [10, 20, 40])
    assert [text.get_text() for text in axes.texts] == ["vae $x$", "mean"]
    assert axes.get_ylabel() == "held-out error (mV)"
    assert plots.svg(figure) == plots.svg(figure)
    nats = curve - 0.2
    straight = plots.learning_curves([10, 20, 40], {"flow": nats}, logarithmic=False).axes[0]
    np.testing.assert_allclose(straight.lines[0].get_ydata(), nats[0])
    assert straight.get_yscale() == "linear"
    with pytest.raises(ValueError, match="median, smallest and largest for each of 3 sizes"):
        plots.learning_curves([1, 2, 3], {"vae": curve[:2]})


# the command line


def test_recipes_are_read_from_words():
    recipes = read_recipes(
        ["pca", "vae:latents=3,widths=16,8,convolutional=false,noise=laplace,learning_rate=0.1"]
    )
    first, second = recipes.values()
    assert first.options == pca().options
    assert {k: second.options[k] for k in ("latents", "widths", "convolutional")} == {
        "latents": 3, "widths": (16, 8), "convolutional": False,
    }  # fmt: skip
    assert second.options["learning_rate"] == 0.1
    assert type(second.options["noise"]).__name__ == "Laplace"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ppca"], "'ppca' is no recipe; give a file that ends in .ode, zoo:NAME, or one of vae"),
        (["pca", "pca"], "'pca' is given twice"),
        (["pca:5"], "'5' of 'pca:5' is no option; write them as pca:latents"),
        (["pca:depth=5"], "in 'pca:depth=5': .*--depth"),
        (["pca:latents=many"], "in 'pca:latents=many': .*invalid int"),
    ],
)
def test_words_that_are_no_recipe_are_refused(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_recipes(words)


def test_a_table_is_courses_to_an_equation_where_nothing_else_is_asked(tmp_path):
    (tmp_path / "mine.csv").write_text("year,hare,lynx\n1900,30,4\n1901,47,6\n")
    table = str(tmp_path / "mine.csv")

    def kind(**asked):
        return for_courses(Source(**{"paths": (table,), **asked})).kind

    assert kind() == "trajectories"
    assert kind(length=12) is None
    assert kind(kind="windows") == "windows"
    assert kind(paths=("heartbeats",)) is None
    np.save(tmp_path / "rows.npy", np.zeros((4, 3)))
    assert kind(paths=(str(tmp_path / "rows.npy"),)) is None


def test_the_command_line_compares(unweave, refused, tmp_path):
    np.save(tmp_path / "rows.npy", beats(40).observations[..., 0])
    words = ("compare", "rows.npy", "pca:latents=2", "--seeds", "1", "--kind", "rows",
             "--rows", "accuracy,cost")  # fmt: skip
    result = json.loads(unweave(*words, "--json"))
    assert result["names"] == ["pca:latents=2", "mean", "autoregression"]
    assert result["output"] == "runs/compare-rows"
    assert (tmp_path / result["page"]).read_text().startswith("<!DOCTYPE html>")
    text = unweave(*words, "--quiet")
    assert "pca:latents=2" in text
    assert "card: runs/compare-rows/card.html" in text
    assert refused("compare", "rows.npy", "ppca").startswith("'ppca' is no recipe")
