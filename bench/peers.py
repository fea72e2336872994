"""The other side's process: it is asked by name, a line at a time, and answers in JSON."""

import json
import pathlib
import subprocess


class Peers:
    """A script that serves in an interpreter of its own; `versions` of what it compares with."""

    def __init__(self, python: str, script: pathlib.Path, folder: pathlib.Path):
        self.script = script
        self.process = subprocess.Popen(
            [python, str(script), "serve", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions = self._answer()

    def ask(self, name: str) -> dict:
        """What the script found and how many seconds it took."""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process ended; run {self.script.name} to see why")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
