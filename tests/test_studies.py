"""The page of studies says what the script found: every table, and every number between them."""

import importlib
import json
import re

import numpy as np
import pytest
from scipy.stats import norm

import unweave as uw
from conftest import ROOT

DOCS = ROOT / "docs"
FOUND = json.loads((DOCS / "studies.json").read_text())
NOISES = ("gaussian", "log-normal", "student-t")
TITLES = {
    "gause": "Paramecium", "hares": "Hare and lynx", "yeast": "Yeast", "chemostat": "Chemostat",
    "pendulum": "Pendulum", "prices": "Bitcoin",
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    """The script, which imports what lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield importlib.import_module("studies")


@pytest.fixture(scope="module")
def scores(script):
    """The part of it that scores held-out readings."""
    return importlib.import_module("held_out")


def section(name):
    parts = re.split(r"^## ", (DOCS / "studies.md").read_text(), flags=re.M)
    return next(part for part in parts if part.startswith(TITLES[name]))


def span(row):
    return f"{row['estimate']:.4g} ({row['low']:.4g}–{row['high']:.4g})"


def between(ends, digits=2):
    return f"{ends[0]:.{digits}f}–{ends[1]:.{digits}f}"


def behind(scored, name):
    if name == scored["best"]:
        return f"{scored[name]['nats']:.3f}", "best"
    return (
        f"{scored[name]['nats']:.3f}",
        f"{scored[name]['behind']:.3f} ± {scored[name]['error']:.3f}",
    )


def gause_rows(found):
    by_noise = found["noise"]
    for latent in ("r1", "r2", "N1", "N2", "a1", "a2"):
        yield latent, *(span(by_noise[noise]["latents"][latent]) for noise in NOISES)
    for noise in NOISES:
        m = by_noise[noise]
        yield (
            noise, between(m["caudatum_held_off"]), between(m["aurelia_held_off"]),
            f"{100 * m['survival']['x2 excludes x1']:.1f} %", f"{100 * m['aurelia_wins']:.1f} %",
            f"{m['aic']:.1f}", *behind(found["held_out"], noise),
        )  # fmt: skip


def hares_rows(found):
    for noise in NOISES:
        m = found["noise"][noise]
        yield (
            noise, f"{m['period']:.2f} ({between(m['period_interval'])})",
            f"{m['small_swing_period']:.2f} ({between(m['small_swing_interval'])})",
            f"{m['r2']['hare']:.3f}", f"{m['r2']['lynx']:.3f}", *behind(found["held_out"], noise),
        )  # fmt: skip


def yeast_rows(found):
    for treatment, m in found["treatments"].items():
        fit = m["log-normal"]
        yield (
            treatment, str(m["records"]), str(fit["n"]), span(fit["latents"]["r"]),
            span(fit["latents"]["K"]), f"{fit['agree']} of {fit['starts']}",
        )  # fmt: skip


def chemostat_rows(found):
    for name, m in found["period"].items():
        yield name, f"{m['algae']:.2f}", f"{m['rotifers']:.2f}"
    for latent in ("D", "q", "e", "m", "rate", "graze", "h"):
        cells = (found[name]["latents"][latent] for name in ("sated", "linear"))
        yield latent, *(span(row) if row["status"] != "fixed" else "0, held" for row in cells)
    for name in ("sated", "linear"):
        m = found[name]
        yield (
            name, f"{m['aic']:.1f}", f"{m['agree']} of {m['starts']}",
            f"{m['lag1'][0]:.2f}", f"{m['lag1'][1]:.2f}",
        )  # fmt: skip


def coefficient(latent, row):
    if row["status"] == "at its lower bound":
        return f"{latent} at its lower bound"
    return f"{latent} = {span(row)}"


def pendulum_rows(found):
    for name, held in (("linear", "g"), ("quadratic", "k"), ("dry", "f"), ("dry and linear", "fg")):
        m = found[name]
        middle, low, high = m["frequency_hz"]
        yield (
            name, f"{middle:.4f} ({low:.4f}–{high:.4f})",
            "; ".join(coefficient(latent, m["latents"][latent]) for latent in held),
            f"{m['residual_mrad']:.2f}", f"{m['aic']:.1f}", f"{m['lag1'][0]:.3f}",
            f"{m['residual_hz']:.2f}",
        )  # fmt: skip


def prices_rows(found):
    for name, m in found["held_out"].items():
        gap = "" if name == "GBM" else f"{m['ahead_of_gbm']:+.4f} ± {m['error']:.4f}"
        yield name, f"{m['nats']:.4f}", gap


ROWS = {
    "gause": gause_rows, "hares": hares_rows, "yeast": yeast_rows, "chemostat": chemostat_rows,
    "pendulum": pendulum_rows, "prices": prices_rows,
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_tables_are_those_of_the_script(name):
    text = section(name)
    for row in ROWS[name](FOUND[name]):
        line = f"| {' | '.join(row)} |".replace("|  |", "| |")
        assert line in text, f"make it say: {line}"


def numbers(value):
    """Every number of a tree, those within its sentences too."""
    if isinstance(value, dict):
        parts = [*value.values(), *value.keys()]
    elif isinstance(value, list):
        parts = value
    elif isinstance(value, str):
        return [float(word) for word in re.findall(r"\d+(?:\.\d+)?", value)]
    else:
        return [] if value is None else [float(value)]
    return [number for part in parts for number in numbers(part)]


def said(text):
    """The numbers of the prose, without tables, links and what is set as code."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    # links, code, and the volume and page of a journal
    prose = re.sub(r"\]\([^)]*\)|```.*?```|`[^`]*`|\d+:\d+", "", prose, flags=re.S)
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)", prose)


