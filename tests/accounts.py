"""What a fitted equation leaves behind, made by a formula: a damped oscillation, two records."""

import jax
import jax.numpy as jnp
import numpy as np

from unweave._latents import Latents, latents, normal
from unweave._model import AbstractDecoder
from unweave._schema import Schema
from unweave.report import EquationContent
from unweave.run import Run

TEXT = """time in s
x' = v
v' = -w**2*x - c*v
w in (0.1, 10) 1/s
c in (0, 2) 1/s
x(0) in (-2, 2) m
v(0) = 0
observe x
observe v
"""
LATEX = (
    r"\begin{aligned}"
    "\n"
    r"\dot{x} &= v \\"
    "\n"
    r"\dot{v} &= - c v - w^{2} x"
    "\n"
    r"\end{aligned}"
)
W, C = 1.7, 0.22


def course(times, start, w=W, c=C):
    """The closed form from `(start, 0)`: `(time, 2)`, place and speed."""
    pace = np.sqrt(w**2 - c**2 / 4)
    fade = start * np.exp(-c * times / 2)
    x = fade * (np.cos(pace * times) + c / (2 * pace) * np.sin(pace * times))
    v = -fade * w**2 / pace * np.sin(pace * times)
    return np.stack([x, v], axis=-1)


def arrays(records=2, samples=60, *, scale=(0.06, 0.11), seed=0, starts=64, failed=3):
    """`run.arrays` of the fit: observations with gaps, bands, residuals, starts, profiles."""
    rng = np.random.default_rng(seed)
    begins = np.linspace(1.2, 0.5, records)
    times = np.tile(np.linspace(0, 12, samples), (records, 1))
    fine = np.tile(np.linspace(0, 12, 240), (records, 1))
    fitted = np.stack([course(t, b) for t, b in zip(times, begins, strict=True)])
    curve = np.stack([course(t, b) for t, b in zip(fine, begins, strict=True)])
    scale = np.asarray(scale)
    noise = rng.normal(size=fitted.shape)
    residuals = np.where(rng.uniform(size=fitted.shape) < 0.05, np.nan, noise)
    width = 0.25 * scale * np.sqrt(1 + fine[..., None] / 6)
    spread = 1.645 * np.sqrt(width**2 + scale**2)
    reached = np.sort(rng.gamma(0.5, 1e-3, starts - failed))
    reached[-4:] += np.asarray([3.0, 3.1, 40.0, 900.0])
    values = np.stack([np.linspace(-3.2, 3.2, 25) * s + m for m, s in ((W, 0.011), (C, 0.019))])
    rise = np.stack([0.5 * np.linspace(-3.2, 3.2, 25) ** 2] * 2)
    rise[1] *= np.where(values[1] < C, 1.25, 0.8)
    return {
        "times": times, "observed": fitted + scale * residuals, "fitted": fitted,
        "residuals": residuals, "curve_times": fine, "curve": curve,
        "curve_low": curve - 1.645 * width, "curve_high": curve + 1.645 * width,
        "data_low": curve - spread, "data_high": curve + spread,
        "objectives": np.concatenate([-212.4 + reached, np.full(failed, np.inf)]),
        "profile_values": values, "profile_objectives": rise,
    }  # fmt: skip


def latent(name, unit, estimate, error, *, record=None, status="determined"):
    reach = None if error is None else 1.645 * error
    return {
        "name": name, "unit": unit, "record": record, "estimate": estimate,
        "standard_error": error, "low": None if reach is None else estimate - reach,
        "high": None if reach is None else estimate + reach, "status": status,
    }  # fmt: skip


def account(records=2, **changes):
    """`run.result["equation"]` of the same fit."""
    own = [
        latent("x(0)", "m", float(start), 0.021, record=f"run {i + 1}")
        for i, start in enumerate(np.linspace(1.2, 0.5, records))
    ]
    found = {
        "text": TEXT, "latex": LATEX, "time_unit": "s", "confidence": 0.9,
        "noise": {"kind": "gaussian", "scale": [0.06, 0.11], "channels": ["x", "v"],
                  "units": ["m", "m/s"]},
        "latents": [latent("w", "1/s", W, 0.011), latent("c", "1/s", C, 0.019), *own],
        "correlation": {"names": ["w", "c", "x(0)"],
                        "matrix": [[1, 0.12, -0.05], [0.12, 1, 0.71], [-0.05, 0.71, 1]]},
        "log_likelihood": 212.4, "aic": -412.8, "bic": -391.9, "n": 228, "free": 6,
        "starts": {"n": 64, "agree": 57, "failed": 3, "seconds": 0.41},
        "solver": {"method": "grid", "substeps": 4, "error": 0.0021},
        "identifiability": {"sentences": ["The data determine every latent."],
                            "determined": ["w", "c"], "undetermined": []},
        "next": {"sentence": "A measurement of v near 0.9 s would narrow c most.",
                 "channel": "v", "time": 0.9},
        "residuals": {"sentences": ["The residuals look like white noise in both channels."],
                      "lag1": [0.03, -0.05], "ljung_box_p": [0.42, 0.77]},
        "profiles": [{"name": "w", "unit": "1/s", "low": 1.682, "high": 1.718},
                     {"name": "c", "unit": "1/s", "low": 0.192, "high": 0.255}],
        "posterior": None, "notes": [],
        "verdict": ["The equation fits: what is left over looks like noise.",
                    "57 of 64 starts agree, and every latent is determined."],
    }  # fmt: skip
    return {**found, **changes}


class Oscillation(AbstractDecoder):
    """The closed form as a model, its priors what the fit left open."""

    latents: Latents

    def decode(self, z, condition=None, *, key=None):
        w, c, start = z
        t = jnp.linspace(0.0, 12.0, 60)
        pace = jnp.sqrt(w**2 - c**2 / 4)
        fade = start * jnp.exp(-c * t / 2)
        wave = jnp.cos(pace * t) + c / (2 * pace) * jnp.sin(pace * t)
        x = jnp.stack([fade * wave, -fade * w**2 / pace * jnp.sin(pace * t)], axis=-1)
        return x if key is None else x + 0.1 * jax.random.normal(key, x.shape)


def schema():
    return Schema(
        kind="trajectories", axes=("time", "channel"), shape=(60, 2), channels=("x", "v"),
        units=("m", "m/s"), step=12 / 59, time_unit="s",
    )  # fmt: skip


def content(records=2, **changes):
    """What the report is given of the fit."""
    names = tuple(f"run {i + 1}" for i in range(records))
    return EquationContent(account(records, **changes), names, arrays(records))


def run(records=2, **changes):
    """The fit as `fit` hands it back."""
    model = Oscillation(
        latents(("w", "c", "x(0)"), (normal(W, 0.011), normal(C, 0.019), normal(0.8, 0.2)),
                units=("1/s", "1/s", "m"))
    )  # fmt: skip
    found = arrays(records)
    result = {
        "recipe": "equation", "run": None, "seed": 0, "n_train": records, "n_validation": 0,
        "n_test": 0, "latents": 3, "epochs": 0, "seconds": 0.41, "stopped": "57 starts agree",
        "explained_variance": None, "explained_variance_train": 0.97, "n_train_measured": records,
        "baselines": {}, "log_density": None, "density_kind": "exact", "kl_per_latent": None,
        "active": None, "active_latents": None, "split": "", "notes": [],
        "records": [f"run {i + 1}" for i in range(records)],
        "equation": account(records, **changes),
    }  # fmt: skip
    settings = {"recipe": "equation", "options": {}, "seed": 0, "data": {}}
    return Run(model, schema(), result, [], found["observed"], settings, arrays=found)
