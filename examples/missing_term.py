"""A term that is missing from an equation, learned: how much a predator eats.

How prey grow and predators die is written down; how much is eaten, at which density of prey, is
left to a network. Latents and network are fitted together to three quarters of a period, and what
the network found is drawn beside the truth, which is known here because the data are simulated.
Run it: python examples/missing_term.py
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

import unweave as uw
from unweave import plots
from unweave.data import Signal, trajectories
from unweave.equations import centre_of, find_equation
from unweave.hybrid import fit_hybrid, fit_neural

TOY = bool(os.environ.get("UNWEAVE_TOY"))
PERIOD = 7.3

TEXT = """
time in day
eaten = net(prey)*predators                    # what one predator eats: not known
prey' = a*prey - eaten
predators' = e*eaten - c*predators
a, c in (0, 3) 1/day
e in (0, 2)
prey(0), predators(0) in (0.1, 10)
"""


def truth(times: np.ndarray) -> np.ndarray:
    """What really happens: one predator eats half of the prey's density a day."""

    def rates(t: float, s: np.ndarray) -> list[float]:
        return [s[0] - 0.5 * s[0] * s[1], 0.3 * s[0] * s[1] - 0.8 * s[1]]

    return solve_ivp(rates, (0, times[-1]), [3, 1.5], t_eval=times, rtol=1e-9, atol=1e-9).y.T


def main() -> None:
    early = np.linspace(0, 0.75 * PERIOD, 21)
    late = early[-1] + np.linspace(0, 3 * PERIOD, 61)[1:]
    times = np.concatenate([early, late])
    exact = truth(times)
    noise = np.random.default_rng(1).normal(size=(len(early), 2))
    seen = exact[: len(early)] + 0.03 * exact.std(axis=0) * noise
    names = ("prey", "predators")
    data = trajectories([Signal("pond", "pond", seen, early, names, ("", ""), "day")])

    size = {"widths": (6,), "starts": 2, "decays": (3.0,)} if TOY else {}
    fit = fit_hybrid(TEXT, data, **size)
    print("\n".join(fit.account["hybrid"]["sentences"]))
    for name, true in (("a", 1.0), ("c", 0.8), ("e", 0.6)):
        print(f"{name}: true {true:g}, found {fit.estimates[name]:.3g}")

    def missed(model: uw.AbstractDecoder) -> float:
        """The forecast's error over three periods that were not seen, in standard deviations."""
        equation = find_equation(model)
        with jax.enable_x64(True):
            z = jnp.asarray(centre_of(equation.latents))
            course = np.asarray(equation.curve(z, jnp.asarray(times)))
        wrong = (course - exact)[len(early) :] / exact.std(axis=0)
        return float(np.sqrt((wrong**2).mean()))

    print(f"three periods ahead: the hybrid misses by {missed(fit.model):.2f} deviations", end="")
    if not TOY:
        print(f", a neural equation by {missed(fit_neural(data).model):.2f}", end="")
    print()

    given, found = fit.arrays["found_arguments_0"], fit.arrays["found_values"]
    figure = plots.found([given], found, labels=["eaten by one predator a day"], words=[["prey"]])
    axes = figure.axes[0]
    axes.plot(np.sort(given[:, 0]), 0.5 * np.sort(given[:, 0]), "--", color=plots.MUTED)
    plots.save(figure, "missing_term.svg")
    largest = np.abs(found[:, 0] - 0.5 * given[:, 0]).max()
    print(f"the network is within {largest:.2f} of what was left out; drawn in missing_term.svg")


if __name__ == "__main__":
    main()
