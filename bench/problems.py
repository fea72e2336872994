"""The problems of the equations' benchmark, the same for every side: NumPy alone is needed to read
them, SciPy to write them.
"""

import pathlib

import numpy as np

#: FitzHugh–Nagumo as in Ramsay et al. (2007): five unknowns, each within a tenth and ten times
#: its true value, and starts within ten of zero.
FHN = """\
v' = c*(v - v^3/3 + w)
w' = -(v - a + b*w)/c
a, b in (0.02, 2)
c in (0.3, 30)
v(0), w(0) in (-10, 10)
"""
FHN_TRUTH = np.array([0.2, 0.2, 3.0, -1.0, 1.0])
FHN_LOW = np.array([0.02, 0.02, 0.3, -10.0, -10.0])
FHN_HIGH = np.array([2.0, 2.0, 30.0, 10.0, 10.0])
FHN_NOISE = 0.5
FHN_TIMES = np.linspace(0, 20, 201)

#: Two species, every parameter within a tenth and ten times its true value; the effects of one on
#: the other of either sign, so that some starts feed each other until both explode.
COMPETITION = """\
time in day
x1' = r1*x1*(1 - x1/N1) - a1*x1*x2
x2' = r2*x2*(1 - x2/N2) - a2*x1*x2
r1 in (0.08, 8) 1/day
r2 in (0.06, 6) 1/day
N1 in (12, 1200) volume
N2 in (10, 1000) volume
a1 in (-0.04, 0.04) 1/(day volume)
a2 in (-0.03, 0.03) 1/(day volume)
x1(0), x2(0) in (0.5, 50) volume
"""
COMPETITION_TRUTH = np.array([0.8, 0.6, 120.0, 100.0, 0.004, 0.003, 5.0, 5.0])
COMPETITION_NOISE = 3.0
COMPETITION_TIMES = np.linspace(0, 25, 51)

#: Van der Pol, a batch of starts that share one equation and one tolerance.
MU, BATCH, TOLERANCE = 1.0, 256, 1e-5
VDP_TIMES = np.linspace(0, 10, 200)


def fhn_rates(t, x, a, b, c):
    v, w = x
    return [c * (v - v * v * v / 3 + w), -(v - a + b * w) / c]


def competition_rates(t, x, r1, r2, n1, n2, a1, a2):
    one, two = x
    return [
        r1 * one * (1 - one / n1) - a1 * one * two,
        r2 * two * (1 - two / n2) - a2 * one * two,
    ]


def vdp_rates(t, x):
    return [x[1], MU * (1 - x[0] ** 2) * x[1] - x[0]]


def write_problems(folder: pathlib.Path) -> None:
    """`NAME.ode` and `NAME.csv` of both fits, and the starts and exact paths of van der Pol."""
    fits = {
        "fhn": (FHN, fhn_rates, FHN_TRUTH, FHN_TIMES, FHN_NOISE, "v,w"),
        "competition": (
            COMPETITION, competition_rates, COMPETITION_TRUTH, COMPETITION_TIMES,
            COMPETITION_NOISE, "x1,x2",
        ),
    }  # fmt: skip
    for name, (text, rates, truth, times, noise, channels) in fits.items():
        *parameters, one, two = truth
        path = exact(rates, times, [one, two], *parameters)
        noisy = path + noise * np.random.default_rng(0).normal(size=path.shape)
        (folder / f"{name}.ode").write_text(text)
        table = np.column_stack([times, noisy])
        np.savetxt(
            folder / f"{name}.csv", table, delimiter=",", header=f"t,{channels}", comments=""
        )
    starts = np.random.default_rng(0).uniform(-2, 2, (BATCH, 2))
    paths = np.stack([exact(vdp_rates, VDP_TIMES, start) for start in starts])
    np.savez(folder / "vdp.npz", starts=starts, paths=paths)


def exact(rates, times, start, *parameters):
    """The path `(time, state)`, to ten digits."""
    from scipy.integrate import solve_ivp

    return solve_ivp(
        rates, (times[0], times[-1]), start, method="DOP853", t_eval=times, args=parameters,
        rtol=1e-10, atol=1e-10,
    ).y.T  # fmt: skip


def read_table(file: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Times, and observations `(time, channel)`."""
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1:]
