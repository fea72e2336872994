"""Every row of the card against a closed form, a count, or what a hand-made model must give."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.stats import norm, ortho_group

from heartbeats import beat_schema
from unweave import Inverted, load_model
from unweave._latents import Latents
from unweave._model import AbstractDecoder, AbstractEncoder, AbstractSampler
from unweave.card import ROWS, Fitted, Reading, Row, compare, rows_named
from unweave.card._agreement import AGREEMENT, alike
from unweave.card._arrives import ARRIVES
from unweave.card._card import make_card
from unweave.card._cells import Cell, _fitted, run_cell
from unweave.card._covered import COVERED
from unweave.card._disentangled import DISENTANGLED
from unweave.card._error import ERROR
from unweave.card._identified import IDENTIFIED
from unweave.card._imputation import IMPUTATION, hidden
from unweave.card._interval import INTERVAL
from unweave.card._labels import LABELS
from unweave.card._memorised import MEMORISED
from unweave.card._memory import MEMORY
from unweave.card._monotone import MONOTONE
from unweave.card._moves import MOVES
from unweave.card._peak import watched
from unweave.card._reuse import REUSE
from unweave.card._solver_error import SOLVER_ERROR
from unweave.card._stays import STAYS
from unweave.card._told_apart import TOLD_APART
from unweave.card._trial import Trial
from unweave.card._turned import goes_one_way
from unweave.card._worst_case import WORST_CASE
from unweave.data import Split, dataset, digits, split_at_random, split_within
from unweave.recipes import RECIPES, pca
from unweave.train import Recipe

# hand-made models


class Linear(AbstractDecoder, AbstractEncoder):
    """x = W z with Gaussian noise; encodes by least squares over what was observed, turned by
    `mix`; or gives NaN where something is missing."""

    matrix: Array
    mix: Array
    latents: Latents
    scale: float = eqx.field(static=True, default=0.0)
    needs_all: bool = eqx.field(static=True, default=False)

    def decode(self, z, condition=None, *, key=None):
        x = (self.matrix.astype(z.dtype) @ z)[:, None]
        if key is None or not self.scale:
            return x
        return x + self.scale * jax.random.normal(key, x.shape, x.dtype)

    def encode(self, x, condition=None, *, key=None):
        seen = ~jnp.isnan(x[:, 0])
        rows = jnp.where(seen[:, None], self.matrix.astype(x.dtype), 0)
        z = jnp.linalg.solve(rows.T @ rows, rows.T @ jnp.where(seen, x[:, 0], 0))
        z = jnp.where(seen.all(), z, jnp.nan) if self.needs_all else z
        return self.mix.astype(x.dtype) @ z


class Folded(AbstractDecoder, AbstractEncoder):
    """Two latents in the first two entries, the second of which comes out as its square."""

    latents: Latents

    def decode(self, z, condition=None, *, key=None):
        return jnp.concatenate([z[:1], z[1:] ** 2, jnp.zeros(4, z.dtype)])[:, None]

    def encode(self, x, condition=None, *, key=None):
        return x[:2, 0]


class Copier(AbstractSampler):
    """Draws one of the rows that it keeps."""

    rows: Array

    def sample(self, key, condition=None):
        return self.rows[jax.random.randint(key, (), 0, len(self.rows))]


def linear(matrix, *, mix=None, **more):
    size = matrix.shape[1]
    mix = np.eye(size) if mix is None else mix
    return Linear(
        matrix=jnp.asarray(matrix, jnp.float32), mix=jnp.asarray(mix, jnp.float32),
        latents=Latents.standard(size), **more,
    )  # fmt: skip


def split_of(x, **more) -> Split:
    """Rows `(n, 6)` as courses in mV, some of them held out."""
    x = np.asarray(x, np.float32)[..., None]
    return split_at_random(dataset(x, beat_schema(1, x.shape[1]), **more), seed=0)


def axes(size, count, seed=0):
    """Orthonormal columns `(size, count)`."""
    return ortho_group.rvs(size, random_state=seed)[:, :count]


def noisy(matrix, *, n=200, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, matrix.shape[1]))
    return z @ matrix.T + noise * rng.normal(size=(n, len(matrix)))


def read(row, model, data, **more):
    return row.measure(Fitted(model, "hand-made", data, 1.0, **more))


# accuracy


def test_what_is_hidden_is_a_fifth_in_one_span_or_in_single_entries():
    rng = np.random.default_rng(0)
    away = hidden(beat_schema(2, 20), 50, rng)
    assert away.shape == (50, 20, 2)
    assert (away.sum(axis=1) == 4).all()
    assert (np.abs(np.diff(away.astype(int), axis=1, prepend=0, append=0)).sum(axis=1) == 2).all()
    assert len({tuple(row) for row in away[..., 0].tolist()}) > 10
    picture = replace(digits().schema)
    assert (hidden(picture, 7, rng).reshape(7, -1).sum(axis=1) == 13).all()


def test_imputation_is_that_of_least_squares_on_what_is_left():
    matrix = axes(10, 2)
    data = split_of(noisy(matrix))
    found = read(IMPUTATION, linear(matrix), data, seed=3)
    x = np.asarray(data.test.observations[..., 0], np.float64)
    away = hidden(data.test.schema, len(x), np.random.default_rng((3, len(x))))[..., 0]
    squares = []
    for row, gone in zip(x, away, strict=True):
        z = np.linalg.lstsq(matrix[~gone], row[~gone], rcond=None)[0]
        squares.append(((row - matrix @ z)[gone] ** 2).mean())
    np.testing.assert_allclose(found.value, np.sqrt(np.mean(squares)), rtol=1e-4)
    np.testing.assert_allclose(found.each, squares, rtol=1e-2, atol=1e-6)
    assert read(IMPUTATION, linear(matrix, needs_all=True), data) is None
    assert read(IMPUTATION, Copier(rows=jnp.zeros((2, 10, 1))), data) is None


def test_of_a_course_parted_in_time_the_past_is_shown_too():
    rng = np.random.default_rng(0)
    matrix = axes(20, 3)
    x = (rng.normal(size=(4, 3)) @ matrix.T)[..., None].astype(np.float32)
    data = split_within(dataset(x, beat_schema(1, 20)))
    # without noise three latents are known from the past, and what is hidden follows
    assert read(IMPUTATION, linear(matrix), data).value < 1e-3


# interpretable


def test_what_is_identified_is_counted_by_latent_and_record():
    rows = [
        {"name": "a", "status": "determined"}, {"name": "b", "status": "weak"},
        {"name": "c", "status": "fixed"}, {"name": "d", "status": "determined"},
        {"name": "d", "status": "undetermined"}, {"name": "e", "status": "at its lower end"},
    ]  # fmt: skip
    data = split_of(noisy(axes(6, 2)))
    found = read(IDENTIFIED, linear(axes(6, 2)), data, account={"latents": rows})
    assert (found.value, found.kind) == ((1 + 0 + 0.5 + 0) / 4, "of 4, not b, e")
    assert read(IDENTIFIED, linear(axes(6, 2)), data) is None


def test_a_rotation_of_the_factors_is_no_disentanglement():
    rng = np.random.default_rng(0)
    matrix = axes(6, 2)
    factors = rng.uniform(-1, 1, size=(400, 2))
    data = split_of(factors @ matrix.T, factors=factors, factor_names=("u", "v"))
    turn = np.sqrt(0.5) * np.asarray([[1.0, -1.0], [1.0, 1.0]])
    straight, turned = (
        read(DISENTANGLED, linear(matrix, mix=mix), data).value for mix in (np.eye(2), turn)
    )
    assert straight > 0.9
    assert turned < 0.3
    assert read(DISENTANGLED, linear(matrix), split_of(factors @ matrix.T)) is None


def test_equal_latents_agree_whatever_their_order_sign_and_scale():
    matrix, rng = axes(6, 2), np.random.default_rng(0)
    x = dataset(noisy(matrix)[..., None].astype(np.float32), beat_schema(1, 6))
    first, second = (split_at_random(x, seed=seed) for seed in (0, 1))
    assert set(first.test.records) != set(second.test.records)
    one = read(AGREEMENT, linear(matrix), first)
    other = read(AGREEMENT, linear(matrix, mix=[[0.0, -3.0], [1.0, 0.0]]), second)
    np.testing.assert_array_equal(np.sort(one.parts[:, 0]), np.sort(other.parts[:, 0]))
    agreed, itself = ([r.value for r in alike([one, two])] for two in (other, one))
    np.testing.assert_allclose(agreed, itself, rtol=1e-6)
    # all that parts it from one is how latents correlate within a fit by chance
    assert 0.85 < agreed[0] <= 1
    # the same table twice is alike exactly where its two latents are not correlated at all
    flat = np.column_stack([np.arange(64.0), np.repeat(np.arange(8.0), 8), np.tile(range(8), 8)])
    assert [r.value for r in alike([Reading(1.0, parts=flat)] * 3)] == [1.0] * 3
    drawn = [Reading(1.0, parts=np.column_stack([np.arange(128.0), rng.normal(size=(128, 2))]))
             for _ in range(2)]  # fmt: skip
    assert max(r.value for r in alike(drawn)) < 0.2
    assert np.isnan(alike(drawn[:1])[0].value)
    still = Reading(1.0, parts=np.column_stack([np.arange(128.0), np.zeros((128, 2))]))
    assert np.isnan([r.value for r in alike([still, drawn[0]])]).all()


# supervision


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        (pca(latents=2), lambda data: 0),
        (RECIPES["vae"](latents=2), lambda data: 0),
        (RECIPES["resnet"](patience=3), lambda data: len(data.train) + len(data.validation)),
        (RECIPES["cgan"](), lambda data: len(data.train)),
    ],
    ids=["pca", "vae", "resnet", "cgan"],
)
def test_labels_count_where_a_recipe_is_told_them(recipe, count):
    data = split_at_random(digits().take(np.arange(100)), seed=0)
    told = read(LABELS, linear(axes(6, 2)), data, made_by=recipe)
    assert told.value == count(data)


# reuse


def trial_of(cells, elsewhere, row=ERROR):
    data = split_of(noisy(axes(6, 2)))
    units = tuple(np.arange(40).astype(str) for _ in range(2))
    return Trial(
        data.test.schema, ("one",), frozenset(), {1.0: 140}, "training observations", units,
        "test observation", cells, elsewhere,
    )  # fmt: skip


def test_reuse_is_the_error_over_that_of_a_fit_elsewhere():
    matrix = axes(6, 2)
    here, there = split_of(noisy(matrix)), split_of(noisy(axes(6, 2, seed=1), seed=1))
    found = read(REUSE, linear(matrix), here, elsewhere=there)
    x = there.test.observations[..., 0].astype(np.float64)
    left = x - x @ matrix @ matrix.T
    np.testing.assert_allclose(found.value, np.sqrt((left**2).mean()), rtol=1e-5)
    assert read(REUSE, linear(matrix), here) is None
    cells = {("one", 1.0, seed): Cell({REUSE.key: found}) for seed in range(2)}
    fitted_there = {("one", 0): Cell({ERROR.key: Reading(0.1)})}
    first, second = trial_of(cells, fitted_there).readings("one", REUSE, 1.0)
    assert (first.value, first.each) == (found.value / 0.1, None)
    assert second is None


def test_reuse_alone_has_the_error_elsewhere_measured():
    x = dataset(noisy(axes(6, 2))[..., None].astype(np.float32), beat_schema(1, 6))
    card = compare(split_at_random(x, seed=0), {"pca": pca(latents=2)}, seeds=1, rows=(REUSE,),
                   shares=(1.0,), elsewhere=split_at_random(x, seed=0), quiet=True)  # fmt: skip
    np.testing.assert_allclose(card.measures[0].entries["pca"].median, 1.0, rtol=1e-6)


# generation


def test_copies_and_draws_that_are_far_off_are_told():
    matrix = axes(8, 3)
    data = split_of(noisy(matrix, n=400, noise=0.5))
    copies = Copier(rows=jnp.asarray(data.train.observations))
    off = Copier(rows=jnp.asarray(data.train.observations) + 3)
    found = read(TOLD_APART, copies, data)
    assert found.value < 0.65
    assert read(TOLD_APART, off, data).value > 0.9
    sentence = TOLD_APART.remark([found, found])
    assert f"accuracy of {found.parts[0]:.2g}" in sentence
    assert f"training set with {found.parts[1]:.2g}." in sentence
    assert read(MEMORISED, copies, data).value == 0
    assert read(MEMORISED, off, data).value > 1.5
    assert read(COVERED, copies, data).value > 0.7
    assert read(COVERED, off, data).value < 0.2
    one = Copier(rows=jnp.asarray(data.train.observations[:1]))
    assert read(COVERED, one, data).value < 0.2
    gaps = replace(data.test, observations=np.full_like(data.test.observations, np.nan))
    assert read(COVERED, copies, replace(data, test=gaps)) is None


# manipulation


def test_a_code_that_is_read_at_an_angle_moves_the_others_by_its_sine():
    matrix, angle = axes(6, 2), 0.3
    data = split_of(noisy(matrix, noise=0.0))
    straight = linear(matrix)
    assert read(ARRIVES, straight, data).value > 1 - 1e-6
    assert read(STAYS, straight, data).value < 1e-4
    assert read(MONOTONE, straight, data).value == 1
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = linear(matrix, mix=turn)
    z = data.test.observations[..., 0].astype(np.float64) @ matrix @ turn.T
    unit = z.std(axis=0)
    expected = np.sin(angle) * np.median([unit[0] / unit[1], unit[1] / unit[0]])
    np.testing.assert_allclose(read(STAYS, turned, data).value, expected, rtol=1e-4)
    # a unit of a latent moves the six entries by a vector of length one
    moved = np.median((data.test.observations[..., 0] @ matrix).std(axis=0)) / np.sqrt(6)
    found = read(MOVES, straight, data)
    np.testing.assert_allclose(found.value, moved, rtol=1e-4)
    assert MOVES.unit(data.test.schema) == "mV"
    assert read(STAYS, linear(axes(6, 1)), data) is None


def test_an_effect_that_turns_back_is_not_monotone():
    rng = np.random.default_rng(0)
    x = np.zeros((200, 6))
    x[:, :2] = rng.normal(size=(200, 2))
    data = split_of(x)
    assert read(MONOTONE, Folded(latents=Latents.standard(2)), data).value == 0.5
    assert not goes_one_way(np.zeros((5, 3)))
    assert not goes_one_way(np.asarray([[0.0], [1.0], [2.0], [1.9], [3.0]]))


# guarantee


def test_intervals_hold_what_normal_theory_says():
    matrix, noise = axes(6, 2), 0.2
    data = split_of(noisy(matrix, n=600, noise=noise))
    found = read(INTERVAL, linear(matrix, scale=noise), data).value
    # the residual of least squares is smaller than the noise by the leverage of its entry
    left = np.sqrt(1 - (matrix**2).sum(axis=1))
    expected = float((2 * norm.cdf(norm.ppf(0.95) / left) - 1).mean())
    error = np.sqrt(expected * (1 - expected) / (6 * len(data.test)))
    assert abs(found - expected) < 4 * error + 0.01
    assert read(INTERVAL, linear(matrix, scale=10 * noise), data).value == 1
    assert read(INTERVAL, linear(matrix), data) is None, "it states no noise"


def test_the_solver_s_error_is_that_of_its_scheme():
    from unweave.equations import equation
    from unweave.equations.solving._solve import Adaptive, Grid

    times = np.linspace(0.0, 4.0, 5)
    made = equation("x' = -k*x\nx(0) = a\nk ~ uniform(0.5, 1.5)\na ~ uniform(1, 2)", times=times)
    rng = np.random.default_rng(0)
    z = np.column_stack([rng.uniform(0.6, 1.4, 60), rng.uniform(1.1, 1.9, 60)])
    z = z if made.latents.names == ("k", "a") else z[:, ::-1]
    k, a = (z[:, made.latents.index(name)] for name in ("k", "a"))
    x = dataset((a[:, None] * np.exp(-k[:, None] * times))[..., None], beat_schema(1, 5))
    data = split_at_random(x, seed=0)
    coarse = replace(made, method=Grid(1))
    test = {"x": data.test.observations[..., 0]}
    fitted = Fitted(Inverted(coarse, starts=2), "equation", data, 1.0)
    fitted.__dict__["codes"] = z[[int(r.split()[-1]) for r in data.test.records]]
    k, a = (fitted.codes[:, made.latents.index(name)] for name in ("k", "a"))
    # one step of order 4 of x' = -k x multiplies by the Taylor polynomial of exp(-k)
    step = 1 - k + k**2 / 2 - k**3 / 6 + k**4 / 24
    scheme = a[:, None] * step[:, None] ** np.arange(5)
    expected = np.sqrt(((scheme - test["x"]) ** 2).mean())
    np.testing.assert_allclose(SOLVER_ERROR.measure(fitted).value, expected, rtol=0.02)
    tight = replace(fitted, model=Inverted(replace(made, method=Adaptive()), starts=2))
    tight.__dict__["codes"] = fitted.codes
    assert SOLVER_ERROR.measure(tight).value < 1e-7
    assert read(SOLVER_ERROR, linear(axes(5, 2)), data) is None


# robustness


def test_the_worst_case_of_one_direction_left_out_is_a_closed_form():
    whole = ortho_group.rvs(6, random_state=2)
    matrix, out = whole[:, :5], whole[:, 5]
    data = split_of(noisy(matrix, n=100))
    x = data.test.observations[..., 0].astype(np.float64)
    before = np.abs(x @ out)
    # every entry by the whole radius, in the direction of the residual
    after = before + 0.1 * x.std() * np.abs(out).sum()
    expected = np.sqrt((after**2).mean() / (before**2).mean())
    np.testing.assert_allclose(read(WORST_CASE, linear(matrix), data).value, expected, rtol=1e-3)
    # a search for the latents is not differentiated, and is found out all the same
    searched = Fitted(Inverted(linear(matrix), starts=1), "hand-made", data, 1.0)
    few = searched.some(32, slow=4)
    assert searched.is_slow
    assert len(few) == 4
    expected = np.sqrt((after[few] ** 2).mean() / (before[few] ** 2).mean())
    np.testing.assert_allclose(WORST_CASE.measure(searched).value, expected, rtol=1e-3)


# cost


def test_memory_is_what_a_block_takes_and_is_kept_with_the_fit(tmp_path):
    with watched() as peak:
        held = np.ones(25_000_000)
        del held
    if peak.megabytes is None:
        pytest.skip("this system does not say how much memory a process holds")
    assert 150 < peak.megabytes < 400
    data = split_of(noisy(axes(6, 2)))
    first = _fitted(pca(latents=2), data, 0, tmp_path / "fit")
    again = _fitted(pca(latents=2), data, 0, tmp_path / "fit")
    assert first.memory is not None
    assert again.memory == first.memory
    assert MEMORY.measure(first).value == first.memory
    assert MEMORY.measure(replace(first, memory=None)) is None
    assert load_model(tmp_path / "fit" / "model.safetensors").model is not None


# all of them


def test_rows_are_chosen_by_name_or_group():
    chosen = rows_named(["cost", "error", "data-needed"])
    names = ["error", "curve", "density_curve", "seconds", "memory", "parameters"]
    assert [row.name for row in chosen] == names
    assert len({row.key for row in ROWS}) == len(ROWS)
    with pytest.raises(ValueError, match=r"'speed' is no row of the card .* accuracy, .*seconds"):
        rows_named(["speed"])


def test_a_measure_that_fails_takes_no_other_with_it(tmp_path):
    def fails(fitted):
        raise ZeroDivisionError("no such thing")

    data, bad = split_of(noisy(axes(6, 2))), Row("bad", "bad thing", fails)
    rows = (ERROR, bad, MEMORISED)
    for _ in range(2):
        cell = run_cell(pca(latents=2), data, seed=0, share=1.0, rows=rows, kept=tmp_path)
        assert cell.readings[bad.key] is None
        assert cell.readings[MEMORISED.key].value > 0
        assert cell.unread == {bad.key: "no such thing"}
    card = make_card(trial_of({("one", 1.0, s): cell for s in range(2)}, {}), rows, data="",
                     split="")  # fmt: skip
    assert card.notes == (
        "The bad thing of one could not be measured in 2 of its fits: no such thing",
    )


def test_every_row_has_an_answer_for_every_recipe():
    """PCA, a mean without latents, what only copies, and a sampler alone: no row raises."""
    x = dataset(noisy(axes(6, 2))[..., None].astype(np.float32), beat_schema(1, 6))
    recipes = {
        "pca": pca(latents=2),
        "copies": Recipe("copies", {}, lambda data, key: Copier(rows=jnp.asarray(
            data.observations))),
    }  # fmt: skip
    card = compare(lambda seed: split_at_random(x, seed=seed), recipes, seeds=2, shares=(1.0,),
                   elsewhere=split_at_random(x, seed=5), quiet=True)  # fmt: skip
    assert not [note for note in card.notes if "could not" in note or "Failed" in note]
    lines = {line.name: line.entries for line in card.measures}
    # what no recipe has is left out
    assert not {"identified", "disentangled", "solver_error"} & set(lines)
    assert all(entries["pca"] is not None for entries in lines.values())
    assert lines["agreement"]["pca"].median > 0.5
    assert lines["agreement"]["mean"] is None
    assert lines["imputation"]["mean"].median > 0
    assert {n for n, e in lines.items() if e["copies"] is not None} >= {"told_apart", "memorised"}
    assert any(note.startswith("Samples told apart:") for note in card.notes)
