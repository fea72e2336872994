"""Which heartbeats do not fit, where, and how surely? Simulated beats, three judges.

    python examples/strange_beats.py

Every judge learns from normal beats alone. Others that are normal too calibrate its scores, so that
a stated share of normal beats is flagged by mistake. The strange beats have their T wave turned
over; nobody is told. Writes strange.svg, the strangest beats with the stretch that is strangest.
"""

import os

import numpy as np

import unweave as uw
from unweave import detect

TOY = bool(os.environ.get("UNWEAVE_TOY"))
BEATS, EPOCHS, SAMPLES = (300, 5, 64) if TOY else (3000, 60, 128)
RATE = 0.05


def turned(beats: np.ndarray, schema: uw.Schema) -> np.ndarray:
    """Beats with what comes a quarter of a second after the R wave upside down."""
    times = np.asarray(schema.times)
    late = (times > 0.15) & (times < 0.42)
    strange = beats.copy()
    middle = np.median(beats, axis=1, keepdims=True)
    strange[:, late] = (2 * middle - beats)[:, late]
    return strange


def judges(split: uw.Split) -> dict[str, uw.Score]:
    """A model's reconstruction, one of a baseline, and the two baselines that differ most."""
    train = split.train.observations
    model = uw.fit(uw.vae(latents=6, epochs=EPOCHS), split, quiet=True).model
    pair = uw.together([detect.sub_pca(6), detect.local_density()], name="two together")
    return {
        "VAE": detect.reconstruction(model, train),
        "Sub-PCA": detect.sub_pca(6).fit(train),
        "two together": pair.fit(train),
    }


def main() -> None:
    """Learns, calibrates, judges, and looks where the strangest beats are strange."""
    data = uw.heartbeats(BEATS, seed=0, samples=SAMPLES)
    split = uw.split_at_random(data, test=0.5)
    held, normal = np.array_split(split.test.observations, 2)
    strange = turned(normal[: len(normal) // 5], data.schema)
    new = np.concatenate([normal, strange])
    truth = np.repeat([False, True], [len(normal), len(strange)])
    learned = judges(split)
    for name, score in learned.items():
        scores = score(new)
        calibrated = uw.Calibrated(score(held))
        flags = calibrated.flags(scores, RATE)
        low, high = calibrated.achieved(RATE)
        print(
            f"{name}: AUROC {detect.auroc(scores, truth):.3f}, "
            f"AUPR {detect.aupr(scores, truth):.3f}; {100 * flags[~truth].mean():.1f}% of normal "
            f"beats flagged (asked 5%, expected between {100 * low:.1f} and {100 * high:.1f}), "
            f"{100 * flags[truth].mean():.0f}% of strange ones"
        )
    score = learned["Sub-PCA"]
    usual = score.by_sample(held)
    level = float(np.quantile(usual, 0.95))
    parts = score.by_sample(strange)
    spans = np.array([detect.largest_span(row, level)[:2] for row in parts])
    times = np.asarray(data.schema.times)
    first, last = np.median(times[spans[:, 0]]), np.median(times[spans[:, 1] - 1])
    print(f"strangest from {first:.2f} to {last:.2f} s (turned from 0.15 to 0.42 s)")
    p = uw.Calibrated(score(held)).p_values(score(strange))
    figure = uw.plots.strangest(
        strange, split.train.observations.mean(0), data.schema, spans=spans,
        titles=[f"p = {value:.2g}" for value in p],
    )  # fmt: skip
    uw.plots.save(figure, "strange.svg")
    print("wrote strange.svg")


if __name__ == "__main__":
    main()
