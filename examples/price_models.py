"""The standard models of a price, told apart by how likely they find prices they have not seen.

    python examples/price_models.py          hourly prices of 2017, simulated where they are missing
    python examples/price_models.py FILE     your own: a table with the columns timestamp and close

Geometric Brownian motion, an Ornstein–Uhlenbeck process of the log-price and Merton's jumps, each
fitted to the first 80 % of the record by its exact likelihood and asked about the rest. All three
densities are of the price itself, so that their logarithms stand in one column, in nats.
"""

import os
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from unweave.equations import (
    Score,
    StochasticEquation,
    StochasticFit,
    fit_stochastic,
    stochastic_account,
    stochastic_equation,
)

TOY = bool(os.environ.get("UNWEAVE_TOY"))
PRICES = Path(__file__).parents[2] / "shared/data/btc/bitfinex_BTCUSD_1h_2017.csv"

GBM = """
time in day
dS = mu*S dt + sigma*S dW
mu in (-0.2, 0.2) 1/day
sigma in (0.005, 0.5) 1/sqrt(day)
S(0) in (1, 1e6) USD
"""
OU_OF_LOG = """
time in day
dx = kappa*(theta - x) dt + sigma dW       # x = log(S)
kappa in (1e-5, 10) 1/day
theta in (0, 20)
sigma in (0.005, 0.5) 1/sqrt(day)
x(0) in (0, 20)
"""
MERTON = """
time in day
dS = mu*S dt + sigma*S dW + S*(exp(normal(m, s)) - 1) dN(lam)
mu in (-0.2, 0.2) 1/day
sigma in (0.005, 0.5) 1/sqrt(day)
lam in (0.01, 100) 1/day
m in (-0.1, 0.1)
s in (0.001, 0.2)
S(0) in (1, 1e6) USD
"""


def read_prices() -> tuple[np.ndarray, np.ndarray, str]:
    """Days and prices, and where they are from."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PRICES
    if path.is_file():
        table = pd.read_csv(path)
        seconds = table["timestamp"].to_numpy(float)
        prices = table["close"].to_numpy(float)
        rows = slice(0, 600) if TOY else slice(None)
        return (seconds[rows] - seconds[0]) / 86400, prices[rows], path.name
    days = np.arange(600 if TOY else 8760) / 24
    model = stochastic_equation(MERTON, times=days)
    z = {"mu": 0.005, "sigma": 0.03, "lam": 6.0, "m": -0.001, "s": 0.015, "S(0)": 1000.0}
    with jax.enable_x64(True):
        point = jax.numpy.asarray([z[name] for name in model.latents.names])
        prices = np.asarray(model.decode(point, key=jax.random.key(0)))[:, 0]
    return days, prices, "simulated by Merton's model"


def fitted(
    text: str, days: np.ndarray, values: np.ndarray, train: slice, test: slice
) -> tuple[StochasticFit, Score]:
    """A model fitted to the one part and asked about the other, both `(time,)`."""
    model = stochastic_equation(text, times=days)
    assert isinstance(model, StochasticEquation)
    fit = fit_stochastic(
        model, values[None, train, None], days[train], starts=4 if TOY else 8, key=jax.random.key(0)
    )
    return fit, fit.score(values[None, test, None], days[test])


def main() -> None:
    """Fits the three, and prints what each says of the last fifth."""
    days, prices, source = read_prices()
    cut = int(0.8 * len(days))
    # the last price of the one part is given in the other
    train, test = slice(0, cut), slice(cut - 1, None)
    print(f"{len(days)} prices ({source}), {cut} to fit and {len(days) - cut} to test")

    scores = {}
    for name, text in {"GBM": GBM, "OU of log": OU_OF_LOG, "Merton": MERTON}.items():
        of_log = text is OU_OF_LOG
        fit, score = fitted(text, days, np.log(prices) if of_log else prices, train, test)
        if of_log:
            # the density of S is that of log(S) divided by S
            score = Score(score.each - np.log(prices[None, test]))
        scores[name] = score
        account = stochastic_account(fit)
        print(f"\n{name}: {account.numbers['likelihood']['law']}")
        for row in account.numbers["latents"]:
            if row["standard_error"] is not None:
                error = f"± {row['standard_error']:.2g}"
                print(f"  {row['name']:6}{row['estimate']:10.4g} {error:10} {row['unit']}")
        for sentence in account.numbers["verdict"]:
            print(f"  {sentence}")

    print("\nheld out, log-density in nats a price (exact), and the difference from GBM:")
    for name, score in scores.items():
        gap, error = score.less(scores["GBM"])
        verdict = "" if name == "GBM" else f"{gap:+.4f} ± {error:.4f}"
        if name != "GBM" and abs(gap) < 2 * error:
            verdict += " (a tie)"
        print(f"{name:10} {score.mean:9.4f} over {score.n}   {verdict}")


if __name__ == "__main__":
    main()
