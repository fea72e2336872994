"""What networks found: their values where the courses went, and their share of the dynamics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._programs import program
from ..equations import HybridSystem
from ..equations._system import AbstractSystem
from ..equations.fitting._grid import EquationCurve
from ..equations.fitting._identify import Best
from ._learn import Search
from ._recipes import Hold

_GRID = 41
# a point of the grid further than this from every course, in widths of the grid, is not shown
_NEAR = 0.06
_HELD: dict[Hold, str] = {
    "ends": "The end of the records",
    "stretches": "A stretch of each record",
}


class Visited(NamedTuple):
    """Where courses went: `times` `(point,)`, `states` `(point, state)`, the latents `z` `(point,
    latent)`, `inputs` `(point, input)`, and `weights` `(point,)`, the time that each stands for."""

    times: np.ndarray
    states: np.ndarray
    z: np.ndarray
    inputs: np.ndarray
    weights: np.ndarray


def visited(best: Best) -> Visited:
    """Where the fitted courses went, at the times of the records."""
    curve, problem = best.problem.curve, best.problem
    assert isinstance(curve, EquationCurve)
    with jax.enable_x64(True):
        paths = np.asarray(_paths(curve, jnp.asarray(best.z), problem.conditions))
    times, inputs = (np.asarray(part) for part in problem.conditions)
    live = np.concatenate([np.ones((len(times), 1), bool), np.diff(times, axis=1) > 0], axis=1)
    # each time stands for half of the way to its neighbours
    steps = np.pad(np.diff(times, axis=1), ((0, 0), (1, 1)))
    weights = 0.5 * (steps[:, 1:] + steps[:, :-1])
    z = np.repeat(best.z[:, None], times.shape[1], axis=1)
    return Visited(times[live], paths[live], z[live], inputs[live], weights[live])


def found_arrays(system: HybridSystem, at: Visited) -> dict[str, np.ndarray]:
    r"""What the networks found, as arrays.

    `found_states` `(point, state)`, `found_rates` and `found_known` `(point, state)`: the rates,
    and what the formula alone says of them; their difference is the networks' part.
    `found_values` `(point, call)`; of call k, `found_arguments_k` `(point, argument)`, and where
    there are two, `found_grid_k` `(row, column, 3)`: both and the value, NaN where no course went.
    """
    with jax.enable_x64(True):
        points = (jnp.asarray(p) for p in (at.times, at.states, at.z, at.inputs))
        rates, known, values, arguments = _evaluated(system, *points)
        arrays = {
            "found_times": at.times,
            "found_states": at.states,
            "found_rates": np.asarray(rates),
            "found_known": np.asarray(known),
            "found_values": np.asarray(values),
        }
        for k, (call, given) in enumerate(zip(system.formula.networks, arguments, strict=True)):
            arrays[f"found_arguments_{k}"] = np.asarray(given)
            if given.shape[1] == 2:
                arrays[f"found_grid_{k}"] = _grid(system, call.network, np.asarray(given))
    return arrays


def shares(arrays: dict[str, np.ndarray], at: Visited) -> list[float | None]:
    r"""The share of the dynamics that the known part carries, for each state:
    $\int f_0^2\, dt \,/\, (\int f_0^2\, dt + \int (f - f_0)^2\, dt)$ along the fitted courses, with
    $f$ the rates and $f_0$ those that the formula alone gives, every network 0. It lies between 0
    and 1 even where the two work against each other and $f$ is small; None where nothing moves."""
    rates, known = arrays["found_rates"], arrays["found_known"]
    learned = (at.weights[:, None] * (rates - known) ** 2).sum(axis=0)
    written = (at.weights[:, None] * known**2).sum(axis=0)
    return [
        float(part / (part + rest)) if 0 < part + rest < np.inf else None
        for part, rest in zip(written, learned, strict=True)
    ]


def calls_of(system: HybridSystem) -> list[dict[str, Any]]:
    """Each call of a network in words: as it is written, its network and its arguments."""
    return [
        {"label": call.label, "network": call.network, "arguments": list(call.words)}
        for call in system.formula.networks
    ]


def _grid(system: HybridSystem, network: int, given: np.ndarray) -> np.ndarray:
    """The network over a grid of its two arguments, where courses went; none where every course
    broke off."""
    given = given[np.isfinite(given).all(axis=1)]
    if not len(given):
        return np.zeros((0, 0, 3))
    low, high = given.min(axis=0), given.max(axis=0)
    axes = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="xy"), axis=-1)
    width = np.where(high > low, high - low, 1.0)
    apart = (at[:, :, None] - given[None, None, :: max(1, len(given) // 500)]) / width
    near = (np.sqrt((apart**2).sum(axis=-1)).min(axis=-1) < _NEAR) | _inside(at, given)
    value = np.asarray(_mapped(system.networks[network], jnp.asarray(at.reshape(-1, 2))))
    value = np.where(near, value.reshape(near.shape), np.nan)
    return np.concatenate([at, value[..., None]], axis=-1)


def _inside(at: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Which points of a grid lie in the hull of those that were visited."""
    from scipy.spatial import Delaunay, QhullError

    try:
        hull = Delaunay(given)
    except QhullError:
        return np.zeros(at.shape[:2], bool)
    return hull.find_simplex(at.reshape(-1, 2)).reshape(at.shape[:2]) >= 0


