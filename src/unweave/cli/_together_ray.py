"""The processes of one fit as actors of a Ray cluster, one on each machine where it can be."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from ..spread import connect
from ._together import free_port


def start_on_ray(words: Sequence[str], options: argparse.Namespace) -> int:
    """Runs the command in so many actors; the first one's words are the command's."""
    with connect(options.on) as ray:
        actor = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(_Member)
        crew = [actor.remote(os.getcwd()) for _ in range(options.processes)]
        address = ray.get(crew[0].address.remote())
        given = [
            member.run.remote([*words, "--process", str(i), "--coordinator", address])
            for i, member in enumerate(crew)
        ]
        waiting, found = list(given), {}
        while waiting:
            (done,), waiting = ray.wait(waiting)
            found[given.index(done)] = status, out, err = ray.get(done)
            if status:
                # the others wait for it in vain
                sys.stderr.write(err)
                return status
        _, out, err = found[0]
        sys.stderr.write(err)
        sys.stdout.write(out)
        return 0


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
