"""Equations that somebody wrote down."""

from typing import Literal

import equinox as eqx
import jax

from .._model import Key
from ..data import Dataset
from ..hybrid._recipes import fixed_latent
from ..train import Recipe, Say, Solved


def equation(
    source: str,
    *,
    starts: int = 32,
    noise: Literal["gaussian", "log-normal", "student-t", "poisson"] | None = None,
    fix: tuple[str, ...] = (),
    profile: bool = False,
    posterior: bool = False,
) -> Recipe:
    """An equation that you wrote down: its text, a file that ends in .ode, or zoo:NAME; fitted by
    maximum likelihood from many starts. `fix` holds latents, such as g=9.81."""
    from ..equations import parse, solve_equation, source_text  # SymPy and diffrax: not for all

    text = source_text(source)
    parse(text)
    fixed = dict(fixed_latent(entry) for entry in fix)
    options = {
        "source": text, "starts": starts, "noise": noise, "fix": fix, "profile": profile,
        "posterior": posterior,
    }  # fmt: skip

    def solve(data: Dataset, seed: int, say: Say) -> Solved:
        model, account, arrays = solve_equation(
            text, data, starts=starts, noise=noise, fixed=fixed, profile=profile,
            sample_posterior=posterior, say=say, seed=seed,
        )  # fmt: skip
        return Solved(model, {"equation": account}, arrays)

    def build(data: Dataset, key: Key) -> eqx.Module:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        return solve(data, seed, lambda sentence: None).model

    return Recipe("equation", options, build, solve=solve)
