"""The options of a fit on many devices."""

import argparse


def devices_options(parser: argparse.ArgumentParser) -> None:
    """Which devices and processes share a batch, and with what precision."""
    group = parser.add_argument_group("devices")
    group.add_argument("--devices", type=int, metavar="N",
                       help="share every batch between N devices (1)")  # fmt: skip
    many = "fit one model by N processes, of this machine or of whoever launches them"
    group.add_argument("--processes", type=int, metavar="N", help=many)
    which = "started by hand: which of them this is, from 0 on"
    group.add_argument("--process", type=int, metavar="I", help=which)
    where = "started by hand: where the first one is to listen"
    group.add_argument("--coordinator", metavar="HOST:PORT", help=where)
    on = "ray, or the address of a cluster: the processes run there"
    group.add_argument("--on", metavar="ray", help=on)
    half = "compute losses and gradients in bfloat16"
    group.add_argument("--bfloat16", action="store_true", help=half)
