r"""Nets for latents of objects: slot attention in, a spatial broadcast out."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._keys import split_on_host
from ..._latents import Latents, normal
from ..._model import Key
from ..._noise import AbstractNoise
from ...data import Dataset
from .._conv import Conv
from .._mlp import MLP
from .._nets import Stack
from .._start import observation_noise
from .._vae import VAE


class SlotEncoder(eqx.Module):
    r"""A picture to the latents of its objects, by slot attention (Locatello et al. 2020).

    Slots $s_k$ compete for the features $f_i$ of places: $a_{ik} = \mathrm{softmax}_k(q(s_k) \cdot
    k(f_i) / \sqrt{d})$, each takes the mean $u_k = \sum_i a_{ik} v(f_i) / \sum_i a_{ik}$ of what it
    won, and $s_k \leftarrow \text{GRU}(u_k, s_k)$ and a residual perceptron; `rounds` times
    (algorithm 1). Where they start is learned, one start for each slot, and not drawn, so that an
    observation has one code.

    **Arguments:** `features`, from a scaled observation to `(*grid, dim)`; `position`, from four
    distances to the edges to a summand of each feature; `starts` `(slot, dim)`; `head`, from a slot
    to mean and log standard deviation of its latents.
    """

    features: Callable
    position: eqx.nn.Linear
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    query: eqx.nn.Linear
    keys_values: eqx.nn.Linear
    cell: eqx.nn.GRUCell
    residual: MLP
    head: MLP
    starts: Float[Array, "slot dim"]
    rounds: int = eqx.field(static=True, default=3)

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, " twice"]:
        """The means of all slots' latents, then their log standard deviations."""
        slots, _ = self.attend(x)
        mean, log_std = jnp.split(jax.vmap(self.head)(slots), 2, axis=1)
        return jnp.concatenate([mean.ravel(), log_std.ravel()])

    def attend(
        self, x: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "slot dim"], Float[Array, "place slot"]]:
        """The slots after the last round, and how each place's attention was shared."""
        found = self.features(x)
        places = edges(found.shape[:-1])
        flat = found.reshape(len(places), -1) + jax.vmap(self.position)(places)
        flat = jax.vmap(self.norms[0])(flat)
        keys, values = jnp.split(jax.vmap(self.keys_values)(flat), 2, axis=1)
        slots = self.starts
        shares = jnp.zeros((len(flat), len(slots)))
        for _ in range(self.rounds):
            queries = jax.vmap(self.query)(jax.vmap(self.norms[1])(slots))
            shares = jax.nn.softmax(keys @ queries.T / math.sqrt(keys.shape[1]), axis=1)
            weights = shares + 1e-8
            won = (weights / weights.sum(0, keepdims=True)).T @ values
            slots = jax.vmap(self.cell)(won, slots)
            slots = slots + jax.vmap(lambda s: self.residual(self.norms[2](s)))(slots)
        return slots, shares


class BroadcastDecoder(eqx.Module):
    r"""The latents of objects to a picture (Watters et al. 2019): every slot's latents are put at
    every place beside the place's coordinates, and a perceptron says of each what is there,
    $\eta_{ki}$, and how much it is in front, $l_{ki}$; $\eta_i = \sum_k \mathrm{softmax}_k(l_{ki})
    \eta_{ki}$.

    **Arguments:** `net`, from a slot's latents and four distances to the edges to one number and
    those of the channels; `shape` of the picture.
    """

    net: MLP
    slots: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, z: Float[Array, " latent"]) -> Float[Array, "*shape"]:
        """The natural parameter at every entry."""
        masks, each = self.parts(z)
        return (masks[..., None] * each).sum(0)

    def parts(
        self, z: Float[Array, " latent"]
    ) -> tuple[Float[Array, "slot ..."], Float[Array, "slot ..."]]:
        """How much each place is each slot's, and what each slot alone would put there."""
        grid = self.shape[:-1]
        places = edges(grid)

        def of(z: Array) -> Array:
            wide = jnp.broadcast_to(z, (len(places), z.size))
            return jax.vmap(self.net)(jnp.concatenate([wide, places], axis=1))

        found = jax.vmap(of)(z.reshape(self.slots, -1))
        masks = jax.nn.softmax(found[..., 0], axis=0)
        return masks.reshape(-1, *grid), found[..., 1:].reshape(-1, *self.shape)


def edges(grid: tuple[int, ...]) -> Float[Array, "place edge"]:
    """How far each place is from the edges, from 0 to 1 along each axis in either direction."""
    axes = jnp.meshgrid(*(jnp.linspace(0.0, 1.0, size) for size in grid), indexing="ij")
    places = jnp.stack([axis.ravel() for axis in axes], axis=1)
    return jnp.concatenate([places, 1 - places], axis=1)


def start_slots(
    data: Dataset,
    slots: int,
    latents: int,
    *,
    width: int = 32,
    rounds: int = 3,
    noise: AbstractNoise | None = None,
    key: Key,
) -> VAE:
    """A VAE between these nets, with `latents` latents, called `object1.z1` and so on, for each of
    the slots.

    **Raises:** `ValueError` for observations that are no pictures.
    """
    shape = data.schema.shape
    if len(shape) != 3:
        raise ValueError(
            f"slots look for objects in pictures, and observations of shape {shape} are none; use "
            "a recipe such as vae or vq-vae."
        )
    noise, scale = observation_noise(data, noise)
    k = split_on_host(key, 10)
    features = Stack(
        (
            Conv(2, shape[-1], width, kernel=4, stride=2, padding=1, key=k[0]),
            Conv(2, width, width, kernel=3, stride=1, padding=1, key=k[1]),
            Conv(2, width, width, kernel=3, stride=1, padding=1, key=k[2]),
        )
    )
    norm = eqx.nn.LayerNorm(width)
    encoder = SlotEncoder(
        features,
        eqx.nn.Linear(4, width, key=k[3]),
        (norm, norm, norm),
        eqx.nn.Linear(width, width, use_bias=False, key=k[4]),
        eqx.nn.Linear(width, 2 * width, use_bias=False, key=k[5]),
        eqx.nn.GRUCell(width, width, key=k[6]),
        MLP(width, width, (2 * width,), zero_last=True, key=k[7]),
        MLP(width, 2 * latents, (width,), key=k[8]),
        jax.random.normal(jax.random.fold_in(k[9], 0), (slots, width)),
        rounds,
    )
    net = MLP(latents + 4, 1 + shape[-1], (width, width, width), key=k[9])
    names = tuple(f"object{i + 1}.z{j + 1}" for i in range(slots) for j in range(latents))
    size = len(names)
    return VAE(
        Latents(names, ("",) * size, (normal(),) * size),
        encoder,
        BroadcastDecoder(net, slots, shape),
        noise,
        scale,
    )
