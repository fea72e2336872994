"""What use a model makes of the values that its latents choose among."""

from dataclasses import dataclass

import equinox as eqx
import numpy as np

from .._families import AbstractDiscrete
from .._many import many, real
from ..data import Dataset


@dataclass(frozen=True)
class ChoiceUse:
    r"""`used` of `values` values are taken by any of `n` observations; `perplexity`
    $\exp(-\sum_k p_k \log p_k)$ says how many it would take if all were taken alike.

    Where all places choose from one table (`shared`) they are counted together; else each latent
    has its own count, and the numbers are means over them.
    """

    shared: bool
    latents: int
    values: float
    used: float
    perplexity: float
    n: int

    def sentence(self) -> str:
        """The same in words."""
        if self.shared:
            return (
                f"{self.used:.0f} of {self.values:.0f} codes are used by {self.n:,} observations, "
                f"as evenly as {self.perplexity:.1f} codes used alike (perplexity)"
            )
        what = "the choice takes" if self.latents == 1 else "each choice takes, on average,"
        return (
            f"{what} {self.used:.3g} of {self.values:.3g} values over {self.n:,} observations, as "
            f"evenly as {self.perplexity:.3g} values taken alike (perplexity)"
        )


def choice_use(model: eqx.Module, data: Dataset) -> ChoiceUse | None:
    """The use that observations make of the values; None of a model without choices."""
    if not isinstance(model, AbstractDiscrete):
        return None
    chosen = many(model.choices, real(data.observations), data.conditions)
    sizes = model.sizes[:1] if model.shared else model.sizes
    columns = [chosen.ravel()] if model.shared else list(chosen.T)
    counts = [np.bincount(c, minlength=k) for c, k in zip(columns, sizes, strict=True)]
    return ChoiceUse(
        model.shared,
        len(model.sizes),
        float(np.mean(sizes)),
        float(np.mean([(count > 0).sum() for count in counts])),
        float(np.mean([_perplexity(count) for count in counts])),
        len(data),
    )


def _perplexity(count: np.ndarray) -> float:
    p = count[count > 0] / count.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
