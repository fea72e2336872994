"""Equations fitted to real recordings: the figures and numbers of the page of studies.

    python docs/studies.py [STUDY ...]

reads `../shared/data` beside the repository, makes the studies that are named (without a name, all:
gause, hares, yeast, chemostat, pendulum, prices), and writes `docs/studies.json` and
`docs/images/study_*.png`. All of them take some ten minutes on two cores.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from held_out import against_best, held_out
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp
from scipy.signal import lombscargle

import unweave as uw

DOCS = Path(__file__).resolve().parent
DATA = DOCS.parents[1] / "shared" / "data"
RESULTS = DOCS / "studies.json"
NOISES = ("gaussian", "log-normal", "student-t")
DRAWS = 1000
# which of the latents are held at nothing
GRAZING = {"sated": (), "linear": ("h",)}
FRICTIONS = {"linear": "kf", "quadratic": "gf", "dry": "gk", "dry and linear": "k"}


def gause() -> dict[str, Any]:
    """Two Paramecium species alone and mixed, one fit for each kind of noise."""
    signals = read("gause1934_paramecium_competition", "day", by=("treatment",))
    data = uw.trajectories(signals)
    species, fixed = ("P. caudatum", "P. aurelia"), {"x1(0)@Pa": 0.0}
    result, scores = {}, {}
    for noise in NOISES:
        fit = uw.fit_equation(ode("paramecium"), data, starts=32, noise=noise, fixed=fixed)
        mixed = data.records.tolist().index("Mixture")
        result[noise] = summary(fit) | who_survives(fit, fit.best.z[mixed])
        scores[noise] = held_out(ode("paramecium"), data, fit, noise)
        if noise != "student-t":
            save(
                portrait(fit.best.z[mixed], data.observations[mixed], species),
                f"gause_portrait_{noise}",
            )
        if noise == "gaussian":
            draw(fit, data, "gause", channels=species)
    return {"noise": result, "held_out": against_best(scores)}


def competition(z: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """The field of the two species."""
    system = uw.parse(ode("paramecium"))
    return lambda x: system.rates(jnp.zeros(()), x, z, jnp.zeros(0))


def portrait(z: np.ndarray, x: np.ndarray, names: Sequence[str]) -> Figure:
    """The phase portrait at `z`, and the readings `x` at which both species were counted."""
    drawn = uw.phase_portrait(competition(jnp.asarray(z)), [0, 0], [250, 250])
    figure = uw.plots.phase_portrait(drawn, names=names, units=("volume", "volume"))
    seen = np.isfinite(x).all(axis=-1)
    figure.axes[0].plot(*x[seen].T, "o", color=uw.plots.INK, markersize=3)
    return figure


def who_survives(fit: uw.EquationFit, z: np.ndarray) -> dict[str, Any]:
    """Over draws of the latents: which outcomes are possible, and which one the mixture's own
    start `z` leads to, asked after a thousand days."""
    zs, place = draws(fit), fit.model.latents.index
    survival = uw.survivors(competition, zs, ["x1", "x2"], [0, 0], [400, 400])
    mixed, starts = zs.copy(), [place("x1(0)"), place("x2(0)")]
    mixed[:, starts] = z[starts]
    with jax.enable_x64(True):
        equation = replace(fit.best.equation, method=uw.Grid(2))
        ends = jax.vmap(lambda z: equation.states(z, jnp.linspace(0.0, 1000.0, 1001))[-1])
        x = np.asarray(ends(jnp.asarray(mixed)))
    r1, r2, n1, n2, a1, a2 = (zs[:, place(name)] for name in ("r1", "r2", "N1", "N2", "a1", "a2"))
    return {
        "survival": survival.probabilities,
        "survival_error": survival.errors,
        "aurelia_wins": float((x[:, 0] < 1.0).mean()),
        "caudatum_wins": float((x[:, 1] < 1.0).mean()),
        # below 1 a species can come back into the other's full population
        "caudatum_held_off": interval(a1 * n2 / r1),
        "aurelia_held_off": interval(a2 * n1 / r2),
    }


def hares() -> dict[str, Any]:
    """Hare and lynx pelts: the period of the nonlinear orbit, by simulation."""
    data = uw.trajectories([uw.hare_lynx()])
    result, scores = {}, {}
    for noise in NOISES:
        fit = uw.fit_equation(ode("hares"), data, starts=32, noise=noise)
        names = fit.model.latents.names
        orbits = [dict(zip(names, z, strict=True)) for z in (fit.best.z[0], *draws(fit))]
        periods, small = [period(z) for z in orbits], [small_swings(z) for z in orbits]
        result[noise] = summary(fit) | {
            "period": periods[0],
            "period_interval": interval(periods[1:]),
            "small_swing_period": small[0],
            "small_swing_interval": interval(small[1:]),
            "r2": {name: r2(fit, c) for c, name in enumerate(("hare", "lynx"))},
        }
        scores[noise] = held_out(ode("hares"), data, fit, noise)
        if noise == "gaussian":
            draw(fit, data, "hares", channels=("hare", "lynx"))
    return {"noise": result, "held_out": against_best(scores)}


def small_swings(z: Mapping[str, float]) -> float:
    r"""$2 \pi / \sqrt{a c}$, the period close to the equilibrium, in years."""
    return float(2 * np.pi / np.sqrt(z["a"] * z["c"]))


def period(z: Mapping[str, float]) -> float:
    """How long the orbit of predator and prey from its own start takes to come round, in years."""
    a, b, c, d = (z[name] for name in "abcd")

    def rates(_: float, logs: np.ndarray) -> list[float]:
        return [a - b * np.exp(logs[1]), d * np.exp(logs[0]) - c]

    def crossing(_: float, logs: np.ndarray) -> float:
        return float(logs[0] - np.log(c / d))

    # in logarithms the orbit is smooth however close to nothing a species comes
    start = np.log([z["x(0)"], z["y(0)"]])
    solved = solve_ivp(
        rates, (0, 60), start, events=crossing, method="LSODA", rtol=1e-8, atol=1e-8
    )  # fmt: skip
    # every other crossing of the equilibrium's prey goes the same way
    return float(solved.t_events[0][2] - solved.t_events[0][0])


def yeast() -> dict[str, Any]:
    """Saccharomyces alone: the experiments of one treatment share their rate and capacity."""
    signals = read(
        "gause1932_yeast_competition", "time_h",
        by=("experiment", "treatment"), channel="species", columns=["volume"],
    )  # fmt: skip
    # the longest first: a fit chooses its solver at the times of the first record, and where a
    # shorter one is padded these do not rise
    signals = sorted(signals, key=lambda signal: -len(signal.times))
    treatment_of = {signal.record: signal.record.split()[1] for signal in signals}
    result: dict[str, Any] = {"species": list(signals[0].channels), "records": len(signals)}
    result["treatments"] = {}
    for treatment in sorted(set(treatment_of.values()), key=float):
        data = uw.trajectories([s for s in signals if treatment_of[s.record] == treatment])
        result["treatments"][treatment] = {"records": len(data)}
        for noise in NOISES:
            fit = uw.fit_equation(ode("yeast"), data, starts=8, noise=noise)
            result["treatments"][treatment][noise] = summary(fit)
            if treatment == "28" and noise == "log-normal":
                draw(fit, data, "yeast_28", channels=("S. cerevisiae",))
    fitted = result["treatments"].values()
    result["aic"] = {noise: sum(fits[noise]["aic"] for fits in fitted) for noise in NOISES}
    return result


def chemostat() -> dict[str, Any]:
    """Rotifers and algae on a pulsed medium, the first sixty days."""
    wanted = ["algae", "rotifers", "medium_N"]
    cultures = {
        name: read(f"blasius2020_rotifer_algae_{name}", "day", columns=wanted)[0]
        for name in ("C9", "C5", "C6")
    }
    whole = cultures["C9"]
    fed = whole.times[1:][np.diff(whole.values[:, 2]) > 0]
    result: dict[str, Any] = {
        "feeding_period": float(np.diff(fed).mean()),
        "fitted_days": 60,
        # the other two were fed without a pause
        "period": {name: cycles(signal) for name, signal in cultures.items()},
    }
    rows = whole.times < 60
    part = replace(whole, times=whole.times[rows], values=whole.values[rows])
    data = uw.trajectories([part], inputs=("medium_N",))
    for name, held in GRAZING.items():
        fit = uw.fit_equation(ode("chemostat"), data, starts=48, fixed=dict.fromkeys(held, 0.0))
        result[name] = summary(fit)
        if name == "sated":
            draw(fit, data, "chemostat")
            leftover(fit, "chemostat_residuals")
    return result


def cycles(signal: uw.Signal) -> dict[str, float]:
    """The period of the logarithm of algae and of rotifers, in days."""
    found = {}
    for channel, name in enumerate(("algae", "rotifers")):
        seen = signal.values[:, channel] > 0
        found[name] = spectral_period(signal.times[seen], np.log(signal.values[seen, channel]))
    return found


def pendulum() -> dict[str, Any]:
    """A pendulum that swings freely and stops: which friction?"""
    path = DATA / "pendulum/multiarm_single_free_swing_1kHz.csv.gz"
    signal = uw.read_signals(str(path), time="time_s")[0]
    steps = np.abs(np.diff(signal.values[:, 0]))
    # every twentieth sample, until shortly before it stands still
    rows = np.flatnonzero(signal.times < 64.5)[::20]
    data = uw.trajectories([replace(signal, times=signal.times[rows], values=signal.values[rows])])
    result: dict[str, Any] = {
        "stops": float(signal.times[1:][steps > 0][-1]),
        "smallest_step_mrad": float(1e3 * steps[steps > 0].min()),
        "samples": len(rows),
    }
    for name, held in FRICTIONS.items():
        fit = uw.fit_equation(ode("pendulum"), data, starts=8, fixed=dict.fromkeys(held, 0.0))
        told, rho = summary(fit), fit.account["residuals"]["lag1"][0]
        w = told["latents"]["w"]
        result[name] = told | {
            "frequency_hz": [w[key] / (2 * np.pi) for key in ("estimate", "low", "high")],
            "residual_mrad": 1e3 * told["scale"][0],
            # how much too narrow intervals are where neighbours are alike by rho
            "widen": float(np.sqrt((1 + rho) / (1 - rho))),
            "residual_hz": 1 / spectral_period(data.schema.times, fit.arrays["residuals"][0, :, 0]),
        }
        if name == "dry":
            draw(fit, data, "pendulum_dry")
        if name in ("linear", "dry"):
            leftover(fit, f"pendulum_{name}_residuals")
    return result


def prices() -> dict[str, Any]:
    """Hourly prices of bitcoin: three models of a price, on hours that they have not seen."""
    sys.path.insert(0, str(DOCS.parent / "examples"))
    sys.argv = sys.argv[:1]
    import price_models as models  # pyright: ignore[reportMissingImports]

    days, values, source = models.read_prices()
    cut = int(0.8 * len(days))
    train, test = slice(0, cut), slice(cut - 1, None)
    result = {"source": source, "n": len(days), "train": cut, "held_out": {}}
    scores: dict[str, Any] = {}
    texts = {"GBM": models.GBM, "OU": models.OU_OF_LOG, "Merton": models.MERTON}
    for name, text in texts.items():
        seen = np.log(values) if name == "OU" else values
        fit, score = models.fitted(text, days, seen, train, test)
        if name == "OU":
            # the density of a price is that of its logarithm divided by the price
            score = uw.equations.Score(score.each - np.log(values[None, test]))
        scores[name] = score
        gap, error = score.less(scores["GBM"])
        result["held_out"][name] = {
            "nats": score.mean, "n": score.n, "ahead_of_gbm": gap, "error": error
        }  # fmt: skip
        told = uw.equations.stochastic_account(fit).numbers
        result[name] = {"latents": told["latents"], "verdict": told["verdict"]}
    return result


STUDIES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "gause": gause, "hares": hares, "yeast": yeast, "chemostat": chemostat,
    "pendulum": pendulum, "prices": prices,
}  # fmt: skip


def read(name: str, time: str, **how: Any) -> tuple[uw.Signal, ...]:
    """The recordings of one of the tables of populations."""
    return uw.read_signals(str(DATA / "populations" / f"{name}.csv"), time=time, **how)


def ode(name: str) -> str:
    """The text of one of the equations of the page."""
    return (DOCS / "ode" / f"{name}.ode").read_text()


def draws(fit: uw.EquationFit) -> np.ndarray:
    """Draws of the fitted latents `(draw, latent)`, with their correlation."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), DRAWS)
        return np.asarray(jax.vmap(fit.model.latents.sample)(keys))


