"""pysindy on the courses of a benchmark, run by `discovery.py` in an interpreter of its own.

    python peers_discovery.py JOBS.npz RESULTS.json

Of every course: pysindy's defaults, and a grid (smoothed finite differences or the weak form;
polynomials of degree 2 and 3, with and without sines; eleven thresholds), out of which one model
is chosen by parsimony from the given course alone: the fewest terms among those whose course
explains nearly as much as the best one's. What the best of the grid would have given is noted too.
"""

import json
import sys
import time
import warnings

import numpy as np
import pysindy as ps
from scipy.integrate import solve_ivp

THRESHOLDS = np.logspace(-3, 0.3, 11)
MOST_CALLS = 5_000


class TooLong(Exception):
    pass


def rates_of(names: list[str], coefficients: np.ndarray):
    """The right side as a function of the state, from the names of pysindy's features."""
    used = [j for j in range(len(names)) if np.any(coefficients[:, j])]
    texts = [names[j].replace("^", "**").replace(" x", "*x").replace("(1 ", "(1*") for j in used]
    code = compile("(" + "".join(text + "," for text in texts) + ")", "features", "eval")
    matrix = coefficients[:, used]
    functions = {"sin": np.sin, "cos": np.cos}

    def rates(_, x):
        return matrix @ np.array(eval(code, functions | {f"x{i}": v for i, v in enumerate(x)}))

    return rates if used else lambda _, x: np.zeros_like(x)


def course(rates, start: np.ndarray, times: np.ndarray) -> np.ndarray | None:
    calls = 0

    def counted(t, x):
        nonlocal calls
        calls += 1
        if calls > MOST_CALLS or not np.isfinite(x).all():
            raise TooLong
        return rates(t, x)

    try:
        done = solve_ivp(
            counted, (times[0], times[-1]), start, method="LSODA", t_eval=times, rtol=1e-7,
            atol=1e-9,
        )  # fmt: skip
    except (TooLong, ValueError, OverflowError, ZeroDivisionError):
        return None
    return done.y.T if done.status == 0 and np.isfinite(done.y).all() else None


def r2(y: np.ndarray, path: np.ndarray | None) -> float:
    if path is None:
        return -np.inf
    return float(1 - ((y - path) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def library(degree: int, sines: bool):
    polynomial = ps.PolynomialLibrary(degree=degree)
    return polynomial + ps.FourierLibrary(n_frequencies=1) if sines else polynomial


def regression(kind: str, degree: int, sines: bool, t: np.ndarray, y: np.ndarray):
    """The library's columns, the left sides and the features' names, as `ps.SINDy.fit` makes
    them, so that all thresholds share one."""
    terms = library(degree, sines)
    inputs = [f"x{i}" for i in range(y.shape[1])]
    if kind == "weak":
        weak = ps.WeakPDELibrary(
            function_library=terms, spatiotemporal_grid=t, K=200, H_xt=[0.05 * (t[-1] - t[0])]
        )
        data = ps.AxesArray(y, {"ax_time": 0, "ax_coord": 1})
        weak.fit([data])
        left = weak.convert_u_dot_integral(data)
        return (
            np.asarray(weak.transform([data])[0]),
            np.asarray(left),
            weak.get_feature_names(inputs),
        )
    slopes = ps.SmoothedFiniteDifference()(y, t)
    terms.fit(y)
    return np.asarray(terms.transform(y)), np.asarray(slopes), terms.get_feature_names(inputs)


def scored(names: list[str], coefficients: np.ndarray, job: dict) -> dict:
    rates = rates_of(names, coefficients)
    return {
        "terms": int(np.count_nonzero(coefficients)),
        "seen": r2(job["given"], course(rates, job["given"][0], job["times"])),
        "rates": rates,
        "text": [
            " + ".join(f"{c:.6g}*{n}" for c, n in zip(row, names, strict=True) if c)
            for row in coefficients
        ],
    }


def judged(one: dict, job: dict) -> dict:
    rates, times = one["rates"], job["times"]
    return one | {
        "reconstruction": r2(job["clean"], course(rates, job["clean"][0], times)),
        "generalisation": r2(job["other"], course(rates, job["other"][0], times)),
    }


def grid(job: dict) -> list[dict]:
    found, known = [], set()
    for kind in ("smooth", "weak"):
        for degree in (2, 3):
            for sines in (False, True):
                columns, left, names = regression(kind, degree, sines, job["times"], job["given"])
                for threshold in THRESHOLDS:
                    optimizer = ps.STLSQ(threshold=threshold)
                    try:
                        optimizer.fit(columns, left)
                    except (ValueError, np.linalg.LinAlgError):
                        continue
                    c = np.asarray(optimizer.coef_, dtype=float)
                    key = (kind, degree, sines, (c != 0).tobytes())
                    if key in known:
                        continue
                    known.add(key)
                    setting = [kind, degree, sines, float(threshold)]
                    found.append(scored(names, c, job) | {"setting": setting})
    return found


def chosen(found: list[dict]) -> dict | None:
    """Parsimony: the fewest terms among those that leave at most twice what the best one leaves."""
    best = max((one["seen"] for one in found), default=-np.inf)
    if not np.isfinite(best):
        return None
    near = [one for one in found if 1 - one["seen"] <= 2 * (1 - best) + 1e-3]
    return min(near, key=lambda one: (one["terms"], -one["seen"]))


def summary(one: dict | None) -> dict:
    if one is None:
        return {"reconstruction": None, "generalisation": None}
    kept = {key: one[key] for key in ("terms", "setting") if key in one}
    both = {
        k: one[k] if np.isfinite(one[k]) else None for k in ("reconstruction", "generalisation")
    }
    return kept | both


def main() -> None:
    jobs = np.load(sys.argv[1])
    results = []
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for i in range(int(jobs["count"])):
        job = {k: jobs[f"{i}_{k}"] for k in ("times", "given", "clean", "other")}
        began = time.perf_counter()
        try:
            model = ps.SINDy()
            model.fit(job["given"], t=job["times"])
            c = np.asarray(model.coefficients(), dtype=float)
            default = judged(scored(model.get_feature_names(), c, job), job)
        except (ValueError, np.linalg.LinAlgError):
            default = None
        found = grid(job)
        near = [judged(one, job) for one in found if one["seen"] > 0.5]
        pick = chosen(found)
        oracle = {
            kind: any(one[kind] > 0.9 for one in near)
            for kind in ("reconstruction", "generalisation")
        }
        results.append({
            "defaults": summary(default),
            "tuned": summary(None if pick is None else judged(pick, job)),
            "oracle": oracle,
            "seconds": time.perf_counter() - began,
        })  # fmt: skip
        print(f"pysindy {i + 1}: {results[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
        with open(sys.argv[2], "w") as file:
            json.dump({"version": ps.__version__, "results": results}, file)


main()
