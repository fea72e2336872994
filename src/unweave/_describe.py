"""Models as JSON and back: a tree of modules in words that a person can read.

A model is a tree of Equinox modules and frozen dataclasses. Numbers, text, lists and dicts
stand for themselves, everything else is an object whose keys begin with a dollar sign, such as
`{"$class": "networks:PCA", "fields": {...}}`, and arrays go into a dict beside it. A name leads
to a class of unweave or to one of the classes and functions listed here, and to nothing else:
reading a description runs no code that came with it.
"""

import dataclasses
import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._tensors import ModelFileError
from ._version import __version__

#: Rooms whose public classes a file may name as "room:Name".
_ROOMS = ("data", "equations", "hybrid", "networks", "train", "evaluate")

#: Modules of the foundations, whose classes a file names as ":Name".
_FOUNDATIONS = ("_latents", "_noise", "_schema", "_adapt", "_marginal", "_replay")

_FOREIGN: dict[str, type] = {
    f"equinox.nn:{name}": getattr(eqx.nn, name)
    for name in (
        "Linear", "MLP", "LayerNorm", "GroupNorm", "RMSNorm", "Identity", "Lambda",
        "Sequential", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
        "ConvTranspose3d", "GRUCell", "LSTMCell",
    )
}  # fmt: skip

_FUNCTIONS: dict[str, Callable] = {
    "celu": jax.nn.celu,
    "cos": jnp.cos,
    "elu": jax.nn.elu,
    "exp": jnp.exp,
    "gelu": jax.nn.gelu,
    "identity": inspect.signature(eqx.nn.MLP).parameters["final_activation"].default,
    "jnp.tanh": jnp.tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "log_softmax": jax.nn.log_softmax,
    "mish": jax.nn.mish,
    "relu": jax.nn.relu,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "softmax": jax.nn.softmax,
    "softplus": jax.nn.softplus,
    "tanh": jax.nn.tanh,
}


def describe(node: Any, place: str, tensors: dict[str, np.ndarray]) -> Any:
    """`node` as JSON; arrays go to `tensors` under the name of their `place`."""
    if node is None or isinstance(node, bool | str):
        return node
    if isinstance(node, jax.Array | np.ndarray | np.generic):
        return _describe_array(node, place, tensors)
    if isinstance(node, int | float):
        return node if math.isfinite(node) else {"$float": str(float(node))}
    if isinstance(node, list | tuple):
        parts = [describe(part, f"{place}.{i}", tensors) for i, part in enumerate(node)]
        if type(node) not in (list, tuple):
            raise _cannot(node, place)
        return parts if isinstance(node, list) else {"$tuple": parts}
    if isinstance(node, dict):
        if not all(isinstance(key, str) and not key.startswith("$") for key in node):
            raise ModelFileError(f"{place} is a dict whose keys are not all plain words.")
        return {key: describe(part, f"{place}.{key}", tensors) for key, part in node.items()}
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = {
            field.name: describe(getattr(node, field.name), f"{place}.{field.name}", tensors)
            for field in dataclasses.fields(node)
        }
        return {"$class": _class_name(type(node), place), "fields": fields}
    for name, function in _FUNCTIONS.items():
        if node is function:
            return {"$function": name}
    raise _cannot(node, place)


def _describe_array(
    node: jax.Array | np.ndarray | np.generic, place: str, tensors: dict[str, np.ndarray]
) -> dict:
    if isinstance(node, jax.Array) and jnp.issubdtype(node.dtype, jax.dtypes.prng_key):
        raise _cannot(node, place)
    tensors[place] = np.asarray(node)
    kind = "jax" if isinstance(node, jax.Array) else "numpy"
    return {"$tensor": place, "of": "number" if isinstance(node, np.generic) else kind}


