"""Smoothing splines against SciPy's, and the error of a grid against LSODA."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_smoothing_spline

from unweave.equations import parse
from unweave.equations.fitting._smooth import Smoother
from unweave.equations.solving._choose import HostSystem, grid_path, reference
from unweave.equations.solving._defect import grid_error


def noisy(n, *, even=True, sigma=0.3, seed=0):
    """Times and two noisy sines."""
    random = np.random.default_rng(seed)
    times = np.linspace(0, 20, n) if even else np.sort(random.uniform(0, 20, n))
    return times, np.sin(times)[:, None] + sigma * random.normal(size=(n, 2))


def criterion(times, values, roughness):
    """Generalised cross-validation by SciPy's splines and the whole influence matrix."""
    influence = np.stack(
        [make_smoothing_spline(times, one, lam=roughness)(times) for one in np.eye(len(times))],
        axis=1,
    )
    rest = values - influence @ values
    return len(times) * (rest @ rest) / np.trace(np.eye(len(times)) - influence) ** 2


@pytest.mark.parametrize(("n", "even"), [(21, True), (40, False), (90, True)])
def test_the_roughness_is_the_one_that_cross_validation_would_choose(n, even):
    times, values = noisy(n, even=even)
    smoother = Smoother(times)
    # the smoother's time is in mean intervals
    trials = smoother._trials * ((times[-1] - times[0]) / (n - 1)) ** 3
    table = [criterion(times, values[:, 0], trial) for trial in trials]
    spline = smoother(values)[0]
    lowest = trials[int(np.argmin(table))]
    near = [make_smoothing_spline(times, values[:, 0], lam=lowest * f)(times) for f in (0.6, 1.6)]
    apart = np.abs(near[0] - near[1]).max()
    middle = make_smoothing_spline(times, values[:, 0], lam=lowest)(times)
    assert np.abs(spline(times) - middle).max() <= apart


def test_the_traces_are_those_of_the_whole_matrix():
    times, _ = noisy(30, even=False)
    smoother = Smoother(times)
    scale = ((times[-1] - times[0]) / 29) ** 3
    for trial, freedom in zip(smoother._trials[::6], smoother._freedom[::6], strict=True):
        influence = np.stack(
            [make_smoothing_spline(times, one, lam=trial * scale)(times) for one in np.eye(30)],
            axis=1,
        )
        assert freedom == pytest.approx(np.trace(np.eye(30) - influence), rel=1e-6)


def test_what_has_no_noise_is_kept_and_a_line_stays_a_line():
    times = np.linspace(0, 20, 101)
    wave, line = Smoother(times)(np.stack([np.sin(times), 3 - 2 * times], axis=1))
    assert np.abs(wave(times) - np.sin(times)).max() < 1e-3
    assert np.abs(wave(times, nu=1) - np.cos(times))[5:-5].max() < 0.01
    assert np.abs(line(times) - (3 - 2 * times)).max() < 1e-9


def test_a_few_years_of_swings_are_not_smoothed_away():
    """Two readings a swing of noise as good as nothing: a spline must go through them."""
    times = np.arange(21.0)
    swings = np.exp(np.sin(2 * np.pi * times / 10))
    assert np.abs(Smoother(times)(swings[:, None])[0](times) - swings).max() < 0.1


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(1e-3, 1e3), min_size=5, max_size=40),
    st.floats(1e-6, 1e6),
    st.integers(0, 99),
)
def test_any_times_and_units_give_a_finite_spline(gaps, unit, seed):
    times = np.cumsum([0.0, *gaps])
    values = unit * np.random.default_rng(seed).normal(size=(len(times), 1))
    found = Smoother(times)(values)[0](times)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 3 * np.abs(values).max()


COMPETITION = """
x1' = r*x1*(1 - x1/60) - 0.02*x1*x2
x2' = 0.8*x2*(1 - x2/100) - 0.005*x1*x2
r in (0, 20)
x1(0) = 2
x2(0) = 5
"""
VAN_DER_POL = "x' = v\nv' = mu*(1 - x^2)*v - x\nmu in (0, 10)\nx(0) = 2\nv(0) = 0\n"


@pytest.mark.parametrize(
    ("text", "z", "samples", "substeps"),
    [(COMPETITION, 1.2, 26, 1), (COMPETITION, 5.0, 26, 2), (VAN_DER_POL, 1.0, 101, 1),
     (VAN_DER_POL, 5.0, 201, 4)],
)  # fmt: skip
def test_the_error_of_a_grid_is_what_lsoda_says(text, z, samples, substeps):
    host, z, times = HostSystem(parse(text)), np.array([z]), np.linspace(0, 25, samples)
    grid, exact = grid_path(host, z, times, substeps), reference(host, z, times)
    assert exact is not None
    error = grid_error(host, z, times, grid, substeps)
    size = np.abs(exact - grid).max(axis=0)
    assert np.all(size > 1e-9)
    assert np.all(np.abs(error - (exact - grid)).max(axis=0) < 0.2 * size + 1e-8)


def test_a_grid_that_explodes_has_no_error_that_is_small():
    host, times = HostSystem(parse(VAN_DER_POL)), np.linspace(0, 25, 26)
    z = np.array([8.0])
    exact = reference(host, z, times)
    assert exact is not None
    error = grid_error(host, z, times, exact, 1)
    assert not np.all(np.abs(error) < 0.1)
