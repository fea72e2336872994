"""Training as optimal control: successive approximations beside gradient descent."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
from jaxtyping import Array

from unweave import dataset, split_at_random
from unweave._schema import Schema
from unweave.data import Scale
from unweave.networks import MLP
from unweave.networks import schemes as s
from unweave.recipes import RECIPES
from unweave.run import fit
from unweave.train import Answered, Descend, SuccessiveApproximations, supervised

KEY = jax.random.key(0)
# the user's units are the network's
UNIT = Scale((0.0,), (1.0,))
# a line search that compiles in half the time
LBFGS = optax.lbfgs(linesearch=optax.scale_by_backtracking_linesearch(20))


class Linear(eqx.Module):
    """x' = W x."""

    weight: Array

    def __call__(self, t, x):
        return self.weight @ x


def fields(make, count):
    return eqx.filter_vmap(make)(jax.random.split(KEY, count))


def net(field, blocks, answers, scheme=s.EULER, steps=None):
    lift, head = jax.random.split(KEY)
    return s.DeepNet(
        MLP(3, 4, (), key=lift), s.Stepped(scheme, field, steps or blocks, blocks),
        MLP(4, answers, (), key=head), Scale((0.0,) * 3, (1.0,) * 3),
    )  # fmt: skip


def classifier(field, blocks, **more):
    return s.Classifier(names=("a", "b", "c"), net=net(field, blocks, 3, **more))


def linear_regressor():
    field = fields(lambda k: Linear(0.5 * jax.random.normal(k, (4, 4))), 5)
    return s.Regressor(names=("y",), net=net(field, 5, 1), answer_scale=UNIT)


def numbers(n=40):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=n).astype(np.float32)
    y = x @ np.asarray([1.0, -2.0, 0.5], np.float32) + np.float32(0.3) + np.float32(0.1) * noise
    return Answered(jnp.asarray(x), jnp.asarray(y[:, None]))


def classes():
    x = numbers().x
    return Answered(x, jnp.argmax(x, axis=1).astype(jnp.int32))


def mlp(k):
    return s.MLPField(4, (6,), key=k)


def split(k):
    return s.SplitField(s.MLPField(2, (6,), key=k), s.MLPField(2, (6,), key=k))


CHAINS = {
    "euler": (classifier(fields(mlp, 5), 5), classes()),
    "two steps of rk4 a block": (classifier(fields(mlp, 2), 2, scheme=s.RK4, steps=4), classes()),
    "revnet": (classifier(fields(split, 3), 3, scheme=s.Reversible()), classes()),
    "numbers": (linear_regressor(), numbers()),
}


@pytest.mark.parametrize("name", CHAINS)
def test_one_step_up_the_hamiltonian_is_one_of_gradient_descent(name):
    model, rows = CHAINS[name]
    control = SuccessiveApproximations(0.0, 1, optax.sgd(0.1), growth=1.0)
    descend = Descend(supervised(), optax.sgd(0.1))
    step, start = eqx.filter_jit(control.step), control.init(model, key=KEY)
    b, same = eqx.filter_jit(descend.step)(descend.init(model, key=KEY), rows, KEY)
    for rho in (0.0, 3.0):
        given = eqx.tree_at(lambda state: state.optimiser, start, jnp.asarray(np.float32(rho)))
        a, logged = step(given, rows, KEY)
        assert logged["loss"] == pytest.approx(float(same["loss"]), rel=1e-6)
        moved = []
        for one, two, old in zip(*map(jax.tree.leaves, (a.model, b.model, model)), strict=True):
            if eqx.is_array(one):
                np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)
                moved.append(float(jnp.abs(one - old).max()))
        assert max(moved) > 1e-3


def test_a_linear_layer_ascends_to_where_a_sylvester_equation_puts_it():
    model, rows, rho = linear_regressor(), numbers(), 2.0
    control = SuccessiveApproximations(rho, 200, LBFGS, growth=1.0)
    after = eqx.filter_jit(control.step)(control.init(model, key=KEY), rows, KEY)[0].model
    old, new = (np.asarray(m.net.depth.field.weight, float) for m in (model, after))
    lift, head = model.net.lift, model.net.head
    x = np.asarray(rows.x, float) @ np.asarray(lift.weights[0]).T + np.asarray(lift.biases[0])
    states = [x]
    for w in old:
        states.append(states[-1] + 0.2 * states[-1] @ w.T)
    out = states[-1] @ np.asarray(head.weights[0]).T + np.asarray(head.biases[0])
    # the gradient of each observation's squared error, carried back by the transposed layers
    costate = -2 * (out - np.asarray(rows.answer)) @ np.asarray(head.weights[0])
    for n in reversed(range(5)):
        p, x = costate.T, states[n].T
        moved = scipy.linalg.solve_sylvester(p @ p.T, x @ x.T, p @ x.T / rho)
        np.testing.assert_allclose(new[n] - old[n], moved, atol=2e-4)
        costate = costate + 0.2 * costate @ old[n]


