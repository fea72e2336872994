"""Formula, hybrid and neural equation beside one another: the tables of HYBRIDS.md.

Each is fitted to the beginning of a record (or of several) and forecasts what follows, over
seeds, which draw the weights and, where the data are simulated, the noise. The error is the root
of the mean square over the held-out numbers, each channel in its standard deviations over the
training part. Run: python bench/hybrids.py [--data ../shared/data] [--seeds 5] [--only NAME]
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from unweave import Course
from unweave.data import Dataset, Signal, trajectories
from unweave.equations import Equation, centre_of, find_equation, fit_equation
from unweave.hybrid import fit_hybrid, fit_neural

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "hybrids.json"

RATES = """x' = a*x - eaten
y' = e*eaten - c*y
a, c in (0, 3)
e in (0, 2)
x(0), y(0) in (0.1, 10)
"""
# nitrogen is neither made nor lost in the vessel: what was supplied is free or in the species, and
# those who eat keep a share of what they eat
GRAZING = """time in day
input s(t) linear
d = 0.55
free = s - q*x - w*y
n = where(free > 0, free, 0)
e = a*q/w
x' = b*x*n/(k + n) - d*x - {eaten}
y' = e*{eaten} - d*y - m*y
b in (0.3, 10) 1/day
k in (1, 1000)
q in (1, 60)
w in (0.1, 10)
a in (0.02, 1)
m in (0.01, 2) 1/day
{more}x(0) in (0.05, 5)
y(0) in (1, 200)
noise log-normal
"""
PENDULUM = """time in s
s = sin(p - q)
c = b*cos(p - q)
one = -b*s*w^2 - g*sin(p)
two = b*s*v^2 - h*sin(q)
d = k - c^2
p' = v
q' = w
v' = (k*one - c*two)/d{first}
w' = (two - c*one)/d{second}
b in (0.05, 0.6)
k in (0.4, 2)
g in (20, 150)
h in (5, 80)
p(0), q(0) in (-3, 3)
v(0), w(0) in (-30, 30)
"""


class Case(NamedTuple):
    """Training data, the times and readings of all of each record, and the texts; `inputs`
    `(record, time, input)`, what drove all of each record and is known beforehand; `cycle`, after
    which the inputs repeat themselves."""

    train: Dataset
    times: np.ndarray
    truth: np.ndarray
    formula: str
    hybrid: str
    widths: tuple[int, ...] = (16,)
    inputs: np.ndarray | None = None
    cycle: float | None = None


def lotka_volterra(seed: int, data: pathlib.Path) -> Case:
    """Three quarters of a period with 3 % noise, the interaction unknown; three periods more."""

    def rates(t: float, s: np.ndarray) -> list[float]:
        return [s[0] - 0.5 * s[0] * s[1], 0.3 * s[0] * s[1] - 0.8 * s[1]]

    period = 7.3
    early = np.linspace(0, 0.75 * period, 21)
    late = early[-1] + np.linspace(0, 3 * period, 61)[1:]
    times = np.concatenate([early, late])
    exact = solve_ivp(rates, (0, times[-1]), [3, 1.5], t_eval=times, rtol=1e-9, atol=1e-9).y.T
    noise = np.random.default_rng(seed).normal(size=(len(early), 2))
    seen = exact[: len(early)] + 0.03 * exact.std(axis=0) * noise
    truth = np.concatenate([seen, exact[len(early) :]])
    train = trajectories([Signal("r", "r", seen, early, ("x", "y"), ("", ""))])
    return Case(
        train, times[None], truth[None], "eaten = 0\n" + RATES, "eaten = net(x)*y\n" + RATES
    )


def chemostat(seed: int, data: pathlib.Path) -> Case:
    """Algae and rotifers (Blasius et al. 2020, chemostat C9) in a vessel whose inflow brings
    nitrogen for four days and none for four: 63 days, then three weeks more, the inflow known."""
    path = data / "populations" / "blasius2020_rotifer_algae_C9.csv"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    table = table[table[:, 0] <= 84.1]
    count = int((table[:, 0] <= 63.1).sum())
    times, x, supplied = table[:, 0], table[:, 1:3], supply(table[:, 0], table[:, 6])
    seen = np.column_stack([x, supplied])[:count]
    names = ("x", "y", "s")
    train = trajectories([Signal("C9", "C9", seen, times[:count], names, ("", "", ""), "day")],
                         inputs=("s",))  # fmt: skip
    formula = GRAZING.format(eaten="f*x*y/(h + x)", more="f in (0.001, 10)\nh in (0.05, 50)\n")
    return Case(
        train, times[None], x[None], formula, GRAZING.format(eaten="net_g(x)*y", more=""),
        (8,), supplied[None, :, None], 8.0,
    )  # fmt: skip


def supply(times: np.ndarray, inflow: np.ndarray) -> np.ndarray:
    """All nitrogen in the vessel, $s' = 0.55\\,(\\text{inflow} - s)$ with the dilution of the
    experiment, from the mean of the inflow; each reading's inflow holds until the next."""
    s = [80.0]
    for width, u in zip(np.diff(times), inflow, strict=False):
        s.append(u + (s[-1] - u) * np.exp(-0.55 * width))
    return np.asarray(s)


