"""Real recordings: a β-VAE of the heartbeats of the PTB database, and its latents turned.

    python examples/ptb_traversal.py [FOLDER]

FOLDER holds WFDB records of https://physionet.org/content/ptbdb (Bousseljot et al. 1995); the
default is ../shared/data/ecg_ptb beside this repository.
"""

import os
import sys
from pathlib import Path

import numpy as np

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "ecg_ptb"


def largest_change(walk: np.ndarray, schema: uw.Schema) -> tuple[float, float]:
    """Where a walk `(step, time, channel)` moves the beat most: seconds from R, and by how much."""
    reach = np.ptp(walk, axis=0)[:, 0]
    where = int(np.argmax(reach))
    return schema.times[where], float(reach[where])


def each_records_mean(data: uw.Split) -> float:
    """What a table of one mean beat for each record explains: no latent at all."""
    guess = np.empty_like(data.test.observations)
    for record in np.unique(data.test.records):
        mean = data.train.observations[data.train.records == record].mean(axis=0)
        guess[data.test.records == record] = mean
    return uw.explained_variance(data.test.observations, guess)


def main() -> None:
    """Reads, fits, and says where each latent moves the beat most."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        print(f"skipped: there are no recordings in {folder}; give their folder.")
        return
    records = sorted(folder.glob("*.hea"))[: 1 if TOY else None]
    signals = uw.read_signals(records, columns=["ii"])
    data = uw.split_by_time(uw.beats(signals))
    print(f"{len(data.train)} beats of {len(signals)} records to train, {len(data.test)} to test")

    latents = 3 if TOY else 10
    run = uw.fit(uw.beta_vae(latents=latents, epochs=5 if TOY else 50), data, quiet=True)
    result = run.result
    print(f"explained variance on test beats: {result['explained_variance']:.4f}")
    print(f"  PCA with as many latents:       {result['baselines']['pca']:.4f}")
    print(f"  each record's mean beat:        {each_records_mean(data):.4f}")

    walks = uw.traverse(run.model)
    kl = np.asarray(result["kl_per_latent"])
    for i in np.argsort(-kl):
        when, much = largest_change(walks[i], run.schema)
        print(
            f"z{i + 1}: {kl[i]:.2f} nats; changes most at {1000 * when:+.0f} ms, by {much:.2f} mV"
        )
    figure = uw.plots.traversal(walks, run.schema, names=run.model.latents.names, activity=kl)
    print(f"the figure: {uw.plots.save(figure, 'traversal.svg')}")


if __name__ == "__main__":
    main()
