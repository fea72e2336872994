"""A course on the host: whole, ended, failed or driven; and the verbs `zoo` and `simulate`."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from unweave._course import Course
from unweave._noise import Gaussian
from unweave.equations._zoo import ZOO, zoo_text
from unweave.equations.language._text import parse
from unweave.equations.solving._equation import Equation
from unweave.equations.solving._solution import course_schema, solution
from unweave.equations.solving._solve import Adaptive

pytestmark = pytest.mark.usefixtures("own_folder")

EXPLODES = "time in s\nx' = k*x^2\nk in (0.5, 1) 1/s\nx(0) = 1 m\n"
BALL = "time in s\nx'' = -g\ng in (9, 10)\nx(0) = 1\nx'(0) = 0\n"
DRIVEN = "T' = -k*(T - u)\nk in (0.5, 2)\nT(0) = 1\ninput u(t) linear\n"


def solved(text, times, z=(), condition=None):
    system = parse(text)
    noise = Gaussian.fixed((1.0,) * len(system.observables))
    grid = tuple(np.asarray(times, dtype=float).tolist())
    model = Equation(
        system=system, latents=system.latents, noise=noise, times=grid, method=Adaptive()
    )
    return solution(model, np.asarray(z, dtype=float), condition)


def test_a_course_is_that_of_scipy():
    found = solved(
        zoo_text("lotka-volterra"), np.linspace(0, 20, 41), [0.5, 0.02, 0.8, 0.03, 30, 5]
    )

    def rates(_, x):
        return [0.5 * x[0] - 0.02 * x[0] * x[1], 0.03 * x[0] * x[1] - 0.8 * x[1]]

    peer = solve_ivp(rates, (0, 20), [30, 5], method="DOP853", t_eval=found.times, rtol=1e-11,
                     atol=1e-11)  # fmt: skip
    assert found.ok
    assert found.sentence == "Solved from 0 to 20 year."
    np.testing.assert_allclose(found.states, peer.y.T, rtol=1e-6)
    np.testing.assert_array_equal(found.readings, found.states)


def test_a_course_that_explodes_says_when_where_and_why():
    found = solved(EXPLODES, np.linspace(0, 5, 51), [0.8])
    assert not found.ok
    for part in ("stopped at 1.25 s", "where x = ", " m, with k = 0.8 1/s", "End earlier"):
        assert part in found.sentence
    before = found.times < 1.25
    np.testing.assert_allclose(
        found.states[before, 0], 1 / (1 - 0.8 * found.times[before]), rtol=1e-6
    )
    assert np.isnan(found.states[~before]).all()
    assert np.isnan(found.readings[~before]).all()


def test_a_start_without_rates_is_said():
    found = solved("x' = log(x - k)\nk in (0, 1)\nx(0) = 0\n", [0, 1], [0.5])
    assert not found.ok
    assert "stopped at 0, where x = 0, with k = 0.5: the rates are not finite" in found.sentence


def test_a_root_is_met_and_not_crossed():
    # x = 1/2 + (2 - t)^2 / 8 ends on its equilibrium, beyond which there is no rate
    found = solved("x' = -sqrt((x - k)/2)\nk in (0, 1)\nx(0) = 1\n", np.linspace(0, 5, 51), [0.5])
    assert found.ok
    np.testing.assert_allclose(
        found.states[:, 0], 0.5 + np.maximum(2 - found.times, 0) ** 2 / 8, atol=1e-6
    )


def test_an_event_ends_the_course():
    found = solved(BALL + "when x < 0: stop\n", np.linspace(0, 1, 101), [9.8])
    end = np.sqrt(2 / 9.8)
    assert found.ok
    assert found.sentence == f"It ended at {end:.6g} s: when x < 0: stop."
    np.testing.assert_array_equal(np.isnan(found.states[:, 0]), found.times > end)


def test_an_event_resets_the_state():
    found = solved(BALL + "when x < 0: x' = -0.8*x', x = 0\n", [0.0, 1.0, 1.1], [9.8])
    fall = np.sqrt(2 / 9.8)
    speed, since = 0.8 * 9.8 * fall, 1.0 - fall
    assert found.ok
    assert "1 event(s) on the way" in found.sentence
    np.testing.assert_allclose(found.states[1, 0], speed * since - 4.9 * since**2, rtol=1e-6)


def test_events_that_crowd_together_are_a_failure():
    found = solved(BALL + "when x < 0: x' = -0.5*x', x = 0\n", np.linspace(0, 3, 31), [9.8])
    assert not found.ok
    assert "happens again and again" in found.sentence
    # the rebounds end after a geometric series of them
    end = np.sqrt(2 / 9.8) * (1 + 2 * 0.5 / (1 - 0.5))
    assert np.isfinite(found.states[found.times < end - 0.01]).all()
    assert np.isnan(found.states[found.times > end]).all()


def test_inputs_drive_a_course():
    times = np.linspace(0, 3, 4)
    found = solved(DRIVEN, times, [1.0], Course(times, 1 + times[:, None]))
    np.testing.assert_allclose(found.readings[:, 0], times + np.exp(-times), rtol=1e-6)


def test_latents_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"1 latents \(k\)"):
        solved(EXPLODES, [0, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite number"):
        solved(EXPLODES, [0, 1], [np.nan])


def test_a_schema_has_uneven_times_where_they_are():
    system = parse(EXPLODES)
    assert course_schema(system, [0.0, 0.5, 1.0]).instants == ()
    schema = course_schema(system, [0.0, 0.5, 2.0])
    assert schema.times == (0.0, 0.5, 2.0)
    assert (schema.channels, schema.units, schema.time_unit) == (("x",), ("m",), "s")


def test_zoo_lists_and_prints(unweave, refused):
    text = unweave("zoo")
    for name, entry in ZOO.items():
        assert f"{name}: {entry.title}" in text
        assert entry.reference in text
    assert "r (1/day), K (individuals), x(0) (individuals)" in text
    listed = json.loads(unweave("zoo", "--json"))["zoo"]
    assert [entry["name"] for entry in listed] == list(ZOO)
    assert listed[0]["latents"][0] == {"name": "r", "unit": "1/day"}
    assert unweave("zoo", "ecg") == zoo_text("ecg")
    assert json.loads(unweave("zoo", "ecg", "--json"))["text"] == zoo_text("ecg")
    assert "Did you mean 'ecg'?" in refused("zoo", "ekg")


def test_simulate_writes_a_course(unweave, refused):
    words = ("simulate", "zoo:logistic", "--until", 8, "--samples", 17, "--set", "r=0.5", "K=80",
             "x(0)=4", "-o", "out.csv")  # fmt: skip
    text = unweave(*words)
    assert "r = 0.5 1/day, K = 80 individuals" in text
    assert "Solved from 0 to 8 day." in text
    table = pd.read_csv("out.csv")
    t = table["time"].to_numpy()
    np.testing.assert_allclose(t, np.linspace(0, 8, 17))
    np.testing.assert_allclose(table["x"], 80 / (1 + 19 * np.exp(-0.5 * t)), rtol=1e-6)
    assert "exists" in refused(*words)
    unweave(*words, "--force")


def test_simulate_is_at_the_medians_where_nothing_is_set(unweave):
    found = json.loads(unweave("simulate", "zoo:competition", "--json"))
    assert found["ok"]
    assert found["latents"][0]["r1"] == pytest.approx(0.8)
    assert found["latent_units"]["a1"] == "1/(day volume)"
    assert np.shape(found["readings"]) == (1, 97, 2)
    assert (found["channels"], found["units"]) == (["x1", "x2"], ["volume", "volume"])


def test_simulate_draws_latents_and_noise_by_the_seed(unweave):
    def run(*more):
        return json.loads(unweave("simulate", "zoo:ecg", "-n", 2, "--json", *more))

    clean, noisy, again = run(), run("--noise"), run("--noise")
    assert clean["latents"] == noisy["latents"]
    assert noisy == again
    assert run("--seed", 1)["latents"] != clean["latents"]
    left = np.subtract(noisy["readings"], clean["readings"])
    assert left.std() == pytest.approx(0.015, rel=0.15)
    held = run("--set", "heart_rate=60")["latents"]
    assert [z["heart_rate"] for z in held] == [60, 60]


def test_simulate_says_a_failure_as_a_value(unweave, tmp_path):
    (tmp_path / "b.ode").write_text(EXPLODES)
    found = json.loads(unweave("simulate", "b.ode", "--set", "k=1", "--json"))
    assert not found["ok"]
    assert found["failures"][0]["sentence"].startswith("The course stopped at 1 s")
    assert found["readings"][0][-1] == [None]
    assert "The course stopped at" in unweave("simulate", "b.ode")
    assert "0 of 3 courses are whole" in unweave("simulate", "b.ode", "-n", 3)


def test_simulate_draws_paths_of_a_stochastic_equation(unweave, refused):
    found = json.loads(unweave("simulate", "zoo:gbm", "-n", 400, "--samples", 3, "--set", "mu=0.1",
                               "sigma=0.2", "x(0)=100", "--json"))  # fmt: skip
    last = np.log(np.asarray(found["readings"])[:, -1, 0] / 100)
    # the mean of log x(1) is mu - sigma^2/2, three standard errors of 400 paths are 0.03
    assert last.mean() == pytest.approx(0.08, abs=0.03)
    assert last.std() == pytest.approx(0.2, rel=0.12)
    assert "leave --noise away" in refused("simulate", "zoo:gbm", "--noise")


def test_simulate_takes_inputs_from_a_file(unweave, refused, tmp_path):
    (tmp_path / "d.ode").write_text(DRIVEN)
    assert "driven by u; name a table" in refused("simulate", "d.ode")
    pd.DataFrame({"hour": np.arange(5.0), "u": 1 + np.arange(5.0)}).to_csv("u.csv", index=False)
    found = json.loads(unweave("simulate", "d.ode", "--inputs", "u.csv", "--time", "hour",
                               "--until", 3, "--set", "k=1", "--json"))  # fmt: skip
    t = np.asarray(found["times"])
    np.testing.assert_array_equal(t, np.arange(4.0))
    np.testing.assert_allclose(np.asarray(found["readings"])[0, :, 0], t + np.exp(-t), rtol=1e-6)
    assert "has no input" in refused("simulate", "zoo:sir", "--inputs", "u.csv")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--set", "K2=1"), "no latent is called 'K2'. Did you mean 'K'? There are r, K, x(0)."),
        (("--set", "K"), "'K' sets nothing"),
        (("--set", "K=much"), "'much' is no value of K"),
        (("--until", "-1"), "cannot end at -1"),
        (("--samples", "1"), "1 samples make no course"),
        (("-n", "0"), "0 courses"),
    ],
)
def test_simulate_refuses_in_a_sentence(refused, words, why):
    assert why in refused("simulate", "zoo:logistic", *words)


def test_an_equation_is_named_or_given_as_its_text(unweave, tmp_path):
    (tmp_path / "explodes.txt").write_text(EXPLODES)
    words = ("--until", 1, "--set", "k=0.8", "--json")
    named = json.loads(unweave("simulate", "explodes.txt", *words))
    given = json.loads(unweave("simulate", EXPLODES, *words))
    assert given["source"] == EXPLODES
    assert named["readings"] == given["readings"]
    spring = "x' = v\nv' = -x\nx(0) = 1\nv(0) = 0"
    assert json.loads(unweave("analyse", spring, "--json"))["figures"] == ["equation-phase.svg"]


def test_simulate_refuses_what_is_no_equation(refused, tmp_path):
    for name in ("no.ode", "no.txt"):
        assert f"{name}: the file cannot be read" in refused("simulate", name)
    (tmp_path / "bad.ode").write_text("x' = q*x\nx(0) = 1\n")
    assert "bad.ode, line 1" in refused("simulate", "bad.ode")