def double_pendulum(seed: int, data: pathlib.Path) -> Case:
    """Three measured swings (Kaheman et al. 2022): 1.6 s, then one second more."""
    path = data / "pendulum" / "multiarm_double_segments_a_250Hz.csv.gz"
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    swings = [table[table[:, 0] == number][::10, 1:] for number in (19, 22, 24)]
    times = np.stack([s[:, 0] - s[0, 0] for s in swings])
    # measured from straight up; here from hanging down
    x = np.stack([s[:, 1:] - np.asarray([np.pi, np.pi, 0, 0]) for s in swings])
    count = 40
    names, units = ("p", "q", "v", "w"), ("rad", "rad", "rad/s", "rad/s")
    train = trajectories([
        Signal(f"swing {i}", f"swing {i}", one[:count], t[:count], names, units)
        for i, (one, t) in enumerate(zip(x, times, strict=True))
    ])  # fmt: skip
    return Case(
        train, times, x, PENDULUM.format(first="", second=""),
        PENDULUM.format(first=" + net(p, q, v, w)", second=" + net(p, q, v, w)"), (8,),
    )  # fmt: skip


CASES: dict[str, Callable[[int, pathlib.Path], Case]] = {
    "lotka-volterra": lotka_volterra,
    "chemostat": chemostat,
    "double-pendulum": double_pendulum,
}


def forecast_error(model: object, account: dict, case: Case) -> float:
    """How far the fitted courses, carried on, miss what was held out."""
    equation = find_equation(model)
    assert isinstance(equation, Equation)
    centre, names = np.array(centre_of(equation.latents)), equation.latents.names
    courses = []
    for i, (record, times) in enumerate(zip(case.train.records, case.times, strict=True)):
        z = centre.copy()
        inputs = None if case.inputs is None else jnp.asarray(case.inputs[i])
        for row in account["latents"]:
            if row["record"] in (None, str(record)):
                z[names.index(row["name"])] = row["estimate"]
        with jax.enable_x64(True):
            condition = Course(jnp.asarray(times), inputs)
            courses.append(np.asarray(equation.curve(jnp.asarray(z), condition)))
    return scaled(np.stack(courses), case)


def scaled(found: np.ndarray, case: Case) -> float:
    """The error in standard deviations of the training part."""
    count = case.train.observations.shape[1]
    spread = np.nanstd(case.truth[:, :count], axis=(0, 1))
    wrong = (found - case.truth)[:, count:] / spread
    return float(np.sqrt(np.nanmean(np.minimum(np.abs(wrong), 1e6) ** 2)))


