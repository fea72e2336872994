"""The diffusion model that training begins with, chosen by the data."""

from collections.abc import Callable

import numpy as np

from ..._latents import Latents
from ..._model import Key
from ...data import Dataset, Scale
from .._given import Given
from .._pca import scaled_rows
from ..flows._gaps import fit_reference
from ._diffusion import Diffusion
from ._nets import CourseNet, DenseNet, UNet

# series of fewer numbers than this have no course to speak of
_FEW = 16
# images with a shorter side than this have nothing to convolve over
_SMALLEST_CONVOLVED = 8
# pairs of observations that are looked at for the largest distance
_MOST_COMPARED = 512


def start_diffusion(
    data: Dataset,
    *,
    widths: tuple[int, ...] = (256, 256, 256),
    channels: tuple[int, ...] = (32, 64),
    given: Given | None = None,
    sigma_min: float = 0.002,
    sigma_max: float | None = 80.0,
    key: Key,
) -> Diffusion:
    """A diffusion model whose net is a transformer over channels for series of at least 16 numbers,
    with a block as wide as the first of `widths` for each of them; a small convolutional net with
    maps of these `channels` for images of at least 8 x 8; a multilayer perceptron of these
    `widths` for all else. Without `sigma_max` the noise ends at the largest distance between two
    observations (Song and Ermon 2020, technique 1).
    """
    scale, schema = Scale.standard(data.observations, data.moments), data.schema
    deviation = float(np.nanstd(scaled_rows(data.observations, scale)))
    return Diffusion(
        latents=Latents.standard(schema.size),
        net=_net(data, widths, channels, 0 if given is None else given.size, key),
        scale=scale,
        reference=fit_reference(data.observations, scale),
        shape=schema.shape,
        given=given,
        sigma_data=deviation if deviation > 0 else 1.0,
        sigma_min=sigma_min,
        sigma_max=_largest_distance(data, scale) if sigma_max is None else sigma_max,
    )


def _net(
    data: Dataset, widths: tuple[int, ...], channels: tuple[int, ...], code: int, key: Key
) -> Callable:
    schema = data.schema
    if schema.is_series and len(schema.shape) == 2 and schema.size >= _FEW:
        time, channel = schema.shape
        return CourseNet((time, channel), code, widths[0], len(widths), key=key)
    is_image = not schema.is_series and len(schema.shape) > 2
    if is_image and min(schema.shape[:-1]) >= _SMALLEST_CONVOLVED:
        return UNet(schema.shape, code, channels, key=key)
    return DenseNet(schema.size, code, widths, key=key)


def _largest_distance(data: Dataset, scale: Scale) -> float:
    """The largest distance between two of some observations, in scaled units; at least 1."""
    rows = np.nan_to_num(scaled_rows(data.thinned(_MOST_COMPARED).observations, scale))
    squares = (rows**2).sum(1)
    distances = squares[:, None] + squares[None] - 2 * rows @ rows.T
    return max(float(np.sqrt(max(distances.max(), 0.0))), 1.0)
