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
    on = "the processes are actors of a Ray cluster: that of RAY_ADDRESS, or at ADDRESS"
    group.add_argument("--on", type=cluster, metavar="ray|ADDRESS", help=on)
    half = "compute losses and gradients in bfloat16"
    group.add_argument("--bfloat16", action="store_true", help=half)


def cluster(text: str) -> str:
    """The word ray, or the address of a Ray cluster."""
    host, colon, port = text.removeprefix("ray://").rpartition(":")
    if text != "ray" and not (colon and host and port.isdecimal() and "/" not in host):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no place for fits; give ray, or the address of a Ray cluster, HOST:PORT "
            "or ray://HOST:PORT"
        )
    return text
