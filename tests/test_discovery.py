"""Equations found from data: what is found, how sure, and what is refused."""

import json

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit

from unweave.cli import main
from unweave.data import Signal, hare_lynx, trajectories
from unweave.equations import (
    FitError,
    discover,
    discover_rates,
    equation,
    fit_equation,
    parse,
    solution,
)
from unweave.equations.discovery._candidate import Candidate
from unweave.equations.discovery._forms import bumps, rows
from unweave.equations.discovery._library import Term, polynomial
from unweave.equations.discovery._records import prepared
from unweave.equations.discovery._shooting import Shooter, windows
from unweave.equations.discovery._sparse import best_subsets, normal, thresholded
from unweave.equations.discovery._write import deviations, state_names

CHANNELS = ("prey", "predator", "third")


def predators(_, x):
    return [1.1 * x[0] - 0.4 * x[0] * x[1], 0.1 * x[0] * x[1] - 0.4 * x[1]]


def lorenz(_, x):
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


def course(field, start, times):
    return solve_ivp(
        field, (times[0], times[-1]), start, method="DOP853", t_eval=times, rtol=1e-10, atol=1e-12
    ).y.T


def dataset_of(times, *courses):
    d = courses[0].shape[1]
    return trajectories([
        Signal(f"r{i}", f"r{i}", y, t, CHANNELS[:d], ("",) * d, time_unit="")
        for i, (t, y) in enumerate(zip(times, courses, strict=True))
    ])  # fmt: skip


def support(found):
    return {(term.channel, term.term) for term in found.terms}


@pytest.fixture(scope="module")
def found_predators():
    random = np.random.default_rng(1)
    times = np.sort(random.uniform(0, 20, 250))
    y = course(predators, [10.0, 5.0], times) + random.normal(0, [0.25, 0.12], (250, 2))
    y[random.random(y.shape) < 0.1] = np.nan
    data = dataset_of([times], y)
    return data, discover(data)


def test_lotka_volterra_is_found_from_uneven_times_with_gaps(found_predators):
    _, found = found_predators
    assert support(found) == {
        ("prey", "prey"), ("prey", "prey*predator"),
        ("predator", "predator"), ("predator", "prey*predator"),
    }  # fmt: skip
    truth = {"prey": {"prey": 1.1, "prey*predator": -0.4},
             "predator": {"prey*predator": 0.1, "predator": -0.4}}  # fmt: skip
    for term in found.terms:
        true = truth[term.channel][term.term]
        assert term.low < term.coefficient < term.high
        # twice a 90 % interval: 3.3 standard errors
        assert abs(term.coefficient - true) < term.high - term.low
        assert term.inclusion > 0.5
    assert min(found.r2.values()) > 0.98