def _cannot(node: Any, place: str) -> ModelFileError:
    return ModelFileError(
        f"{place} is {str(node)[:60]} of type {type(node).__name__}, which a model file cannot "
        "hold; it holds arrays, numbers, text, classes of unweave and the functions "
        f"{', '.join(_FUNCTIONS)}."
    )


def rebuild(node: Any, tensors: dict[str, np.ndarray]) -> Any:
    """The inverse of `describe`; takes the arrays that it uses out of `tensors`."""
    if isinstance(node, list):
        return [rebuild(part, tensors) for part in node]
    if not isinstance(node, dict):
        return node
    keys = set(node)
    if keys == {"$float"}:
        return float(node["$float"])
    if keys == {"$tuple"}:
        return tuple(rebuild(part, tensors) for part in node["$tuple"])
    if keys == {"$function"}:
        return _FUNCTIONS[node["$function"]]
    if keys == {"$tensor", "of"}:
        return _rebuild_array(tensors.pop(node["$tensor"]), node["of"])
    if keys == {"$class", "fields"}:
        fields = {name: rebuild(part, tensors) for name, part in node["fields"].items()}
        return _build(_class(node["$class"]), fields)
    return {key: rebuild(part, tensors) for key, part in node.items()}


def _rebuild_array(array: np.ndarray, of: str) -> jax.Array | np.ndarray | np.generic:
    if of == "numpy":
        return array
    if of == "number":
        return array[()]
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise ModelFileError(
            f"it holds arrays of {array.dtype}, and JAX is set to 32 bits; load it inside "
            "`with jax.enable_x64(True):`."
        )
    return jnp.asarray(array)


def _class_name(kind: type, place: str) -> str:
    for name, foreign in _FOREIGN.items():
        if kind is foreign:
            return name
    package, _, inner = kind.__module__.partition(".")
    module = inner.split(".")[0]
    room = "" if module in _FOUNDATIONS else module
    name = f"{room}:{kind.__name__}"
    if package == "unweave" and (not room or room in _ROOMS) and _find(name) is kind:
        return name
    raise ModelFileError(
        f"{place} is of class {kind.__module__}.{kind.__qualname__}, which a model file cannot "
        "name: it names classes of unweave and layers of equinox.nn alone. Keep the arrays of a "
        "model of your own with numpy.savez, and build it again in your code."
    )


def _class(name: str) -> type:
    kind = _FOREIGN.get(name) or _find(name)
    if kind is None:
        raise ModelFileError(f"it names '{name}', which is no class of unweave {__version__}.")
    return kind


def _find(name: str) -> type[Any] | None:
    """The class of unweave that "room:Name" or ":Name" stands for, or None."""
    room, _, word = name.partition(":")
    if room and room not in _ROOMS:
        return None
    for module in (room,) if room else _FOUNDATIONS:
        kind = getattr(importlib.import_module(f"unweave.{module}"), word, None)
        # what a module merely imports is not its own
        own = isinstance(kind, type) and kind.__module__.startswith("unweave.")
        known = own and bool(dataclasses.is_dataclass(kind))
        if known:
            return kind
    return None


def _build(kind: type, fields: dict[str, Any]) -> Any:
    """An instance with these fields, and the checks of its class run on them.

    As Equinox does when it unflattens: `__init__` may make new weights, so it is not called.
    """
    every = dataclasses.fields(kind)
    # a field that came later is what it is where nobody gives it
    later = {f.name: f.default for f in every if f.default is not dataclasses.MISSING}
    expected, fields = {field.name for field in every}, {**later, **fields}
    if expected != set(fields):
        raise ModelFileError(
            f"its {kind.__name__} has the fields {', '.join(sorted(fields))}, and in unweave "
            f"{__version__} that has {', '.join(sorted(expected))}."
        )
    if not issubclass(kind, eqx.Module):
        return kind(**fields)
    node = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(node, name, value)
    for base in kind.__mro__:
        if "__check_init__" in vars(base):
            vars(base)["__check_init__"](node)
    return node
