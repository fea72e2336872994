"""Depth against width: is the number of ones among n bits odd?

Circuits are counted: two layers of gates need a gate for every odd row, and a deep circuit three
gates for each bit. Few gates mean few circuits to choose among, so Hoeffding's bound says how many
rows it takes until no such circuit can look right and be wrong. Then networks of either kind are
trained on some of the rows and judged by the others.
Run it: python examples/parity.py
"""

import itertools
import math
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
BITS, STEPS, SEEDS = (5, 200, 1) if TOY else (10, 4000, 5)


def table(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows of so many bits, and whether each has an odd number of ones."""
    rows = np.array(list(itertools.product((0, 1), repeat=bits)))
    return rows, rows.sum(1) % 2


def terms_of_two_layers(bits: int) -> int:
    """How many ANDs an OR of ANDs needs, counted: the largest ANDs (some bits fixed, the others
    free) that are true on odd rows alone, none of which covers a row of another."""
    rows, odd = table(bits)
    largest = []
    for fixed in itertools.product((0, 1, 2), repeat=bits):  # 2 is free
        where = [i for i, f in enumerate(fixed) if f != 2]
        covered = (rows[:, where] == [fixed[i] for i in where]).all(1)
        if odd[covered].all():
            largest.append(set(np.flatnonzero(covered)))
    # each odd row is covered by one AND only, so each AND is needed
    return len([one for one in largest if not any(one < other for other in largest)])


def deep_is_parity(bits: int) -> bool:
    """Whether a chain of a XOR b = (a OR b) AND NOT (a AND b), three gates each, is right."""
    rows, odd = table(bits)
    value = rows[:, 0] == 1
    for column in rows.T[1:]:
        bit = column == 1
        value = (value | bit) & ~(value & bit)
    return bool((value == (odd == 1)).all())


def log_circuits(gates: int, bits: int) -> float:
    """At most so many circuits, as a logarithm: each gate is one of 16 functions of two earlier
    values."""
    return sum(math.log(16) + 2 * math.log(bits + g) for g in range(gates))


def print_circuits() -> None:
    """Gates by the number of bits, and what each kind of circuit takes to be told apart."""
    print("bits   two layers   deep   rows to learn the deep one by (error 0.1, 95 %)")
    for bits in range(2, 6 if TOY else 8):
        ands = terms_of_two_layers(bits)
        assert ands == 2 ** (bits - 1)
        assert deep_is_parity(bits)
        # every AND of the two layers is bits - 1 gates of two inputs, and so is their OR
        wide, deep = ands * (bits - 1) + ands - 1, 3 * (bits - 1)
        needs = [
            uw.hoeffding(error=0.1, confidence=0.95, log_models=log_circuits(g, bits)).n
            for g in (deep, wide)
        ]
        print(f"{bits:4}   {wide:10}   {deep:4}   {needs[0]:,} (two layers: {needs[1]:,})")


def trained(width: int, depth: int, seed: int, seen: float) -> tuple[float, float, int]:
    """The share right of the rows that were fitted and of the others, and how many weights."""
    rows, odd = table(BITS)
    x, y = jnp.asarray(2.0 * rows - 1), jnp.asarray(odd * 1.0)
    order = np.random.default_rng(seed).permutation(len(rows))
    fitted, others = np.split(order, [round(seen * len(rows))])
    net = eqx.nn.MLP(BITS, "scalar", width, depth, key=jax.random.key(seed))
    adam = optax.adam(3e-3)

    def loss(net: eqx.nn.MLP) -> jax.Array:
        return optax.sigmoid_binary_cross_entropy(jax.vmap(net)(x[fitted]), y[fitted]).mean()

    @eqx.filter_jit
    def descend(net: eqx.nn.MLP) -> eqx.nn.MLP:
        weights, rest = eqx.partition(net, eqx.is_inexact_array)

        def step(carry, _):
            weights, state = carry
            slope = jax.grad(lambda w: loss(eqx.combine(w, rest)))(weights)
            change, state = adam.update(slope, state, weights)
            return (optax.apply_updates(weights, change), state), None

        (weights, _), _ = jax.lax.scan(step, (weights, adam.init(weights)), length=STEPS)
        return eqx.combine(weights, rest)

    net = descend(net)
    right = np.asarray((jax.vmap(net)(x) > 0) == (y > 0.5))
    size = sum(w.size for w in jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array)))
    return float(right[fitted].mean()), float(right[others].mean()), size


def main() -> None:
    """Counts circuits, trains networks."""
    print_circuits()
    print(f"\nnetworks on {BITS} bits, seven rows of ten to fit, {SEEDS} seeds (median)")
    for name, width, depth in (("wide", 24 if TOY else 128, 1), ("deep", 8 if TOY else 20, 4)):
        found = np.array([trained(width, depth, seed, 0.7) for seed in range(SEEDS)])
        fitted, others, size = np.median(found, axis=0)
        print(
            f"{name}: {depth} hidden layers of {width}, {size:,.0f} weights: {fitted:.3f} of the "
            f"fitted rows right, {others:.3f} of the others"
        )


if __name__ == "__main__":
    main()