def test_the_text_is_read_and_solved_as_the_discovery_says(found_predators):
    data, found = found_predators
    system = parse(found.text)
    assert [v.name for v in system.states] == ["prey", "predator"]
    times = np.asarray(data.schema.times)
    model = equation(found.text, times=times)
    z = np.array([0.5 * (p.parameters[0] + p.parameters[1]) for p in model.latents.priors])
    estimates = {term.name: term.coefficient for term in found.terms}
    for name, value in estimates.items():
        assert z[model.latents.index(name)] == pytest.approx(value, rel=1e-5)
    solved = solution(model, z)
    assert solved.ok
    np.testing.assert_allclose(solved.states, found.courses[0], rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_the_text_can_be_fitted_again(found_predators):
    data, found = found_predators
    fit = fit_equation(found.text, data, starts=4)
    for term in found.terms:
        width = term.high - term.low
        assert abs(fit.estimates[term.name] - term.coefficient) < 0.5 * width


@pytest.mark.slow
def test_lorenz_at_ten_per_cent_noise_where_thresholding_fails():
    random = np.random.default_rng(0)
    times = np.linspace(0, 6, 300)
    clean = course(lorenz, [2.3, 8.1, 12.4], times)
    y = clean * (1 + 0.1 * random.standard_normal(clean.shape))
    found = discover(dataset_of([times], y), degree=2, bags=0)
    a, b, c = CHANNELS
    truth = {
        (a, a), (a, b), (b, a), (b, b), (b, f"{a}*{c}"), (c, f"{a}*{b}"), (c, c),
    }  # fmt: skip
    assert support(found) == truth
    records, _ = prepared([times], [y])
    terms = polynomial(3, 2)
    exact = [{text for channel, text in truth if channel == name} for name in CHANNELS]
    plain = [
        [
            {terms[j].write(CHANNELS) for j in s}
            for s in thresholded(normal(rows("strong", records, terms, i)))
        ]
        for i in range(3)
    ]
    assert not all(exact[i] in plain[i] for i in range(3))


@pytest.mark.parametrize("uneven", [False, True])
def test_weak_form_is_an_integration_by_parts(uneven):
    random = np.random.default_rng(0)
    inner = random.uniform(0, 4, 2000) if uneven else np.linspace(0, 4, 400)[1:-1]
    times = np.sort(np.concatenate([[0, 4], inner]))
    phi, slope = bumps(times)
    # what the trapezoidal rule leaves, whose error goes with the largest gap
    error = 1e-2 if uneven else 2e-5
    for x, rate in ((np.exp(-times), -np.exp(-times)), (np.sin(2 * times), 2 * np.cos(2 * times))):
        np.testing.assert_allclose(-slope @ x, phi @ rate, atol=error * np.abs(phi @ rate).max())
    # the integral of (1 - u^2)^4 over its support is 128/315 of its width, 256/315 of its half
    assert phi.sum(axis=1).max() == pytest.approx(0.4 * 256 / 315, rel=1e-3)


def test_integral_form_gives_exact_coefficients_of_an_exact_course():
    times = np.linspace(0, 5, 400)
    y = np.exp(-0.7 * times)[:, None] * 3
    records, _ = prepared([times], [y])
    problem = normal(rows("integral", records, polynomial(1, 3), 0))
    best = min((s for s in best_subsets(problem, most=1, keep=1)), key=len)
    assert best == (1,)
    assert problem.coefficients(best)[0] == pytest.approx(-0.7, rel=1e-5)


def test_multiple_shooting_is_the_maximum_likelihood_of_the_whole_course():
    random = np.random.default_rng(3)
    times = np.linspace(0, 5, 120)

    def closed(t, start, limit, rate):
        return limit + (start - limit) * np.exp(-rate * t)

    y = closed(times, 5.0, 1.0, 0.8) + random.normal(0, 0.1, times.size)
    best, covariance = curve_fit(closed, times, y, [4.0, 1.0, 1.0])
    records, noise = prepared([times], [y[:, None]])
    cut = windows(records, noise, many=10)
    shooter = Shooter(cut, records[0].x.std(axis=0))
    candidate = Candidate(((Term((0,)), Term((1,))),))
    shot = shooter.fit(candidate, np.array([0.5, -0.5]), weights=(1.0, 30.0, 1000.0), steps=20)
    assert shot is not None
    limit, rate = -shot.theta[0] / shot.theta[1], -shot.theta[1]
    assert limit == pytest.approx(best[1], abs=0.05 * covariance[1, 1] ** 0.5)
    assert rate == pytest.approx(best[2], abs=0.05 * covariance[2, 2] ** 0.5)
    assert deviations(shot)[1] == pytest.approx(covariance[2, 2] ** 0.5, rel=0.05)


def test_noise_that_grows_with_the_signal_is_told_from_noise_that_does_not():
    random = np.random.default_rng(0)
    times = np.linspace(0, 4, 300)
    clean = np.stack([np.exp(times), np.exp(times)], axis=1)
    y = clean + random.standard_normal(clean.shape) * np.stack(
        [0.1 * clean[:, 0], 0 * times + 1], 1
    )
    _, noise = prepared([times], [y])
    assert noise.grows.tolist() == [True, False]
    assert noise.sigma == pytest.approx([0.1, 1.0], rel=0.15)


def test_two_records_of_different_lengths_share_one_equation():
    random = np.random.default_rng(5)
    times = [np.linspace(0, 8, 90), np.sort(random.uniform(0, 5, 60))]
    fields = [course(lambda _, x: [0.9 * x[0] * (1 - x[0] / 12)], [s], t)
              for s, t in zip((0.5, 20.0), times, strict=True)]  # fmt: skip
    data = dataset_of(times, *(f + random.normal(0, 0.15, f.shape) for f in fields))
    found = discover(data, bags=0)
    assert support(found) == {("prey", "prey"), ("prey", "prey**2")}
    assert len(found.courses) == 2
    assert found.terms[0].coefficient == pytest.approx(0.9, rel=0.05)


@pytest.mark.slow
def test_hare_and_lynx_follow_lotka_and_volterra():
    found = discover(trajectories([hare_lynx()]), bags=0)
    both = "hare*lynx"
    assert support(found) == {("hare", "hare"), ("hare", both), ("lynx", "lynx"), ("lynx", both)}
    assert min(found.r2.values()) > 0.93


def test_rates_are_named():
    random = np.random.default_rng(0)
    x = random.uniform(0.2, 3.0, (300, 2))
    rates = np.stack(
        [1.5 * x[:, 0] * x[:, 1] - 2, 2.0 * x[:, 0] * x[:, 1] / (0.8 + x[:, 1])], axis=1
    )
    found = discover_rates(("u", "v"), x, rates + random.normal(0, 0.01, rates.shape))
    assert {t.term for t in found.terms if t.channel == "u"} == {"1", "u*v"}
    second = [t for t in found.terms if t.channel == "v"]
    assert [t.term.split("/")[0] for t in second] == ["u*v"]
    assert second[0].coefficient == pytest.approx(2.0, rel=0.02)
    assert (found.r2 > 0.999).all()
    parse(f"u' = {found.formulas[0]}\nv' = {found.formulas[1]}\nu(0) = 1\nv(0) = 1")


def test_names_that_the_language_takes():
    names = state_names(("x", "t", "lynx (1000)", "sin", "c1", "1st", "x"))
    assert names == ("x", "t_state", "lynx_1000", "sin_state", "c1_state", "x1st", "x_")
    for name in names:
        parse(f"{name}' = -{name}\n{name}(0) = 1")


def test_what_cannot_be_discovered_is_said():
    times = np.linspace(0, 5, 60)
    with pytest.raises(FitError, match=r"prey was read 10 times .* 20 readings"):
        discover(dataset_of([times[:10]], np.exp(times[:10])[:, None]))
    flat = np.stack([np.exp(-times), 0 * times + 2], axis=1)
    with pytest.raises(FitError, match="predator is 2 throughout"):
        discover(dataset_of([times], flat))
    with pytest.raises(FitError, match="degree 9"):
        discover(dataset_of([times], np.exp(times)[:, None]), degree=9)
    signal = Signal("a", "a", flat, times, ("y", "u"), ("", ""))
    with pytest.raises(FitError, match="no inputs yet"):
        discover(trajectories([signal], inputs=["u"]))
    with pytest.raises(FitError, match="10 states of 1 and 10 rates"):
        discover_rates(("x",), times[:10, None], times[:10, None])
    with pytest.raises(FitError, match="not finite"):
        discover_rates(("x",), times[:, None], times[:, None] * np.nan)


def test_command_line(tmp_path, capsys):
    times = np.linspace(0, 6, 80)
    y = 4 * np.exp(-0.5 * times) + np.random.default_rng(0).normal(0, 0.02, 80)
    table = tmp_path / "decay.csv"
    np.savetxt(table, np.stack([times, y], 1), delimiter=",", header="time,mass", comments="")
    out = tmp_path / "found.ode"
    command = ["discover", str(table), "--time", "time", "--columns", "mass", "--bags", "5"]
    assert main([*command, "-o", str(out)]) == 0
    assert "mass' = -0." in capsys.readouterr().out
    parse(out.read_text())
    assert main([*command, "-o", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*command, "-o", str(tmp_path / "found.txt")]) == 2
    assert "found.ode" in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["terms"][0]["term"] == "mass"
    assert told["terms"][0]["coefficient"] == pytest.approx(-0.5, abs=0.01)
    assert told["r2"]["mass"] > 0.99


def test_errors_of_a_network_are_not_named():
    random = np.random.default_rng(0)
    x = random.uniform(0.3, 4, (81, 2))
    # what a network makes of -0.5 x y: smooth errors of two percent of its spread
    rate = -0.5 * x[:, 0] * x[:, 1] + 0.03 * np.sin(2 * x[:, 0]) * np.cos(3 * x[:, 1])
    found = discover_rates(("x", "y"), x, rate[:, None], error=0.05)
    assert [term.term for term in found.terms] == ["x*y"]
    np.testing.assert_allclose(found.terms[0].coefficient, -0.5, rtol=0.02)
