"""The processes of one fit as actors of a Ray cluster, one on each machine where it can be."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from .._join import ProcessesError
from ..spread import OnRay, connected
from ._together import free_port


def start_on_ray(words: Sequence[str], options: argparse.Namespace) -> int:
    """Runs the command in so many actors; the first one's words are the command's, and where one
    fails its words."""
    ray, own = connected(OnRay(options.processes, None if options.on == "ray" else options.on))
    try:
        actor = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(_Member)
        crew = [actor.remote(os.getcwd()) for _ in range(options.processes)]
        address = ray.get(crew[0].address.remote())
        waiting = [
            member.run.remote([*words, "--process", str(i), "--coordinator", address])
            for i, member in enumerate(crew)
        ]
        first, said = waiting[0], (0, "", "")
        while waiting:
            (done,), waiting = ray.wait(waiting)
            found = ray.get(done)
            if done == first or found[0]:
                said = found
            if found[0]:
                break  # the others wait for it in vain
    except ray.exceptions.RayError as error:
        raise ProcessesError(
            f"one of {options.processes} processes was lost on the cluster ({type(error).__name__}"
            "); go on from the last checkpoint by --resume DIR."
        ) from error
    finally:
        if own:
            ray.shutdown()
    status, out, err = said
    sys.stderr.write(err)
    sys.stdout.write(out)
    return status


class _Member:
    """One process of the fit, on some machine."""

    def __init__(self, folder: str):
        os.chdir(folder)

    def address(self) -> str:
        """Where the others find this one."""
        import ray

        return f"{ray.util.get_node_ip_address()}:{free_port()}"

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """The command's exit status and what it printed."""
        from ._parser import main

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(list(words))
        return status, out.getvalue(), err.getvalue()
