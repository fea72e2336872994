r"""Networks that answer from the latents of another model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ..._model import Condition, Key
from ...data import Scale
from ._predict import AbstractNet


class LatentNet(AbstractNet):
    """The answers that `head` gives of latents, scaled by `scale`; an observation is a code."""

    head: Callable
    scale: Scale

    def answers(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The answers for a batch of codes; chance has no part."""
        # an equation's latents are float64, and a network's numbers float32
        return jax.vmap(self.head)(self.scale.apply(x.astype(jnp.float32)))


class OnLatents(AbstractNet):
    r"""$x \mapsto \text{net}(\text{encode}(x))$: what a net answers of another model's latents, the
    best estimate of its encoder.

    **Fields:** `encoder`, a model that encodes, as it was fitted; `net`, of codes. Slopes go
    through both, so that the whole is explained and attacked as any other.
    """

    encoder: Any
    net: LatentNet

    def answers(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The answers for a batch of observations; chance has no part."""
        return self.net.answers(jax.vmap(self.encoder.encode)(x, condition), key=key)
