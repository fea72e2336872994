"""The flow that training begins with, chosen by the data."""

import jax
import numpy as np

from ..._keys import split_on_host
from ..._latents import Latents
from ..._model import Key
from ..._transport import MOST_EXACT
from ...data import Dataset, Scale
from .._mlp import MLP
from ._continuous import AbstractContinuousFlow, ContinuousFlow, HutchinsonFlow
from ._coupling import Coupling, CouplingFlow
from ._fields import ChannelField, VectorField
from ._gaps import fit_reference
from ._whitening import fit_whitening

# series of fewer numbers than this have no course to speak of
_FEW = 16
# a matrix of this size is a small part of a field's work
_MOST_WHITENED = 512


def start_continuous_flow(
    data: Dataset, *, widths: tuple[int, ...] = (256, 256, 256), key: Key
) -> AbstractContinuousFlow:
    """A flow whose field is a transformer over channels for series of at least 16 numbers, with a
    block as wide as the first of `widths` for each of them, in white coordinates where these are no
    more than 512; and a multilayer perceptron of these widths for all else."""
    schema, whiten = data.schema, False
    scale = Scale.standard(data.observations, data.moments)
    if schema.is_series and len(schema.shape) == 2 and schema.size >= _FEW:
        time, channel = schema.shape
        field = ChannelField((time, channel), widths[0], len(widths), key=key)
        whiten = schema.size <= _MOST_WHITENED and len(data) > 2
    else:
        net = MLP(schema.size + 1, schema.size, widths, activation=jax.nn.silu, key=key)
        field = VectorField(net)
    kind = ContinuousFlow if schema.size <= MOST_EXACT else HutchinsonFlow
    reference = fit_reference(data.observations, scale)
    whitening = fit_whitening(data.observations, scale) if whiten else None
    latents = Latents.standard(schema.size)
    return kind(latents, field, scale, reference, schema.shape, whitening=whitening)


def start_coupling_flow(
    data: Dataset, *, layers: int = 8, widths: tuple[int, ...] = (128, 128), key: Key
) -> CouplingFlow:
    """A flow of `layers` coupling layers that start as the identity, their nets of `widths`.

    Every two layers move all numbers, and each pair parts them in another way.
    """
    size = data.schema.size
    if size < 2:
        raise ValueError(
            "a coupling flow moves one part of an observation by the other, and these have a "
            "single number; use flow."
        )
    half, net_keys = size // 2, split_on_host(key, layers)
    couplings = []
    for i, net_key in enumerate(net_keys):
        order = np.random.default_rng(i // 2).permutation(size).tolist()
        # of an odd number of numbers the one in the middle of the order moves twice
        order = order[::-1] if i % 2 else order
        net = MLP(
            half, 2 * (size - half), widths, activation=jax.nn.silu, zero_last=True, key=net_key
        )
        couplings.append(Coupling(net, tuple(order)))
    scale = Scale.standard(data.observations, data.moments)
    reference = fit_reference(data.observations, scale)
    latents = Latents.standard(size)
    return CouplingFlow(latents, tuple(couplings), scale, reference, data.schema.shape)
