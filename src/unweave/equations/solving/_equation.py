r"""An equation as a model: its parameters and initial state are latents, solving it is decoding.

$\dot x = f(t, x, z, u)$, $x(t_0) = x_0(z)$, $y = h(t, x, z, u)$, and an observation scatters
about $y$ by a noise.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractCurve,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ..._noise import (
    AbstractCurveNoise,
    AbstractScaledNoise,
    Gaussian,
    LogNormal,
    Poisson,
    StudentT,
)
from .._system import AbstractSystem
from ..language._hybrid import formula_of
from ..language._text import TextSystem, parse
from ._choose import Choice, suited
from ._drive import course, drive
from ._solve import AbstractMethod

#: What the word after `noise` in a text, or `--noise`, stands for.
CURVE_NOISES: Mapping[str, AbstractCurveNoise] = {
    "gaussian": Gaussian.fixed(1.0),
    "log-normal": LogNormal.fixed(1.0),
    "student-t": StudentT(0.0),
    "poisson": Poisson(),
}
# before there are data, noise is this share of a channel's range, or of a value if log-normal
_SHARE = 0.05


class Equation(AbstractCurve):
    r"""An ordinary differential equation as a decoder, in the user's units; see `equation`.

    **Arguments:** `system`, the equation itself; `latents`, in the system's order, their priors
    perhaps narrowed by a fit; `noise`, with the scale of each channel; `times`, where an
    observation is sampled unless its condition says otherwise; `method`, how it is solved.

    A condition is None, the times `(time,)` of this observation, or a `Course` with times and
    inputs. Time begins at the first of them: there the state is $x_0(z)$.
    """

    system: AbstractSystem
    latents: Latents
    noise: AbstractCurveNoise
    times: tuple[float, ...] = eqx.field(static=True)
    method: AbstractMethod

    def __check_init__(self):
        if self.latents.names != self.system.latents.names:
            raise ValueError(
                f"the equation's latents are {', '.join(self.system.latents.names)}, and "
                f"{', '.join(self.latents.names)} were given."
            )
        if len(self.times) < 2 or not all(np.diff(np.asarray(self.times)) > 0):
            raise ValueError("an equation needs at least two times, in rising order.")

    def states(self, z: Latent, condition: Condition = None) -> Float[Array, "time state"]:
        """The state at every time of the observation."""
        times, u = course(self.times, condition, z)
        return self.method.path(self.system, times, z, drive(times, u, self._kinds))

    # compiled here, so that a call outside any jit does not trace the solver anew
    @eqx.filter_jit
    def curve(self, z: Latent, condition: Condition = None) -> Float[Array, "time observable"]:
        """What an instrument without noise would read, $y$."""
        times, u = course(self.times, condition, z)
        inputs = drive(times, u, self._kinds)
        x = self.method.path(self.system, times, z, inputs)
        return jax.vmap(lambda t, x: self.system.observe(t, x, z, inputs(t)))(times, x)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The noiseless reading (the mean of an observation; of a log-normal one the median),
        or with a key a noisy one."""
        y = self.curve(z, condition)
        return y if key is None else self.noise.sample(key, self.noise.link(y))

    # compiled: outside of a program numpyro refuses a curve that is not finite, which is a value
    @eqx.filter_jit
    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\sum \log p(x_i \mid y_i)$ over the observed entries."""
        eta = self.noise.link(self.curve(z, condition))
        return self.noise.log_prob(jnp.asarray(x, eta.dtype), eta)

    def residuals(
        self, x: Observation, z: Latent, condition: Condition = None
    ) -> Float[Array, "time observable"]:
        """The deviance residual of every entry, 0 where nothing was observed."""
        eta = self.noise.link(self.curve(z, condition))
        x = jnp.asarray(x, eta.dtype)
        observed = ~jnp.isnan(x)
        known = jnp.where(observed, x, 1.0)
        return jnp.where(observed, self.noise.residual(known, eta, self.scales), 0.0)

    @property
    def scales(self) -> Float[Array, " observable"]:
        """The noise's scale for each channel; ones where it has none."""
        noise = self.noise
        scale = noise.scale if isinstance(noise, AbstractScaledNoise) else jnp.ones(())
        return jnp.broadcast_to(scale, (len(self.system.observables),))

    @property
    def _kinds(self) -> tuple[str, ...]:
        return interpolations(self.system)


def equation(
    source: str | AbstractSystem,
    *,
    until: float | None = None,
    samples: int = 201,
    times: Sequence[float] | np.ndarray | None = None,
    noise: AbstractCurveNoise | None = None,
    values: Mapping[str, float] | None = None,
) -> Equation:
    """An equation as a model, before any data: it can be sampled and its latents turned.

    **Arguments:** `source`, its text (see `parse`) or a system; the observation's `times`, or
    `samples` even ones from 0 to `until` (10 where nothing is said); `noise`, without it 5 % of
    each channel's range at the priors' centre, of the kind that the text names.

    **Raises:** `EquationError` where the text is wrong; `ValueError` for times that are none,
    for a stochastic equation (see `stochastic_equation`) and where no solver gets through at the
    centre of the priors.
    """
    system = parse(source) if isinstance(source, str) else source
    if system.noises or (isinstance(system, TextSystem) and system.jumps):
        raise ValueError(
            "this equation is stochastic (it has dW or dN): make it with stochastic_equation(...)."
        )
    if times is None:
        times = np.linspace(0.0, 10.0 if until is None else until, samples)
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.diff(grid) > 0):
        raise ValueError(f"the times {grid[:3]}… are not at least two rising numbers.")
    choice = suited(system, system.latents, grid)
    if noise is None:
        noise = noise_like(noise_word(system), choice)
    return Equation(
        system=system, latents=system.latents, noise=noise, times=tuple(grid.tolist()),
        method=choice.method,
    )  # fmt: skip


def interpolations(system: AbstractSystem) -> tuple[str, ...]:
    """How each input of a system is read between its samples."""
    formula = formula_of(system)
    if formula is not None:
        return formula.interpolations
    return ("linear",) * len(system.inputs)


def noise_word(system: AbstractSystem) -> str:
    """The kind of noise that a text names, or the Gaussian."""
    formula = formula_of(system)
    word = None if formula is None else formula.noise_name
    return word or "gaussian"


def noise_like(word: str, choice: Choice) -> AbstractCurveNoise:
    """Noise of 5 % of each channel's range, before there are data to estimate it from."""
    if word not in CURVE_NOISES:
        raise ValueError(f"'{word}' is no noise of an equation; it is {', '.join(CURVE_NOISES)}.")
    ranges = np.ones_like(choice.ranges) if word == "log-normal" else choice.ranges
    return CURVE_NOISES[word].with_scale(tuple((_SHARE * ranges).tolist()))
