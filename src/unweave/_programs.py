"""Compiled programs: what differs from fit to fit is their argument, and they are let go of where
a process has too many."""

import abc
import ctypes
import functools
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Function = TypeVar("Function", bound=Callable[..., Any])


class Given(eqx.Module):
    """Numbers as an argument of a compiled program. They are kept as their bits, which are
    integers, so that no optimiser takes them for weights and no gradient flows into them."""

    bits: Int[Array, "..."]

    @classmethod
    def of(cls, numbers: Any) -> "Given":
        """These numbers, in the precision that JAX is set to."""
        floats = jnp.asarray(numbers, float)
        bits = jnp.int64 if floats.dtype == jnp.float64 else jnp.int32
        return cls(jax.lax.bitcast_convert_type(floats, bits))

    @classmethod
    def none(cls) -> "Given":
        """What an optimiser has of such numbers: nothing."""
        return jax.tree.map(lambda bits: None, cls(jnp.zeros((), jnp.int32)))

    @property
    def numbers(self) -> Float[Array, "..."]:
        """The numbers again."""
        floats = jnp.float64 if self.bits.dtype == jnp.int64 else jnp.float32
        return jax.lax.bitcast_convert_type(self.bits, floats)


class AbstractNumbered(eqx.Module):
    """A part of a model with numbers of its own which no optimiser moves."""

    @abc.abstractmethod
    def as_arguments(self) -> "AbstractNumbered":
        """Itself with these numbers `Given`, or itself where there are none."""


def as_arguments(tree: Any) -> Any:
    """Any tree, such as a model, in which the priors of latents, a known noise and the units of
    networks are `Given`. A program compiled for it serves every tree that differs in these alone:
    each fit leaves other priors, and an equation takes seconds to compile."""
    return jax.tree.map(
        lambda node: node.as_arguments() if _is_numbered(node) else node, tree, is_leaf=_is_numbered
    )


def without_arguments(tree: Any, like: Any) -> Any:
    """`like` with the arrays of `tree`, which came from it by `as_arguments` and was moved since;
    what is `Given` there stands in `like` as it was."""
    arrays, rest = eqx.partition(like, eqx.is_array)
    every = jax.tree.leaves(eqx.filter(tree, eqx.is_array), is_leaf=_is_given)
    moved = [leaf for leaf in every if not _is_given(leaf)]
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), moved), rest)


def without_numbers(tree: Any) -> Any:
    """The tree with nothing where numbers are `Given`: what an optimiser has of a model that was
    taken `as_arguments`."""
    return jax.tree.map(
        lambda node: Given.none() if _is_given(node) else node, tree, is_leaf=_is_given
    )


def _is_given(node: Any) -> bool:
    return isinstance(node, Given)


def _is_numbered(node: Any) -> bool:
    return _are_numbered(type(node))


@functools.cache
def _are_numbered(kind: type) -> bool:
    # asked for every node of every model: what an abstract class answers slowly is kept
    return issubclass(kind, AbstractNumbered)


def program(function: Function) -> Function:
    """`equinox.filter_jit` for what is called with other models each time, which it takes
    `as_arguments`."""
    compiled = eqx.filter_jit(function)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return compiled(*as_arguments(args))

    return call  # pyright: ignore[reportReturnType]


# Linux allows a process 65,530 maps (vm.max_map_count); the compiler that gets no more crashes
_MANY = 30_000
_MAPS = Path("/proc/self/maps")


def drop_programs(*, only_if_many: bool = True) -> None:
    """Lets go of all programs that JAX has compiled, and of the memory that they held.

    Hundreds of fits of different equations fill the memory maps that Linux allows. With
    `only_if_many` nothing happens before half of them are taken; elsewhere than on Linux nothing
    happens at all.
    """
    if only_if_many and not (_MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY):
        return
    jax.clear_caches()
    gc.collect()
    give_back()


def give_back() -> None:
    """Gives the system what was freed: the allocator keeps it, gigabytes of it, unless it is
    asked. A compiler leaves much."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
