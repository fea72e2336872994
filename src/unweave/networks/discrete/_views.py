"""Small movements that leave an observation what it is: of a picture, of a course in time, of a
row of numbers; all in scaled units."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._model import Key
from ..._schema import Schema


class AbstractView(eqx.Module):
    """Draws what an observation might as well have looked like."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
        """`x`, moved."""


class ImageView(AbstractView):
    """A picture turned (`turn` radians at most), stretched along each axis (`stretch`, in
    logarithms), sheared (`shear`) and shifted (`shift`, as a share of its size): bilinear, with the
    edge repeated outside."""

    turn: float = eqx.field(static=True, default=0.4)
    stretch: float = eqx.field(static=True, default=0.2)
    shear: float = eqx.field(static=True, default=0.3)
    shift: float = eqx.field(static=True, default=0.09)

    def __call__(self, x: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
        """The picture at the places that it is moved from."""
        rows, columns, _ = x.shape
        u = jax.random.uniform(key, (6,), x.dtype, -1.0, 1.0)
        c, s = jnp.cos(self.turn * u[0]), jnp.sin(self.turn * u[0])
        stretch = jnp.exp(self.stretch * u[1:3])
        turn = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
        shear = jnp.eye(2, dtype=x.dtype).at[0, 1].set(self.shear * u[3])
        matrix = turn @ shear * stretch[None]
        size = jnp.asarray([rows, columns], x.dtype)
        centre = 0.5 * (size - 1)
        place = jnp.stack(jnp.mgrid[:rows, :columns], -1).reshape(-1, 2).astype(x.dtype)
        from_ = (place - centre[None]) @ matrix.T + (centre + self.shift * size * u[4:])[None]
        at = [part.reshape(rows, columns) for part in from_.T]
        channels = [
            jax.scipy.ndimage.map_coordinates(x[..., i], at, order=1, mode="nearest")
            for i in range(x.shape[-1])
        ]
        return jnp.stack(channels, -1)


class SeriesView(AbstractView):
    """A course shifted in time (`shift`, as a share of its length), scaled (`stretch`, in
    logarithms) and made noisy (`noise` deviations of its channel): linear between samples, with its
    ends repeated outside."""

    shift: float = eqx.field(static=True, default=0.05)
    stretch: float = eqx.field(static=True, default=0.2)
    noise: float = eqx.field(static=True, default=0.1)

    def __call__(self, x: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
        """The course at the times that it is moved from."""
        move, scatter = jax.random.split(key)
        u = jax.random.uniform(move, (2,), x.dtype, -1.0, 1.0)
        time = jnp.arange(len(x), dtype=x.dtype)
        at = time + self.shift * len(x) * u[0]
        moved = jax.vmap(lambda c: jnp.interp(at, time, c), in_axes=1, out_axes=1)(x)
        noise = self.noise * jax.random.normal(scatter, x.shape, x.dtype)
        return moved * jnp.exp(self.stretch * u[1]) + noise


class RowView(AbstractView):
    """Numbers made noisy, each by so many deviations of its channel."""

    noise: float = eqx.field(static=True, default=0.2)

    def __call__(self, x: Float[Array, "*shape"], key: Key) -> Float[Array, "*shape"]:
        """The numbers with noise."""
        return x + self.noise * jax.random.normal(key, x.shape, x.dtype)


def view_of(schema: Schema) -> AbstractView:
    """The movements that suit observations of this kind."""
    if schema.axes[:2] == ("row", "column") and len(schema.shape) == 3:
        return ImageView()
    if schema.is_series and len(schema.shape) == 2:
        return SeriesView()
    return RowView()
