"""Equilibria, orbits, bifurcations and exponents against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from unweave import plots
from unweave.equations.behaviour._basins import basins
from unweave.equations.behaviour._continuation import continuation
from unweave.equations.behaviour._equilibria import equilibria, equilibria_of_many
from unweave.equations.behaviour._lyapunov import kaplan_yorke, lyapunov_spectrum
from unweave.equations.behaviour._orbits import rodas3
from unweave.equations.behaviour._outcomes import describe, outcome, survivors
from unweave.equations.behaviour._portrait import nullclines, phase_portrait, separatrices
from unweave.plots._phase import bifurcation
from unweave.plots._phase import phase_portrait as draw_portrait

LINEAR = [
    ("stable node", [[-1, 0], [0, -3]], 0),
    ("stable node", [[-1, 1], [0, -1]], 0),
    ("stable node", [[-2, 0], [0, -2]], 0),
    ("unstable node", [[1, 0.5], [0, 3]], 2),
    ("stable focus", [[-0.1, 2], [-2, -0.1]], 0),
    ("unstable focus", [[0.01, 1], [-1, 0.01]], 2),
    ("saddle", [[1, 2], [0, -0.5]], 1),
    ("centre", [[0, 3], [-1, 0]], 0),
    ("line of equilibria", [[-1, 1], [-2, 2]], 1),
    ("line of equilibria", [[1, 2], [-2, -4]], 0),
]


def competition(a1, a2, *, r1=1.0, r2=1.0, n1=100.0, n2=80.0):
    def field(x):
        return jnp.stack(
            [
                r1 * x[0] * (1 - x[0] / n1) - a1 * x[0] * x[1],
                r2 * x[1] * (1 - x[1] / n2) - a2 * x[0] * x[1],
            ]
        )

    return field


def compete(t, x):
    """`competition(0.02, 0.02)` for SciPy."""
    return [
        x[0] * (1 - x[0] / 100) - 0.02 * x[0] * x[1],
        x[1] * (1 - x[1] / 80) - 0.02 * x[0] * x[1],
    ]


def competition_of(z):
    return competition(z[0], z[1])


def lorenz(x):
    return jnp.stack([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])


def van_der_pol(x):
    return jnp.stack([x[1], (1 - x[0] ** 2) * x[1] - x[0]])


def pendulum(x):
    return jnp.stack([x[1], -jnp.sin(x[0]) - 0.2 * x[1]])


def test_linear_fields_of_every_type():
    matrices = np.asarray([matrix for _, matrix, _ in LINEAR], float)

    def field_of(z):
        return lambda x: z.reshape(2, 2) @ x

    searched = equilibria_of_many(field_of, matrices.reshape(-1, 4), [-1, -1], [1.3, 1.2])
    for (kind, matrix, unstable), found in zip(LINEAR, searched, strict=True):
        assert {e.kind for e in found} == {kind}, matrix
        assert {e.unstable for e in found} == {unstable}
        for e in found:
            expected = np.linalg.eigvals(np.asarray(matrix, float))
            np.testing.assert_allclose(
                np.sort_complex(e.eigenvalues), np.sort_complex(expected), atol=1e-8
            )
            np.testing.assert_allclose(np.asarray(matrix, float) @ e.x, 0, atol=1e-9)
        if kind != "line of equilibria":
            assert len(found) == 1


@pytest.mark.parametrize(
    ("field", "known", "kinds"),
    [
        (lambda x: x - x**3, [-1, 0, 1], ["stable node", "unstable node", "stable node"]),
        (lambda x: x**2, [0], ["degenerate"]),
        (lambda x: -(x**3), [0], ["degenerate"]),
        (lambda x: x**2 + 1e-3, [], []),
        (lambda x: -jnp.exp(-x - 15), [], []),
    ],
)
def test_one_dimension(field, known, kinds):
    found = equilibria(field, [-2], [2.3], starts=64)
    np.testing.assert_allclose([e.x[0] for e in found], known, atol=1e-6)
    assert [e.kind for e in found] == kinds


@pytest.mark.parametrize(
    ("field", "known", "kinds"),
    [
        (lambda x: jnp.sqrt(x) * (1 - x), [0, 1], ["unstable node", "stable node"]),
        (lambda x: x**0.5 - x, [0, 1], ["unstable node", "stable node"]),
        (lambda x: x * (1.2 - x) ** 1.5, [0, 1.2], ["unstable node", "degenerate"]),
        # the second lies as far from the first as a search for a line looks
        (lambda x: x * (x - 2e-3), [0, 2e-3], ["stable node", "unstable node"]),
    ],
)
def test_equilibria_at_an_end_of_the_domain_and_beside_another_are_no_line(field, known, kinds):
    found = equilibria(field, [0], [2], starts=64)
    np.testing.assert_allclose([e.x[0] for e in found], known, atol=1e-6)
    assert [e.kind for e in found] == kinds


def test_lines_of_equilibria_curved_and_up_to_the_end_of_the_domain():
    def circle(x):
        return x * (1 - x @ x)

    def edge(x):
        return jnp.stack([-x[0] * jnp.sqrt(1 - x[1]), 0 * x[1]])

    found = equilibria(circle, [-2, -2], [2.1, 2.2])
    lone = [e for e in found if e.kind != "line of equilibria"]
    assert [e.kind for e in lone] == ["unstable node"]
    np.testing.assert_allclose(lone[0].x, 0, atol=1e-9)
    assert len(found) > 4
    for e in found:
        assert np.linalg.norm(e.x) == pytest.approx(float(e is not lone[0]), abs=1e-9)
    found = equilibria(edge, [-1, -1], [1.2, 1.5])
    assert len(found) >= 3
    assert {e.kind for e in found} == {"line of equilibria"}


def test_lorenz_equilibria_are_the_closed_form():
    found = equilibria(lorenz, [-30, -30, -5], [30, 30, 60])
    c = np.sqrt(8 / 3 * 27)
    np.testing.assert_allclose(
        [e.x for e in found], [[-c, -c, 27], [0, 0, 0], [c, c, 27]], atol=1e-9
    )
    assert [e.kind for e in found] == ["saddle focus", "saddle", "saddle focus"]
    assert [e.unstable for e in found] == [2, 1, 2]
    origin = [(-11 + np.sqrt(1201)) / 2, -8 / 3, (-11 - np.sqrt(1201)) / 2]
    np.testing.assert_allclose(found[1].eigenvalues, origin, rtol=1e-10)


@pytest.mark.parametrize(
    ("a1", "a2", "words", "count"),
    [
        (0.005, 0.005, "x1 and x2 coexist", 4),
        (0.005, 0.02, "x1 excludes x2", 3),
        (0.02, 0.005, "x2 excludes x1", 3),
        (0.02, 0.02, "depends on the start: x1 excludes x2 or x2 excludes x1", 4),
    ],
)
def test_the_four_cases_of_competition(a1, a2, words, count):
    found = equilibria(competition(a1, a2), [0, 0], [150, 120])
    assert outcome(found, ["x1", "x2"]) == words
    assert len(found) == count
    sentences = describe(found, ["x1", "x2"])
    assert "x1 = 0, x2 = 0: unstable node" in sentences
    if words == "x1 excludes x2":
        assert "x1 = 100, x2 = 0: stable node, x2 is excluded" in sentences
    if count == 4:
        inside = np.linalg.solve([[1 / 100, a1], [a2, 1 / 80]], [1, 1])
        assert min(np.abs(e.x - inside).max() for e in found) < 1e-8


def test_survival_is_counted_over_draws():
    rng = np.random.default_rng(0)
    zs = rng.uniform([0.0, 0.0], [0.025, 0.02], (200, 2))
    survival = survivors(competition_of, zs, ["x1", "x2"], [0, 0], [150, 120])
    first, second = 100 * zs[:, 1] < 1, 80 * zs[:, 0] < 1  # each survives the other's presence
    both = "depends on the start: x1 excludes x2 or x2 excludes x1"
    expected = np.select(
        [first & second, ~first & second, first & ~second],
        ["x1 and x2 coexist", "x1 excludes x2", "x2 excludes x1"],
        both,
    )
    assert list(survival.outcomes) == expected.tolist()
    assert sum(survival.probabilities.values()) == pytest.approx(1)
    assert survival.probabilities[both] == np.mean(expected == both)
    assert any("of 200 draws" in sentence for sentence in survival.sentences)


def test_words_do_not_call_an_angle_excluded():
    found = equilibria(pendulum, [-4, -3], [4, 3])
    assert outcome(found, ["angle", "speed"]) == "one stable equilibrium"
    assert "angle = 0, speed = 0: stable focus" in describe(found, ["angle", "speed"])
    with pytest.raises(ValueError, match="1 names"):
        describe(found, ["angle"])


def test_the_tracer_has_its_order():
    with jax.enable_x64(True):
        errors = []
        for n in (20, 40, 80):
            y, h = jnp.asarray([1.0, 0.5]), jnp.asarray(2.0 / n)
            for _ in range(n):
                y, _error = jax.jit(rodas3, static_argnums=0)(van_der_pol, y, h)
            exact = solve_ivp(
                lambda t, x: [x[1], (1 - x[0] ** 2) * x[1] - x[0]],
                (0, 2), [1.0, 0.5], rtol=1e-12, atol=1e-12,
            ).y[:, -1]  # fmt: skip
            errors.append(np.abs(np.asarray(y) - exact).max())
    orders = np.log2(np.asarray(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 3, atol=0.35)


@pytest.fixture(scope="module")
def portrait():
    return phase_portrait(competition(0.02, 0.02), [0, 0], [120, 100])


def test_nullclines_lie_on_their_lines(portrait):
    for component, (a, b) in enumerate([((1 / 100, 0.02), 0), ((0.02, 1 / 80), 1)]):
        points = np.concatenate(portrait.nullclines[component])
        on_axis = np.abs(points[:, b]) < 1e-9
        line = np.abs(points @ np.asarray(a) - 1) < 1e-9
        assert (on_axis | line).all()
        assert np.ptp(points[on_axis][:, 1 - b]) > 90
        assert np.ptp(points[line][:, 1 - b]) > 45


def test_poles_are_no_nullclines():
    def field(x):
        return jnp.stack([1 / (x[0] - 0.123), x[1] - x[0] ** 2])

    first, second = nullclines(field, [-1, -1], [1, 1])
    assert first == ()
    points = np.concatenate(second)
    np.testing.assert_allclose(points[:, 1], points[:, 0] ** 2, atol=1e-9)


def test_separatrices_and_streamlines_are_orbits(portrait):
    saddle = next(e for e in portrait.equilibria if e.kind == "saddle")
    assert len(portrait.separatrices) == 2
    for curve in portrait.separatrices:
        np.testing.assert_allclose(curve[-1], saddle.x)
    far = max(portrait.separatrices, key=lambda c: np.linalg.norm(c[0]))[0]
    back = solve_ivp(
        compete, (0, 30), far * [1, 1.002],
        rtol=1e-9, atol=1e-9,
    ).y  # fmt: skip
    forth = solve_ivp(
        compete, (0, 30), far * [1, 0.998],
        rtol=1e-9, atol=1e-9,
    ).y  # fmt: skip
    assert back[1, -1] > back[0, -1]
    assert forth[0, -1] > forth[1, -1]
    assert len(portrait.streamlines) > 15
    middles = np.concatenate([line[1:-1] for line in portrait.streamlines])
    along = np.concatenate([line[2:] - line[:-2] for line in portrait.streamlines])
    rates = np.stack(compete(0, middles.T), axis=1)
    cosine = (rates * along).sum(axis=1)
    cosine /= np.linalg.norm(rates, axis=1) * np.linalg.norm(along, axis=1)
    assert np.quantile(cosine, 0.05) > 0.999


@pytest.mark.slow
def test_basins_of_competition_are_those_of_scipy(portrait):
    field = competition(0.02, 0.02)
    ground = basins(field, [0, 0], [120, 100], portrait.equilibria, resolution=24)
    assert ground.ends[:2] == ("rests at (0, 80)", "rests at (100, 0)")
    assert ground.shares.sum() == pytest.approx(1)
    rng = np.random.default_rng(1)
    for row, column in rng.integers(2, 24, (12, 2)):
        start = [ground.x[column], ground.y[row]]
        end = solve_ivp(compete, (0, 200), start).y[:, -1]
        assert ground.label[row, column] == (0 if end[1] > end[0] else 1)


def test_a_limit_cycle_is_seen_and_has_its_amplitude():
    found = equilibria(van_der_pol, [-3, -4], [3, 4])
    ground = basins(van_der_pol, [-3, -4], [3, 4], found, resolution=12)
    assert ground.ends[0] == "cycle"
    assert ground.shares[0] == 1
    path = solve_ivp(
        lambda t, x: [x[1], (1 - x[0] ** 2) * x[1] - x[0]],
        (0, 60),
        [2, 0],
        rtol=1e-8,
        max_step=0.01,
    ).y[:, 3000:]
    np.testing.assert_allclose(ground.cycles[0].max(axis=0), path.max(axis=1), rtol=0.01)


def test_closed_orbits_of_lotka_and_volterra_are_a_family():
    def field(x):
        return jnp.stack([x[0] - x[0] * x[1], x[0] * x[1] - x[1]])

    found = equilibria(field, [0.2, 0.2], [2, 2])
    assert [e.kind for e in found] == ["centre"]
    ground = basins(field, [0.2, 0.2], [2, 2], found, resolution=10)
    assert ground.ends[0] == "closed orbits, one for each start"
    assert ground.shares[0] > 0.5
    assert ground.cycles == ()


def kinds(branches):
    return [event.kind for event in branches.special]


def test_folds_of_the_saddle_node_and_of_hysteresis():
    normal = continuation(lambda x, a: a - x**2, [-2], [2.1], -1, 1)
    assert kinds(normal) == ["fold"]
    assert abs(normal.special[0].a) < 1e-6
    (branch,) = normal.branches
    np.testing.assert_allclose(branch.a, branch.x[:, 0] ** 2, atol=1e-9)
    apart = np.abs(branch.x[:, 0]) > 1e-6
    np.testing.assert_array_equal(branch.stable[apart], branch.x[apart, 0] > 0)

    cusp = continuation(lambda x, a: a + x - x**3, [-2], [2.1], -1, 1)
    assert kinds(cusp) == ["fold", "fold"]
    np.testing.assert_allclose([e.a for e in cusp.special], [-2 / 27**0.5, 2 / 27**0.5], atol=1e-9)


def test_pitchfork_and_transcritical_are_branch_points():
    fork = continuation(lambda x, a: a * x - x**3, [-2], [2.1], -1, 1.3)
    assert kinds(fork) == ["branch point"]
    assert abs(fork.special[0].a) < 1e-6
    assert len(fork.branches) == 2
    crossing = continuation(lambda x, a: a * x - x**2, [-2], [2.1], -1, 1.3)
    assert kinds(crossing) == ["branch point"]
    assert abs(crossing.special[0].a) < 1e-6


def test_hopf_points_and_their_frequencies():
    oscillator = continuation(
        lambda x, a: jnp.stack([x[1], a * (1 - x[0] ** 2) * x[1] - x[0]]),
        [-3, -3],
        [3.2, 3.3],
        -1,
        1.2,
    )
    assert kinds(oscillator) == ["Hopf"]
    assert abs(oscillator.special[0].a) < 1e-6
    assert oscillator.special[0].frequency == pytest.approx(1, abs=1e-6)

    def predator(x, k):
        eaten = x[0] * x[1] / (1 + x[0])
        return jnp.stack([x[0] * (1 - x[0] / k) - eaten, eaten - 0.5 * x[1]])

    found = continuation(predator, [0, 0], [6, 6], 0.5, 6)
    assert kinds(found) == ["branch point", "Hopf"]
    # Rosenzweig and MacArthur: the hump of the prey's nullcline, (K - 1) / 2, at prey 1
    np.testing.assert_allclose([e.a for e in found.special], [1, 3], atol=1e-6)
    jacobian = np.asarray([[1 - 2 / 3 - (4 / 3) / 4, -0.5], [(4 / 3) / 4, 0]])
    omega = np.abs(np.linalg.eigvals(jacobian).imag).max()
    assert found.special[1].frequency == pytest.approx(omega, abs=1e-6)
    figure = bifurcation(found, names=("prey", "predator"), parameter="K")
    words = plots.svg(figure)
    assert "Hopf point" in words
    assert "unstable" in words


def test_an_isola_is_followed_round():
    isola = continuation(lambda x, a: x**2 + a**2 - 0.25, [-2], [2.1], -1, 1.1)
    assert len(isola.branches) == 1
    np.testing.assert_allclose([e.a for e in isola.special], [-0.5, 0.5], atol=1e-6)


def test_lyapunov_spectra():
    spectrum = lyapunov_spectrum(lorenz, [1, 1, 1], duration=400)
    np.testing.assert_allclose(spectrum.exponents, [0.9056, 0, -14.5723], atol=0.04)
    assert (np.abs(spectrum.exponents - [0.9056, 0, -14.5723]) < 4 * spectrum.error).all()
    assert spectrum.exponents.sum() == pytest.approx(-41 / 3, abs=1e-3)
    assert spectrum.dimension == pytest.approx(2.062, abs=0.01)

    def roessler(x):
        return jnp.stack([-x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)])

    spectrum = lyapunov_spectrum(roessler, [1, 1, 1], duration=2000)
    np.testing.assert_allclose(spectrum.exponents[:2], [0.0714, 0], atol=0.012)
    assert spectrum.exponents[2] == pytest.approx(-5.39, abs=0.06)

    matrix = np.asarray([[-0.1, 1, 0], [0, -0.5, 2], [0, 0, -3.0]])
    linear = lyapunov_spectrum(
        lambda x: jnp.asarray(matrix) @ x, [1, 1, 1], duration=200, transient=100
    )
    np.testing.assert_allclose(linear.exponents, [-0.1, -0.5, -3], atol=1e-4)
    assert linear.dimension == 0

    away = lyapunov_spectrum(lambda x: x**2, [1.0], duration=20, step=0.01)
    assert np.isnan(away.exponents).all()
    assert "finite" in away.note


def test_kaplan_and_yorke():
    nothing = np.zeros(3)
    assert kaplan_yorke(np.asarray([0.9, 0, -14.5]), nothing) == pytest.approx(2 + 0.9 / 14.5)
    assert kaplan_yorke(np.asarray([-1e-6, -1.0]), np.asarray([1e-5, 0])) == 1
    assert kaplan_yorke(np.asarray([-0.1, -1.0, -2.0]), nothing) == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: equilibria(lorenz, [1, 1, 1], [0, 2, 2]), "lower end first"),
        (lambda: equilibria(lorenz, [0, 0], [1, 1, 1]), "one number for each"),
        (lambda: equilibria(lambda x: x[0], [0, 0], [1, 1]), "2 rates"),
        (lambda: equilibria(lambda x: x.astype(jnp.float32), [0], [1]), "float64"),
        (lambda: phase_portrait(lorenz, [0, 0, 0], [1, 1, 1]), "of a plane"),
        (lambda: basins(lorenz, [0, 0, 0], [1, 1, 1], (), axes=(0, 0)), "span a plane"),
        (lambda: continuation(lambda x, a: a - x**2, [-1], [1], 1, 0), "lower end first"),
        (lambda: lyapunov_spectrum(lorenz, [1, 1, 1], duration=-1), "positive duration"),
        (lambda: lyapunov_spectrum(lorenz, [1, 1, 1], step=1e-9), "larger step"),
        (
            lambda: survivors(competition_of, np.zeros((0, 2)), ["a", "b"], [0, 0], [1, 1]),
            "one row",
        ),
    ],
)
def test_bad_input_gets_a_sentence(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_the_portrait_is_drawn_with_a_label_for_every_kind(portrait):
    ground = basins(competition(0.02, 0.02), [0, 0], [120, 100], portrait.equilibria, resolution=24)

    def draw():
        return plots.svg(
            draw_portrait(portrait, names=("a_$x", "b"), units=("g", ""), basins=ground)
        )

    text = draw()
    for word in ("a_$x (g)", "stable node", "saddle", "separatrix", "nullcline of b", "rests at"):
        assert word in text
    assert draw() == text
    with pytest.raises(ValueError, match="two of each"):
        draw_portrait(portrait, names=("a",))


def test_a_three_dimensional_state_has_basins_in_a_plane():
    def field(x):
        return jnp.stack([x[0] - x[0] ** 3, -x[1], -2 * x[2]])

    found = equilibria(field, [-2, -1, -1], [2, 1, 1], starts=64)
    assert [e.kind for e in found] == ["stable node", "saddle", "stable node"]
    ground = basins(field, [-2, -1, -1], [2, 1, 1], found, resolution=8, axes=(0, 2))
    np.testing.assert_array_equal(ground.label, np.where(ground.x[None] < 0, 0, 1).repeat(8, 0))


def test_separatrices_of_the_pendulum_end_with_its_energy():
    def free(x):
        return jnp.stack([x[1], -jnp.sin(x[0])])

    found = equilibria(free, [-4, -3], [4, 3])
    for curve in separatrices(free, [-4, -3], [4, 3], found):
        energy = 0.5 * curve[:, 1] ** 2 - np.cos(curve[:, 0])
        np.testing.assert_allclose(energy, 1, atol=2e-3)


def test_roots_and_equilibria_agree_with_brent():
    root = brentq(lambda x: np.cos(x) - x, 0, 1, xtol=1e-14)
    found = equilibria(lambda x: jnp.cos(x) - x, [-3], [3], starts=64)
    np.testing.assert_allclose([e.x[0] for e in found], [root], atol=1e-12)
