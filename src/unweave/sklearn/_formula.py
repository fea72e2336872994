"""A formula y = f(x; parameters) in the language of equations, its fit and its errors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from .._latents import Latents
from .._least_squares import least_squares, value_and_slopes
from ..equations import EquationError, FitError, TextSystem, parse
from ..equations.fitting._certainty import inverse
from ..equations.language._lines import RESERVED

# the language has courses alone, and a formula is the observation of one that stays where it is
_STILL = "unused_"
# rows are filled up to a power of two, so that the folds of a cross-validation share a program
_FEWEST = 32
_TOLERANCE = 1e-10
# starts whose sums of squares differ by less than this part have found the same
_SAME = 1e-4
# how often the noise's scale, against which priors count, is found anew
_ROUNDS = 2

#: Inputs `(n, input)`, what was measured `(n,)`, and which rows are real and no filling.
Rows: TypeAlias = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Formula:
    """A text, its `system`, and for each of its inputs which column of the data it is."""

    system: TextSystem
    columns: tuple[int, ...]

    def __call__(
        self, x: Float[np.ndarray, "n feature"], z: Float[np.ndarray, " latent"]
    ) -> Float[np.ndarray, " n"]:
        """The formula at each row."""
        u = x[:, list(self.columns)].T
        return self.system.numpy_observe()(0.0, np.zeros((1, len(x))), z, u)[0]

    def written(self, z: Float[np.ndarray, " latent"]) -> str:
        """The formula with its parameters' numbers in their places."""
        known = self.system.expressions
        numbers = [sp.Float(float(f"{number:.4g}"), 4) for number in z]
        put: Any = dict(zip(known.latents, numbers, strict=True))
        formula = known.observed[0].xreplace(put)
        return f"{self.system.observables[0].name} = {sp.sstr(formula, full_prec=False)}"


@dataclass(frozen=True, eq=False)
class Found:
    """Estimates, their standard errors (infinite where the data leave one open), the deviation of
    the noise, and the share of starts that agree."""

    z: Float[np.ndarray, " latent"]
    errors: Float[np.ndarray, " latent"]
    noise: float
    agree: float


def words_of(names: Sequence[str]) -> tuple[str, ...]:
    """Columns' names as words of the language: what is no letter, digit or _ becomes _."""
    words = [re.sub(r"\W", "_", name) for name in names]
    return tuple(f"x_{word}" if re.match(r"\d|$", word) else word for word in words)


def read_formula(source: str, names: Sequence[str]) -> Formula:
    """The formula that `source` says of columns of these names.

    Columns that it names are inputs without a line of their own, and `y` is observed where no line
    says what is. Raises `EquationError` for a text that is no formula.
    """
    words = words_of(names)
    used = set(re.findall(r"[^\W\d]\w*", re.sub(r"#.*", "", source)))
    lines = re.findall(r"^\s*input\b.*", source, re.M)
    # a column called exp, or one that has a line of its own, is no word to add
    spoken_for = RESERVED | {word for line in lines for word in re.findall(r"\w+(?=\s*\()", line)}
    inputs = [word for word in dict.fromkeys(words) if word in used - spoken_for]
    lines = [source, *(f"input {word}(t)" for word in inputs)]
    if not re.search(r"^\s*observe\b", source, re.M):
        lines.append("observe y")
    lines += [f"{_STILL}' = 0", f"{_STILL}(0) = 0"]
    system = parse("\n".join(lines) + "\n")
    _check(system, words)
    columns = tuple(words.index(variable.name) for variable in system.inputs)
    return Formula(system, columns)


def _check(system: TextSystem, words: Sequence[str]) -> None:
    if len(system.states) > 1 or system.noises or system.events or system.jumps or system.networks:
        raise EquationError(
            "this is no formula: something in it moves in time, or is a network.",
            mend="Write y = f(x) alone; courses in time are fitted by: unweave.fit_equation",
        )
    if len(system.observables) != 1:
        found = ", ".join(variable.name for variable in system.observables)
        raise EquationError(
            f"a formula gives one number, and here there are {len(system.observables)}: {found}.",
            mend="Leave one line: observe y = a + b*x0",
        )
    known = system.expressions
    if {known.time, *known.states} & known.observed[0].free_symbols:
        raise EquationError(
            "t is the time, and rows of a table have none.", mend="Rename the column: time_of_day"
        )
    if system.noise_name not in (None, "gaussian"):
        raise EquationError(
            f"the noise is {system.noise_name}, and least squares take it to be gaussian.",
            mend="Leave the line out, or fit the logarithm: observe y = log(a) - b*x0",
        )
    for variable in system.inputs:
        if words.count(variable.name) != 1:
            raise EquationError(
                f"'{variable.name}' is the name of {words.count(variable.name)} columns.",
                mend=f"Name one of these: {', '.join(words[:10])}",
            )


def fit_formula(
    formula: Formula,
    x: Float[np.ndarray, "n feature"],
    y: Float[np.ndarray, " n"],
    *,
    starts: int,
    steps: int,
    seed: int,
) -> Found:
    r"""The least squares of $y - f(x; z)$ from many starts, with priors that inform as rows of
    their own, and standard errors from $s^2 (J^\top J)^{-1}$, $s^2 = |r|^2 / (n - p)$.

    Raises `FitError` where no start gives finite numbers.
    """
    system, n = formula.system, len(y)
    if not system.latents.size:
        return Found(np.zeros(0), np.zeros(0), float(np.std(y - formula(x, np.zeros(0)))), 1.0)
    size = max(_FEWEST, 1 << (n - 1).bit_length())
    fill = np.arange(size) % n
    data = (x[fill][:, list(formula.columns)], y[fill], np.arange(size) < n)
    scale = float(y.std()) or 1.0
    with jax.enable_x64(True):
        points = np.asarray(_starts(system.latents, starts, jax.random.key(seed)))
        end = _round(system, data, points, scale, steps)
        for _ in range(_ROUNDS if _informing(system.latents).any() else 0):
            rest = y - formula(x, end.z)
            scale = float(np.sqrt(np.mean(rest**2))) or scale
            end = _round(system, data, end.points, scale, steps)
    rest = y - formula(x, end.z)
    free = n - system.latents.size
    noise = float(np.sqrt(rest @ rest / free)) if free > 0 else np.inf
    same = end.cost <= end.cost.min() * (1 + _SAME) + np.finfo(float).tiny
    return Found(end.z, _errors(system.latents, end, noise), noise, float(np.mean(same)))


