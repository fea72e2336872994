"""Where one fit runs: on one device, or its batches over several, of one process or of many.

Every device holds the model and the optimiser's state; each is given its part of a batch, and the
gradient's sum over all is one reduction that the compiler puts where it is needed. So the code of a
step is the same wherever it runs, and so is its result, but for the order in which floats are
added up.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

Tree = TypeVar("Tree")
# the one axis of a mesh: a batch is cut along it
_AXIS = "batch"


class DevicesError(ValueError):
    """Devices or processes that a fit cannot have as it asked for them."""


@dataclass(frozen=True)
class Placement:
    """Where a fit's arrays are: over the devices of `mesh`, or where JAX puts them without one."""

    mesh: Mesh | None = None

    @property
    def devices(self) -> int:
        """How many devices share a batch."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def processes(self) -> int:
        """How many processes these devices belong to."""
        return 1 if self.mesh is None else len({d.process_index for d in self.mesh.devices.flat})

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and tells."""
        return self.processes == 1 or jax.process_index() == 0

    def check(self, batch: int) -> None:
        """Raises `DevicesError` for a batch that cannot be cut into parts of one size."""
        n = self.devices
        if batch % n:
            near = sorted({max(batch // n, 1) * n, -(-batch // n) * n})
            raise DevicesError(
                f"a batch of {batch} observations cannot be shared evenly by {n} devices; give a "
                f"batch of {' or '.join(map(str, near))}, or other devices."
            )

    def columns(self, batch: int) -> tuple[int, int]:
        """The part of a batch that this process computes with: its first row, and that after."""
        if self.mesh is None:
            return 0, batch
        own = [i for i, device in enumerate(self.mesh.devices.flat)
               if device.process_index == jax.process_index()]  # fmt: skip
        each = batch // self.devices
        # devices of a process stand side by side
        return own[0] * each, (own[-1] + 1) * each

    def everywhere(self, tree: Any) -> Any:
        """The arrays of `tree`, whole on every device."""
        return self._put(tree, PartitionSpec())

    def shared(self, tree: Any, axis: int) -> Any:
        """The arrays of `tree`, cut along `axis`, that of the batch, a part on each device. Of
        many processes each puts its own devices' parts alone."""
        return self._put(tree, PartitionSpec(*(None,) * axis, _AXIS))

    def here(self, tree: Any) -> Any:
        """The arrays of `tree`, which are whole on every device, on one of this process."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda x: x.addressable_data(0) if eqx.is_array(x) else x, tree)

    def hold(self, tree: Tree) -> Tree:
        """In traced code: these arrays are whole on every device."""
        if self.mesh is None:
            return tree
        whole = NamedSharding(self.mesh, PartitionSpec())
        return jax.lax.with_sharding_constraint(tree, whole)

    def known(self) -> AbstractContextManager[Any]:
        """Within, code that is traced can find out that devices share its batch."""
        return nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def agreed(self, numbers: np.ndarray) -> np.ndarray:
        """The `numbers` of every process, a row each."""
        if self.processes == 1:
            return numbers[None]
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(numbers))

    def _put(self, tree: Any, spec: PartitionSpec) -> Any:
        if self.mesh is None:
            return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, tree)
        sharding = NamedSharding(self.mesh, spec)

        def put(x: Any) -> Any:
            return _placed(x, sharding) if isinstance(x, np.ndarray | jax.Array) else x

        return jax.tree.map(put, tree)


def placement(devices: int | None = None) -> Placement:
    """The first `devices` of JAX's devices; None is one device, and all of many processes.

    **Raises:** `DevicesError` where there are not so many, or where a process would have none.
    """
    there = jax.device_count()
    if devices is None:
        devices = there if jax.process_count() > 1 else 1
    if not 1 <= devices <= there:
        raise DevicesError(
            f"{devices} devices were asked for and there are {there} ({jax.default_backend()}); "
            f"give 1 to {there}. A CPU counts as several with "
            "XLA_FLAGS=--xla_force_host_platform_device_count=4 in the environment."
        )
    if devices == 1 and jax.process_count() == 1:
        return Placement()
    chosen = jax.devices()[:devices]
    if len({device.process_index for device in chosen}) < jax.process_count():
        raise DevicesError(
            f"the first {devices} of {there} devices leave some of {jax.process_count()} processes "
            "without any; give more devices, or begin fewer processes."
        )
    return Placement(Mesh(np.asarray(chosen), (_AXIS,)))


def _placed(x: Any, sharding: NamedSharding) -> Array:
    """Each process puts what its own devices hold; keys are moved as their numbers."""
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        kind = str(jax.random.key_impl(x))
        return jax.random.wrap_key_data(_placed(jax.random.key_data(x), sharding), impl=kind)
    whole = np.asarray(x)

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        return whole if index is None else whole[index]

    return jax.make_array_from_callback(whole.shape, sharding, part)