@program
def _mapped(network, arguments):
    return jax.vmap(lambda a: jnp.reshape(network(a), ()))(arguments)


@program
def _paths(curve: EquationCurve, z, conditions):
    return jax.vmap(curve.states)(z, conditions)


@program
def _evaluated(system: HybridSystem, t, x, z, u):
    def one(t, x, z, u):
        given, n = system.arguments(t, x, z, u), system.found(t, x, z, u)
        known = system.rates_given(t, x, z, u, jnp.zeros_like(n))
        return system.rates_given(t, x, z, u, n), known, n, given

    return jax.vmap(one)(t, x, z, u)


def said_shares(system: AbstractSystem, found: Sequence[float | None]) -> str:
    """The shares in a sentence."""
    parts = [
        f"{100 * share:.0f} % of {state.name}'"
        for state, share in zip(system.states, found, strict=True)
        if share is not None
    ]
    return f"The formula carries {', '.join(parts)} along the fitted courses; networks the rest."


def said_of_search(found: Search, weights: int, effective: float) -> dict[str, Any]:
    """What is said of networks, beside what is said of any equation."""
    forecasts, decay = found.forecasts, found.chosen.decay
    others = {word: error for word, error in forecasts.items() if word != "this"}
    better = [word for word, error in others.items() if error <= forecasts["this"]]
    sentence = (
        f"{_HELD[found.hold]}, held out, was missed by {forecasts['this']:.3g} standard "
        "deviations; "
        + ", ".join(f"{word} by {error:.3g}" for word, error in others.items()) + "."
    )  # fmt: skip
    sentences = [sentence]
    if better:
        sentences.append(f"There {' and '.join(better)} did no worse: the networks add nothing.")
    sentences.append(
        f"Of {weights} weights the data fix about {effective:.0f} (room {decay:g}, followed in "
        f"{found.chosen.parts} piece(s))."
    )
    return {
        "weights": weights,
        "effective_weights": round(effective, 2),
        "decay": decay,
        "pieces": found.chosen.parts,
        "forecasts": {w: e if np.isfinite(e) else None for w, e in forecasts.items()},
        "tried": [
            {"decay": c.decay, "pieces": c.parts,
             "error": float(np.min(c.errors)) if np.isfinite(np.min(c.errors)) else None}
            for c in found.candidates
        ],
        "calls": [],
        "share": None,
        "sentences": sentences,
    }  # fmt: skip
