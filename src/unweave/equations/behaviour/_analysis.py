"""Everything that the analysis can say of one equation at one point of its latents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._system import AbstractSystem
from ..fitting._match import initial_latents
from ..solving._choose import HostSystem, reference, starting_points
from ._arrays import Basins, Branches, Equilibrium, Portrait
from ._basins import basins
from ._continuation import continuation
from ._equilibria import equilibria
from ._lyapunov import Lyapunov, lyapunov_spectrum
from ._outcomes import Survival, describe, outcome, survivors
from ._portrait import phase_portrait

_COURSES = 12


@dataclass(frozen=True, eq=False)
class Analysis:
    """How an equation behaves: `z` `(latent,)`, the latents it was asked at; the box `low` to
    `high` `(state,)` that was searched; the `equilibria`; with two states a `portrait` and
    `basins`; `branches` along one latent, a Lyapunov spectrum and the `survival` over draws
    where these were asked for; and it all in `sentences`."""

    z: np.ndarray
    low: np.ndarray
    high: np.ndarray
    equilibria: tuple[Equilibrium, ...]
    portrait: Portrait | None
    basins: Basins | None
    branches: Branches | None
    lyapunov: Lyapunov | None
    survival: Survival | None
    sentences: tuple[str, ...] = field(default=())


def analyse(
    system: AbstractSystem,
    z: Float[np.ndarray, " latent"],
    *,
    box: Mapping[str, tuple[float, float]] | None = None,
    until: float = 100.0,
    along: tuple[str, float, float] | None = None,
    chaos: bool = False,
    draws: Float[np.ndarray, "draw latent"] | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Analysis:
    """Equilibria with their types, the phase portrait and basins of a plane, and what was asked
    for beside: a continuation, Lyapunov exponents, and outcomes over `draws` of the latents.

    **Arguments:** `z`, the latents; `box`, the ends of some states by name, without which
    courses over `until` in the equation's time say where it lives; `along`, a latent and the
    interval over which the equilibria are followed; `chaos`, whether the Lyapunov spectrum is
    wanted.

    **Raises:** `ValueError` for an equation whose rates depend on time or on inputs, for a
    stochastic one's jumps, and for names that are none.
    """
    names = tuple(v.name for v in system.states)
    _check_autonomous(system, z)
    low, high = living_box(system, z, until, box or {})
    rates = field_of(system)
    here = rates(jnp.asarray(z))
    say(f"equilibria between {_point(names, low)} and {_point(names, high)}")
    found = equilibria(here, low, high)
    sentences = [f"{sentence}." for sentence in describe(found, names)]
    if not found:
        sentences.append("No equilibrium lies in the box.")
    else:
        sentences.append(f"In short: {outcome(found, names)}.")
    portrait = grounds = branches = lyapunov = survival = None
    if len(names) == 2:
        say("phase portrait and basins")
        portrait = phase_portrait(here, low, high, found=found)
        grounds = basins(here, low, high, found)
        sentences += _shares(grounds, names)
    if along is not None:
        say(f"following the equilibria along {along[0]}")
        branches = continuation(_family(system, z, along[0]), low, high, along[1], along[2])
        sentences += _special(branches, along[0], system)
    if chaos:
        say("Lyapunov exponents")
        start = HostSystem(system).start(z)
        lyapunov = lyapunov_spectrum(here, start, duration=20 * until)
        sentences.append(_exponents(lyapunov))
    if draws is not None:
        say(f"outcomes over {len(draws)} draws of the latents")
        survival = survivors(rates, draws, names, low, high)
        sentences += [f"{sentence}." for sentence in survival.sentences]
    return Analysis(
        np.asarray(z), low, high, found, portrait, grounds, branches, lyapunov, survival,
        tuple(sentences),
    )  # fmt: skip


def field_of(system: AbstractSystem) -> Callable[[Array], Callable[[Array], Array]]:
    """Latents to the autonomous field of a system."""

    def at(z: Array) -> Callable[[Array], Array]:
        def rates(x: Array) -> Array:
            t = jnp.zeros((), x.dtype)
            return system.rates(t, x, z.astype(x.dtype), jnp.zeros(0, x.dtype))

        return rates

    return at


def living_box(
    system: AbstractSystem,
    z: np.ndarray,
    until: float,
    box: Mapping[str, tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """The box that a few courses at these latents live in, a third wider; what was given holds.

    A state that never becomes negative begins at 0, where a population can be absent.
    """
    names = [v.name for v in system.states]
    unknown = sorted(set(box) - set(names))
    if unknown:
        raise ValueError(f"'{unknown[0]}' is no state; there are {', '.join(names)}.")
    times = np.linspace(0.0, until, 200)
    host, own = HostSystem(system), list(initial_latents(system, system.latents).values())
    paths = []
    for point in starting_points(system.latents, _COURSES):
        mixed = np.array(z)
        mixed[own] = point[own]
        path = reference(host, mixed, times)
        if path is not None:
            paths.append(path)
    if not paths and len(box) < len(names):
        raise ValueError(
            "no course from these latents stays finite, so where to look is not known; give the "
            f"range of every state: --box {names[0]}=0:1."
        )
    every = np.concatenate(paths) if paths else np.zeros((1, len(names)))
    low, high = every.min(axis=0), every.max(axis=0)
    reach = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    low = np.where(low >= -1e-6 * reach, -1e-3 * reach, low - reach / 3)
    high = high + reach / 3
    for name, ends in box.items():
        low[names.index(name)], high[names.index(name)] = ends
    return low, high


def _check_autonomous(system: AbstractSystem, z: np.ndarray) -> None:
    if system.inputs:
        raise ValueError(
            f"the equation is driven by {', '.join(v.name for v in system.inputs)}, so that it has "
            "no equilibria of its own; replace the input by a constant to analyse it."
        )
    host = HostSystem(system)
    x = host.start(z) + 0.1
    early, late = (host.rates(z)(t, x) for t in (0.1, 7.3))
    if not np.allclose(early, late, rtol=1e-9, atol=0, equal_nan=True):
        raise ValueError(
            "the rates depend on time, so that nothing is at rest; make time a state to analyse "
            "it: phase' = 1 with the period that it has."
        )


def _family(system: AbstractSystem, z: np.ndarray, name: str) -> Callable[[Array, Array], Array]:
    place, rates = system.latents.index(name), field_of(system)

    def at(x: Array, a: Array) -> Array:
        return rates(jnp.asarray(z, x.dtype).at[place].set(a))(x)

    return at


def _shares(grounds: Basins, names: Sequence[str]) -> list[str]:
    told = []
    for end, share in zip(grounds.ends, grounds.shares, strict=True):
        if share > 0:
            told.append(f"{100 * share:.3g} % of the starts in the box: {end}.")
    return told


def _special(branches: Branches, name: str, system: AbstractSystem) -> list[str]:
    unit = system.latents.units[system.latents.index(name)]
    told = []
    for point in branches.special:
        place = _point([v.name for v in system.states], point.x)
        swing = "" if np.isnan(point.frequency) else f", period {2 * np.pi / point.frequency:.4g}"
        told.append(
            f"{point.kind} at {name} = {point.a:.6g} {unit}".rstrip() + f" ({place}{swing})."
        )
    if not branches.special:
        told.append(f"Along {name} no equilibrium appears, disappears or changes its stability.")
    return told + list(branches.notes)


def _exponents(spectrum: Lyapunov) -> str:
    if spectrum.note:
        return spectrum.note
    values = ", ".join(
        f"{e:.3g} ± {s:.1g}" for e, s in zip(spectrum.exponents, spectrum.error, strict=True)
    )
    first = spectrum.exponents[0]
    kind = "chaotic" if first > 4 * spectrum.error[0] and first > 1e-3 else "not chaotic"
    return (
        f"Lyapunov exponents {values}: the orbit is {kind} (Kaplan–Yorke dimension "
        f"{spectrum.dimension:.3g})."
    )


def _point(names: Sequence[str], x: np.ndarray) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in zip(names, x, strict=True))


def draws_of(latents, n: int, *, seed: int = 0) -> Float[np.ndarray, "draw latent"]:
    """Draws of a model's latents in float64: of a fitted one, of its posterior."""
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(latents.sample)(jax.random.split(jax.random.key(seed), n)))
