"""The estimators against scikit-learn's own checks, its estimators and SciPy."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import unweave as uw
from conftest import ROOT
from unweave.sklearn import AnomalyDetector, EquationRegressor, LatentTransformer

DECAY = "y = a*exp(-b*x0) + c\na, b in (0, 10)\nc in (-5, 5)"


@parametrize_with_checks([LatentTransformer(), AnomalyDetector(), EquationRegressor()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


def test_pca_is_that_of_scikit_learn(wine):
    x = StandardScaler().fit_transform(wine[0])
    found, known = LatentTransformer(latents=3).fit(x), PCA(3).fit(x)
    z, axes = found.transform(x), known.transform(x)
    assert np.abs(np.corrcoef(z.T, axes.T)[:3, 3:]).diagonal() == pytest.approx(1, abs=1e-5)
    assert found.score(x) == pytest.approx(known.score(x), rel=1e-2)
    # a posterior mean is a projection, less the noise's share of each axis
    variances = known.explained_variance_ * (len(x) - 1) / len(x)
    noise = (x.shape[1] - variances.sum()) / (x.shape[1] - 3)
    back = known.inverse_transform(axes * (1 - noise / variances))
    assert found.inverse_transform(z) == pytest.approx(back, abs=1e-4)


def test_in_a_pipeline_and_a_grid(wine):
    x, y = wine
    steps = make_pipeline(LatentTransformer(), LogisticRegression())
    grid = {"latenttransformer__latents": [1, 4], "latenttransformer__recipe": ["pca", uw.pca]}
    search = GridSearchCV(steps, grid, cv=3).fit(x, y)
    assert search.best_params_["latenttransformer__latents"] == 4
    assert search.best_score_ > 0.9
    means = search.cv_results_["mean_test_score"]
    assert means[0] == means[1]


def test_a_table_keeps_its_names(wine):
    made = LatentTransformer(latents=2).set_output(transform="pandas").fit_transform(wine[0])
    assert list(made.columns) == ["pc1", "pc2"]
    assert (made.index == wine[0].index).all()


def test_gaps_change_what_is_known_and_no_more(wine):
    x = StandardScaler().fit_transform(wine[0])
    transformer, gappy = LatentTransformer(latents=2).fit(x), x.copy()
    gappy[0, 3] = np.nan
    whole, part = transformer.transform(x), transformer.transform(gappy)
    assert np.isfinite(part).all()
    assert (whole[1:] == part[1:]).all()
    assert 0 < np.abs(whole[0] - part[0]).max() < 0.5


def test_a_vae_trains_within_two_epochs(wine):
    x = StandardScaler().fit_transform(wine[0])
    options = {"epochs": 2, "widths": (8,)}
    first = LatentTransformer("vae", latents=2, options=options).fit(x)
    z = first.transform(x)
    assert z.shape == (len(x), 2)
    assert first.inverse_transform(z).shape == x.shape
    assert np.isfinite(first.score(x))
    assert (pickle.loads(pickle.dumps(first)).transform(x[:7]) == z[:7]).all()
    again = LatentTransformer(uw.vae, latents=2, options=options, random_state=0).fit(x)
    assert (again.transform(x) == z).all()


def test_rows_may_be_series_laid_out_flat():
    t = np.linspace(0, 1, 12)
    rng = np.random.default_rng(0)
    x = np.stack([a * np.sin(6 * t) + b * t for a, b in rng.normal(size=(40, 2))])
    found = LatentTransformer(latents=2, shape=(6, 2)).fit(x)
    assert found.model_.shape == (6, 2)
    assert np.abs(found.inverse_transform(found.transform(x)) - x).max() < 1e-2
    with pytest.raises(ValueError, match="12 features"):
        LatentTransformer(shape=(5, 2)).fit(x)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"recipe": "pcaa"}, "recipe='pcaa' is none; there are vae"),
        ({"options": {"width": 3}}, "no option 'width'; it takes latents"),
        ({"recipe": "equation", "options": {"source": "zoo:sir"}}, "EquationRegressor"),
        ({"recipe": uw.detect.neighbours}, "take AnomalyDetector"),
        ({"recipe": uw.pca(latents=2), "latents": 3}, "made already"),
    ],
)
def test_what_does_not_fit_a_transformer_is_said(wine, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentTransformer(**given).fit(wine[0])


def test_rows_that_calibrate_keep_the_rate():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4))
    flagged = AnomalyDetector(calibration=0.5, contamination=0.05).fit(x)
    new = rng.normal(size=(5000, 4))
    share = np.mean(flagged.predict(new) == -1)
    low, high = flagged.calibrated_.achieved(0.05, confidence=0.999)
    assert low - 0.01 < share < high + 0.01
    assert (flagged.predict(new) == -1).mean() == np.mean(flagged.p_values(new) <= 0.05)
    assert (flagged.predict(np.full((3, 4), 5.0)) == -1).all()


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        ("pca", {"strangeness": uw.detect.reconstruction}),
        (uw.detect.neighbours, {"options": {"k": 3}}),
        (uw.detect.isolation_forest, {"options": {"trees": 50}}),
    ],
)
def test_models_and_baselines_find_what_is_far_away(recipe, more):
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(95, 3)), rng.normal(8, 1, size=(5, 3))])
    found = AnomalyDetector(recipe, contamination=0.05, **more)
    assert (found.fit_predict(x[:95]) == -1).sum() == 4
    assert (found.predict(x[95:]) == -1).all()
    copied = pickle.loads(pickle.dumps(found))
    assert (copied.score_samples(x) == found.score_samples(x)).all()


def test_a_row_is_not_its_own_neighbour():
    x = np.random.default_rng(4).normal(size=(200, 1))
    found = AnomalyDetector(uw.detect.neighbours, contamination=0.1)
    assert (found.fit_predict(x) == -1).sum() == 20
    new = np.random.default_rng(5).normal(size=(2000, 1))
    assert 0.05 < np.mean(found.predict(new) == -1) < 0.2


def test_isolation_is_that_of_scikit_learn():
    x = np.random.default_rng(2).normal(size=(60, 2))
    found = AnomalyDetector(uw.detect.isolation_forest, options={"trees": 20}).fit(x)
    known = IsolationForest(n_estimators=20, random_state=0).fit(x)
    assert found.score_samples(x) == pytest.approx(known.score_samples(x))


@pytest.mark.parametrize("contamination", [0, 0.6])
def test_a_share_that_is_none_is_refused(contamination):
    with pytest.raises(ValueError, match=r"contamination must be in \(0, 0.5\]"):
        AnomalyDetector(contamination=contamination).fit(np.eye(20))


def test_affine_is_ordinary_least_squares(wine):
    x, y = wine[0].iloc[:, 1:5], wine[0].iloc[:, 0]
    found, known = EquationRegressor().fit(x, y), LinearRegression().fit(x, y)
    assert found.predict(x) == pytest.approx(known.predict(x), abs=1e-8)
    assert list(found.params_) == ["b", "b_malic_acid", "b_ash", "b_alcalinity_of_ash",
                                   "b_magnesium"]  # fmt: skip
    design = np.column_stack([np.ones(len(x)), x])
    rest = y - known.predict(x)
    covariance = rest @ rest / (len(x) - 5) * np.linalg.inv(design.T @ design)
    assert list(found.standard_errors_.values()) == pytest.approx(np.sqrt(np.diag(covariance)))


@pytest.fixture(scope="module")
def decay():
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 4, size=(60, 2))
    return x, 3 * np.exp(-0.8 * x[:, 0]) + 1 + 0.05 * rng.normal(size=60)


def test_a_formula_is_that_of_curve_fit(decay):
    x, y = decay
    found = EquationRegressor(DECAY).fit(x, y)
    best, covariance = curve_fit(
        lambda t, a, b, c: a * np.exp(-b * t) + c, x[:, 0], y, p0=(1, 1, 0)
    )
    assert list(found.params_.values()) == pytest.approx(best, rel=1e-5)
    errors = np.sqrt(np.diag(covariance))
    assert list(found.standard_errors_.values()) == pytest.approx(errors, rel=1e-3)
    assert found.agreement_ > 0.5
    a, b, c = (f"{number:.4g}" for number in found.params_.values())
    assert found.equation_ == f"y = {c} + {a}*exp(-{b}*x0)"
    given = 3 * np.exp(-0.8 * x[:, 0]) + 1
    assert np.abs(found.predict(x) - given).max() < 0.1


def test_columns_of_a_table_are_words_of_the_formula(decay):
    x = pd.DataFrame(decay[0], columns=["time (h)", "exp"])
    source = "y = a*exp(-b*time__h_) + c\na, b in (0, 10)\nc in (-5, 5)"
    found, plain = EquationRegressor(source).fit(x, decay[1]), EquationRegressor(DECAY).fit(*decay)
    assert found.params_ == plain.params_


def test_what_the_data_leave_open_has_no_error(decay):
    found = EquationRegressor("y = a*b*x0\na, b in (0, 10)", starts=4).fit(*decay)
    assert set(found.standard_errors_.values()) == {np.inf}


def test_a_prior_counts_as_much_as_it_says(decay):
    x, y = decay
    source = "y = m\nm ~ normal(0, 0.01)"
    found = EquationRegressor(source, starts=2).fit(x, y)
    m, n = found.params_["m"], len(y)
    # the posterior mean of a normal mean, at the noise that it leaves
    variance = np.mean((y - m) ** 2)
    assert m == pytest.approx(y.sum() / variance / (n / variance + 1e4), rel=1e-2)
    assert found.standard_errors_["m"] < 0.01


def test_formulas_go_through_cross_validation(decay):
    assert cross_val_score(EquationRegressor(DECAY, starts=4), *decay, cv=3).min() > 0.98


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("y = a*x7\na in (0, 1)", "no 'x7' is declared"),
        ("y = a*x0", "no 'a' is declared"),
        ("y = a*t\na in (0, 1)", "t is the time"),
        ("x' = -x\nx(0) = 1\ny = x", "moves in time"),
        ("observe y = x0\nobserve z = x1", "2: y, z"),
        ("y = x0\nnoise poisson", "the noise is poisson"),
    ],
)
def test_what_is_no_formula_is_said(decay, source, sentence):
    with pytest.raises(uw.EquationError, match=sentence):
        EquationRegressor(source).fit(*decay)


def test_the_page_runs_and_says_what_is_true(capsys):
    page = (ROOT / "docs" / "scikit-learn.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["search"].best_score_ > 0.9
    assert (names["found"].predict(names["strange"]) == -1).all()
    assert capsys.readouterr().out.count("exp(-") == 1
