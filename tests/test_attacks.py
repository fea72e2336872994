"""Attacks, against models whose best attack is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

from attacked import bent, conv_model, distances, inputs, linear
from unweave import targets
from unweave.equations import zoo_model
from unweave.robust import (
    APGD,
    L2,
    PGD,
    AbstractBudget,
    Boundary,
    CarliniWagner,
    DeepFool,
    LInf,
    Smooth,
    Square,
    Transfer,
    apgd_dlr,
    attack,
    curve,
    fgsm,
    move,
    wilson,
)
from unweave.robust._game import _blocks
from unweave.robust._gradient import checkpoints
from unweave.robust._mass import hills, moved_mass, tiles
from unweave.robust._square import _sides


class Cross(AbstractBudget):
    """The budget of a user, its own norm."""

    radius: float
    norm_name = "L1"
    plain = True

    def norm(self, s):
        return jnp.abs(s).sum()

    def project(self, s):
        return s / jnp.maximum(1.0, self.norm(s) / self.radius)

    def steepest(self, slope):
        return jnp.sign(slope) * (jnp.abs(slope) == jnp.abs(slope).max())

    def draw(self, key, like):
        return jnp.zeros_like(like)

    def spread(self, s):
        return s

    def with_radius(self, radius):
        return Cross(radius)


def l1(w):
    return np.abs(w).sum()


@pytest.fixture(scope="module")
def two():
    model = linear()
    return (model, *inputs(model))


@pytest.fixture(scope="module")
def four():
    model = bent()
    return (model, *inputs(model, shape=(8,)))


@pytest.mark.parametrize(
    ("budget", "dual"),
    [(LInf(0.3), l1), (L2(0.6), np.linalg.norm)],
    ids=("linf", "l2"),
)
def test_a_linear_model_of_two_classes_is_attacked_exactly(two, budget, dual):
    model, x, y = two
    exact = (distances(model, x, y, dual) > budget.radius).mean()
    found = attack(
        model, x, budget=budget, answers=y, attacks=(fgsm(), APGD(steps=30), apgd_dlr(steps=30)),
        checks=False, quiet=True,
    )  # fmt: skip
    assert found.clean == 1.0
    assert [one.accuracy for one in found.attacks] == [exact] * 3
    assert found.robust == exact
    low, high = found.interval
    assert low <= exact <= high
    assert np.max(np.abs(found.perturbed - x)) <= budget.radius * (1 + 1e-5)


def test_deepfool_goes_to_the_plane(two):
    model, x, y = two
    for budget, dual in ((LInf(0.3), l1), (L2(0.6), np.linalg.norm)):
        one = attack(
            model, x, budget=budget, answers=y, attacks=(DeepFool(steps=2),), checks=False,
            quiet=True,
        ).attacks[0]  # fmt: skip
        assert np.allclose(one.distances, 1.02 * distances(model, x, y, dual), rtol=1e-3)


def test_searches_for_the_nearest_point_come_close_to_it():
    model = linear(classes=3)
    x, y = inputs(model, n=24)
    exact = distances(model, x, y, np.linalg.norm)
    attacks = (DeepFool(), CarliniWagner(steps=300), Boundary(steps=400))
    found = attack(model, x, budget=L2(0.6), answers=y, attacks=attacks, checks=False, quiet=True)
    for one, near in zip(found.attacks, (1.03, 1.1, 1.1), strict=True):
        # no attack is nearer than the nearest point there is
        assert np.all(one.distances >= exact * (1 - 1e-4)), one.name
        assert np.median(one.distances / exact) < near, one.name


def test_carlini_and_wagners_points_stay_in_range():
    model = linear(classes=3)
    x, y = inputs(model, n=16)
    x = np.clip(x, -1, 1)
    y = np.asarray(model.predict(jnp.asarray(x))).argmax(1)
    found = attack(
        model, x, budget=L2(1.0), answers=y, attacks=(CarliniWagner(steps=120),),
        valid=(-1.0, 1.0), checks=False, quiet=True,
    )  # fmt: skip
    assert np.abs(found.attacks[0].perturbed).max() <= 1
    fell = np.isfinite(found.attacks[0].distances)
    assert fell.any()
    answers = np.asarray(model.predict(jnp.asarray(found.attacks[0].perturbed))).argmax(1)
    assert np.all(answers[fell] != y[fell])


@pytest.mark.slow
def test_the_fast_and_the_slow_agree_on_who_is_stronger(four):
    model, x, y = four
    found = attack(
        model, x, budget=LInf(0.25), answers=y,
        attacks=(fgsm(), PGD(steps=20), APGD(steps=40), apgd_dlr(steps=40), Square(steps=300)),
        quiet=True,
    )  # fmt: skip
    accuracy = {one.name: one.accuracy for one in found.attacks}
    assert accuracy["APGD-CE"] <= accuracy["PGD"] + 0.02
    assert accuracy["PGD"] <= accuracy["FGSM"]
    assert found.robust <= min(accuracy.values())
    # every perturbation is within the budget and does what is said of it
    assert np.abs(found.perturbed - x).max() <= 0.25 + 1e-5
    answers = np.asarray(model.predict(jnp.asarray(found.perturbed))).argmax(1)
    assert np.mean(answers == y) == pytest.approx(found.robust)
    assert not any("masked" in warning for warning in found.warnings)


def test_the_same_seed_finds_the_same(four):
    model, x, y = four
    both = [
        attack(model, x, budget=LInf(0.25), answers=y, attacks=(PGD(steps=5, restarts=2),),
               checks=False, quiet=True, seed=seed)
        for seed in (3, 3, 4)
    ]  # fmt: skip
    assert np.array_equal(both[0].perturbed, both[1].perturbed)
    assert not np.array_equal(both[0].perturbed, both[2].perturbed)
    assert both[0].attacks[0].gradients == 12


def test_chunks_change_nothing_for_what_is_not_random(four):
    model, x, y = four
    whole, parts = (
        attack(model, x, budget=LInf(0.25), answers=y, attacks=(fgsm(),), checks=False,
               chunk=chunk, quiet=True)
        for chunk in (512, 25)
    )  # fmt: skip
    assert np.allclose(whole.after, parts.after, atol=1e-5)
    assert whole.robust == parts.robust


def test_square_counts_its_queries_and_stops_asking(two):
    model, x, y = two
    one = attack(
        model, x, budget=LInf(0.3), answers=y, attacks=(Square(steps=100),), checks=False,
        quiet=True,
    ).attacks[0]  # fmt: skip
    # two before the first window, then one a step until the row falls
    assert 2 + 100 * one.accuracy <= one.queries < 102
    assert one.gradients == 0
    assert one.kind == "black-box"


def test_windows_shrink_as_published():
    sides = _sides((28, 28, 1), 0.8, 10_000)
    assert sides[0] == round((0.8 * 784) ** 0.5)
    assert sides[9_999] == max(1, round((0.8 * 784 / 2**9) ** 0.5))
    assert np.all(np.diff(sides) <= 0)


def test_a_hill_stands_beside_a_hollow_as_published():
    """Equation 2, summed as it is written: 1 / (n + 1 - k)^2 of k up to how near the middle is."""
    side = 6
    away = (jnp.arange(side)[None], jnp.arange(side)[None])
    found = np.asarray(hills(away, side, jnp.asarray([0])))[0]
    upper, n = np.zeros((3, side)), side // 2
    for r in range(3):
        for c in range(side):
            near = n - max(abs(r - 3 // 2), abs(c - side // 2))
            upper[r, c] = sum(1 / (n + 1 - k) ** 2 for k in range(near + 1))
    assert np.allclose(found, np.vstack([upper, -upper]), atol=1e-6)
    assert np.allclose(hills(away, side, jnp.asarray([1]))[0], found.T)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5,), (12, 2), (6, 7, 3)], ids=("vector", "series", "picture"))
def test_length_moves_from_window_to_window_and_none_is_lost(shape):
    rng = np.random.default_rng(len(shape))
    key = jax.random.key(len(shape))
    s = jnp.asarray(rng.normal(size=(30, *shape)), jnp.float32)
    begun = np.asarray(tiles(s, key)).reshape(30, -1)
    assert np.allclose(np.linalg.norm(begun, axis=1), 1, atol=1e-5)
    s = s / jnp.asarray(np.linalg.norm(np.asarray(s).reshape(30, -1), axis=1), s.dtype).reshape(
        -1, *(1,) * len(shape)
    )
    for radius, side in ((1.0, 3), (1.5, 2), (1.0, 1)):
        moved = moved_mass(s, jnp.asarray(radius), jnp.asarray(side), key)
        lengths = np.linalg.norm(np.asarray(moved).reshape(30, -1), axis=1)
        # algorithm 3: what the ball has left over is spent at once
        assert np.allclose(lengths, radius, atol=1e-5)
        changed = np.asarray(moved != s).reshape(30, -1).sum(1)
        assert changed.max() <= 2 * side ** max(1, len(shape) - 1) * (shape[-1] if shape[1:] else 1)


@pytest.mark.parametrize("budget", [L2(0.6), Smooth(L2(0.6), 1.5)], ids=("l2", "smooth"))
def test_square_never_leaves_a_ball_or_the_range(budget):
    model = linear(classes=3, shape=(12, 2))
    x, y = inputs(model, n=24, shape=(12, 2))
    x = np.clip(x, -1, 1)
    y = np.asarray(model.predict(jnp.asarray(x))).argmax(1)
    one = attack(
        model, x, budget=budget, answers=y, attacks=(Square(steps=60),), valid=(-1.0, 1.0),
        checks=False, quiet=True,
    ).attacks[0]  # fmt: skip
    moved = (one.perturbed - x).reshape(len(x), -1)
    assert np.linalg.norm(moved, axis=1).max() <= 0.6 * (1 + 1e-5)
    assert one.sizes.max() <= 0.6 * (1 + 1e-5)
    assert np.abs(one.perturbed).max() <= 1
    exact = distances(model, x, y, np.linalg.norm)
    assert np.all(one.standing[exact > 0.6])
    assert 2 + 60 * one.accuracy <= one.queries < 62
    assert (one.gradients, one.kind) == (0, "black-box")


def test_square_within_l2_finds_most_of_what_there_is(two):
    model, x, _ = two
    slope = np.asarray(model.net.weight)[0] - np.asarray(model.net.weight)[1]
    goal = move(targets.class_logit(model, 0))
    found = attack(goal, x, budget=L2(0.6), attacks=(Square(steps=200),), checks=False, quiet=True)
    share = (found.after - found.before) / (0.6 * np.linalg.norm(slope))
    assert share.max() <= 1 + 1e-4
    assert np.median(share) > 0.93
    assert share.min() > 0.8
    # a number without a limit is asked to the end
    assert found.attacks[0].queries == 202


def test_checkpoints_are_the_published_ones():
    ends, _ = checkpoints(100)
    # w_j = ceil(p_j N) of p = 0, 0.22, 0.41, 0.57, 0.7, 0.8, 0.87, 0.93, 0.99
    assert (np.flatnonzero(ends) + 1).tolist() == [22, 41, 57, 70, 80, 87, 93, 99]


def test_answers_made_sharp_are_flagged_and_the_ratio_sees_through():
    model = linear(classes=3, sharp=1e4)
    x, y = inputs(model)
    exact = (distances(model, x, y, l1) > 0.3).mean()
    masked = attack(model, x, budget=LInf(0.3), answers=y, attacks=(PGD(steps=10),), quiet=True)
    assert masked.robust > exact
    assert any("gradient vanishes" in warning for warning in masked.warnings)
    assert any("without any budget" in warning for warning in masked.warnings)
    seen = attack(
        model, x, budget=LInf(0.3), answers=y, attacks=(apgd_dlr(steps=30),), checks=False,
        quiet=True,
    )  # fmt: skip
    assert seen.robust == pytest.approx(exact, abs=0.02)


def test_inputs_that_are_rounded_are_flagged():
    model = linear(classes=3, grid=0.05)
    x, y = inputs(model)
    found = attack(
        model, x, budget=LInf(0.3), answers=y, attacks=(PGD(steps=10), Square(steps=200)),
        quiet=True,
    )  # fmt: skip
    assert any("gradient vanishes" in warning for warning in found.warnings)
    assert any("masked" in warning for warning in found.warnings)
    assert found.robust == found.attacks[1].accuracy < found.attacks[0].accuracy


def test_too_few_steps_are_flagged(four):
    model, x, y = four
    slow = PGD(steps=8, step_size=0.05, random_start=False)
    found = attack(model, x, budget=LInf(0.5), answers=y, attacks=(slow,), checks=False, quiet=True)
    assert any("too few steps" in warning for warning in found.warnings)


def test_a_transfer_from_the_model_itself_is_as_strong(four):
    model, x, y = four
    found = attack(
        model, x, budget=LInf(0.25), answers=y,
        attacks=(APGD(steps=20), Transfer((model, bent(seed=5)), APGD(steps=20), name="others")),
        checks=False, quiet=True,
    )  # fmt: skip
    assert found.attacks[1].kind == "transfer"
    assert found.attacks[1].queries == 1
    assert found.attacks[0].accuracy <= found.attacks[1].accuracy <= found.clean


def test_a_number_is_driven_to_the_corner(two):
    model, x, _ = two
    target = targets.class_logit(model, 0)
    slope = np.asarray(model.net.weight)[0] - np.asarray(model.net.weight)[1]
    for up in (True, False):
        found = attack(
            move(target, up=up), x, budget=LInf(0.2), attacks=(APGD(steps=20),), quiet=True
        )
        gain = 0.2 * l1(slope) * (1 if up else -1)
        assert np.allclose(found.after - found.before, gain, rtol=1e-3)
        assert found.robust is None
        assert "moves by" in found.sentence()


def test_a_number_with_a_limit_has_a_share_that_stands(two):
    model, x, _ = two
    slope = np.asarray(model.net.weight)[0] - np.asarray(model.net.weight)[1]
    start = x @ slope + float(model.net.bias[0] - model.net.bias[1])
    found = attack(
        move(targets.class_logit(model, 0), limit=2.0), x, budget=LInf(0.2),
        attacks=(APGD(steps=20), DeepFool()), quiet=True,
    )  # fmt: skip
    assert found.clean == pytest.approx((start <= 2.0).mean())
    assert found.robust == pytest.approx((start + 0.2 * l1(slope) <= 2.0).mean(), abs=0.02)


def test_an_equations_parameters_are_attacked_in_prior_scores():
    model = zoo_model("logistic")
    names = model.latents.names
    target = targets.output(model, (5, 0))
    with jax.enable_x64(True):
        z = np.asarray(model.latents.from_normal(jnp.zeros(len(names))))[None]
        found = attack(
            move(target, latents=model.latents, among=names[:1]), z, budget=LInf(0.5),
            attacks=(APGD(steps=12),), checks=False, quiet=True,
        )  # fmt: skip
        ends = [np.asarray(model.latents.from_normal(jnp.zeros(len(names)).at[0].set(e)))
                for e in (-0.5, 0.5)]  # fmt: skip
        values = [float(target(jnp.asarray(end))) for end in ends]
    assert found.perturbed.dtype == np.float64
    assert found.after[0] == pytest.approx(max(values), rel=1e-6)
    assert np.allclose(found.perturbed[0], ends[int(np.argmax(values))], rtol=1e-6)
    assert np.array_equal(found.perturbed[0, 1:], z[0, 1:])


def test_more_budget_is_never_less_harm(four):
    model, x, y = four
    verdicts = curve(
        model, x, budget=LInf(1.0), radii=(0.05, 0.1, 0.2), answers=y, attacks=(fgsm(),),
        quiet=True,
    )  # fmt: skip
    shares = [one.robust for one in verdicts]
    assert shares == sorted(shares, reverse=True)
    assert [float(one.budget.radius) for one in verdicts] == pytest.approx([0.05, 0.1, 0.2])


def test_a_convolution_of_xlas_own_is_stepped_outside_of_a_loop():
    model = conv_model()
    x, y = inputs(model, n=8, shape=(16, 1))
    smooth = Smooth(LInf(0.5), 2.0)
    found = attack(
        model, x, budget=smooth, answers=y, attacks=(PGD(steps=3), Square(steps=5)), checks=False,
        quiet=True,
    )  # fmt: skip
    moved = found.perturbed - x
    assert np.abs(moved).max() <= 0.5 + 1e-5
    assert np.abs(np.diff(moved, axis=1)).max() <= 0.5 * np.sqrt(2 / np.pi) / 2.0 + 1e-5
    assert len(found.attacks[0].trace) == 4


@pytest.mark.parametrize("one", [PGD(steps=4, random_start=False), DeepFool(steps=3)])
def test_blocks_of_a_batch_go_on_as_the_rows_do_by_themselves(one):
    model = linear(shape=(2000,))
    x, y = inputs(model, n=70, shape=(2000,))
    assert _blocks(x.shape) == 3  # of 24 rows, the last with two to spare
    asked = {"budget": L2(3.0), "attacks": (one,), "checks": False, "quiet": True}
    whole = attack(model, x, answers=y, **asked)
    for rows in (slice(0, 5), slice(46, 51), slice(65, 70)):
        few = attack(model, x[rows], answers=y[rows], **asked)
        assert np.allclose(few.after, whole.after[rows], atol=1e-5)
        assert np.allclose(few.perturbed, whole.perturbed[rows], atol=1e-5)
    assert whole.attacks[0].trace.shape == (one.steps + 1, 2)


def test_wilson_is_scipys():
    for k, n in ((0, 10), (3, 10), (499, 500)):
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert np.allclose(wilson(k, n), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"answers": None}, "true classes"),
        ({"answers": np.full(60, 7)}, "classes are 0 to 1"),
        ({"valid": (0.0, 0.1)}, "valid range"),
        ({"attacks": (Square(),), "budget": Cross(1.0)}, "cannot be played"),
        ({"attacks": ()}, "no attack"),
        ({"scale": (1.0,)}, "positive one for each"),
    ],
)
def test_what_cannot_be_is_said(two, more, sentence):
    model, x, y = two
    with pytest.raises(ValueError, match=sentence):
        attack(model, x, **{"budget": LInf(0.1), "answers": y, "quiet": True, **more})


def test_a_search_for_the_nearest_needs_a_line(two):
    model, x, _ = two
    goal = move(targets.class_logit(model, 0))
    with pytest.raises(ValueError, match="limit"):
        attack(goal, x, budget=LInf(0.1), attacks=(DeepFool(),), quiet=True)
    with pytest.raises(ValueError, match="takes no latents"):
        move(targets.class_logit(model, 0), latents=zoo_model("logistic").latents)


@pytest.mark.parametrize("one", [PGD(steps=23, step_size=0.05), APGD(steps=23), Square(steps=60)])
def test_stopping_early_leaves_rows_where_they_fell_and_the_shares_as_they_are(four, one):
    model, x, y = four
    budget = LInf(0.3)
    asked = {"budget": budget, "answers": y, "attacks": (one,), "checks": False, "quiet": True}
    whole, early = attack(model, x, **asked), attack(model, x, **asked, early_stop=True)
    assert 0.1 < early.robust < 0.9
    assert (early.standing == whole.standing).all()
    fell = ~early.standing
    assert (early.after[fell] < 0).all()
    assert (early.after[fell] >= whole.after[fell] - 1e-6).all()
    assert np.allclose(early.after[~fell], whole.after[~fell], atol=1e-6)
    # what is told at a row is what the model says there
    said = np.asarray(model.predict(jnp.asarray(early.perturbed)))
    own = said[np.arange(len(y)), y]
    others = np.where(np.arange(4)[None] == y[:, None], -np.inf, said).max(1)
    assert np.allclose(own - others, early.after, atol=1e-5)
    traces = [found.attacks[0].trace for found in (whole, early)]
    assert traces[0].shape == traces[1].shape
    assert np.allclose(traces[0][:, 0], traces[1][:, 0])
