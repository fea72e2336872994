"""The dictionary beside scikit-learn and on parameters whose reliability is known."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from unweave.evaluate import alternate, dictionary, known_directions, reliability
from unweave.evaluate._dictionary import _GAMMAS, _PENALTIES, held_out, kernel_ridge


def rng(seed=0):
    return np.random.default_rng(seed)


def test_kernel_ridge_is_scikit_learns_with_the_least_leave_one_out_error():
    x = rng().uniform(-2, 2, (14, 2))
    y = np.stack([np.sin(2 * x[:, 0]) + 0.1 * rng(1).normal(size=14), x[:, 1]], 1)
    new = rng(2).uniform(-2, 2, (7, 2))
    ours = kernel_ridge(x, y, new)
    scores = (x - x.mean(0)) / x.std(0)
    for target in range(2):
        t = (y[:, target] - y[:, target].mean()) / y[:, target].std()
        best = (np.inf, None)
        for gamma in _GAMMAS:
            for alpha in _PENALTIES:
                made = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha)
                left = [
                    t[i] - made.fit(np.delete(scores, i, 0), np.delete(t, i)).predict(scores[[i]])
                    for i in range(14)
                ]
                best = min(best, (float(np.mean(np.square(left))), (gamma, alpha)))
        made = KernelRidge(kernel="rbf", gamma=best[1][0], alpha=best[1][1]).fit(scores, t)
        expected = made.predict((new - x.mean(0)) / x.std(0))
        np.testing.assert_allclose(
            ours[:, target], y[:, target].mean() + y[:, target].std() * expected, rtol=1e-5
        )


def test_curved_relations_are_seen_and_none_are_not():
    z = rng().normal(size=(300, 1))
    y = np.concatenate([z**2, np.tanh(3 * z), rng(1).normal(size=(300, 1))], 1)
    fold = np.arange(300) % 5
    found = held_out(z, y, fold)
    assert found[0] > 0.97
    assert found[1] > 0.99
    assert found[2] < 0.02


def test_reliability_is_that_of_a_sum_of_halves():
    truth = rng().normal(size=(20_000, 2))
    noise = np.array([0.5, 2.0])
    first, second = (truth + noise * rng(s).normal(size=truth.shape) for s in (1, 2))
    # the mean of both halves has the error variance halved
    np.testing.assert_allclose(reliability(first, second), 1 / (1 + noise**2 / 2), atol=0.02)
    assert reliability(first, rng(3).normal(size=first.shape)) == pytest.approx([0, 0], abs=0.03)


def test_a_quotient_can_be_known_where_its_parts_are_not():
    """Halves agree on the sum of two numbers and not on their difference."""
    both, apart = rng().normal(size=(2, 20_000))
    halves = []
    for seed in (1, 2):
        off = 5 * rng(seed).normal(size=20_000)
        halves.append(np.stack([both + off, both - off + 0.1 * apart], 1))
    found = known_directions(halves[0], halves[1])
    assert found[0] > 0.99
    assert found[1] < 0.05
    assert np.all(reliability(*halves) < 0.15)


def test_the_dictionary_says_which_latent_carries_which_parameter():
    truth = rng().uniform(-1, 1, (400, 4))
    noise = np.array([0.05, 0.3, 0.05, 10.0])
    halves = [truth + noise * rng(s).normal(size=truth.shape) for s in (1, 2)]
    fitted = (halves[0] + halves[1]) / 2
    latents = np.stack([np.exp(truth[:, 1]), truth[:, 0] ** 3, rng(5).normal(size=400)], 1)
    made = dictionary(
        fitted, latents, names=["a", "b", "c", "d"], latent_names=["u", "v", "w"],
        halves=(halves[0], halves[1]), determined=[True, True, False, True],
    )  # fmt: skip
    assert made.carriers["a"][0] == "v"
    assert made.carriers["b"][0] == "u"
    # c is said not to be determined, and d is not reliable
    assert made.used.tolist() == [True, True, False, False]
    assert set(made.carriers) == {"a", "b"}
    # with the truth among the latents the ceiling is reached, and not passed by more than chance
    np.testing.assert_allclose(made.together[:2], made.ceiling[:2], atol=0.08)
    assert made.back[0] == pytest.approx(made.back_alone[0, 1], abs=0.03)
    assert made.back[2] < 0.05
    assert abs(made.null) < 0.05
    assert any("left out" in sentence for sentence in made.sentences)
    assert len(made.directions) == 2


def test_groups_lie_in_one_fold_each():
    group = np.repeat(np.arange(4), 30)
    # within a group the latent says nothing of the parameter; between groups it does
    p = group[:, None] + 0.01 * rng().normal(size=(120, 1))
    k = group[:, None] + 0.3 * rng(1).normal(size=(120, 1))
    within = dictionary(p, k, permutations=0).together[0]
    across = dictionary(p, k, groups=group, permutations=0).together[0]
    assert within > 0.8
    assert across < within


def test_alternate_halves_share_no_reading():
    x = rng().normal(size=(3, 7, 2))
    first, second = alternate(x)
    assert np.all(np.isnan(first) != np.isnan(second))
    np.testing.assert_array_equal(np.where(np.isnan(first), second, first), x)


@pytest.mark.parametrize(
    ("p", "k", "more", "word"),
    [
        (np.zeros((60, 2)), np.zeros((59, 2)), {}, "same n"),
        (np.zeros((20, 2)), np.zeros((20, 2)), {}, "too few"),
        (np.full((60, 2), np.nan), np.zeros((60, 2)), {}, "missing"),
        (np.zeros((60, 2)), np.zeros((60, 2)), {"names": ["a"]}, "one for each"),
        (np.zeros((60, 2)), np.zeros((60, 2)), {"groups": np.zeros(60)}, "two groups"),
    ],
)
def test_what_is_wrong_is_said(p, k, more, word):
    with pytest.raises(ValueError, match=word):
        dictionary(p, k, **more)