def summary(fit: uw.EquationFit) -> dict[str, Any]:
    """What the page says of a fit."""
    account = fit.account
    kept = ("estimate", "low", "high", "unit", "status")
    rows = account["latents"]
    names = [f"{r['name']}@{r['record']}" if r["record"] else r["name"] for r in rows]
    told = {key: account[key] for key in ("log_likelihood", "aic", "n", "verdict")}
    return told | {
        "latents": {n: {key: r[key] for key in kept} for n, r in zip(names, rows, strict=True)},
        "scale": account["noise"]["scale"],
        "starts": account["starts"]["n"],
        "agree": account["starts"]["agree"],
        "failed": account["starts"]["failed"],
        "lag1": account["residuals"]["lag1"],
        "ljung_box_p": account["residuals"]["ljung_box_p"],
    }


def interval(values: Sequence[float] | np.ndarray) -> list[float]:
    """The middle 90 %."""
    return [float(end) for end in np.quantile(np.asarray(values), (0.05, 0.95))]


def r2(fit: uw.EquationFit, channel: int) -> float:
    """The share of a channel's variance that the curve explains."""
    x, curve = (fit.arrays[name][..., channel] for name in ("observed", "fitted"))
    return float(1 - np.nansum((x - curve) ** 2) / np.nansum((x - np.nanmean(x)) ** 2))


