"""What a critic measures: two lines of points are drawn apart, and a critic is trained at each gap.

    python examples/critics_as_distances.py

The minimax critic estimates the Jensen-Shannon divergence, which is log 2 as soon as the two do not
touch, however far they are: it cannot tell a generator where to go. The Wasserstein critic measures
how far they are. Writes critics.svg.
"""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy.stats import wasserstein_distance

import unweave as uw
from unweave import train
from unweave.networks import MLP, Critic

TOY = bool(os.environ.get("UNWEAVE_TOY"))
N, WIDTH = 1024, 0.5
GAPS = (0.0, 3.0) if TOY else (0.0, 0.5, 1.0, 2.0, 4.0)


class Shifted(eqx.Module):
    """A generator that stands still: uniform numbers, moved by `gap`."""

    gap: float = eqx.field(static=True)

    def __call__(self, z: jax.Array) -> jax.Array:
        return WIDTH * (2 * jax.scipy.stats.norm.cdf(z) - 1) + self.gap


def trained(model: uw.GAN, data: np.ndarray, loss: train.AdversarialLoss, *penalties) -> uw.GAN:
    """The model with the critic that is best against a generator at rest."""

    def stepper(budget: train.Budget) -> train.MinMax:
        return train.MinMax(
            objective=train.generator_objective(loss),
            critic_objective=train.critic_objective(loss, *penalties),
            judge=train.held_out_distance(),
            optimiser=optax.set_to_zero(),
            critic_optimiser=optax.adam(optax.cosine_decay_schedule(3e-3, budget.steps)),
        )

    plan = uw.Plan(stepper, epochs=100 if TOY else 200, batch=512, looks=0)
    trainer = train.Trainer(model, data, data, plan, key=jax.random.key(1))
    return trainer.run(trainer.start(), [], train.Watch()).model


def scores(model: uw.GAN, x: np.ndarray) -> np.ndarray:
    """The critic's score of each point."""
    return np.asarray(eqx.filter_vmap(model.judge)(jnp.asarray(x, jnp.float32)), float)


def main() -> None:
    """Trains both critics at every gap, prints what they measure, and draws it."""
    rng = np.random.default_rng(0)
    data = WIDTH * rng.uniform(-1, 1, (N, 1)).astype(np.float32)
    rows = []
    for gap in GAPS:
        net = MLP(1, 1, (64, 64), activation=jax.nn.softplus, key=jax.random.key(0))
        start = uw.GAN(
            latents=uw.Latents.standard(1), generator=Shifted(gap), critic=Critic(net),
            scale=uw.Scale((0.0,), (1.0,)),
        )  # fmt: skip
        fake = WIDTH * rng.uniform(-1, 1, (N, 1)) + gap
        told = trained(start, data, train.minimax())
        cross = (
            np.logaddexp(0, -scores(told, data)).mean() + np.logaddexp(0, scores(told, fake)).mean()
        )
        divergence = np.log(2) - cross / 2
        # a slope of the wrong sign cannot turn round past a penalty at zero that weighs more than
        # half of the distance
        low = train.one_centred(0.2 * max(gap, 0.5))
        wide = trained(start, data, train.wasserstein(), low)
        wide = trained(wide, data, train.wasserstein(), train.one_centred(300.0))
        distance = scores(wide, data).mean() - scores(wide, fake).mean()
        true = wasserstein_distance(data[:, 0], fake[:, 0])
        rows.append((gap, divergence, distance, true))
        print(f"gap {gap:4.2f}: Jensen-Shannon {divergence:.3f} (log 2 is {np.log(2):.3f}), "
              f"Wasserstein {distance:.3f} (SciPy {true:.3f})")  # fmt: skip
    uw.plots.save(figure(np.array(rows)), "critics.svg")


def figure(rows: np.ndarray) -> Figure:
    """Both estimates over the gap."""
    drawn = Figure((6.4, 3.2), layout="constrained")
    axes = drawn.subplots()
    axes.plot(rows[:, 0], rows[:, 3], color=uw.plots.FAINT, linewidth=5, label="SciPy's W1")
    axes.plot(rows[:, 0], rows[:, 2], color=uw.plots.ACCENT, marker="o", label="Wasserstein critic")
    axes.plot(rows[:, 0], rows[:, 1], color=uw.plots.INK, marker="s", label="minimax critic (JS)")
    axes.axhline(np.log(2), color=uw.plots.MUTED, linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="gap between the middles; supports part at 1", ylabel="what the critic measures"
    )
    axes.legend(frameon=False)
    return drawn


if __name__ == "__main__":
    main()
