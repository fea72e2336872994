r"""The posterior by Hamiltonian Monte Carlo: the No-U-Turn Sampler of numpyro.

It moves in the independent standard scores $e$ of the prior, from which every latent's support
is reached without an edge: $\log p(e \mid x) = \log p(x \mid z(e)) - \tfrac12 |e|^2$ (Hoffman and
Gelman 2014). The noise's scale has the prior $1 / s$ and moves with the latents.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._libraries import default_promotion
from ._certainty import Certainty
from ._identify import Best


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from the posterior.

    `names` `(k,)` and `draws` `(chain, draw, k)` of the free latents in their own units;
    `scales` `(chain, draw, channel)` of the noise; `r_hat` and `effective` `(k,)`, the split
    potential scale reduction and the effective number of draws (Gelman et al., Bayesian Data
    Analysis, 2013, section 11.4); `divergences`, steps that left the path.
    """

    names: tuple[str, ...]
    draws: np.ndarray
    scales: np.ndarray
    r_hat: np.ndarray
    effective: np.ndarray
    divergences: int

    @property
    def sentences(self) -> list[str]:
        """Whether the draws may be believed."""
        n = self.draws.shape[0] * self.draws.shape[1]
        worst = int(np.argmax(self.r_hat))
        told = [
            f"{n} draws in {self.draws.shape[0]} chains; the least mixed latent is "
            f"{self.names[worst]} (R-hat {self.r_hat[worst]:.3f}, "
            f"{self.effective.min():.0f} effective draws at least)."
        ]
        if self.r_hat[worst] > 1.02:
            told.append("The chains have not mixed: draw more, or narrow the ranges.")
        if self.divergences > 0.01 * n:
            told.append(
                f"{self.divergences} steps diverged: the posterior has a corner that the draws "
                "may have missed."
            )
        return told


def posterior(
    best: Best,
    sure: Certainty,
    names: tuple[str, ...],
    *,
    draws: int = 500,
    warm_up: int = 500,
    chains: int = 4,
    seed: int = 0,
) -> Posterior:
    """Draws from $p(z, s \\mid x)$, started at the estimates with their covariance as a guide."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
    from numpyro.infer import MCMC, NUTS

    problem, latents = best.problem, best.equation.latents
    places = [(j, r) for j, r in sure.labels]
    has_scale, channels = problem.noise.has_scale, len(best.scale)
    with jax.enable_x64(True), default_promotion():
        centre = _scores_of(best, sure)
        factor = jnp.asarray(np.linalg.cholesky(_covariance(best, sure, centre)))
        fixed = jnp.asarray(best.z)
        log_scale = jnp.log(jnp.asarray(best.scale))

        def latents_at(white: Float[Array, " k"]) -> Float[Array, "record latent"]:
            e = centre + factor @ white
            z = fixed
            for k, (j, r) in enumerate(places):
                scores = jnp.zeros(latents.size).at[j].set(e[k])
                value = latents.from_normal(scores)[j]
                z = z.at[:, j].set(value) if r < 0 else z.at[r, j].set(value)
            return z

        def potential(point: dict[str, Array]) -> Array:
            z = latents_at(point["z"])
            scale = jnp.exp(log_scale + point["s"]) if has_scale else jnp.ones(channels)

            def one(z: Array, condition) -> Array:
                return problem.noise.link(problem.curve(z, condition))

            eta = jax.vmap(one)(z, problem.conditions)
            seen = ~jnp.isnan(problem.x)
            known = jnp.where(seen, problem.x, 1.0)
            rho = problem.noise.residual(known, jnp.where(seen, eta, 0.0), scale)
            counts = seen.sum(axis=(0, 1)).astype(eta.dtype)
            logs = (counts * jnp.log(scale)).sum() if has_scale else 0.0
            e = centre + factor @ point["z"]
            value = 0.5 * jnp.where(seen, rho**2, 0.0).sum() + logs + 0.5 * (e**2).sum()
            return jnp.where(jnp.isfinite(value), value, 1e12)

        # forward mode: few latents, and it passes through every solver
        kernel = NUTS(
            potential_fn=potential, dense_mass=False, target_accept_prob=0.85,
            forward_mode_differentiation=True,
        )  # fmt: skip
        sampler = MCMC(
            kernel, num_warmup=warm_up, num_samples=draws, num_chains=chains,
            chain_method="vectorized", progress_bar=False,
        )  # fmt: skip
        start = {
            "z": 0.1 * jax.random.normal(jax.random.key(seed), (chains, len(places))),
            "s": jnp.zeros((chains, channels)),
        }
        sampler.run(jax.random.PRNGKey(seed), init_params=start, extra_fields=("diverging",))
        drawn = sampler.get_samples(group_by_chain=True)
        every = eqx.filter_jit(jax.vmap(jax.vmap(latents_at)))(drawn["z"])
        z = np.stack([np.asarray(every[:, :, max(r, 0), j]) for j, r in places], axis=-1)
        scales = np.asarray(jnp.exp(log_scale + drawn["s"]))
        diverged = int(np.asarray(sampler.get_extra_fields()["diverging"]).sum())
    return Posterior(
        names, z, scales, np.asarray(split_gelman_rubin(z)),
        np.asarray(effective_sample_size(z)), diverged,
    )  # fmt: skip


def _scores_of(best: Best, sure: Certainty) -> Array:
    """The standard scores of the estimates, kept off the ends of their ranges."""
    every = jax.vmap(best.equation.latents.to_normal)(jnp.asarray(best.z))
    scores = jnp.stack([every[max(r, 0), j] for j, r in sure.labels])
    return jnp.clip(jnp.where(jnp.isnan(scores), 0.0, scores), -4.0, 4.0)


def _covariance(best: Best, sure: Certainty, scores: Array) -> np.ndarray:
    """The covariance of the estimates in the scores, by the slope of each at its estimate."""
    latents, slopes = best.equation.latents, []
    for k, (j, _) in enumerate(sure.labels):
        at = jnp.zeros(latents.size).at[j].set(scores[k])
        push = jnp.zeros(latents.size).at[j].set(1.0)
        value, slope = jax.jvp(latents.from_normal, (at,), (push,))
        slopes.append(float(slope[j] / value[j] if sure.is_log[k] else slope[j]))
    size = np.maximum(np.asarray(slopes), 1e-12)
    inner = np.linalg.inv(sure.fisher / sure.inflate * np.outer(size, size) + np.eye(len(size)))
    return inner + 1e-12 * np.eye(len(size))
