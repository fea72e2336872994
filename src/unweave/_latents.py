r"""Named latents: what a model is turned by, each with a unit, a support and a prior.

A prior is kept as the name of its family and plain numbers, so that it is static: no
optimiser can move it, and two equal ones are equal. A compiled program may take the numbers as
arguments instead (`as_arguments`), and so serves all models that differ in them alone. The
distributions and the bijections onto their supports are numpyro's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from ._libraries import default_promotion
from ._programs import AbstractNumbered, Given

_FAMILIES: dict[str, Callable[..., dist.Distribution]] = {
    "normal": dist.Normal,
    "log-normal": dist.LogNormal,
    "uniform": dist.Uniform,
    "log-uniform": dist.LogUniform,
    "truncated-normal": lambda mean, std, low, high: dist.TruncatedNormal(
        mean, std, low=low, high=high
    ),
}
#: How many numbers a prior of each family has.
_COUNTS = {name: 4 if name == "truncated-normal" else 2 for name in _FAMILIES}


@dataclass(frozen=True)
class Prior:
    """A distribution of one latent; made by `normal`, `log_normal`, `uniform`, `log_uniform`,
    `truncated_normal`."""

    family: str
    parameters: tuple[float, ...]

    def __post_init__(self):
        if self.family not in _FAMILIES:
            raise ValueError(
                f"'{self.family}' is no family of priors; there are {', '.join(_FAMILIES)}."
            )

    def distribution(self) -> dist.Distribution:
        """The prior as a numpyro distribution."""
        return _FAMILIES[self.family](*self.parameters)


def normal(mean: float = 0.0, std: float = 1.0) -> Prior:
    r"""$\mathcal{N}(\text{mean}, \text{std}^2)$ on the real line."""
    _check_positive(std=std)
    return Prior("normal", (float(mean), float(std)))


def log_normal(log_mean: float = 0.0, log_std: float = 1.0) -> Prior:
    r"""$\log z \sim \mathcal{N}(\text{log\_mean}, \text{log\_std}^2)$: a positive latent."""
    _check_positive(log_std=log_std)
    return Prior("log-normal", (float(log_mean), float(log_std)))


def uniform(low: float, high: float) -> Prior:
    """Uniform on the interval from `low` to `high`."""
    _check_interval(low, high)
    return Prior("uniform", (float(low), float(high)))


def log_uniform(low: float, high: float) -> Prior:
    """`log z` uniform from `log low` to `log high`: a positive latent of unknown magnitude."""
    _check_interval(low, high)
    _check_positive(low=low)
    return Prior("log-uniform", (float(low), float(high)))


def truncated_normal(mean: float, std: float, low: float, high: float) -> Prior:
    r"""$\mathcal{N}(\text{mean}, \text{std}^2)$ cut to the interval from `low` to `high`."""
    _check_positive(std=std)
    _check_interval(low, high)
    return Prior("truncated-normal", (float(mean), float(std), float(low), float(high)))


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} is {number}; it must be positive.")


def _check_interval(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"the interval ({low}, {high}) is empty; give the lower end first.")


class Latents(AbstractNumbered):
    """The named latents of a model, in the order in which an array `z` holds them.

    **Arguments:** `names`, one word each and all different; `units`, "" for none; `priors`;
    `factor`, where the latents depend on each other, the lower Cholesky factor of the correlation
    of their standard normal scores (a Gaussian copula: each prior stays the marginal). `given` is
    None but inside of a compiled program, which may have the numbers of priors and factor as
    arguments: `priors` then tell their families alone.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    units: tuple[str, ...] = eqx.field(static=True)
    priors: tuple[Prior, ...] = eqx.field(static=True)
    factor: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=())
    given: tuple[Given, Given | None] | None = None

    def __check_init__(self):
        if not len(self.names) == len(self.units) == len(self.priors):
            raise ValueError(
                f"{len(self.names)} names, {len(self.units)} units and {len(self.priors)} "
                "priors were given; each latent needs one of each."
            )
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"two latents are called '{twice[0]}'; names must differ.")
        n = len(self.names)
        if self.factor and [len(row) for row in self.factor] != [n] * n:
            raise ValueError(f"the factor of {n} latents is not {n} by {n}.")

    @classmethod
    def standard(cls, size: int, *, prefix: str = "z") -> "Latents":
        """`size` independent standard-normal latents, named z1, z2, …"""
        if size < 1:
            raise ValueError(f"{size} latents were asked for; a model needs at least one.")
        names = tuple(f"{prefix}{i + 1}" for i in range(size))
        return cls(names, ("",) * size, (normal(),) * size)

    @property
    def size(self) -> int:
        """How many latents there are."""
        return len(self.names)

    @property
    def are_standard(self) -> bool:
        """Whether every prior is the standard normal, and they are independent."""
        return not self._is_correlated and self._are_plain

    @property
    def _are_plain(self) -> bool:
        return all(prior == normal() for prior in self.priors)

    @property
    def _is_correlated(self) -> bool:
        return bool(self.factor) or (self.given is not None and self.given[1] is not None)

    def numbers(self, dtype: Any) -> Float[Array, "latent 4"]:
        """The numbers of each prior, zeros after its last."""
        if self.given is not None:
            return self.given[0].numbers.astype(dtype)
        return jnp.asarray(_padded(self.priors), dtype)

    def _root(self, dtype: Any) -> Float[Array, "latent latent"]:
        """The factor of the correlation."""
        if self.given is not None and self.given[1] is not None:
            return self.given[1].numbers.astype(dtype)
        return jnp.asarray(self.factor, dtype)

    def as_arguments(self) -> "Latents":
        """Itself with its numbers `Given`, for a compiled program."""
        if self.given is not None or self.are_standard:
            return self
        factor = Given.of(self.factor) if self.factor else None
        families = tuple(Prior(prior.family, ()) for prior in self.priors)
        given = (Given.of(_padded(self.priors)), factor)
        return replace(self, priors=families, factor=(), given=given)

    def index(self, name: str) -> int:
        """The position of the latent called `name`."""
        if name not in self.names:
            raise ValueError(f"no latent is called '{name}'; there are {', '.join(self.names)}.")
        return self.names.index(name)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """A draw from the prior."""
        return self.from_white(jax.random.normal(key, (self.size,)))

    def log_prior(self, z: Float[Array, " latent"]) -> Float[Array, ""]:
        """Log-density of the prior at `z`, in nats; -inf outside the support."""

        def log_prob(prior: dist.Distribution, part: Array) -> Array:
            assert prior.support is not None
            inside = prior.support(part)
            return jnp.where(inside, prior.log_prob(part), -jnp.inf)

        each = self._by_family(log_prob, z).sum()
        if not self._is_correlated:
            return each
        # the copula: the density of the correlated scores over that of independent ones
        e = self.to_normal(z)
        factor = self._root(e.dtype)
        white = jax.scipy.linalg.solve_triangular(factor, e, lower=True)
        return each + 0.5 * (e @ e - white @ white) - jnp.log(jnp.diagonal(factor)).sum()

    def from_white(self, e: Float[Array, " latent"]) -> Float[Array, " latent"]:
        """Independent standard normal numbers to latents whose joint prior is this one."""
        return self.from_normal(self._root(e.dtype) @ e if self._is_correlated else e)

    def from_normal(self, e: Float[Array, " latent"]) -> Float[Array, " latent"]:
        r"""$z = F^{-1}(\Phi(e))$: standard normal scores to latents.

        One step of `e` means the same for every prior, so a walk from -3 to 3 shows the whole
        range that the prior allows, for an interval as for the real line.
        """
        if self._are_plain:
            return e

        def quantile(prior: dist.Distribution, part: Array) -> Array:
            # exact in the tails, where the normal's own distribution function saturates
            if isinstance(prior, dist.Normal):
                return jnp.asarray(prior.loc) + jnp.asarray(prior.scale) * part
            if isinstance(prior, dist.LogNormal):
                return jnp.exp(jnp.asarray(prior.loc) + jnp.asarray(prior.scale) * part)
            return jnp.asarray(prior.icdf(jax.scipy.stats.norm.cdf(part)))

        return self._by_family(quantile, e)

    def to_normal(self, z: Float[Array, " latent"]) -> Float[Array, " latent"]:
        r"""The inverse of `from_normal`, $e = \Phi^{-1}(F(z))$."""
        if self._are_plain:
            return z

        def score(prior: dist.Distribution, part: Array) -> Array:
            if isinstance(prior, dist.Normal):
                return (part - jnp.asarray(prior.loc)) / jnp.asarray(prior.scale)
            if isinstance(prior, dist.LogNormal):
                return (jnp.log(part) - jnp.asarray(prior.loc)) / jnp.asarray(prior.scale)
            return jax.scipy.special.ndtri(jnp.asarray(prior.cdf(part)))

        return self._by_family(score, z)

    def constrain(self, u: Float[Array, " latent"]) -> Float[Array, " latent"]:
        """Real numbers to latents inside their supports (numpyro's bijections)."""
        return self._by_family(lambda prior, part: dist.biject_to(prior.support)(part), u)

    def unconstrain(self, z: Float[Array, " latent"]) -> Float[Array, " latent"]:
        """The inverse of `constrain`."""
        return self._by_family(lambda prior, part: dist.biject_to(prior.support).inv(part), z)

    def _by_family(self, function: Callable[[dist.Distribution, Array], Array], z: Array) -> Array:
        """Applies `function` once to each family of priors, not once to each latent."""
        numbers, parts, places = self.numbers(z.dtype), [], []
        for family in dict.fromkeys(prior.family for prior in self.priors):
            where = [i for i, prior in enumerate(self.priors) if prior.family == family]
            prior = _FAMILIES[family](*_rows(numbers, where)[:, : _COUNTS[family]].T)
            with default_promotion():
                parts.append(function(prior, _rows(z, where)).astype(z.dtype))
            places += where
        if len(parts) < 2:
            return parts[0] if parts else z
        return _rows(jnp.concatenate(parts), np.argsort(places).tolist())


def _rows(x: Array, where: list[int]) -> Array:
    """Some rows; where they follow each other by a slice, which is traced and compiled sooner."""
    if where == list(range(len(x))):
        return x
    first, end = where[0], where[-1] + 1
    if where == list(range(first, end)):
        return jax.lax.slice_in_dim(x, first, end)
    return x[np.asarray(where)]


def latents(
    names: Sequence[str], priors: Sequence[Prior], *, units: Sequence[str] | None = None
) -> Latents:
    """`Latents` from any sequences; without `units` every latent is a plain number."""
    return Latents(tuple(names), tuple(units or ("",) * len(names)), tuple(priors))


def _padded(priors: Sequence[Prior]) -> np.ndarray:
    rows = [prior.parameters + (0.0,) * (4 - len(prior.parameters)) for prior in priors]
    return np.asarray(rows, np.float64).reshape(-1, 4)
