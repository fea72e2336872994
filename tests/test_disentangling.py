"""Scores of disentanglement on codes whose value theory gives, and beside scikit-learn."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.metrics import mutual_info_score

from unweave.evaluate import (
    Boosting,
    Forest,
    Histogram,
    Kraskov,
    Lasso,
    Neighbours,
    beta_vae_score,
    dci,
    factor_vae_score,
    infomec,
    mig,
    modularity,
    sap,
    sharing,
    udr,
)
from unweave.evaluate._information import ross
from unweave.plots import shares, svg

N = 1200


def rng(seed=0):
    return np.random.default_rng(seed)


def continuous(n=N, factors=3, seed=0):
    return rng(seed).uniform(-1, 1, (n, factors))


def discrete(n=N, seed=0):
    return np.stack([rng(seed + i).integers(k, size=n) for i, k in enumerate((3, 4, 5))], 1)


def rotated(v):
    """Every latent is made of all factors."""
    q, _ = np.linalg.qr(rng(9).normal(size=(v.shape[1],) * 2))
    return v @ q


def curved(v):
    """One to one, and far from linear: the ranks are those of the factors."""
    return np.stack([np.exp(3 * v[:, 0]), v[:, 1] ** 3, np.tanh(5 * v[:, 2])], 1)


QUICK = {"permutations": 0}


class TestInformation:
    def test_histogram_is_the_mutual_information_of_counts(self):
        a, b = rng(1).integers(6, size=N), rng(2).integers(4, size=N)
        b = np.where(rng(3).random(N) < 0.5, a % 4, b)
        ours = Histogram().matrix(a[:, None] * 1.0, b[:, None] * 1.0, (True,))[0, 0]
        assert ours == pytest.approx(mutual_info_score(a, b), abs=1e-12)

    @pytest.mark.parametrize("k", [3, 10])
    def test_neighbours_agree_with_scikit_learn(self, k):
        v = rng(1).integers(5, size=N)
        z = v + rng(2).normal(size=N)
        theirs = mutual_info_classif(z[:, None], v, n_neighbors=k, random_state=0)[0]
        # a point at the very edge may be counted by one and not by the other
        assert ross(z, v, k) == pytest.approx(theirs, abs=2e-4)
        # of ranks, which any monotone function leaves as they are
        ours = Neighbours(k=k).matrix(np.exp(z)[:, None], v[:, None] * 1.0, (True,))[0, 0]
        assert ours == pytest.approx(theirs, abs=0.03)

    def test_kraskov_agrees_with_scikit_learn_and_with_the_closed_form(self):
        r = 0.8
        x, y = rng(1).multivariate_normal([0, 0], [[1, r], [r, 1]], N).T
        ours = Kraskov().matrix(x[:, None], y[:, None], (False,))[0, 0]
        theirs = mutual_info_regression(x[:, None], y, random_state=0)[0]
        exact = -0.5 * np.log(1 - r**2)
        assert ours == pytest.approx(theirs, abs=0.08)
        assert ours == pytest.approx(exact, abs=0.08)

    @pytest.mark.parametrize("by", [Histogram(), Neighbours(), Kraskov()])
    def test_a_factor_knows_all_of_itself_and_nothing_of_another(self, by):
        v = continuous()
        share = by.matrix(curved(v), v, (False,) * 3) / by.most(v, (False,) * 3)
        assert np.all(np.diag(share) > 0.97)
        assert np.all(share[~np.eye(3, dtype=bool)] < 0.08)

    def test_rows_in_the_order_of_a_grid_tell_nothing(self):
        v = np.sort(discrete(), axis=0).astype(float)
        still = np.repeat([0.0, 1.0], N // 2)[rng(3).permutation(N)]
        assert Histogram().matrix(still[:, None], v, (True,) * 3).max() < 0.01

    def test_a_value_that_occurs_once_does_no_harm(self):
        v = discrete()[:, :1].astype(float)
        v[0] = 99
        z = v + 0.01 * rng(1).normal(size=v.shape)
        assert Neighbours().matrix(z, v, (True,))[0, 0] == pytest.approx(np.log(3), abs=0.05)


class TestScores:
    # the values of a discrete factor may be any numbers, such as angles
    @pytest.mark.parametrize(
        "factors", [continuous(), discrete().astype(float), 0.37 * discrete() - 0.1]
    )
    def test_perfect_codes_have_every_score(self, factors):
        codes = factors[:, ::-1] * np.array([1.0, -3.0, 100.0])
        made = infomec(codes, factors, **QUICK)
        three = dci(codes, factors, **QUICK)
        assert mig(codes, factors, **QUICK).value > 0.93
        assert sap(codes, factors, **QUICK).value > 0.9
        assert modularity(codes, factors, **QUICK).value > 0.98
        assert three.disentanglement.value > 0.97
        assert three.completeness.value > 0.97
        assert three.informativeness.value > 0.97
        assert made.modularity.value > 0.85
        assert made.compactness.value > 0.85
        assert made.explicitness.value > 0.97

    def test_curved_codes_have_them_too_but_those_that_are_linear(self):
        v = continuous()
        straight, bent = (mig(z, v, **QUICK).value for z in (v, curved(v)))
        assert bent == pytest.approx(straight, abs=1e-12)  # only ranks count
        assert dci(curved(v), v, **QUICK).disentanglement.value > 0.97
        linear = infomec(curved(v), v, **QUICK).explicitness
        # a line through tanh(5 v), and so on: R² of each in closed form by a large sample
        large = continuous(200_000, seed=5)
        exact = [np.corrcoef(curved(large)[:, i], large[:, i])[0, 1] ** 2 for i in range(3)]
        np.testing.assert_allclose(linear.each, exact, atol=0.05)

    def test_rotated_codes_know_all_and_part_nothing(self):
        v = continuous(factors=4)
        codes = v @ (np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2)
        three = dci(codes, v, probe=Lasso(), **QUICK)
        # every importance is the same, so both entropies are full
        assert three.disentanglement.value < 0.02
        assert three.completeness.value < 0.02
        assert three.informativeness.value > 0.99
        assert mig(codes, v, **QUICK).value < 0.05
        assert sap(codes, v, **QUICK).value < 0.05
        assert infomec(codes, v, **QUICK).explicitness.value > 0.99
        assert infomec(codes, v, **QUICK).modularity.value < 0.15

    def test_duplicated_codes_are_modular_and_not_compact(self):
        v = continuous()
        codes = np.concatenate([v, -v], 1)
        made = infomec(codes, v, information=Histogram(), **QUICK)
        assert mig(codes, v, information=Histogram(), **QUICK).value < 0.01  # first and second tie
        assert sap(codes, v, **QUICK).value < 1e-9
        assert modularity(codes, v, **QUICK).value > 0.98
        three = dci(codes, v, probe=Forest(leaf=1), **QUICK)
        assert three.disentanglement.value > 0.97
        # half to each of two among six: 1 - log 2 / log 6 at least
        assert three.completeness.value < 0.99
        share = made.information / made.information.sum(0)
        assert np.sort(share, 0)[-2:].sum(0) == pytest.approx(np.ones(3), abs=0.3)
        # one half of six equal shares would be (1/2 - 1/6) / (5/6) = 0.4
        assert made.compactness.value == pytest.approx(0.4, abs=0.1)
        assert made.modularity.value > 0.8

    def test_one_latent_of_two_factors_is_complete_and_not_disentangled(self):
        v = discrete()[:, :2].astype(float)
        codes = np.stack([v[:, 0] * 4 + v[:, 1], rng(8).normal(size=N)], 1)
        three = dci(codes, v, **QUICK)
        assert three.completeness.value > 0.95
        assert three.disentanglement.value < 0.3
        # it knows both: I = H of each, so the gap is full
        assert mig(codes, v, information=Histogram(), **QUICK).value > 0.95

    def test_random_codes_lie_within_their_null(self):
        v = continuous(600)
        codes = rng(4).normal(size=(600, 3))
        for score in (
            mig(codes, v),
            sap(codes, v),
            modularity(codes, v),
            dci(codes, v, probe=Forest(trees=10)).disentanglement,
        ):
            assert 0 <= score.null <= score.null_high
            assert score.value < 2 * score.null_high
            assert "unrelated codes" in score.sentence

    def test_the_null_is_the_same_for_the_same_seed(self):
        v, codes = continuous(300), rng(4).normal(size=(300, 2))
        first, second, other = (mig(codes, v, seed=s) for s in (1, 1, 2))
        assert first.null == second.null != other.null

    def test_probes_agree_where_codes_are_perfect(self):
        v = np.concatenate([continuous(400, 2), discrete(400)[:, :1]], 1)
        for probe in (Forest(), Boosting(), Lasso()):
            made = dci(v, v, probe=probe, **QUICK)
            assert made.disentanglement.value > 0.95
            assert made.disentanglement.estimator == probe.name
            np.testing.assert_allclose(made.importance.sum(0), 1)

    def test_modularity_by_hand(self):
        by = Histogram()
        v = discrete().astype(float)
        codes = np.stack([v[:, 0] + 10 * (v[:, 1] > 1), v[:, 2]], 1)
        table = by.matrix(codes, v, (True,) * 3)
        top = table.max(1)
        each = [
            1 - sum(m**2 for j, m in enumerate(row) if j != row.argmax()) / (t**2 * 2)
            for row, t in zip(table, top, strict=True)
        ]
        made = modularity(codes, v, information=by, **QUICK)
        np.testing.assert_allclose(made.each, each)

    def test_a_constant_latent_is_not_active_and_changes_infomec_not(self):
        v = continuous()
        plain = infomec(v, v, **QUICK)
        more = infomec(np.concatenate([v, np.ones((N, 2))], 1), v, **QUICK)
        assert more.active.tolist() == [True] * 3 + [False] * 2
        assert more.modularity.value == pytest.approx(plain.modularity.value)
        assert more.compactness.value == pytest.approx(plain.compactness.value)
        # in other units the ranges say nothing, and one can say so
        scaled = v * np.array([1, 1e-3, 1e3])
        assert infomec(scaled, v, **QUICK).active.tolist() == [False, False, True]
        told = infomec(scaled, v, active=[True] * 3, **QUICK)
        assert told.modularity.value == pytest.approx(plain.modularity.value)

    @pytest.mark.parametrize(
        ("codes", "factors", "word"),
        [
            (np.zeros((10, 2)), np.zeros((10, 2)), "too few"),
            (np.zeros((100, 2)), np.zeros((99, 2)), "same n"),
            (np.full((100, 2), np.nan), continuous(100), "missing"),
            (np.zeros((100, 2)), np.ones((100, 2)), "leave it out"),
        ],
    )
    def test_what_is_wrong_is_said(self, codes, factors, word):
        with pytest.raises(ValueError, match=word):
            mig(codes, factors)


class TestPairs:
    def test_perfect_rotated_and_random_codes(self):
        v = discrete(4000).astype(float)
        for score in (beta_vae_score, factor_vae_score):
            perfect = score(sharing(v, v), 3, votes=200, permutations=5)
            assert perfect.value > 0.97
            assert perfect.null == pytest.approx(1 / 3, abs=0.12)
            noise = score(sharing(rng(1).normal(size=(4000, 3)), v), 3, votes=200, permutations=0)
            assert noise.value == pytest.approx(1 / 3, abs=0.12)

    def test_a_linear_classifier_sees_through_a_rotation_and_a_vote_less(self):
        v = continuous(4000, 4).round(1)
        codes = v @ (np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2)
        vote = factor_vae_score(sharing(codes, v), 4, votes=200, permutations=0)
        assert vote.value < 0.6

    def test_a_collapsed_latent_gets_no_vote(self):
        v = discrete(4000).astype(float)
        codes = np.concatenate([v, 1e-6 * rng(1).normal(size=(4000, 1))], 1)
        assert factor_vae_score(sharing(codes, v), 3, votes=200, permutations=0).value > 0.97

    def test_too_few_votes(self):
        with pytest.raises(ValueError, match="ten votes"):
            factor_vae_score(sharing(np.zeros((9, 2)), np.zeros((9, 2))), 2, votes=5)


class TestSeeds:
    def test_the_same_latents_in_another_order_are_the_same(self):
        v = continuous(2000)
        same = udr([v, -v[:, ::-1], np.exp(v)])
        # what is left are correlations of independent latents by chance
        assert same.value > 0.9
        assert same.null < 0.2
        mixed = udr([v, rotated(v), rotated(v[:, ::-1])])
        assert mixed.value < same.value - 0.2

    def test_equation_two_by_hand(self):
        a, b = rng(1).normal(size=(400, 2)), rng(2).normal(size=(400, 3))
        b[:, 0] += a[:, 0]
        r = np.abs(spearmanr(np.concatenate([a, b], 1)).statistic[:2, 2:])
        by_hand = sum(r[:, j].max() ** 2 / r[:, j].sum() for j in range(3))
        by_hand += sum(r[i].max() ** 2 / r[i].sum() for i in range(2))
        made = udr([a, b], permutations=0)
        assert made.pairs[0, 1] == pytest.approx(by_hand / 5)

    def test_one_fit_has_nothing_to_be_like(self):
        with pytest.raises(ValueError, match="two or more"):
            udr([np.zeros((100, 2))])


def test_a_picture_of_shares_has_its_numbers():
    drawn = svg(
        shares(np.array([[0.7, np.nan], [0.04, -1.0]]), rows=["a", "b"], columns=["u", "v"])
    )
    assert ">.70<" in drawn
    assert ">.04<" not in drawn
    with pytest.raises(ValueError, match="name for each"):
        shares(np.zeros((2, 2)), rows=["a"], columns=["u", "v"])