@pytest.mark.parametrize("name", ROWS)
def test_numbers_of_the_prose_are_those_of_the_script(name, script):
    known = [*numbers(FOUND[name]), script.DRAWS]
    for word in said(section(name)):
        digits = len(word.partition(".")[2])
        year = not digits and 1900 <= int(word) <= 2030
        fits = any(f"{scale * abs(v):.{digits}f}" == word for v in known for scale in (1, 100))
        assert year or fits, f"no number of the study is {word}"


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", ["gause", "hares"])
def test_no_search_behind_the_page_ended_below_a_point_that_is_known(name, noise):
    assert FOUND[name]["held_out"][noise]["missed"] == 0


def test_every_figure_of_the_page_is_there():
    shown = re.findall(r"\]\((images/[^)]+)\)", (DOCS / "studies.md").read_text())
    assert shown
    assert all((DOCS / file).is_file() for file in shown)


@pytest.mark.parametrize("file", sorted((DOCS / "ode").glob("*.ode")), ids=lambda f: f.stem)
def test_equations_of_the_page_are_read(file):
    system = uw.parse(file.read_text())
    assert all(latent in system.text for latent in system.latents.names)


def test_the_period_of_a_small_orbit_is_the_closed_form(script):

    z = {"a": 0.5, "b": 0.025, "c": 0.8, "d": 0.02, "x(0)": 40.4, "y(0)": 20.0}
    near = script.period(z)
    assert near == pytest.approx(2 * np.pi / np.sqrt(0.5 * 0.8), rel=1e-3)
    assert near == pytest.approx(script.small_swings(z), rel=1e-3)
    # a wider orbit takes longer (Volterra)
    assert script.period(z | {"x(0)": 4.0}) > near


def test_the_spectrum_finds_the_period_at_uneven_times(script):
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0, 100, 150))
    values = 3 + np.sin(2 * np.pi * times / 8) + 0.3 * random.normal(size=times.size)
    assert script.spectral_period(times, values) == pytest.approx(8, rel=0.02)


def test_held_out_scores_are_compared_in_pairs(scores):
    first = np.random.default_rng(0).normal(size=200)
    told = scores.against_best(
        {"one": scores.HeldOut(first, 0), "two": scores.HeldOut(first - 0.5, 1)}
    )
    assert told["best"] == "one"
    assert told["two"]["behind"] == pytest.approx(0.5)
    assert told["two"]["error"] == pytest.approx(0, abs=1e-12)


def decay():
    times = np.arange(20.0)
    clean = 10 * np.exp(-0.2 * times)
    noisy = clean + 0.1 * np.random.default_rng(0).normal(size=20)
    one = uw.Signal("one", "one", noisy[:, None], times, ("x",), ("",), time_unit="day")
    text = "time in day\nx' = -k*x\nk in (0.01, 2) 1/day\nx(0) in (1, 50)"
    return text, uw.trajectories([one]), clean, noisy


@pytest.mark.slow
def test_held_out_readings_are_asked_of_a_fit_that_has_not_seen_them(scores):
    text, data, clean, noisy = decay()
    whole = uw.fit_equation(text, data, starts=2)
    each, missed = scores.held_out(text, data, whole, "gaussian")
    assert each.shape == (20,)
    assert missed == 0
    exact = norm.logpdf(noisy, clean, 0.1)
    assert abs(each.mean() - exact.mean()) < 0.4


def test_a_fit_that_missed_its_optimum_is_found_out(scores):
    text, data, _, noisy = decay()
    fit = uw.fit_equation(text, data, starts=2)
    best = scores.most_likely(fit, fit.best.z)
    assert best == pytest.approx(fit.account["log_likelihood"])
    assert scores.most_likely(fit, fit.best.z * 1.05) < best - 0.01
    # a normal's own likelihood at the closed curve, from which the grid is not far
    curve = 10 * np.exp(-0.2 * np.arange(20.0))
    exact = norm.logpdf(noisy, curve, np.sqrt(np.mean((noisy - curve) ** 2))).sum()
    assert scores.most_likely(fit, np.array([[0.2, 10.0]])) == pytest.approx(exact, abs=0.01)
