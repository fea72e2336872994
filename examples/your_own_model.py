"""A model of your own: a damped oscillation, its initial state and its two constants as latents.

One class says which latents there are and what observation they stand for. Sampling comes with
that; turning the latents, fitting them to a series with gaps, and checking the class are tools
that were written for any decoder. Run it: python examples/your_own_model.py
"""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
STEP, SAMPLES = 0.05, 120  # six seconds


class Oscillation(uw.AbstractDecoder):
    r"""$\ddot x = -2\gamma \dot x - \omega^2 x$ solved in closed form, in mm.

    $x(t) = e^{-\gamma t} \big(x_0 \cos \nu t + (v_0 + \gamma x_0) / \nu \sin \nu t\big)$ with
    $\nu = 2 \pi f$, the frequency at which it swings. The condition, if any, is the times in
    seconds at which it was measured.
    """

    latents: uw.Latents
    noise: uw.AbstractNoise

    def decode(self, z, condition=None, *, key=None):
        """The displacement at every time, `(time, 1)`."""
        x0, v0, frequency, damping = z
        t = STEP * jnp.arange(SAMPLES, dtype=z.dtype) if condition is None else condition
        nu = 2 * jnp.pi * frequency
        swing = x0 * jnp.cos(nu * t) + (v0 + damping * x0) / nu * jnp.sin(nu * t)
        x = (jnp.exp(-damping * t) * swing)[:, None]
        return self.noise.mean(x) if key is None else self.noise.sample(key, x)


def oscillation() -> Oscillation:
    """What we believe before any measurement: signs are open, rates are positive."""
    latents = uw.latents(
        ["x0", "v0", "frequency", "damping"],
        [uw.normal(0, 5), uw.normal(0, 10), uw.log_uniform(0.3, 3), uw.log_normal(-1, 0.7)],
        units=["mm", "mm/s", "Hz", "1/s"],
    )
    return Oscillation(latents, uw.Gaussian.fixed(0.5))


def measured(model: Oscillation, truth: np.ndarray, key) -> np.ndarray:
    """A noisy series of which a second is lost, and every fifth sample besides."""
    x = np.array(model.decode(jnp.asarray(truth), key=key))
    x[40:60] = np.nan
    x[::5] = np.nan
    return x


def main() -> None:
    """Checks the class, samples it, turns it, and fits it."""
    model, key = oscillation(), jax.random.key(0)
    print(uw.check_model(model, key=key))

    draws = uw.draw(model, 3, key=key)
    print(f"three samples of shape {draws.shape[1:]}, the first from {draws[0, 0, 0]:.1f} mm on")

    schema = uw.Schema(
        kind="series", axes=("time", "channel"), shape=(SAMPLES, 1), channels=("displacement",),
        units=("mm",), step=STEP, time_unit="s",
    )  # fmt: skip
    centre = jnp.asarray([5.0, 0.0, 0.7, 0.3])
    walks = uw.traverse(model, around=centre, low=-2.0, high=2.0)
    figure = uw.plots.traversal(walks, schema, names=model.latents.names, low=-2.0, high=2.0)
    print(f"what each latent does: {uw.plots.save(figure, 'oscillation.svg')}")

    # least squares over the latents, from several starts: a wrong frequency is a local optimum
    fitter = uw.Inverted(model, starts=16 if TOY else 64)
    truth = np.asarray([4.0, -6.0, 0.8, 0.25], np.float32)
    x = measured(model, truth, jax.random.key(1))
    found = np.asarray(fitter.encode(jnp.asarray(x)))
    print(f"{int(np.isnan(x).sum())} of {x.size} samples are missing")
    for name, unit, was, got in zip(
        model.latents.names, model.latents.units, truth, found, strict=True
    ):
        print(f"  {name:10} true {was:6.2f}   found {got:6.2f} {unit}")
    residual = np.asarray(x - fitter.decode(jnp.asarray(found)))
    print(f"left over: {np.nanstd(residual):.2f} mm (the noise is 0.50 mm)")

    # how many of the starts reached it: fits tells what every one of them ended in
    every = eqx.filter_jit(fitter.fits)(jnp.asarray(x))
    reached = int((every.cost < 1.01 * every.cost[0]).sum())
    print(f"{reached} of {fitter.starts} starts reached the best fit")


if __name__ == "__main__":
    main()
