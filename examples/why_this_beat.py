"""Which part of a heartbeat makes it surprising? One beat is dented on purpose.

python examples/why_this_beat.py

A PCA is fitted to simulated heartbeats; one beat gets a short dent in its T wave; integrated
gradients say where the model's surprise comes from, and the checks how far to trust that. Beside it
an equation: which parameter moves which part of a course. Writes why.svg and sensitivities.svg.
"""

import os

import numpy as np

import unweave as uw
from unweave import explain, targets
from unweave.equations import terms_along, zoo_model

TOY = bool(os.environ.get("UNWEAVE_TOY"))
BEATS, ORDERS = (200, 20) if TOY else (2000, 100)
#: Where the beat is dented, in seconds after the R peak, and how deep, in mV.
DENT, DEPTH = (0.2, 0.24), 0.3


def dented(beat: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The beat with a short dent in its T wave."""
    wave = np.sin(np.pi * (times - DENT[0]) / (DENT[1] - DENT[0])) ** 2
    return (beat - DEPTH * np.where(within(times), wave, 0)[:, None]).astype(np.float32)


def within(times: np.ndarray) -> np.ndarray:
    """Which samples the dent is in."""
    return (times > DENT[0]) & (times < DENT[1])


def surprising_part() -> None:
    """Where the surprise of a dented beat comes from."""
    data = uw.split_at_random(uw.heartbeats(BEATS, seed=0))
    model = uw.fit_pca(data.train.observations, 10)
    times = np.asarray(data.train.schema.times)
    strange = dented(data.test.observations[0], times)
    target = targets.surprise(model)
    # compared with what the model itself makes of the beat
    expected = np.asarray(model.decode(model.encode(strange)))
    trust = uw.trusted(
        lambda *args, **more: uw.integrated_gradients(*args, baseline=expected, **more),
        target, strange[None], fill=explain.Value(expected), baseline=expected, orders=ORDERS,
    )  # fmt: skip
    found = trust.attribution
    inside = within(times)
    share = np.abs(found.values[0, inside]).sum() / np.abs(found.values[0]).sum()
    print(
        f"surprise {float(found.output[0]):.0f} nat; {100 * share:.0f} % of it from the "
        f"{100 * inside.mean():.0f} % of the samples that are dented"
    )
    print(trust.sentence())
    label = f"contribution to {found.target} ({found.unit})"
    figure = uw.plots.attribution(strange, found.values[0], data.train.schema, label=label)
    uw.plots.save(figure, "why.svg")


def what_a_parameter_moves() -> None:
    """The sensitivities of an equation, and what each of its terms does."""
    model = zoo_model("lotka-volterra")
    found = uw.sensitivity(model)
    for name, size in found.ranking[:3]:
        print(f"one spread of {name} moves a course by {size:.3g} on average")
    terms = terms_along(model, found.z)
    for state, term, share in zip(terms.states, terms.terms, terms.shares(), strict=True):
        print(f"{state}: {term} does {100 * share:.0f} %")
    figure = uw.plots.sensitivities(
        np.asarray(model.times), found.scaled[..., 0], names=found.names,
        label="change of x for one spread",
    )  # fmt: skip
    uw.plots.save(figure, "sensitivities.svg")


def main() -> None:
    """Both."""
    surprising_part()
    what_a_parameter_moves()
    print("wrote why.svg and sensitivities.svg")


if __name__ == "__main__":
    main()
