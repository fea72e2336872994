r"""Courses with events: solved from one event to the next.

Where the condition of an event rises through zero the step is cut there by a root search, the
state is reset, and the solve begins anew; an event that ends the course holds the state from
then on. A course with more events than `MOST` (a ball that bounces ever faster) is not finite
from there, so that it is told and not guessed.
"""

import diffrax
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from .._system import AbstractSystem
from ..language._events import Event
from ._drive import Drive

#: A course of more events than this is given up.
MOST = 32


def path_with_events(
    system: AbstractSystem,
    events: tuple[Event, ...],
    solver: diffrax.AbstractSolver,
    control: diffrax.AbstractStepSizeController,
    times: Float[Array, " time"],
    z: Float[Array, " latent"],
    u: Drive,
    most_steps: int,
) -> Float[Array, "time state"]:
    """The states at `times`, through every event."""
    term = diffrax.ODETerm(vector_field(system))
    tight = 1e-6 if times.dtype == jnp.float32 else 1e-10
    event = diffrax.Event(
        [_condition(one) for one in events],
        root_finder=optx.Newton(tight, tight),
        direction=[True for _ in events],
    )
    end = times[-1]

    def segment(carry: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], None]:
        t, x, ended, filled = carry
        solved = diffrax.diffeqsolve(
            term, solver, t, end, None, x, (z, u),
            saveat=diffrax.SaveAt(t1=True, dense=True),
            stepsize_controller=control, event=event, adjoint=diffrax.ForwardMode(),
            max_steps=most_steps, throw=False,
        )  # fmt: skip
        assert solved.ts is not None
        assert solved.ys is not None
        stop, last = solved.ts[-1], solved.ys[-1]
        inside = (times >= t) & (times <= stop) & ~ended
        at = jax.vmap(solved.evaluate)(jnp.clip(times, t, stop))
        filled = jnp.where(inside[:, None], at, filled)
        hit = jnp.stack(jax.tree.leaves(solved.event_mask))
        fired = (solved.result == diffrax.RESULTS.event_occurred) & hit.any()
        after, halts = _after(events, hit, stop, last, z, u(stop))
        held = jnp.where(fired & halts, (times > stop)[:, None] & ~ended, False)
        filled = jnp.where(held, last[None], filled)
        # without an event the segment reached the end, or failed: what is not filled says so
        ended = ended | ~fired | halts
        return (
            jnp.where(ended, t, stop), jnp.where(ended, x, after), ended, filled,
        ), None  # fmt: skip

    start = system.start(z)
    empty = jnp.full((times.shape[0], start.shape[0]), jnp.inf, start.dtype)
    carry = (times[0], start, jnp.zeros((), bool), empty.at[0].set(start))
    (_, _, _, filled), _ = jax.lax.scan(segment, carry, None, length=MOST)
    return filled


def vector_field(system: AbstractSystem):
    """The rates as diffrax calls them, with (latents, inputs) as its arguments."""

    def rates(t, x, args):
        at = jnp.asarray(t, x.dtype)
        return system.rates(at, x, args[0], args[1](at))

    return rates


def _condition(event: Event):
    def _rises(t, y, args, **kwargs):  # diffrax calls it with more than it needs
        return event.condition(t, y, args[0], args[1](t))

    return _rises


def _after(
    events: tuple[Event, ...], hit: Array, t: Array, x: Array, z: Array, u: Array
) -> tuple[Array, Array]:
    """The state after the event that was hit, and whether it ends the course."""
    after, halts = x, jnp.zeros((), bool)
    for i, event in enumerate(events):
        if event.reset is None:
            halts = halts | hit[i]
        else:
            after = jnp.where(hit[i], event.reset(t, x, z, u), after)
    return after, halts
