"""What this machine can do at most, and what a training step must do at least."""

import os
import pathlib
import time

import jax
import numpy as np

BATCH, LATENTS = 64, 10


def busy_seconds() -> float:
    """Processor seconds that this machine has spent, by any program, since it was started."""
    try:
        first = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return float("nan")
    ticks = [int(tick) for tick in first]
    return (ticks[0] + ticks[1] + ticks[2]) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor seconds of this process and of those that it has started and seen end."""
    return sum(os.times()[:4])


def product_seconds() -> float:
    """One product of two 1024 x 1024 float32 matrices in JAX."""
    a = jax.random.normal(jax.random.key(0), (1024, 1024))
    product = jax.jit(lambda a, b: a @ b)
    jax.block_until_ready(product(a, a))
    began = time.perf_counter()
    for _ in range(10):
        result = product(a, a)
    jax.block_until_ready(result)
    return (time.perf_counter() - began) / 10


def copy_bandwidth() -> float:
    """Bytes read and written in a second by a copy of 128 MiB."""
    source = np.ones(2**25, np.float32)
    target = np.empty_like(source)
    np.copyto(target, source)
    began = time.perf_counter()
    for _ in range(3):
        np.copyto(target, source)
    return 3 * 2 * source.nbytes / (time.perf_counter() - began)


def mlp_work(size: int) -> tuple[float, float]:
    """Operations of a step, and bytes that Adam moves."""
    sizes = [
        (size, 256),
        (256, 256),
        (256, 2 * LATENTS),
        (LATENTS, 256),
        (256, 256),
        (256, size),
    ]
    products = [BATCH * a * b for a, b in sizes]
    return _work(products, sum(a * b + b for a, b in sizes))


def conv_work() -> tuple[float, float]:
    """The same for the network of Burgess et al. on 64 x 64 pixels."""
    dense = [(512, 256), (256, 256), (256, 2 * LATENTS), (LATENTS, 256), (256, 256), (256, 512)]
    # positions of the smaller side, channels in and out, of each 4 x 4 kernel
    layers = [(32, 1, 32), (16, 32, 32), (8, 32, 32), (4, 32, 32)]
    convolutions = [BATCH * n * n * 16 * a * b for n, a, b in layers]
    products = [*convolutions, *(BATCH * a * b for a, b in dense), *reversed(convolutions)]
    weights = sum(a * b + b for a, b in dense) + 2 * sum(16 * a * b + b for _, a, b in layers)
    return _work(products, weights)


def _work(products: list[int], weights: int) -> tuple[float, float]:
    # each product once forward and twice backward, but no gradient of the data; Adam reads
    # weight, gradient and two moments and writes three of them
    return 2.0 * (3 * sum(products) - products[0]), 7.0 * 4 * weights
