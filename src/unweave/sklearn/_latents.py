"""The latents of any model as a transformer of scikit-learn."""

from typing import Any, final

import equinox as eqx
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from .._model import AbstractDecoder, AbstractDensity, AbstractEncoder, require
from ..detect import Detector, latent_names
from ._rows import KINDS, as_dataset, make, names_of, read, seed_of, train


@final
class LatentTransformer(TransformerMixin, BaseEstimator):
    r"""Rows of a table to the latents of a model, $x \mapsto \hat z(x)$, and back,
    $z \mapsto \mathbb{E}[x \mid z]$.

    **Arguments:** `recipe`, a name in `unweave.RECIPES` or a function that makes a recipe;
    `latents`, how many, without it as many as the recipe has by itself but fewer than columns and
    rows; `options`, the recipe's others by name; `shape`, where a row is a series `(time,)` or
    `(time, channel)`, or an image `(row, column, channel)`, laid out flat; `validation`, the share
    of rows that a recipe which trains by steps holds out; `random_state`, a seed.

    NaN stands for what was not observed. A fitted one has the model as `model_`, and the latents'
    names as `latent_names_`.

    `fit` raises `ValueError` for what the recipe cannot be fitted to, and `TypeError` where its
    model cannot encode.
    """

    # scikit-learn lets any value in here, and says what is wrong with it in fit
    def __init__(
        self,
        recipe: Any = "pca",
        *,
        latents: Any = None,
        options: Any = None,
        shape: Any = None,
        validation: Any = 0.1,
        random_state: Any = 0,
    ):
        self.recipe = recipe
        self.latents = latents
        self.options = options
        self.shape = shape
        self.validation = validation
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "LatentTransformer":
        """Fits the recipe to the rows `(n, feature)`; `y` is not looked at."""
        rows = read(self, X, reset=True)
        recipe = make(self.recipe, self.options, self.latents, rows)
        if isinstance(recipe, Detector):
            raise ValueError(
                f"'{recipe.name}' is a detector and has no latents; take AnomalyDetector."
            )
        data = as_dataset(rows, names_of(self))
        seed = seed_of(self.random_state)
        fitted = train(recipe, data, validation=self.validation, seed=seed)
        require(fitted.model, "encoder", tool="LatentTransformer")
        self._fitted = fitted
        self.latent_names_ = latent_names(fitted.model)
        if not self.latent_names_:  # a model that names none says how many there are
            size = fitted.each(self._encoder().encode, rows[:1]).shape[1]
            self.latent_names_ = latent_names(fitted.model, size)
        return self

    @property
    def model_(self) -> eqx.Module:
        """The model that was fitted."""
        check_is_fitted(self)
        return self._fitted.model

    def transform(self, X: Any) -> Any:
        """The latents `(n, latent)` of each row, as the model best knows them."""
        check_is_fitted(self)
        rows = read(self, X, reset=False)
        return self._fitted.each(self._encoder().encode, rows).astype(rows.dtype)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows `(n, feature)` that latents `(n, latent)` stand for, without noise.

        Raises `TypeError` where the model cannot decode.
        """
        check_is_fitted(self)
        require(self.model_, "decoder", tool="inverse_transform")
        assert isinstance(self.model_, AbstractDecoder)
        z = check_array(X, dtype=KINDS)
        if z.shape[1] != len(self.latent_names_):
            raise ValueError(
                f"X has {z.shape[1]} columns, and the model has {len(self.latent_names_)} latents; "
                "give what transform gave."
            )
        return self._fitted.each(self.model_.decode, z).reshape(len(z), -1).astype(z.dtype)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-density of the rows in nats, higher = better; its kind is the model's
        `density_kind`.

        Raises `TypeError` where the model has no density.
        """
        check_is_fitted(self)
        require(self.model_, "density", tool="score")
        assert isinstance(self.model_, AbstractDensity)
        rows = read(self, X, reset=False)
        return float(self._fitted.each(self.model_.log_density, rows).mean())

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The latents' names."""
        check_is_fitted(self)
        given = None if input_features is None else list(input_features)
        columns = len(names_of(self))
        if given is not None and len(given) != columns:
            raise ValueError(
                "input_features should have length equal to number of features "
                f"({columns}), got {len(given)}"
            )
        if given is not None and given != list(getattr(self, "feature_names_in_", given)):
            raise ValueError("input_features is not equal to feature_names_in_")
        return np.array(self.latent_names_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _encoder(self) -> AbstractEncoder:
        assert isinstance(self.model_, AbstractEncoder)
        return self.model_
