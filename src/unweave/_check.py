"""The conformance suite: whether a model does what the protocol says, in public.

Each check is a function of what is examined that returns None if all is well, or else a
sentence. A check that raises has failed, with the error as its sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp

from ._latents import Latents
from ._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    AbstractSampler,
    Condition,
    DensityKind,
    Key,
    Observation,
    capabilities,
)


@dataclass(frozen=True)
class Check:
    """One thing that was asked of a model: `ok`, or a `sentence` that says what is wrong."""

    name: str
    ok: bool
    sentence: str = ""


@dataclass(frozen=True)
class Report:
    """What `check_model` found."""

    model: str
    capabilities: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    def raise_if_failed(self) -> None:
        """Raises `ValueError` with the sentences of the checks that failed."""
        if not self.ok:
            raise ValueError(str(self))

    def __str__(self) -> str:
        passed = sum(check.ok for check in self.checks)
        head = f"{self.model} ({', '.join(self.capabilities)}): {passed} of {len(self.checks)}"
        failed = [f"  {check.name}: {check.sentence}" for check in self.checks if not check.ok]
        return "\n".join([f"{head} checks passed", *failed])


def check_model(
    model: eqx.Module,
    *,
    x: Observation | None = None,
    condition: Condition = None,
    key: Key,
) -> Report:
    """Asks of every capability that `model` has what the protocol promises of it.

    **Arguments:** `x`, an observation that the model can be asked about; drawn from the model
    if there is none. `condition`, what the model needs beside it.

    **Raises:** `TypeError` for a model with no capability, and `ValueError` if there is no `x`
    and the model cannot draw one.
    """
    words = capabilities(model)
    if not words:
        raise TypeError(
            f"{type(model).__name__} has none of the capabilities of the protocol; derive it "
            "from AbstractDecoder, AbstractSampler, AbstractEncoder or AbstractDensity."
        )
    if x is None:
        if not isinstance(model, AbstractSampler):
            raise ValueError(
                f"{type(model).__name__} cannot draw an observation to be asked about; give x=."
            )
        x = model.sample(key, condition)
    todo: list[tuple[str, Callable[[], str | None]]] = [("class", partial(_class, model))]
    if isinstance(model, AbstractSampler):
        todo += _sampler(model, x, condition, key)
    if isinstance(model, AbstractDecoder):
        todo += _decoder(model, x, condition, key)
    if isinstance(model, AbstractEncoder):
        todo += _encoder(model, x, condition, key)
    if isinstance(model, AbstractDensity):
        todo += _density(model, x, condition, key)
    checks = tuple(_run(name, check) for name, check in todo)
    return Report(type(model).__name__, words, checks)


def _run(name: str, check: Callable[[], str | None]) -> Check:
    try:
        sentence = check()
    except Exception as error:  # whatever a stranger's model raises is the finding
        first = (str(error).splitlines() or [""])[0]
        sentence = f"raised {type(error).__name__}: {first}"
    return Check(name, sentence is None, sentence or "")


_Checks = list[tuple[str, Callable[[], str | None]]]


def _class(model: eqx.Module) -> str | None:
    """Final: nothing that an ancestor implemented is implemented again."""
    for name in ("sample", "decode", "encode", "log_density", "posterior", "log_likelihood"):
        found = [vars(base)[name] for base in type(model).__mro__ if name in vars(base)]
        done = [f for f in found if not getattr(f, "__isabstractmethod__", False)]
        if len(done) > 1:
            return f"{name} is implemented {len(done)} times among its classes; keep one."
    return None


def _sampler(model: AbstractSampler, x: Observation, condition: Condition, key: Key) -> _Checks:
    @eqx.filter_jit
    def draw(key: Key) -> Observation:
        return model.sample(key, condition)

    return [
        ("sample: shape and type", lambda: _alike(draw(key), x, "a sample")),
        ("sample: finite", lambda: _finite(draw(key), "a sample")),
        *_with_key("sample", draw, key),
        *_transforms("sample", lambda key: model.sample(key, condition), key),
    ]


def _decoder(model: AbstractDecoder, x: Observation, condition: Condition, key: Key) -> _Checks:
    z = model.latents.sample(key)

    @eqx.filter_jit
    def decode(z: jax.Array) -> Observation:
        return model.decode(z, condition)

    def gradient() -> str | None:
        slope = eqx.filter_jit(jax.jacfwd(lambda z: decode(z).astype(z.dtype)))(z)
        return _finite(slope, "the derivative of decode")

    def noisy() -> str | None:
        return _alike(eqx.filter_jit(model.decode)(z, condition, key=key), x, "a draw")

    return [
        ("latents: prior", lambda: _prior(model.latents, key)),
        ("latents: not trainable", lambda: _static(model.latents)),
        ("decode: shape", lambda: _same_shape(decode(z), x.shape, "what decode gives")),
        ("decode: finite", lambda: _finite(decode(z), "what decode gives")),
        ("decode: no key, no chance", lambda: _twice(lambda: model.decode(z, condition), "decode")),
        ("decode: derivative", gradient),
        ("decode: with a key", noisy),
        *_transforms("decode", lambda z: model.decode(z, condition), z),
    ]


def _encoder(model: AbstractEncoder, x: Observation, condition: Condition, key: Key) -> _Checks:
    @eqx.filter_jit
    def encode(x: Observation) -> jax.Array:
        return model.encode(x, condition)

    def latent_shape() -> str | None:
        z = encode(x)
        if isinstance(model, AbstractDecoder):
            return _same_shape(z, (model.latents.size,), "what encode gives")
        return None if z.ndim == 1 else f"encode gives {z.ndim} axes; latents have one."

    def there_and_back() -> str | None:
        if not isinstance(model, AbstractDecoder):
            return None
        back = encode(eqx.filter_jit(model.decode)(model.latents.sample(key), condition))
        return _finite(back, "encode(decode(z))")

    def drawn() -> str | None:
        draw = eqx.filter_jit(model.encode)
        z = draw(x, condition, key=key)
        return _finite(z, "a draw") or _equal(z, draw(x, condition, key=key), "encode with one key")

    return [
        ("encode: shape", latent_shape),
        ("encode: finite", lambda: _finite(encode(x), "what encode gives")),
        ("encode: no key, no chance", lambda: _twice(lambda: model.encode(x, condition), "encode")),
        ("encode: with a key", drawn),
        ("encode: of a decoded z", there_and_back),
        ("encode: gaps", lambda: _gaps(encode, x, "encode")),
        *_transforms("encode", lambda x: model.encode(x, condition), x),
    ]


def _density(model: AbstractDensity, x: Observation, condition: Condition, key: Key) -> _Checks:
    @eqx.filter_jit
    def log_density(x: Observation) -> jax.Array:
        return model.log_density(x, condition)

    def kind() -> str | None:
        kinds = get_args(DensityKind)
        if model.density_kind in kinds:
            return None
        return f"density_kind is '{model.density_kind}'; it is one of {', '.join(kinds)}."

    def far_away() -> str | None:
        far = x + 100 * jnp.maximum(1, jnp.abs(x))
        if not jnp.issubdtype(x.dtype, jnp.floating) or log_density(far) < log_density(x):
            return None
        return "an observation a hundred times as large is as likely as the one given."

    def gradient() -> str | None:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return None
        return _finite(eqx.filter_jit(jax.grad(log_density))(x), "the gradient of log_density")

    return [
        ("log_density: kind", kind),
        ("log_density: one number", lambda: _same_shape(log_density(x), (), "it")),
        ("log_density: finite", lambda: _finite(log_density(x), "log_density")),
        (
            "log_density: no key",
            lambda: _twice(lambda: model.log_density(x, condition), "log_density"),
        ),
        ("log_density: gradient", gradient),
        ("log_density: less far away", far_away),
        ("log_density: gaps", lambda: _gaps(log_density, x, "log_density")),
        ("log_density: gap's place", lambda: _gap_is_forgotten(model, x, condition)),
        *_transforms("log_density", lambda x: model.log_density(x, condition), x),
    ]


def _alike(got: Observation, x: Observation, what: str) -> str | None:
    """Same shape, and whole numbers only where the observation has whole numbers."""
    floating = [jnp.issubdtype(array.dtype, jnp.floating) for array in (got, x)]
    if got.shape == x.shape and floating[0] == floating[1]:
        return None
    return f"{what} is {got.dtype}{list(got.shape)}, an observation {x.dtype}{list(x.shape)}."


def _same_shape(got: jax.Array, shape: tuple[int, ...], what: str) -> str | None:
    return None if got.shape == shape else f"{what} has the shape {got.shape}, not {shape}."


def _finite(got: jax.Array, what: str) -> str | None:
    return None if bool(jnp.isfinite(got).all()) else f"{what} is not finite."


def _equal(one: jax.Array, two: jax.Array, what: str) -> str | None:
    same = bool(jnp.array_equal(one, two, equal_nan=True))
    return None if same else f"{what} asked twice gave two answers."


def _twice(ask: Callable[[], jax.Array], what: str) -> str | None:
    # as it stands: once compiled, what depends on more than its arguments would not change
    return _equal(ask(), ask(), what)


def _with_key(name: str, draw: Callable[[Key], jax.Array], key: Key) -> _Checks:
    def differs() -> str | None:
        draws = [draw(other) for other in (key, *jax.random.split(key, 4))]
        if any(not jnp.array_equal(draws[0], d, equal_nan=True) for d in draws[1:]):
            return None
        return "five keys gave one and the same draw."

    return [
        (f"{name}: one key, one draw", lambda: _equal(draw(key), draw(key), "one key")),
        (f"{name}: other keys, other draws", differs),
    ]


def _transforms(name: str, function: Callable, argument: jax.Array) -> _Checks:
    """The same under `jit` and `vmap` as without."""
    plain_answer = cache(lambda: function(argument))

    def close(got: jax.Array) -> str | None:
        plain = plain_answer()
        size = max(1.0, float(jnp.abs(plain).max()))
        near = jnp.allclose(got, plain, rtol=1e-3, atol=1e-3 * size, equal_nan=True)
        return None if got.shape == plain.shape and bool(near) else "it gives another answer."

    def many() -> str | None:
        return close(eqx.filter_jit(jax.vmap(function))(jnp.stack([argument] * 3))[1])

    return [
        (f"{name}: under jit", lambda: close(eqx.filter_jit(function)(argument))),
        (f"{name}: under vmap", many),
    ]


def _prior(latents: Latents, key: Key) -> str | None:
    draws = eqx.filter_jit(jax.vmap(latents.sample))(jax.random.split(key, 32))
    if draws.shape != (32, latents.size):
        return f"the prior draws arrays of shape {draws.shape[1:]}, not ({latents.size},)."
    densities = eqx.filter_jit(jax.vmap(latents.log_prior))(draws)
    return _finite(densities, "the prior at its own draws")


def _static(latents: Latents) -> str | None:
    moving = jax.tree.leaves(eqx.filter(latents, eqx.is_inexact_array))
    if not moving:
        return None
    return f"{len(moving)} arrays of the latents can be moved by an optimiser; keep numbers."


def _gaps(function: Callable, x: Observation, what: str) -> str | None:
    """Half of the entries may be missing, and the answer stays finite."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return None
    return _finite(function(_without_half(x)), f"{what} with every other entry missing")


def _gap_is_forgotten(model: AbstractDensity, x: Observation, condition: Condition) -> str | None:
    """An entry that is missing says nothing: an observation without any has log-density 0."""
    if not jnp.issubdtype(x.dtype, jnp.floating) or model.density_kind == "unnormalised":
        return None
    nothing = float(eqx.filter_jit(model.log_density)(jnp.full_like(x, jnp.nan), condition))
    # a bound may lose something, but no density exceeds certainty about nothing
    wrong = nothing > 1e-3 if model.density_kind == "bound" else abs(nothing) > 1e-3
    return f"nothing observed has log-density {nothing:.3g}, not 0." if wrong else None


def _without_half(x: Observation) -> Observation:
    odd = jnp.arange(x.size).reshape(x.shape) % 2 == 1
    return jnp.where(odd, jnp.nan, x)