def baselines(case: Case) -> dict[str, float]:
    """The last value carried on, the mean, and the last cycle over and over."""
    seen = case.truth[:, : case.train.observations.shape[1]]
    last = np.stack([[c[~np.isnan(c)][-1] for c in record.T] for record in seen])
    found = {
        "last value": scaled(np.broadcast_to(last[:, None], case.truth.shape), case),
        "mean": scaled(np.broadcast_to(np.nanmean(seen, axis=(0, 1)), case.truth.shape), case),
    }
    if case.cycle:
        count, guess = seen.shape[1], case.truth.copy()
        for one, t in zip(guess, case.times, strict=True):
            back = np.ceil((t - t[count - 1]) / case.cycle) * case.cycle
            for c in range(one.shape[1]):
                one[:, c] = np.interp(t - back, t[:count], one[:count, c])
        found["last cycle"] = scaled(guess, case)
    return found


def run(name: str, seed: int, data: pathlib.Path) -> dict[str, dict]:
    """Every model on one case and seed."""
    case = CASES[name](seed, data)
    found: dict[str, dict] = {word: {"error": e} for word, e in baselines(case).items()}
    fits = {
        "formula": lambda: fit_equation(case.formula, case.train, starts=16, seed=seed),
        "hybrid": lambda: fit_hybrid(case.hybrid, case.train, widths=case.widths, seed=seed),
        "neural-ode": lambda: fit_neural(case.train, seed=seed),
    }
    for word, make in fits.items():
        began = time.perf_counter()
        try:
            fit = make()
            found[word] = {"error": forecast_error(fit.model, fit.account, case)}
            found[word] |= {"estimates": fit.estimates} if word != "neural-ode" else {}
            if word == "hybrid":
                found[word] |= {"share": fit.account["hybrid"]["share"]}
            if word != "formula":
                found[word] |= {"forecasts": fit.account["hybrid"]["forecasts"]}
        except ValueError as error:
            found[word] = {"error": None, "failed": str(error)}
        found[word]["seconds"] = round(time.perf_counter() - began, 1)
        print(name, seed, word, found[word], flush=True)
    return found


def page(rows: dict[str, dict[str, dict]]) -> str:
    """The tables: median and range over seeds."""
    lines = [
        "# Formula, hybrid and neural equation",
        "",
        "Errors of a forecast in standard deviations of the training part, median and range over "
        "seeds (in brackets their number); written by `bench/hybrids.py`.",
        "",
    ]
    for name, seeds in rows.items():
        lines += [f"## {name}", "", " ".join((CASES[name].__doc__ or "").split()), ""]
        lines += ["| model | error | range | seeds | seconds |", "| --- | --- | --- | --- | --- |"]
        words = dict.fromkeys(word for found in seeds.values() for word in found)
        for word in words:
            given = [found[word] for found in seeds.values() if word in found]
            errors = np.asarray([g["error"] for g in given if g["error"] is not None])
            seconds = np.median([g.get("seconds", 0.0) for g in given])
            if not errors.size:
                lines.append(f"| {word} | failed | | {len(given)} | {seconds:.0f} |")
                continue
            lines.append(
                f"| {word} | {np.median(errors):.3g} | {errors.min():.3g} to {errors.max():.3g} | "
                f"{errors.size} | {seconds:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--only", choices=tuple(CASES))
    parser.add_argument("--out", default=str(OUT))
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    rows = json.loads(out.read_text()) if out.exists() else {}
    for name in [options.only] if options.only else CASES:
        for seed in range(options.first, options.seeds):
            rows.setdefault(name, {})[str(seed)] = run(name, seed, pathlib.Path(options.data))
            out.write_text(json.dumps(rows, indent=1) + "\n")
    out.with_name("HYBRIDS.md").write_text(page(rows))


if __name__ == "__main__":
    main()