def spectral_period(times: Sequence[float] | np.ndarray, values: np.ndarray) -> float:
    """The period of the highest peak of the spectrum (Lomb 1976), at uneven times too, between
    four samples and half of the record."""
    t = np.asarray(times, np.float64)
    span = t[-1] - t[0]
    frequencies = np.arange(2 / span, 0.25 / np.median(np.diff(t)), 0.02 / span)
    power = lombscargle(t, values - values.mean(), 2 * np.pi * frequencies)
    return float(1 / frequencies[np.argmax(power)])


def draw(fit: uw.EquationFit, data: uw.Dataset, name: str, *, channels: Sequence[str] = ()) -> None:
    """The fit over its data. With inputs that jump, only at the times of the data: between them
    the fit's own fine curve takes the inputs as straight lines."""
    a = fit.arrays
    bands: dict[str, Any] = {
        "curve_band": (a["curve_low"], a["curve_high"]),
        "data_band": (a["data_low"], a["data_high"]),
    }
    times, curve = a["curve_times"], a["curve"]
    if data.inputs is not None:
        times, curve, bands = a["times"], a["fitted"], {}
    figure = uw.plots.fit(
        a["times"], a["observed"], times, curve,
        channels=channels or data.schema.channels, units=fit.account["noise"]["units"],
        time_unit=fit.account["time_unit"], records=data.records.tolist(), **bands,
    )  # fmt: skip
    save(figure, name)


def leftover(fit: uw.EquationFit, name: str) -> None:
    """The residuals and their autocorrelation."""
    noise = fit.account["noise"]
    figure = uw.plots.residuals(
        fit.arrays["times"], fit.arrays["residuals"], channels=noise["channels"],
        time_unit=fit.account["time_unit"],
    )  # fmt: skip
    save(figure, name)


def save(figure: Figure, name: str) -> None:
    """Writes a figure of the page."""
    (DOCS / "images").mkdir(exist_ok=True)
    uw.plots.save(figure, DOCS / "images" / f"study_{name}.png")


def rounded(value: Any) -> Any:
    """Five digits: more than any of these data leave certain."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def main() -> None:
    """Makes the studies that were named, and keeps what was found in the others."""
    if not DATA.is_dir():
        print(f"skipped, all of it: there are no recordings in {DATA}.")
        return
    for name in sys.argv[1:] or STUDIES:
        print(name, flush=True)
        study = rounded(STUDIES[name]())
        found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        RESULTS.write_text(json.dumps(found | {name: study}, indent=1) + "\n")


if __name__ == "__main__":
    main()
