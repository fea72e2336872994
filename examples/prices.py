"""Prices: windows of log-returns from a table, and samples that are prices again.

    python examples/prices.py                          a simulated table, with gaps
    python examples/prices.py FILE COLUMN TIME LENGTH  your own

Rows that are missing for long break the windows, and the test windows are the last in time. A
sample starts from the last price that was seen in training.
"""

import os
import sys

import jax
import numpy as np
import pandas as pd

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))


def simulated(path: str) -> str:
    """A year of hourly prices: volatility that clusters, a daily rhythm of it, missing rows."""
    random = np.random.default_rng(0)
    n = 2000 if TOY else 8760
    shocks = random.standard_normal(n)
    log_variance = np.zeros(n)
    for i in range(1, n):
        log_variance[i] = 0.97 * log_variance[i - 1] + 0.2 * random.standard_normal()
    rhythm = 1 + 0.5 * np.sin(2 * np.pi * np.arange(n) / 24)
    prices = 1000 * np.exp(np.cumsum(0.004 * rhythm * np.exp(log_variance / 2) * shocks))
    times = pd.date_range("2023-01-01", periods=n, freq="h")
    table = pd.DataFrame({"timestamp": times, "close": prices})
    kept = random.random(n) > 0.01
    kept[500:530] = False
    table[kept].to_csv(path, index=False)
    return path


def volatility_clusters(prices: np.ndarray) -> float:
    """The correlation of |return| with the one before: zero for independent returns."""
    size = np.abs(np.diff(np.log(prices), axis=1))[..., 0]
    return float(np.corrcoef(size[:, 1:].ravel(), size[:, :-1].ravel())[0, 1])


def main() -> None:
    """Reads, fits, samples, and compares samples with held-out windows."""
    if len(sys.argv) == 5:
        path, column, time, length = sys.argv[1:]
    else:
        path, column, time, length = simulated("prices.csv"), "close", "timestamp", "48"
    signals = uw.read_signals(path, time=time, columns=[column])
    windows = uw.windows(signals, length=int(length), transform=uw.LOG_RETURN)
    data = uw.split_by_time(windows)
    print(f"{len(windows)} windows of {length} rows. {data.how}")
    for note in windows.notes:
        print(f"  {note}")

    # heavy tails: returns are no Gaussian, and the noise says so
    recipe = uw.vae(latents=6, epochs=5 if TOY else 100, noise=uw.StudentT.learned())
    run = uw.fit(recipe, data, quiet=True)
    result = run.result
    print(
        f"{result['active_latents']} of 6 latents are active; "
        f"{result['explained_variance']:.3f} of the held-out variance is explained "
        f"(PCA {result['baselines']['pca']:.3f})"
    )

    returns = uw.draw(run.model, len(data.test), key=jax.random.key(0))
    samples = uw.restore(returns, run.schema)
    last = run.schema.reference[0][0]
    print(f"samples start from {last:.2f}, the last price seen in training")
    ends = np.quantile(samples[:, -1, 0], [0.05, 0.5, 0.95])
    print(f"after {length} rows: 5 % {ends[0]:.2f}, median {ends[1]:.2f}, 95 % {ends[2]:.2f}")

    held_out = uw.restore(data.test.observations, run.schema, references=data.test.references)
    print(
        f"clustering of volatility: {volatility_clusters(held_out):.2f} in held-out windows, "
        f"{volatility_clusters(samples):.2f} in samples"
    )
    figure = uw.plots.samples(samples, run.schema)
    print(f"draws as prices: {uw.plots.save(figure, 'prices.svg')}")


if __name__ == "__main__":
    main()
