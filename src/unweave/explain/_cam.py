"""Grad-CAM: where the last features that have a place speak for a target."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._model import AbstractDecoder, AbstractEncoder, Condition, Key, Latent, Observation, Scalar
from ..targets import Target
from ._attribution import Attribution, inputs, over_rows, values_of
from ._layers import Layer, maps_of


def grad_cam(
    target: Target,
    x: np.ndarray | Array,
    *,
    layer: int = -1,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    r"""$a_p = \mathrm{ReLU} \sum_c \alpha_c A_{pc}$ with $\alpha_c$ the mean over places $p$ of
    $\partial f / \partial A_{pc}$ (Selvaraju et al. 2017, equations 1 and 2), $A$ the features of
    a layer with places, stretched over the input by straight lines; all channels of a place have
    the same. A map of where, in the target's unit by no measure of the input.

    **Arguments:** `target`, read off the code of a classifier, regressor or autoencoder that has
    convolutions; `layer`, which of `maps_of` its model, the last by default. Nothing is drawn.

    Raises `TypeError` where the target's model has no layer of that kind.
    """
    x = inputs(target, x)
    place = maps_of(model_of(target))[layer]
    assert place.leave is not None
    values = over_rows(_Map(target, place), x, conditions)
    return Attribution(
        f"Grad-CAM of {place.name}", target.name, target.unit, values, x,
        values_of(target, x, conditions), contributions=False, evaluations=1.0,
    )  # fmt: skip


def model_of(target: Target) -> eqx.Module:
    """The model that a target is read off.

    Raises `TypeError` for a target that was not made by a function of `targets`.
    """
    function = target.function
    model = vars(function).get("model") if isinstance(function, eqx.Module) else None
    if not isinstance(model, eqx.Module):
        raise TypeError(
            f"the model behind the target '{target.name}' is not known; make the target with one "
            "of the functions of unweave.targets, such as class_logit(model, 0)."
        )
    return model


class _Coded(AbstractEncoder):
    """A model whose code is known."""

    code: Latent
    model: eqx.Module

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The code, whatever `x` is."""
        return self.code

    def decode(self, z: Latent, condition: Condition = None) -> Observation:
        """As the model does."""
        if not isinstance(self.model, AbstractDecoder):
            raise TypeError(f"{type(self.model).__name__} cannot decode.")
        return self.model.decode(z, condition)


class _Map(eqx.Module):
    target: Target
    layer: Layer

    def __call__(self, x: Array, condition: Condition) -> Array:
        features = self.layer.reach(x, condition)
        model = model_of(self.target)
        leave = self.layer.leave
        assert leave is not None

        def value(features: Array) -> Scalar:
            coded = _Coded(leave(features), model)
            return eqx.tree_at(lambda target: target.function.model, self.target, coded)(
                x, condition
            )

        slopes = jax.grad(value)(features)
        weights = slopes.mean(tuple(range(features.ndim - 1)))
        places = jax.nn.relu(features @ weights).astype(x.dtype)
        whole = jax.image.resize(places, x.shape[:-1], "linear")
        return jnp.where(jnp.isnan(x), 0, jnp.broadcast_to(whole[..., None], x.shape))
