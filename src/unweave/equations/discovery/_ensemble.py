r"""How often a term is chosen from resampled data: ensembles (Fasel et al. 2022, Proc. R. Soc. A
478:20210904), of blocks of time and of the library's terms.
"""

from collections.abc import Sequence

import numpy as np

from ._candidate import Candidate
from ._forms import Rows, rows
from ._library import Family, Term
from ._records import Record
from ._sparse import best_subsets, normal

_BLOCKS = 20
# a library of more terms than this is thinned to those that are most like the left side
_MOST = 14


def inclusion(
    records: Sequence[Record], candidate: Candidate, libraries: Sequence[Family], *, bags: int,
    seed: int,
) -> list[list[float]]:  # fmt: skip
    """For every term of every right side, the share of bags that offered the term and chose it."""
    random = np.random.default_rng(seed)
    return [
        _of_state(records, i, row, libraries, bags, random) if bags else [float("nan")] * len(row)
        for i, row in enumerate(candidate.rows)
    ]


def _of_state(
    records: Sequence[Record], state: int, row: Sequence[Term], libraries: Sequence[Family],
    bags: int, random: np.random.Generator,
) -> list[float]:  # fmt: skip
    shapes = {term.shape for term in row}
    fitting = [f for f in libraries if shapes <= {term.shape for term in f.terms}]
    library = min(fitting, key=lambda f: len(f.terms)).terms if fitting else ()
    terms = [*row, *(term for term in library if term.shape not in shapes)]
    made = rows("weak", records, terms, state)
    whole = normal(made)
    k = len(row)
    alike = np.argsort(-np.abs(whole.right[k:]))[: max(0, _MOST - k)] + k
    used = np.concatenate([np.arange(k), alike])
    offered, chosen = np.zeros(k), np.zeros(k)
    n = len(made.left)
    blocks = np.array_split(np.arange(n), min(_BLOCKS, n))
    for _ in range(bags):
        picked = np.concatenate([blocks[b] for b in random.integers(len(blocks), size=len(blocks))])
        # one term in eight is not offered
        kept = used[random.random(len(used)) > 1 / 8]
        problem = normal(Rows(made.columns[np.ix_(picked, kept)], made.left[picked], made.free))
        best, least = (), np.inf
        for support, left in best_subsets(problem, most=k + 2, keep=1).items():
            score = n * np.log(left / n + 1e-12 * problem.total / n) + 2 * len(support) * np.log(n)
            if score < least:
                best, least = support, score
        found = {int(kept[j]) for j in best}
        for j in range(k):
            offered[j] += j in kept
            chosen[j] += j in found
    return [float(c / o) if o else float("nan") for c, o in zip(chosen, offered, strict=True)]
