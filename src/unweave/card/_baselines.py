"""What every recipe has to beat: the mean, principal components, an autoregression."""

from collections.abc import Mapping

import numpy as np

from ..data import Dataset
from ..networks import fit_autoregression, fit_mean
from ..recipes import pca
from ..train import Recipe


def baselines(data: Dataset, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Trivial recipes for these data, by the names that the card gives them.

    The mean; PCA with as many latents as each recipe has (or `pca`'s own number, where none
    says); an autoregression for courses on an even grid. A PCA that is compared anyway is not
    added again.
    """
    found = {"mean": Recipe("mean", {}, lambda data, key: fit_mean(data.observations))}
    given = [(recipe.name, recipe.options) for recipe in recipes.values()]
    asked = {int(options["latents"]) for _, options in given if options.get("latents")}
    # so many axes at most go through few observations
    most = min(data.schema.size, len(data)) - 1
    for count in sorted({min(c, most) for c in asked or {pca().options["latents"]}}):
        recipe = pca(latents=count)
        if count >= 1 and (recipe.name, recipe.options) not in given:
            found[f"PCA with {count} latent{'' if count == 1 else 's'}"] = recipe
    if _on_an_even_grid(data):
        name = "autoregression"
        found[name] = Recipe(name, {}, lambda data, key: fit_autoregression(data.observations))
    return found


def _on_an_even_grid(data: Dataset) -> bool:
    schema = data.schema
    if not schema.is_series or len(schema.shape) != 2 or schema.shape[0] < 3:
        return False
    steps = np.diff(schema.times)
    return data.times is None and bool(np.allclose(steps, steps[0]))
