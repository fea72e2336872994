"""How little must change for a classifier of heartbeats to be wrong, and what training against it
buys?

    python examples/attack_heartbeats.py

Simulated beats, those with a large T wave told from those with a small one, from noisy signals. The
classifier is attacked within two budgets of the same height: with edges, which no heart makes, and
smooth. Then another one is trained against the smooth budget. Writes attacked.svg: some beats as
they were and as attacked. (What the attacks themselves find is tested against models whose best
attack is known; the numbers here are those of one seed.)
"""

import os

import numpy as np

import unweave as uw
from unweave import plots
from unweave.robust import APGD, Noise, Robustness

TOY = bool(os.environ.get("UNWEAVE_TOY"))
BEATS, EPOCHS, STEPS = (120, 3, 5) if TOY else (1200, 20, 50)
# in millivolts, and in samples of the beat
HEIGHT, WIDTH = 0.05, 4.0


def two_kinds() -> uw.Split:
    """Beats labelled by whether their T wave is above the median."""
    beats = uw.heartbeats(BEATS, samples=64)
    assert beats.factors is not None
    waves = beats.factors[:, beats.factor_names.index("T height")]
    labels = (waves > np.median(waves)).astype(int)
    told = uw.dataset(
        beats.observations, beats.schema, labels=labels, label_names=("small T", "large T")
    )
    return uw.split_at_random(told)


def tried(model, data: uw.Split, budget) -> Robustness:
    """The verdict on the test part."""
    return uw.attack(
        model, data.test.observations, answers=data.test.labels, budget=budget,
        attacks=(APGD(steps=STEPS), Noise(20)), checks=False, quiet=True,
    )  # fmt: skip


def main() -> None:
    data = two_kinds()
    edges, smooth = uw.LInf(HEIGHT), uw.Smooth(uw.LInf(HEIGHT), WIDTH)
    settings = {"epochs": EPOCHS, "width": 8, "blocks": 1, "batch": 32}
    plain = uw.fit(uw.resnet(**settings), data, quiet=True).model
    trained = uw.fit(
        uw.resnet(**settings, adversarial="pgd", epsilon=HEIGHT, smooth=WIDTH, attack_steps=3),
        data,
        quiet=True,
    ).model
    for name, model in (("trained plainly", plain), ("trained against it", trained)):
        for kind, budget in (("with edges", edges), ("smooth", smooth)):
            found = tried(model, data, budget)
            assert found.robust is not None
            assert found.clean is not None
            print(
                f"{name}, {kind}: {100 * found.clean:.0f} % right as they are, "
                f"{100 * found.robust:.0f} % within {1000 * HEIGHT:.0f} µV"
            )
            for warning in found.warnings:
                print(f"  warning: {warning}")
    found = tried(plain, data, smooth)
    figure = plots.attacked(found.x, found.perturbed, data.test.schema)
    plots.save(figure, "attacked.svg")
    steepest = np.abs(np.diff(found.perturbed - found.x, axis=1)).max()
    print(f"steepest change between two samples: {1000 * steepest:.1f} µV")


if __name__ == "__main__":
    main()
