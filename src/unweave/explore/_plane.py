"""The plane of an equation with two states: where its rates point."""

from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..equations import AbstractSystem
from ._subject import Subject

#: The rates are given on a grid of so many points a side.
SIDE = 33


def has_plane(subject: Subject) -> bool:
    """Whether the model is an equation of two states, both observed as they are, whose rates do
    not depend on the time."""
    equation = subject.equation
    if equation is None:
        return False
    system = equation.system
    if len(system.states) != 2 or len(system.observables) != 2 or system.inputs:
        return False
    with jax.enable_x64(True):
        z = subject.model.latents.from_normal(jnp.zeros(subject.model.latents.size))
        x = system.start(z) + jnp.asarray([0.25, 0.5])
        none = jnp.zeros(0)
        early, late = (jnp.asarray(t) for t in (equation.times[0], equation.times[-1] + 0.37))
        same = jnp.array_equal(system.rates(early, x, z, none), system.rates(late, x, z, none))
        plain = jnp.array_equal(system.observe(early, x, z, none), x)
        return bool(same & plain)


def rates(
    subject: Subject, z: np.ndarray, box: tuple[float, float, float, float]
) -> np.ndarray | None:
    r"""$\dot x$ `(2, SIDE, SIDE)` over a box, its rows along the second state; None where the
    model has no plane."""
    if not _known(subject):
        return None
    assert subject.equation is not None
    x = np.linspace(box[0], box[1], SIDE)
    y = np.linspace(box[2], box[3], SIDE)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    with jax.enable_x64(True):
        found = _over(subject.equation.system, jnp.asarray(points), jnp.asarray(z))
        return np.asarray(found).T.reshape(2, SIDE, SIDE)


_known = lru_cache(maxsize=64)(has_plane)


@eqx.filter_jit
def _over(system: AbstractSystem, points: Any, z: Any) -> Any:
    zero, none = jnp.zeros(()), jnp.zeros(0)
    return jax.vmap(lambda x: system.rates(zero, x, z, none))(points)
