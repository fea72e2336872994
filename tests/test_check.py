"""check_model passes every baseline, and names each way in which a model can be wrong."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unweave._adapt import Inverted
from unweave._check import check_model
from unweave._latents import Latents, latents, log_normal, uniform
from unweave._model import AbstractDecoder, AbstractDensity, AbstractEncoder, AbstractSampler
from unweave.networks import fit_gaussian_mixture, fit_pca

KEY = jax.random.key(0)


def data():
    return np.random.default_rng(0).normal(size=(50, 4, 2)) * np.array([1.0, 50.0])


class Growth(AbstractDecoder):
    """An equation in miniature: x = a exp(b t) plus a little noise."""

    latents: Latents

    def decode(self, z, condition=None, *, key=None):
        x = z[0] * jnp.exp(z[1] * jnp.linspace(0.0, 1.0, 6))
        return (x if key is None else x + 0.1 * jax.random.normal(key, x.shape))[:, None]


def growth():
    return Growth(latents(["a", "b"], [log_normal(), uniform(-1.0, 1.0)]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: fit_pca(data(), 2),
        lambda: fit_gaussian_mixture(data(), 2, components=2),
        growth,
        lambda: Inverted(growth(), starts=2, steps=30),
    ],
    ids=["pca", "gaussian-mixture", "decoder", "inverted"],
)
def test_what_the_package_ships_conforms(make):
    report = check_model(make(), key=KEY)
    assert report.ok, str(report)
    report.raise_if_failed()
    assert f"{len(report.checks)} of {len(report.checks)} checks passed" in str(report)


class Faulty(AbstractDecoder, AbstractEncoder, AbstractDensity):
    """Fails at much that was asked of it."""

    density_kind: ClassVar = "certain"

    latents: Latents
    count: list

    def decode(self, z, condition=None, *, key=None):
        return jnp.log(-jnp.abs(z))[:, None]

    def encode(self, x, condition=None, *, key=None):
        self.count.append(1)
        return jnp.full((3,), float(len(self.count)))

    def log_density(self, x, condition=None, *, key=None):
        return x


def test_each_fault_has_its_sentence():
    report = check_model(Faulty(Latents.standard(2), []), x=jnp.ones((2, 1)), key=KEY)
    failed = {check.name: check.sentence for check in report.checks if not check.ok}
    assert failed["decode: finite"] == "what decode gives is not finite."
    assert failed["encode: shape"] == "what encode gives has the shape (3,), not (2,)."
    assert failed["encode: no key, no chance"] == "encode asked twice gave two answers."
    assert failed["log_density: kind"].startswith("density_kind is 'certain'")
    assert failed["log_density: one number"] == "it has the shape (2, 1), not ()."
    assert failed["sample: other keys, other draws"] == "five keys gave one and the same draw."
    assert "raised" in failed["log_density: gradient"]
    assert not report.ok
    with pytest.raises(ValueError, match="what decode gives is not finite"):
        report.raise_if_failed()


class Density(AbstractSampler, AbstractDensity):
    """A density that is fooled by gaps: each one counts as a zero that was seen."""

    density_kind: ClassVar = "exact"

    def sample(self, key, condition=None):
        return jax.random.normal(key, (4,))

    def log_density(self, x, condition=None, *, key=None):
        return jax.scipy.stats.norm.logpdf(jnp.nan_to_num(x)).sum()


class Overriding(Growth):
    """Implements decode a second time."""

    def decode(self, z, condition=None, *, key=None):
        return jnp.ones((6, 1))


def test_a_gap_that_is_taken_for_a_zero_is_found():
    report = check_model(Density(), key=KEY)
    assert [check.name for check in report.checks if not check.ok] == ["log_density: gap's place"]
    assert "nothing observed has log-density -3.68, not 0." in str(report)


def test_a_method_that_is_implemented_twice_is_found():
    report = check_model(Overriding(growth().latents), key=KEY)
    assert "decode is implemented 2 times" in str(report)


def test_models_that_cannot_be_asked_are_refused():
    with pytest.raises(TypeError, match="none of the capabilities"):
        check_model(eqx.nn.Identity(), key=KEY)

    class Only(AbstractEncoder):
        def encode(self, x, condition=None, *, key=None):
            return x

    with pytest.raises(ValueError, match="give x="):
        check_model(Only(), key=KEY)
