"""Editing attributes in a linear world, where every effect is known in closed form."""

import numpy as np
import pytest

from unweave import edit
from unweave.networks import fit_pca

RNG = np.random.default_rng(0)
# beard and age are correlated in the data; smile is not
FACTORS = RNG.multivariate_normal(
    np.zeros(3), [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], size=600
) * np.array([2.0, 5.0, 1.0])
NAMES = ("beard", "age", "smile")
MIX = RNG.standard_normal((12, 3))
XS = (FACTORS @ MIX.T + 0.01 * RNG.standard_normal((600, 12)))[:, :, None]


@pytest.fixture(scope="module")
def model():
    return fit_pca(XS, 3)


def truth(xs):
    return np.asarray(xs)[..., 0] @ np.linalg.pinv(MIX).T


def test_an_attribute_is_turned_and_the_others_are_held(model):
    found = edit.attribute_directions(model, XS, FACTORS, NAMES)
    assert found.explained.min() > 0.99
    effects = edit.cross_effects(model, XS[:50], found, truth)
    np.testing.assert_allclose(effects.matrix, np.eye(3), atol=0.03)
    assert effects.words()[0].endswith("and little else.")


def test_what_is_correlated_is_turned_along_and_is_said_so(model):
    found = edit.attribute_directions(model, XS, FACTORS, NAMES, hold_others=False)
    effects = edit.cross_effects(model, XS[:50], found, truth)
    # the codes are white: stepping along w_i moves attribute j by w_i·w_j/|w_i|², their correlation
    correlation = np.corrcoef(FACTORS.T)
    np.testing.assert_allclose(effects.matrix, correlation, atol=0.05)
    assert "it also turns age by +0.79" in effects.words()[0]
    assert "beard" in effects.words()[1]
    assert effects.words()[2].endswith("and little else.")


def test_an_edit_is_in_deviations_of_the_attribute(model):
    found = edit.attribute_directions(model, XS, FACTORS, NAMES)
    before, after = truth(XS[:1])[0], truth(edit.edit(model, XS[0], found, "age", 2.0)[None])[0]
    np.testing.assert_allclose(after - before, [0, 2 * found.std[1], 0], atol=0.15)
    with pytest.raises(ValueError, match="there are beard, age, smile"):
        edit.edit(model, XS[0], found, "hair", 1.0)


def test_codes_add_up(model):
    got = edit.combine(model, [XS[0], XS[2]], [XS[1]])
    # a linear decoder: a - b + c of what is above the mean
    np.testing.assert_allclose(got, XS[0] - XS[1] + XS[2], atol=0.1)
    with pytest.raises(ValueError, match="nothing was given to add"):
        edit.combine(model, [])


def test_a_measure_from_observations_alone(model):
    measure = edit.linear_measure(XS[:300], FACTORS[:300])
    error = measure(XS[300:]) - FACTORS[300:]
    assert (error.std(0) < 0.05 * FACTORS.std(0)).all()


def test_values_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match="one row for each observation"):
        edit.attribute_directions(model, XS, FACTORS[:10], NAMES)
    with pytest.raises(ValueError, match="one value only"):
        edit.attribute_directions(model, XS, np.zeros((600, 1)), ["still"])
    with pytest.raises(ValueError, match="not known"):
        edit.attribute_directions(model, XS, np.full((600, 1), np.nan), ["lost"])