def test_a_deep_linear_network_ends_at_least_squares_either_way():
    rows = numbers()
    design = np.concatenate([np.asarray(rows.x), np.ones((40, 1))], axis=1)
    best, (total,), *_ = np.linalg.lstsq(design, np.asarray(rows.answer), rcond=None)
    for stepper, steps in (
        (SuccessiveApproximations(1.0, 5, LBFGS), 30),
        (Descend(supervised(), optax.adam(3e-3)), 2000),
    ):
        state = stepper.init(linear_regressor(), key=KEY)
        arrays, static = eqx.partition(state, eqx.is_array)

        def body(i, arrays, stepper=stepper, static=static):
            state, _ = stepper.step(eqx.combine(arrays, static), rows, KEY)
            return eqx.filter(state, eqx.is_array)

        arrays = jax.jit(lambda a, body=body, n=steps: jax.lax.fori_loop(0, n, body, a))(arrays)
        state = eqx.combine(arrays, static)
        loss = stepper.evaluate(state, rows, KEY)["loss"]
        assert float(loss) == pytest.approx(total / 40, rel=1e-4)
        got = state.model.predict(jnp.asarray(design[:, :3], jnp.float32))
        np.testing.assert_allclose(got, design @ best, atol=5e-3)


def test_a_step_that_would_raise_the_loss_is_not_taken_and_rho_grows():
    model, rows = CHAINS["numbers"]
    control = SuccessiveApproximations(0.5, 1, optax.sgd(100.0))
    state, logged = eqx.filter_jit(control.step)(control.init(model, key=KEY), rows, KEY)
    assert float(state.optimiser) == float(logged["rho"]) == 1.0
    for one, two in zip(jax.tree.leaves(state.model), jax.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_has_no_layers_of_its_own_is_refused():
    control = SuccessiveApproximations()
    shared = s.Classifier(names=("a", "b", "c"), net=net(mlp(KEY), None, 3, steps=4))
    memory = classifier(fields(mlp, 3), 3, scheme=s.TwoStep())
    ode = eqx.tree_at(lambda m: m.net.depth, shared, s.Continuous(mlp(KEY)))
    with pytest.raises(TypeError, match="MLPField has no layers"):
        control.init(mlp(KEY), key=KEY)
    for model, word in (
        (shared, "shares its weights"), (memory, "remembers a step"), (ode, "one field"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=word):
            control.init(model, key=KEY)
    with pytest.raises(ValueError, match="rho is -1"):
        SuccessiveApproximations(-1.0)
    with pytest.raises(ValueError, match=r"rho is 0\.0"):
        SuccessiveApproximations(0.0)
    with pytest.raises(ValueError, match=r"growth is 0\.5"):
        SuccessiveApproximations(growth=0.5)
    with pytest.raises(ValueError, match="0 iterations"):
        SuccessiveApproximations(iterations=0)
    with pytest.raises(ValueError, match=r"drop is 0\.1, which ties"):
        RECIPES["resnet"](training="successive-approximations", drop=0.1)


@pytest.mark.slow
def test_a_recipe_trains_by_it():
    rows = classes()
    schema = Schema("rows", ("value",), (3,), ("x", "y", "z"), ("", "", ""))
    x = np.random.default_rng(3).normal(size=(200, 3)).astype(np.float32)
    data = dataset(x, schema, labels=np.argmax(x, axis=1), label_names=("a", "b", "c"))
    recipe = RECIPES["resnet"](
        training="successive-approximations", width=4, hidden=6, blocks=3, epochs=12, batch=40
    )
    run = fit(recipe, split_at_random(data), quiet=True)
    assert run.result["prediction"]["score"] > 0.8
    codes = run.model.predict(rows.x)
    assert (jnp.argmax(codes, axis=1) == rows.answer).mean() > 0.8
