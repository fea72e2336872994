"""Stochastic equations of a price, fitted to windows of log-returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from conftest import ROOT
from unweave import Schema, check_model, load_model, save_model
from unweave._many import many
from unweave.data import dataset
from unweave.equations import FitError, solve_equation
from unweave.equations.stochastic._returns import prices_of

GBM = (ROOT / "docs" / "ode" / "price-gbm.ode").read_text()
STEP, MU, SIGMA = 1 / 24, 0.01, 0.05


def windows(n=60, length=12, seed=0, time_unit="s"):
    rng = np.random.default_rng(seed)
    drift = (MU - SIGMA**2 / 2) * STEP
    x = drift + SIGMA * np.sqrt(STEP) * rng.normal(size=(n, length, 1))
    schema = Schema(
        "windows", ("time", "channel"), (length, 1), ("close",), ("",), step=3600.0,
        time_unit=time_unit, transform="log-return", reference=((1000.0,),),
    )  # fmt: skip
    return dataset(x.astype(np.float32), schema)


@pytest.fixture(scope="module")
def fitted():
    data = windows()
    model, account, _ = solve_equation(GBM, data, starts=2)
    return data, model, account


def test_the_estimates_are_those_of_the_normal_law(fitted):
    data, model, account = fitted
    x = np.asarray(data.observations, np.float64)
    found = dict(zip(model.latents.names, np.asarray(model.z), strict=True))
    # the likelihood's maximum is in closed form; a day is the equation's unit, an hour the data's
    assert found["sigma"] == pytest.approx(x.std() / np.sqrt(STEP), rel=1e-3)
    assert found["mu"] == pytest.approx(x.mean() / STEP + found["sigma"] ** 2 / 2, abs=1e-4)
    assert "exact" in " ".join(account["verdict"])


def test_the_density_is_that_of_independent_normal_returns(fitted):
    data, model, _ = fitted
    x = np.asarray(data.observations, np.float64)
    mu, sigma = (float(model.z[model.latents.index(name)]) for name in ("mu", "sigma"))
    law = norm((mu - sigma**2 / 2) * STEP, sigma * np.sqrt(STEP))
    found = many(model.log_density, data.observations)
    np.testing.assert_allclose(found, law.logpdf(x).sum(axis=(1, 2)), rtol=1e-4)
    gap = x[0].copy()
    gap[3] = np.nan
    one = float(model.log_density(jnp.asarray(gap, jnp.float32)))
    assert one == pytest.approx(np.delete(law.logpdf(x[0]), 3).sum(), rel=1e-3)


def test_it_is_drawn_from_and_obeys_the_protocol(fitted):
    data, model, _ = fitted
    draws = np.stack([model.sample(key) for key in jax.random.split(jax.random.key(0), 200)])
    assert draws.shape == (200, 12, 1)
    assert draws.std() == pytest.approx(data.observations.std(), rel=0.1)
    report = check_model(model, key=jax.random.key(1))
    # the truncated priors of a fit do not promote strictly in NumPyro
    assert {check.name for check in report.checks if not check.ok} <= {"latents: prior"}, str(
        report
    )


def test_it_is_kept_in_a_file(fitted, tmp_path):
    data, model, _ = fitted
    save_model(tmp_path / "m.safetensors", model)
    again = load_model(tmp_path / "m.safetensors").model
    x = data.observations[:3]
    np.testing.assert_array_equal(many(again.log_density, x), many(model.log_density, x))


def test_prices_and_returns_are_each_other_s_inverse():
    x = np.random.default_rng(0).normal(size=(5, 7, 1))
    prices = np.asarray(prices_of(jnp.asarray(x), 3.0))
    assert prices.shape == (5, 8, 1)
    np.testing.assert_allclose(prices[:, 0], 3.0, rtol=1e-6)
    np.testing.assert_allclose(np.diff(np.log(prices), axis=1), x, atol=1e-5)


def test_latents_of_each_window_are_refused():
    with pytest.raises(FitError, match="windows of log-returns share all latents"):
        solve_equation(GBM.replace("1/sqrt(day)", "1/sqrt(day) per record"), windows(), starts=1)
