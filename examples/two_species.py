"""Two species compete: which one is left, and how surely do the data say so?

    python examples/two_species.py

An equation in text, three cultures made with it (each species alone, and both together, as Gause
did in 1934), one fit to all three, what the fit says of itself, and the phase portrait.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
TEXT = """
time in day
x1' = r1*x1*(1 - x1/N1) - a1*x1*x2
x2' = r2*x2*(1 - x2/N2) - a2*x1*x2

r1, r2 in (0.1, 3) 1/day
N1, N2 in (20, 800) volume
a1, a2 in (0, 0.05) 1/(day volume)
x1(0), x2(0) in (0.5, 50) volume
noise log-normal
"""
TRUTH = {"r1": 0.8, "r2": 0.7, "N1": 200.0, "N2": 210.0, "a1": 0.0046, "a2": 0.0027}
CULTURES = {"alone 1": (5.0, 0.0), "alone 2": (0.0, 5.0), "mixed": (5.0, 5.0)}
NAMES = ("x1", "x2")


def cultures() -> uw.Dataset:
    """The three cultures, counted once a day with an error of a tenth; the mixed one is not
    counted on the first two days."""
    model = uw.equation(TEXT, until=24, samples=25, noise=uw.LogNormal.fixed((0.1, 0.1)))
    signals = []
    for i, (name, (x1, x2)) in enumerate(CULTURES.items()):
        known = TRUTH | {"x1(0)": x1, "x2(0)": x2}
        z = jnp.asarray([known[latent] for latent in model.latents.names])
        counts = np.array(model.decode(z, key=jax.random.key(i)))
        # a species that is not there is counted as 0
        counts[:, np.asarray([x1, x2]) == 0] = 0.0
        if name == "mixed":
            counts[:2] = np.nan
        times = np.asarray(model.times)
        signals.append(
            uw.Signal(name, name, counts, times, NAMES, ("volume",) * 2, time_unit="day")
        )
    return uw.trajectories(signals)


def main() -> None:
    """Fits, and asks the fit."""
    system = uw.parse(TEXT)
    fit = uw.fit_equation(TEXT, cultures(), starts=4 if TOY else 32)
    for row in fit.account["latents"]:
        name, unit = row["name"], row["unit"]
        if name in TRUTH:
            ends = f"[{row['low']:.4g}, {row['high']:.4g}]"
            print(f"{name:3} true {TRUTH[name]:8.4g}   found {row['estimate']:8.4g} {ends} {unit}")
    print("\n".join(fit.account["verdict"]))

    def field_of(z: jax.Array):
        return lambda x: system.rates(jnp.zeros(()), x, z, jnp.zeros(0))

    # at the estimates: where the two can come to rest, and from where
    z = jnp.asarray(fit.best.z[list(CULTURES).index("mixed")])
    low, high = [0, 0], [250, 250]
    found = uw.equilibria(field_of(z), low, high)
    print("\n".join(uw.equations.describe(found, NAMES)))
    portrait = uw.phase_portrait(field_of(z), low, high, found=found)
    grounds = uw.basins(field_of(z), low, high, found, resolution=12 if TOY else 60)
    figure = uw.plots.phase_portrait(portrait, names=NAMES, units=("volume",) * 2, basins=grounds)
    print(f"phase portrait: {uw.plots.save(figure, 'two_species.svg')}")

    # over what the data leave open: who survives
    keys = jax.random.split(jax.random.key(0), 100 if TOY else 1000)
    with jax.enable_x64(True):
        draws = np.asarray(jax.vmap(fit.model.latents.sample)(keys))
    survival = uw.survivors(field_of, draws, NAMES, low, [400, 400])
    print("\n".join(survival.sentences))


if __name__ == "__main__":
    main()
