"""Compiled programs take memory maps, of which a process may have only so many."""

import ctypes
import gc
import sys
from pathlib import Path

import jax

# Linux allows a process 65,530 maps (vm.max_map_count); the compiler that gets no more crashes
_MANY = 30_000
_MAPS = Path("/proc/self/maps")


def drop_programs(*, only_if_many: bool = True) -> None:
    """Lets go of all programs that JAX has compiled, and of the memory that they held.

    Hundreds of fits of different equations, whose priors are part of their programs, fill the
    memory maps that Linux allows. With `only_if_many` nothing happens before half of them are
    taken; elsewhere than on Linux nothing happens at all.
    """
    if only_if_many and not (_MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY):
        return
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        # the allocator keeps what was freed, gigabytes of it, unless it is asked
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