def fit_affine(x: Float[np.ndarray, "n feature"], y: Float[np.ndarray, " n"]) -> Found:
    r"""The least squares of $y = b + \sum_j b_j x_j$ in closed form, the shortest where there are
    several."""
    middle = x.mean(0)
    slopes = np.linalg.lstsq(x - middle, y - y.mean(), rcond=None)[0]
    z = np.concatenate([[y.mean() - middle @ slopes], slopes])
    design = np.column_stack([np.ones(len(x)), x])
    rest, free = y - design @ z, len(y) - len(z)
    noise = float(np.sqrt(rest @ rest / free)) if free > 0 else np.inf
    errors = np.sqrt(np.diag(inverse(design.T @ design))) * noise
    return Found(z, np.where(np.isnan(errors), np.inf, errors), noise, 1.0)


class _End(NamedTuple):
    """Where all starts ended and the cost there; of the best the latents, the slopes of the rows by
    each coordinate, and those of the latents by their own."""

    points: np.ndarray
    cost: np.ndarray
    z: np.ndarray
    slopes: np.ndarray
    turn: np.ndarray


def _round(system: TextSystem, data: Rows, points: np.ndarray, scale: float, steps: int) -> _End:
    # numbers of Python's would be constants of the program, and each one a new program
    ended, cost = _descend(system, data, jnp.asarray(points), jnp.asarray(scale), steps)
    cost = np.where(np.isnan(cost), np.inf, cost)
    if not np.isfinite(cost.min()):
        raise FitError(
            f"none of {len(points)} starts gave finite numbers; give narrower ranges, or more "
            "starts."
        )
    best = _look(system, data, ended[int(np.argmin(cost))])
    return _End(np.asarray(ended), cost, *(np.asarray(part) for part in best))


def _errors(latents: Latents, end: _End, noise: float) -> np.ndarray:
    z = end.z
    if not 0 < noise < np.inf:
        return np.full(len(z), 0.0 if noise == 0 else np.inf)
    by_z = end.slopes / np.where(end.turn == 0, np.inf, end.turn)[:, None] / noise
    width = np.asarray([prior.parameters[1] for prior in latents.priors])
    is_log = np.asarray([prior.family == "log-normal" for prior in latents.priors])
    sure = np.where(_informing(latents), 1 / (width * np.where(is_log, z, 1)) ** 2, 0.0)
    return np.sqrt(np.diag(inverse(by_z @ by_z.T + np.diag(sure))))


def _informing(latents: Latents) -> np.ndarray:
    """Which priors are no mere ranges."""
    return np.asarray([not prior.family.endswith("uniform") for prior in latents.priors])


def _starts(latents: Latents, count: int, key: Array) -> Float[Array, "start latent"]:
    """The prior's median and draws of it, in the coordinates that are searched."""
    centre = latents.unconstrain(latents.from_normal(jnp.zeros(latents.size)))
    draws = jax.vmap(latents.sample)(jax.random.split(key, count))
    points = jax.vmap(latents.unconstrain)(draws).at[0].set(centre)
    return jnp.where(jnp.isfinite(points), points, centre[None, :])


def _residual(system: TextSystem, data: Rows, z: Array) -> Float[Array, " n"]:
    u, y, real = data
    still, now = jnp.zeros(1), jnp.zeros(())
    given = jax.vmap(lambda row: system.observe(now, still, z, row)[0])(u)
    return jnp.where(real, given - y, 0.0)


@eqx.filter_jit
def _descend(
    system: TextSystem, data: Rows, points: Array, scale: Array, steps: int
) -> tuple[Array, Array]:
    """Levenberg–Marquardt from each start: where it ended, and the cost there."""
    latents = system.latents
    informs = _informing(latents)

    def residual(u: Array) -> Array:
        z = latents.constrain(u)
        rest = _residual(system, data, z) / scale
        if not informs.any():
            return rest
        return jnp.concatenate([rest, jnp.where(jnp.asarray(informs), _scores(latents, z), 0.0)])

    found = jax.vmap(lambda u: least_squares(residual, u, steps=steps, tolerance=_TOLERANCE))(
        points
    )
    return found.u, found.cost


@eqx.filter_jit
def _look(system: TextSystem, data: Rows, u: Array) -> tuple[Array, Array, Array]:
    constrain = system.latents.constrain
    _, slopes = value_and_slopes(lambda u: _residual(system, data, constrain(u)), u)
    z, turn = jax.jvp(constrain, (u,), (jnp.ones_like(u),))
    return z, slopes, turn


def _scores(latents: Latents, z: Array) -> Array:
    """Standard scores under the priors that inform."""
    is_log = jnp.asarray([prior.family == "log-normal" for prior in latents.priors])
    numbers = jnp.asarray([prior.parameters[:2] for prior in latents.priors], z.dtype)
    value = jnp.where(is_log, jnp.log(jnp.where(is_log, z, 1.0)), z)
    return (value - numbers[:, 0]) / numbers[:, 1]
