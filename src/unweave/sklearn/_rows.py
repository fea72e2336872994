"""What the estimators share: rows of a table to a dataset, a recipe by its name, and its fit."""

import inspect
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import equinox as eqx
import jax
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from .._keys import split_on_host
from .._many import many, real
from .._programs import drop_programs
from .._save import load_model, save_model
from .._schema import Schema
from ..data import Dataset, dataset
from ..detect import Detector
from ..recipes import RECIPES
from ..train import Recipe, Trainer, Watch

#: A recipe by its name in `RECIPES`, or a function that makes one, or a detector.
Made: TypeAlias = str | Recipe | Detector | Callable[..., Recipe | Detector]

#: What a table's numbers are kept in, others become the first.
KINDS: Any = [np.float64, np.float32]
#: Rows are asked for in chunks of this size and no other: each row gets the same number whatever
#: stands beside it, and one program serves them all.
CHUNK = 256
# of a shape with so many axes, what they are and what the observation is called
_AXES = {
    1: ("windows", ("time", "channel")),
    2: ("windows", ("time", "channel")),
    3: ("images", ("row", "column", "channel")),
}


@dataclass(frozen=True)
class Fitted:
    """A model, and whether it was `trained` by steps: its program is worth compiling then, and
    that of a closed form is not, which is new for every fit and asked a few times."""

    model: eqx.Module
    trained: bool

    def each(self, function: Callable[..., Any], rows: np.ndarray) -> np.ndarray:
        """A method of the model, of each row: `(n, ...)` in float64."""
        n = len(rows)
        full = real(np.concatenate([rows, np.repeat(rows[-1:], -n % CHUNK, axis=0)]))
        if self.trained:
            found = many(function, full, chunk=CHUNK)
        else:
            chunks = np.split(full, len(full) // CHUNK)
            found = np.concatenate([np.asarray(jax.vmap(function)(chunk)) for chunk in chunks])
        return found[:n].astype(np.float64)

    # a copy, and a file of an estimator, hold a model file: activations are no names to import
    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.safetensors"
            save_model(file, self.model)
            return _from_file, (file.read_bytes(), self.trained)


def _from_file(content: bytes, trained: bool) -> Fitted:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(content)
        return Fitted(load_model(file).model, trained)


def seed_of(random_state: Any) -> int:
    """A whole number as it is; another of scikit-learn's random states by a draw."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def read(estimator: Any, x: Any, *, reset: bool) -> np.ndarray:
    """The rows that an estimator is given as observations `(n, *shape)` of its `shape`, those of
    `(time,)` with a channel; NaN may stand in them. With `reset` they are those to fit.

    Raises `ValueError` as scikit-learn does, and for a shape that the features do not fill.
    """
    x = validate_data(
        estimator, x, reset=reset, dtype=KINDS, ensure_all_finite="allow-nan",
        ensure_min_samples=2 if reset else 1,
    )  # fmt: skip
    shape = estimator.shape
    if shape is None:
        return x
    if len(shape) not in _AXES or math.prod(shape) != x.shape[1]:
        raise ValueError(
            f"shape={tuple(shape)} does not describe the {x.shape[1]} features of a row; give "
            "(time,), (time, channel) or (row, column, channel) with that many numbers in all."
        )
    return x.reshape(len(x), *shape, *(() if len(shape) > 1 else (1,)))


def as_dataset(rows: np.ndarray, names: Sequence[str]) -> Dataset:
    """Observations as a dataset of independent ones, the numbers of plain rows called `names`."""
    shape = rows.shape[1:]
    if len(shape) == 1:
        schema = Schema("rows", ("number",), shape, tuple(names), ("",) * shape[0])
    else:
        kind, axes = _AXES[len(shape)]
        channels = tuple(f"channel {i + 1}" for i in range(shape[-1]))
        schema = Schema(kind, axes, shape, channels, ("",) * shape[-1])
    return dataset(rows, schema)


def names_of(estimator: Any) -> tuple[str, ...]:
    """The columns' names as they were given, or x0, x1, …"""
    given = getattr(estimator, "feature_names_in_", None)
    if given is None:
        return tuple(f"x{i}" for i in range(estimator.n_features_in_))
    return tuple(str(name) for name in given)


def make(
    recipe: Made, options: Mapping[str, Any] | None, latents: int | None, rows: np.ndarray
) -> Recipe | Detector:
    """The recipe, or the detector, with its options; without a number of latents it has its own,
    but fewer than there are numbers in a row, and fewer than there are rows.

    Raises `ValueError` for a name that is none, for options that it does not take, and for latents
    of a single number.
    """
    options = dict(options or {})
    if isinstance(recipe, Recipe | Detector):
        if options or latents is not None:
            raise ValueError(
                f"'{recipe.name}' is made already and takes no options or latents; give the "
                "function that makes it, such as recipe=uw.pca."
            )
        return recipe
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(f"recipe='{recipe}' is none; there are {', '.join(RECIPES)}.")
        recipe = RECIPES[recipe]
    takes = inspect.signature(recipe).parameters
    if "latents" in takes and rows[0].size < 2:
        raise ValueError(
            "rows of 1 feature(s) have nothing to turn into fewer latents; give more columns, or "
            "to AnomalyDetector a detector such as recipe=uw.detect.neighbours."
        )
    if latents is not None and "latents" in options:
        raise ValueError("latents are given twice; leave them out of the options.")
    if latents is not None:
        options["latents"] = latents
    elif "latents" in takes and "latents" not in options:
        usual = takes["latents"].default
        most = max(1, min(len(rows), math.prod(rows.shape[1:])) - 1)
        options["latents"] = min(usual, most) if isinstance(usual, int) else most
    other = sorted(set(options) - set(takes))
    if other:
        raise ValueError(f"this recipe has no option '{other[0]}'; it takes {', '.join(takes)}.")
    return recipe(**options)


def train(recipe: Recipe, data: Dataset, *, validation: float, seed: int) -> Fitted:
    """As `unweave.fit` does, without its measures: the same parts and seed give the same model.

    Of a recipe that trains by steps the share `validation` is held out, drawn with `seed`, for its
    patience to look at. Raises `ValueError` for an equation, which reads courses in time.
    """
    if recipe.solve is not None:
        raise ValueError(
            f"'{recipe.name}' is fitted to courses in time, and these are rows; take "
            "EquationRegressor for y = f(x), or unweave.fit for courses."
        )
    build_key, train_key = split_on_host(jax.random.key(seed), 2)
    if recipe.plan is None:
        return Fitted(recipe.finish(recipe.build(data, build_key), data), trained=False)
    if not 0 < validation < 1:
        raise ValueError(f"validation={validation:g} is no share; give one such as 0.1.")
    drop_programs()
    order = np.random.default_rng(seed).permutation(len(data))
    count = min(max(1, round(validation * len(data))), len(data) - 1)
    kept, held = data.take(np.sort(order[count:])), data.take(np.sort(order[:count]))
    plan = recipe.plan
    model = recipe.build(kept, build_key)
    trainer = Trainer(model, plan.rows(kept), plan.rows(held), plan, key=train_key)
    trained = trainer.run(trainer.start(), [], Watch())
    return Fitted(recipe.finish(trained.model, kept), trained=True)
