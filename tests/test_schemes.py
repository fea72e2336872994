"""Networks as discretised equations: orders, memory, gradients, and whether they are equations."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.integrate import solve_ivp

from unweave import check_model, dataset, load_model, split_at_random
from unweave._replay import Tolerance, solve_batch
from unweave._schema import Schema
from unweave.networks import schemes as s
from unweave.recipes import RECIPES
from unweave.run import fit, load_run
from unweave.train import Budget, labelled, supervised, with_factors

KEY = jax.random.key(0)
SPLIT = s.SplitField(s.MLPField(2, (8,), key=KEY), s.MLPField(2, (8,), key=jax.random.key(1)))
SCHEMES = {
    "euler": s.EULER,
    "midpoint": s.MIDPOINT,
    "rk4": s.RK4,
    "polynet": s.polynet(),
    "polynet of 4": s.polynet(4),
    "fractalnet": s.FRACTALNET,
    "lm-resnet": s.TwoStep(),
    "lm-resnet, k = 0.7": s.TwoStep(kappa=jnp.asarray(np.arctanh(0.7))),
    "revnet": s.Reversible(),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_each_scheme_converges_with_its_order(name):
    scheme = SCHEMES[name]
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: a.astype(float), eqx.filter(SPLIT, eqx.is_array))
        field = eqx.combine(double, SPLIT)
        x = jnp.asarray([0.5, -1.0, 0.8, 0.3], float)

        def rates(t, x):
            return np.asarray(field(jnp.asarray(t), jnp.asarray(x)))

        exact = solve_ivp(rates, (0, 1), np.asarray(x), rtol=1e-11, atol=1e-12).y[:, -1]
        errors = [
            np.abs(np.asarray(s.integrate(scheme, field, x, n)) - exact).max() for n in (16, 32)
        ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(scheme.order, abs=0.25)


def test_polynet_is_the_truncated_series_of_backward_euler():
    a = np.asarray([[0.2, -0.5], [0.4, 0.1]], np.float32)
    x = np.asarray([1.0, -2.0], np.float32)
    h = 0.3
    got = s.integrate(s.polynet(3), lambda t, x: jnp.asarray(a) @ x, jnp.asarray(x), 1, until=h)
    series = x + h * a @ x + h**2 * a @ a @ x + h**3 * a @ a @ a @ x
    np.testing.assert_allclose(got, series, rtol=1e-6)
    # the whole series is backward Euler
    many = s.integrate(s.polynet(30), lambda t, x: jnp.asarray(a) @ x, jnp.asarray(x), 1, until=h)
    np.testing.assert_allclose(many, scipy.linalg.solve(np.eye(2) - h * a, x), rtol=1e-5)


def test_a_linear_field_becomes_the_matrix_exponential():
    a = np.asarray([[0.0, 1.0], [-2.0, -0.3]], np.float32)
    x = jnp.asarray([[1.0, 0.5], [0.2, -1.0]])
    depth = s.Stepped(s.RK4, lambda t, x: jnp.asarray(a) @ x, 16)
    np.testing.assert_allclose(depth.through(x), x @ scipy.linalg.expm(a).T, rtol=1e-4)


def depths():
    mlp = s.MLPField(4, (8,), key=KEY)
    stacked = eqx.filter_vmap(lambda k: s.MLPField(4, (8,), key=k))(jax.random.split(KEY, 6))
    yield "shared", mlp, None, s.RK4, [s.Direct(), s.Checkpointed()]
    yield "own weights", stacked, 6, s.EULER, [s.Direct(), s.Checkpointed()]
    yield "revnet", SPLIT, None, s.Reversible(), [s.Direct(), s.Checkpointed(), s.Undone()]
    yield "lm-resnet", mlp, None, s.TwoStep(), [s.Direct(), s.Checkpointed()]


def loss(depth, x):
    return (depth.through(x) ** 2).mean()


@pytest.mark.parametrize(("name", "field", "blocks", "scheme", "memories"), tuple(depths()))
def test_every_memory_gives_the_gradient_of_the_steps(name, field, blocks, scheme, memories):
    x = jax.random.normal(KEY, (5, 4))
    grads = [
        jax.tree.leaves(
            eqx.filter_jit(eqx.filter_grad(loss))(s.Stepped(scheme, field, 12, blocks, m), x)
        )
        for m in memories
    ]
    for other in grads[1:]:
        for one, two in zip(grads[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-4, atol=1e-6)


def test_the_adjoint_equation_differs_by_the_error_of_the_scheme():
    x, mlp = jax.random.normal(KEY, (5, 4)), s.MLPField(4, (8,), key=KEY)

    def gradient(scheme, steps, memory):
        depth = s.Stepped(scheme, mlp, steps, None, memory)
        return np.concatenate([a.ravel() for a in jax.tree.leaves(eqx.filter_grad(loss)(depth, x))])

    for scheme, order in ((s.EULER, 1), (s.MIDPOINT, 2)):
        gaps = [
            np.abs(gradient(scheme, n, s.Direct()) - gradient(scheme, n, s.Backsolve())).max()
            for n in (4, 8)
        ]
        assert np.log2(gaps[0] / gaps[1]) == pytest.approx(order, abs=0.5)


def test_a_revnet_is_undone_exactly_and_its_memory_does_not_grow():
    x = jax.random.normal(KEY, (8, 4))
    field = eqx.filter_vmap(
        lambda k: s.SplitField(s.MLPField(2, (8,), key=k), s.MLPField(2, (8,), key=k))
    )
    scheme, h = s.Reversible(), jnp.asarray(1 / 256)
    stacked = field(jax.random.split(KEY, 256))
    fields = [jax.tree.map(lambda a, n=n: a[n] if eqx.is_array(a) else a, stacked) for n in (0, 9)]
    for one in fields:
        after = jax.vmap(lambda x, one=one: scheme.step(one, h, h, x))(x)
        before = jax.vmap(lambda x, one=one: scheme.undo(one, h, h, x))(after)
        np.testing.assert_allclose(before, x, atol=1e-5)

    def held(memory, steps, scheme=scheme, shared=SPLIT):
        depth = s.Stepped(scheme, shared, steps, None, memory)
        compiled = eqx.filter_jit(eqx.filter_grad(loss)).lower(depth, x).compile()
        return compiled.compiled.memory_analysis().temp_size_in_bytes

    assert held(s.Undone(), 256) <= 1.1 * held(s.Undone(), 16)
    assert held(s.Direct(), 256) > 8 * held(s.Direct(), 16)
    assert held(s.Checkpointed(), 256) < 0.3 * held(s.Direct(), 256)


def test_depth_undone_all_the_way_gives_back_what_came_in():
    x = jax.random.normal(KEY, (8, 4))
    scheme, steps = s.Reversible(), 256
    h = jnp.asarray(1 / steps)
    end = s.Stepped(scheme, SPLIT, steps).through(x)
    one = jax.vmap(lambda x: scheme.undo(SPLIT, h, h, x))
    back = jax.lax.fori_loop(0, steps, lambda i, x: one(x), end)
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_a_batch_is_solved_as_scipy_solves_it_and_its_gradient_is_the_differences():
    a = np.asarray([[0.0, 1.0], [-4.0, -0.2]])
    start = np.asarray([[1.0, 0.0], [0.5, -2.0]])
    times = np.linspace(0, 6, 7)

    def field(a, t, x):
        return x @ a.T + 0.1 * jnp.sin(t)

    def by_scipy(x):
        def rates(t, x):
            return a @ x + 0.1 * np.sin(t)

        return solve_ivp(rates, (0, 6), x, "DOP853", times, rtol=1e-11, atol=1e-12).y.T

    exact = np.stack([by_scipy(x) for x in start], axis=1)
    with jax.enable_x64(True):
        tight = Tolerance(1e-9, 1e-11, 512)
        args = (jnp.asarray(a), jnp.asarray(start), jnp.asarray(times))
        states, account = jax.jit(lambda *of: solve_batch(field, *of, tight))(*args)
        np.testing.assert_allclose(states, exact, rtol=1e-6, atol=1e-7)
        assert account.evaluations >= 6 * account.steps

        def total(a, start):
            return (solve_batch(field, a, start, args[2], tight)[0] ** 2).sum()

        of_a, of_start = jax.jit(jax.grad(total, (0, 1)))(*args[:2])
        e = 1e-6
        for gradient, place in ((of_a, 0), (of_start, 1)):
            moved = [jnp.asarray(v) for v in args[:2]]
            plus, minus = list(moved), list(moved)
            plus[place] = plus[place].at[1, 0].add(e)
            minus[place] = minus[place].at[1, 0].add(-e)
            difference = (total(*plus) - total(*minus)) / (2 * e)
            np.testing.assert_allclose(gradient[1, 0], difference, rtol=1e-5)


def test_a_solve_goes_back_and_gives_up_with_nan():
    times = jnp.asarray([1.0, 0.5, 0.0])
    back, _ = solve_batch(lambda p, t, x: p * x, jnp.asarray(-1.0), jnp.ones((1, 1)), times)
    np.testing.assert_allclose(back[:, 0, 0], np.exp(1 - np.asarray(times)), rtol=1e-3)
    few = Tolerance(1e-8, 1e-8, 3)
    lost, account = solve_batch(
        lambda p, t, x: p * x, jnp.asarray(-1.0), jnp.ones((1, 1)), jnp.asarray([0.0, 9.0]), few
    )
    assert np.isnan(lost[-1]).all()
    assert int(account.steps) == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: s.polynet(0), "at least 1"),
        (lambda: s.Stepped(s.EULER, SPLIT, 5, 2), "multiple"),
        (lambda: s.Stepped(s.EULER, SPLIT, 4, drop=1.0), "probability"),
        (lambda: s.RungeKutta(name="x", order=1, a=(), b=(0.5, 0.5)), "row i"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        wrong()


def test_what_cannot_be_stepped_is_refused():
    x, mlp = jnp.ones((2, 4)), s.MLPField(4, (8,), key=KEY)
    for scheme, memory, says in (
        (s.Reversible(), s.Direct(), "SplitField"),
        (s.EULER, s.Undone(), "cannot be undone"),
        (s.TwoStep(), s.Backsolve(), "no adjoint"),
    ):
        with pytest.raises(TypeError, match=says):
            s.Stepped(scheme, mlp, 4, None, memory).through(x)


def spirals(n=500, noise=0.04):
    """Two arms, one turn."""
    random = np.random.default_rng(0)
    arm, share = random.integers(0, 2, n), np.sqrt(random.uniform(size=n))
    angle = 2 * np.pi * share + np.pi * arm
    x = share[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    x = (x + noise * random.standard_normal((n, 2))).astype(np.float32)
    schema = Schema("rows", ("value",), (2,), ("x", "y"), ("", ""))
    return dataset(x, schema, labels=arm, label_names=("in", "out"))


SMALL = {"width": 8, "hidden": 32, "epochs": 40, "batch": 64, "learning_rate": 1e-2}
# the others differ by their tableau alone, which the orders of convergence test
DEEP = ["resnet", "ode-net"]
MORE = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("revnet", "lm-resnet", "polynet", "fractalnet", "rk-net")
]


@pytest.mark.parametrize("name", [*DEEP, *MORE])
def test_every_recipe_learns_two_spirals_and_says_what_it_is(name, tmp_path, capsys):
    data = split_at_random(spirals(), test=0.3)
    run = fit(RECIPES[name](**SMALL), data, out=tmp_path / name, quiet=True)
    told = run.result["prediction"]
    assert told["score"] > 0.9 > told["most_frequent"]
    assert np.sum(told["confusion"]) == told["n"] == len(data.test)
    assert told["verdict"].startswith("It is")
    assert [one["factor"] for one in told["refined"]] == [1, 2, 4, 8]
    x = jnp.asarray(data.test.observations[0])
    check_model(run.model, x=x, key=KEY).raise_if_failed()
    again = load_run(tmp_path / name).model
    np.testing.assert_array_equal(again.encode(x), run.model.encode(x))
    assert "Its depth as a differential equation" in page_of(run, tmp_path)


def page_of(run, folder):
    from unweave import write_run_report

    return write_run_report(run, output=folder / "page.html").read_text()


def test_steps_of_a_solver_stay_and_steps_of_a_residual_network_need_not():
    data = spirals()
    net = s.stepped_net(data, 2, s.Layout(8, 16), s.RK4, steps=8, shared=True, key=KEY)
    found = s.refinements(s.Classifier(net=net, names=("a", "b")), data.observations, data.labels)
    assert found[0].moved == found[-1].moved == 0
    assert found[1].evaluations == 2 * found[0].evaluations
    wild = jax.tree.map(lambda a: 20 * a if eqx.is_array(a) else a, net.depth.field)
    net = dataclasses.replace(net, depth=s.Stepped(s.EULER, wild, 2))
    model = s.Classifier(net=net, names=("a", "b"))
    found = s.refinements(model, data.observations, data.labels)
    assert found[0].moved > 0.05
    assert s.verdict(model, found).startswith("It is its steps")


def test_numbers_are_read_off_images():
    # the place of a bright spot
    random = np.random.default_rng(1)
    place = random.uniform(2, 10, (300, 2))
    row = np.arange(12)
    spots = [np.exp(-((row - p) ** 2) / 4) for p in place.T[..., None]]
    images = (spots[0][:, :, None] * spots[1][:, None, :])[..., None].astype(np.float32)
    schema = Schema("images", ("row", "column", "channel"), (12, 12, 1), ("grey",), ("",))
    data = split_at_random(
        dataset(images, schema, factors=place, factor_names=("row", "column")), test=0.3
    )
    run = fit(RECIPES["resnet"](width=8, blocks=2, epochs=25, learning_rate=1e-2), data, quiet=True)
    told = run.result["prediction"]
    assert told["score"] > 0.9
    assert set(told["root_mean_square"]) == {"row", "column"}
    assert told["refined_n"] == told["n"] == len(data.test)


def test_a_field_of_images_is_normalised_within_each_of_them():
    x = 3 + 2 * np.random.default_rng(0).standard_normal((5, 4, 8)).astype(np.float32)
    norm = eqx.tree_at(lambda n: n.shift, s.GroupNorm(8), jnp.arange(8.0))
    parts = x.reshape(20, 4, 2).astype(float)  # four groups of two channels
    apart = (parts - parts.mean((0, 2))[:, None]) / parts.std((0, 2))[:, None]
    np.testing.assert_allclose(
        norm(jnp.asarray(x)), apart.reshape(x.shape) + np.arange(8), 1e-4, 1e-4
    )
    assert [s.GroupNorm(n).groups for n in (6, 7, 12)] == [2, 1, 4]
    # constant features have no deviation to be divided by
    assert np.isfinite(s.GroupNorm(4)(jnp.ones((3, 3, 4)))).all()
    field, zero = s.ConvField(2, 8, 4, key=KEY), jnp.zeros(())
    batch = jnp.stack([jnp.asarray(x), 100 * jnp.asarray(x)])
    np.testing.assert_allclose(
        jax.vmap(field, (None, 0))(zero, batch)[0], field(zero, batch[0]), 1e-5
    )


def test_a_head_reads_means_over_the_cells_of_a_grid():
    x = jax.random.normal(KEY, (7, 5, 4))
    pooled = s.Pooled(4, 24, (3, 2), key=KEY)
    seen = eqx.tree_at(lambda p: p.head, pooled, lambda v: v)(x)
    features = np.asarray(jax.nn.relu(pooled.norm(x)))
    cells = [
        features[rows, columns].mean((0, 1))
        for rows in (slice(0, 3), slice(3, 5), slice(5, 7))
        for columns in (slice(0, 3), slice(3, 5))
    ]
    np.testing.assert_allclose(seen, np.concatenate(cells), rtol=1e-5, atol=1e-6)
    assert pooled(x).shape == (24,)
    with pytest.raises(ValueError, match="finer than a map"):
        pooled(x[:2])


def test_a_tolerance_is_not_refined_below_rounding():
    depth = s.Continuous(s.MLPField(4, (8,), key=KEY), Tolerance(1e-3, 1e-4))
    assert depth.refined(2).tolerance.relative == pytest.approx(1e-3 / 32)
    assert depth.refined(8).tolerance == Tolerance(1e-6, 1e-7, 8 * 256)
    exact = s.Continuous(depth.field, Tolerance(1e-7, 1e-8))
    assert exact.refined(4).tolerance.relative == 1e-7


def test_regularisers_are_what_their_formulas_say():
    x = jax.random.normal(KEY, (4, 3))
    a = jnp.asarray([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.2, 0.0, 0.1]])
    net = s.DeepNet(lambda x: x, s.Stepped(s.EULER, lambda t, x: a @ x, 1), lambda x: x, s_scale(3))
    directions = jax.random.split(KEY, 400)
    found = jax.vmap(lambda key: net.regularity(x, key))(directions)
    np.testing.assert_allclose(found.kinetic[0], ((x @ a.T) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.jacobian.mean(), (a**2).sum() / 3, rtol=0.1)


def s_scale(n):
    from unweave import Scale

    return Scale((0.0,) * n, (1.0,) * n)


def test_stochastic_depth_skips_in_training_alone():
    x = jax.random.normal(KEY, (5, 4))
    depth = s.Stepped(s.EULER, s.MLPField(4, (8,), key=KEY), 6, drop=0.5)
    np.testing.assert_array_equal(depth.through(x), depth.through(x))
    through = eqx.filter_jit(lambda key: depth.through(x, key=key))
    drawn = [through(k) for k in jax.random.split(KEY, 200)]
    assert np.abs(np.asarray(drawn[0]) - np.asarray(drawn[1])).max() > 1e-3
    # a step that is made is as much wider as it is rarer: the mean stays, to first order
    np.testing.assert_allclose(np.mean(drawn, 0), depth.through(x), atol=0.1)


def test_data_without_answers_are_refused():
    data = spirals()
    bare = dataclasses.replace(data, labels=None, label_names=())
    for rows in (labelled, with_factors):
        with pytest.raises(ValueError, match="such as vae"):
            rows(bare)
    with pytest.raises(ValueError, match="even number"):
        fit(RECIPES["revnet"](width=7), split_at_random(data, test=0.3), quiet=True)
    assert RECIPES["resnet"]().plan.stepper(Budget(10, 100)) is not None
    assert supervised() is not supervised()


def test_the_model_file_says_what_it_is(tmp_path):
    run = fit(RECIPES["ode-net"](**SMALL | {"epochs": 1}), split_at_random(spirals(), test=0.3),
              out=tmp_path / "run", quiet=True)  # fmt: skip
    assert load_model(tmp_path / "run" / "model.safetensors").digest == run.result["model_hash"]
