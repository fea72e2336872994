"""Networks for the data at hand: dense for vectors, convolutional for images and series."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax

from ..._keys import split_on_host
from ..._model import Key
from ..._replay import Tolerance
from ...data import Dataset, Scale
from .._conv import Conv
from .._mlp import MLP, Flat
from .._nets import Stack
from ._depth import AbstractDepth, Continuous, Stepped
from ._field import ConvField, MLPField, SplitField
from ._memory import AbstractMemory, Direct
from ._pool import Pooled
from ._predict import DeepNet
from ._scheme import AbstractScheme, Field, Reversible

# features are halved until an axis is no longer than this, at most as often as that
_SHORT = {1: 32, 2: 8}
_MOST_HALVINGS = 3
# cells of the grid that the head reads along an axis: where something is matters to an answer
_CELLS = {1: 8, 2: 3}
# an axis shorter than this has nothing to convolve over
_SMALLEST = 8


class Layout(NamedTuple):
    """How wide a network is: `width` features, `hidden` ones inside a field (4 times the width,
    of a convolution once, where None), and whether it is `convolutional` (None: by the data)."""

    width: int = 32
    hidden: int | None = None
    convolutional: bool | None = None


def stepped_net(
    data: Dataset,
    answers: int,
    layout: Layout,
    scheme: AbstractScheme,
    *,
    steps: int,
    shared: bool = False,
    memory: AbstractMemory | None = None,
    drop: float = 0.0,
    key: Key,
) -> DeepNet:
    """A residual network of `steps` blocks of one scheme; with `shared` weights they are one."""
    lift_key, field_key, head_key = split_on_host(key, 3)
    field = _field_maker(data, layout, split=isinstance(scheme, Reversible))
    if shared:
        made: Field = field(field_key)
    else:
        made = eqx.filter_vmap(field)(jax.random.split(field_key, steps))
    depth = Stepped(scheme, made, steps, None if shared else steps, memory or Direct(), drop)
    return _net(data, answers, layout, depth, lift_key, head_key)


def continuous_net(
    data: Dataset,
    answers: int,
    layout: Layout,
    *,
    tolerance: float = 1e-3,
    steer: float = 0.0,
    key: Key,
) -> DeepNet:
    """A neural ODE: one field, as many steps as the tolerance asks for."""
    lift_key, field_key, head_key = split_on_host(key, 3)
    field = _field_maker(data, layout, split=False)(field_key)
    depth = Continuous(field, Tolerance(tolerance, 0.1 * tolerance), steer)
    return _net(data, answers, layout, depth, lift_key, head_key)


def _net(
    data: Dataset, answers: int, layout: Layout, depth: AbstractDepth, lift_key: Key, head_key: Key
) -> DeepNet:
    shape, width = data.schema.shape, layout.width
    scale = Scale.standard(data.observations, data.moments)
    if not _convolves(data, layout):
        head = MLP(width, answers, (), key=head_key)
        lift = Flat(MLP(data.schema.size, width, (), key=lift_key), (width,))
        return DeepNet(lift, depth, head, scale)
    dims = len(shape) - 1
    sizes = [shape[:-1]]
    while max(sizes[-1]) > _SHORT[dims] and len(sizes) <= _MOST_HALVINGS:
        sizes.append(tuple(n // 2 for n in sizes[-1]))
    halvings = max(1, len(sizes) - 1)
    ins = (shape[-1], *(width,) * halvings)
    layers = tuple(
        Conv(dims, ins[i], width, kernel=4, stride=2, padding=1, key=one)
        for i, one in enumerate(jax.random.split(lift_key, halvings))
    )
    grid = tuple(max(1, min(_CELLS[dims], n // 2**halvings)) for n in shape[:-1])
    head = Pooled(width, answers, grid, key=head_key)
    return DeepNet(Stack(layers), depth, head, scale)


def _convolves(data: Dataset, layout: Layout) -> bool:
    if layout.convolutional is not None:
        return layout.convolutional
    shape = data.schema.shape
    return len(shape) > 1 and min(shape[:-1]) >= _SMALLEST


def _field_maker(data: Dataset, layout: Layout, *, split: bool) -> Callable[[Key], Field]:
    """What makes a field from a key, for the features of this layout."""
    width = layout.width
    if split and width % 2:
        raise ValueError(
            f"a coupling has two halves and width is {width}; give an even number of features."
        )
    dims = len(data.schema.shape) - 1
    size = width // 2 if split else width

    def one(key: Key) -> Field:
        if _convolves(data, layout):
            return ConvField(dims, size, layout.hidden or size, key=key)
        return MLPField(size, (layout.hidden or 4 * size,), key=key)

    def both(key: Key) -> Field:
        first, second = jax.random.split(key)
        return SplitField(one(first), one(second))

    return both if split else one
