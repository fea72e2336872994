"""The recipes of equations of which a part is learned; the heavy parts are imported when used."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np

from .._model import Key
from ..data import Dataset
from ..train import Recipe, Say, Solved

CurveNoise = Literal["gaussian", "log-normal", "student-t", "poisson"]

#: What of every record chooses the room for weights: its end, which is forecast, or a stretch,
#: which lies elsewhere in every record, so that all of a cycle is learned from some of them.
Hold = Literal["ends", "stretches"]

#: What a fit hands back: model, account, arrays.
_Fitted = tuple[eqx.Module, Mapping[str, Any], Mapping[str, np.ndarray]]


def hybrid(
    source: str,
    *,
    widths: tuple[int, ...] = (16,),
    starts: int = 4,
    noise: CurveNoise | None = None,
    fix: tuple[str, ...] = (),
    held_out: float = 0.2,
    hold: Hold = "ends",
) -> Recipe:
    """An equation with networks for what is not known, such as x' = r*x + net(x, y): its text or a
    file that ends in .ode. The end of every record, or a stretch of it, decides how far networks
    may go: a share `held_out` of it."""
    from ..equations import parse, source_text

    text = source_text(source)
    parse(text)
    fixed = dict(fixed_latent(entry) for entry in fix)
    options = {
        "source": text, "widths": widths, "starts": starts, "noise": noise, "fix": fix,
        "held_out": held_out, "hold": hold,
    }  # fmt: skip

    def solve(data: Dataset, seed: int, say: Say) -> _Fitted:
        from ._fit import fit_hybrid

        fit = fit_hybrid(
            text, data, widths=widths, starts=starts, noise=noise, fixed=fixed,
            held_out=held_out, hold=hold, say=say, seed=seed,
        )  # fmt: skip
        return fit.model, fit.account, fit.arrays

    return _solved("hybrid", options, solve)


def neural_ode(
    *,
    widths: tuple[int, ...] = (16, 16),
    starts: int = 4,
    held_out: float = 0.2,
    hold: Hold = "ends",
) -> Recipe:
    """A neural ordinary differential equation (Chen et al. 2018): one network from the state, which
    is what was measured, and the inputs to every rate; its latents are where each record begins."""
    options = {"widths": widths, "starts": starts, "held_out": held_out, "hold": hold}

    def solve(data: Dataset, seed: int, say: Say) -> _Fitted:
        from ._fit import fit_neural

        fit = fit_neural(
            data, widths=widths, starts=starts, held_out=held_out, hold=hold, say=say, seed=seed
        )
        return fit.model, fit.account, fit.arrays

    return _solved("neural-ode", options, solve)


def rnn_solver(
    source: str,
    *,
    starts: int = 8,
    steps: int = 2000,
    learning_rate: float = 0.05,
    noise: CurveNoise | None = None,
    fix: tuple[str, ...] = (),
) -> Recipe:
    """An equation as the recurrent network that its solver is: a cell made of field and scheme,
    trained backwards through time; its text, a file that ends in .ode, or zoo:NAME."""
    from ..equations import parse, source_text

    text = source_text(source)
    parse(text)
    fixed = dict(fixed_latent(entry) for entry in fix)
    options = {
        "source": text, "starts": starts, "steps": steps, "learning_rate": learning_rate,
        "noise": noise, "fix": fix,
    }  # fmt: skip

    def solve(data: Dataset, seed: int, say: Say) -> _Fitted:
        from ._recurrent import fit_recurrent

        return fit_recurrent(
            text, data, starts=starts, steps=steps, learning_rate=learning_rate, noise=noise,
            fixed=fixed, say=say, seed=seed,
        )  # fmt: skip

    return _solved("rnn-solver", options, solve)


def _solved(
    name: str, options: Mapping[str, Any], fit: Callable[[Dataset, int, Say], _Fitted]
) -> Recipe:
    """The recipe of a fit that tells of itself as a fitted equation does."""

    def solve(data: Dataset, seed: int, say: Say) -> Solved:
        model, account, arrays = fit(data, seed, say)
        return Solved(model, {"equation": account}, arrays)

    def build(data: Dataset, key: Key) -> eqx.Module:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        return solve(data, seed, lambda sentence: None).model

    return Recipe(name, options, build, solve=solve)


def fixed_latent(entry: str) -> tuple[str, float]:
    """ "g=9.81" as a name and a number."""
    name, _, value = entry.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise ValueError(
            f"'{entry}' fixes nothing; write a latent and its value: g=9.81."
        ) from None
