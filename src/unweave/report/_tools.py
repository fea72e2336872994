"""What the tools did, a sentence for each method with its papers: for the page and the article."""

import re
from collections.abc import Callable, Iterable, Sequence

from ._citations import bibtex

# the keys of papers stand in braces behind what they are of
_SENTENCES = {
    "integrated-gradients": "Contributions are integrated gradients {sundararajan2017}, from the "
    "mean of the held-out examples.",
    "gradient-times-input": "Contributions are the gradient times the distance from the mean of "
    "the held-out examples.",
    "saliency": "Slopes are the gradient at the observation {simonyan2014}.",
    "smooth-grad": "Slopes are gradients, averaged over noise {smilkov2017}.",
    "occlusion": "Contributions are what is lost when a part is hidden {zeiler2014}.",
    "lime": "Contributions are the coefficients of a straight line nearby {ribeiro2016}.",
    "grad-cam": "Contributions are those of the last layer with places {selvaraju2017}.",
    "order": "Entries were deleted and inserted in the order of the attribution {petsiuk2018} and "
    "in random orders.",
    "redrawn": "The attribution was repeated with weights that were shuffled {adebayo2018}.",
    "sensitivity": "Sensitivities are exact derivatives, by forward mode.",
    "FGSM": "FGSM takes one step along the signs of the gradient {goodfellow2015}.",
    "PGD": "PGD climbs the gradient within the budget {madry2018}.",
    "APGD": "APGD chooses its steps by itself {croce2020}.",
    "DeepFool": "DeepFool walks to the nearest boundary {moosavi2016}.",
    "Carlini": "The attack of Carlini and Wagner looks for the smallest change {carlini2017}.",
    "Square": "Square changes squares at random and sees no gradient {andriushchenko2020}.",
    "boundary": "The boundary attack sees decisions alone {brendel2018}.",
    "transfer": "Attacks on other models were tried on this one {liu2017}.",
    "wilson": "The interval of the share that stands is Wilson's {wilson1927}.",
    "masked": "Signs of masked gradients were looked for {athalye2018}.",
    "sub-pca": "Sub-PCA is the deviation from the first principal components.",
    "neighbours": "Neighbours is the distance to the nearest normal observations {ramaswamy2000}.",
    "local-density": "Local density is the local outlier factor {breunig2000}.",
    "isolation-forest": "The isolation forest counts the random cuts that part an observation "
    "from the others {liu2008}.",
    "together": "Several detectors are combined {aggarwal2015}.",
    "matrix-profile": "The matrix profile is the distance to the nearest stretch elsewhere "
    "{yeh2016}.",
    "confidence": "One minus the largest probability is a score {hendrycks2017}.",
    "energy": "The energy of the classes' logits is a score {liu2020}.",
    "surprise": "The surprise is parted over the samples by integrated gradients "
    "{sundararajan2017}.",
    "conformal-p": "P-values are conformal {bates2023}.",
    "volume": "VUS, the volume under the surface, allows for labels that are a little off "
    "{paparrizos2022}.",
    "MIG": "MIG compares the two latents that know most of a factor {chen2018}.",
    "SAP": "SAP does the same with prediction by one latent {kumar2018}.",
    "DCI": "Disentanglement, completeness and informativeness come from what predicts each "
    "factor {eastwood2018}.",
    "modularity": "Modularity asks whether a latent knows of one factor only {ridgeway2018}.",
    "InfoMEC": "InfoM, InfoC and InfoE are modularity, compactness and explicitness in terms of "
    "information {hsu2023}.",
    "neighbour-information": "Information is estimated from nearest neighbours {ross2014}.",
    "UDR": "UDR compares the latents of several fits {duan2020}.",
    "reliability": "Ceilings are reliabilities from halves of each observation "
    "{spearman1910, brown1910}.",
    "hoeffding": "Bounds without further assumptions are Hoeffding's {hoeffding1963}.",
    "exact-interval": "Intervals of shares are those of Clopper and Pearson {clopper1934}.",
    "calibration": "The calibration error compares confidence with how often answers are right "
    "{guo2017}.",
    "pairs": "Recipes were compared in pairs by a bootstrap over seeds and test observations, the "
    "same ones for both {efron1993}; training parts that overlap make its intervals somewhat too "
    "narrow {nadeau2003}.",
    "second-measurement": "Errors are those of a second measurement, by generalised "
    "cross-validation {craven1978} with degrees of freedom by slopes {ye1998}.",
    "stacking": "A mixture of all models was weighed by stacking their held-out log-densities "
    "{yao2018}.",
    "two-sample": "Drawn observations were told from real ones by a logistic regression on random "
    "convolutions {dempster2020}.",
    "coverage": "Coverage is the share of real observations with a drawn one among their "
    "neighbours {naeem2020}.",
    "memorisation": "Copies of training observations were looked for by the distances of drawn "
    "and of held-out ones to them {meehan2020}.",
    "conformal": "Conformal limits come from observations that the model was not fitted to "
    "{papadopoulos2002, lei2018}.",
}
_KEYS = re.compile(r" \{([a-z0-9, ]+)\}")


def sentences_of(methods: Iterable[str]) -> list[str]:
    """The sentences of these methods, each once, with their papers as one reads them."""
    return _told(methods, _read, str)


def cited_sentences_of(methods: Iterable[str], escape: Callable[[str], str]) -> list[str]:
    r"""The same as LaTeX, with `\cite`."""
    return _told(methods, _cited, escape)


def said(parts: Iterable[str | Sequence[str]]) -> str:
    """Words, and by turns with them the keys of papers, as one reads them."""
    return _parts_told(parts, _read, str)


def cited(parts: Iterable[str | Sequence[str]], escape: Callable[[str], str]) -> str:
    r"""The same as LaTeX, with `\cite`."""
    return _parts_told(parts, _cited, escape)


def keys_of_tools(methods: Iterable[str]) -> tuple[str, ...]:
    """The keys of the papers that these methods are from, each once."""
    said = [_SENTENCES.get(method, "") for method in dict.fromkeys(methods)]
    found = [key for words in said for keys in _KEYS.findall(words) for key in _parted(keys)]
    return tuple(dict.fromkeys(found))


def _told(
    methods: Iterable[str], cite: Callable[[Sequence[str]], str], plain: Callable[[str], str]
) -> list[str]:
    told = []
    for method in dict.fromkeys(methods):
        split = _KEYS.split(_SENTENCES.get(method, ""))
        # words and keys by turns
        parts = [_parted(p) if i % 2 else p for i, p in enumerate(split)]
        told += [_parts_told(parts, cite, plain)] if split[0] else []
    return told


def _parts_told(
    parts: Iterable[str | Sequence[str]],
    cite: Callable[[Sequence[str]], str],
    plain: Callable[[str], str],
) -> str:
    told = []
    for part in parts:
        if isinstance(part, str):
            # an escaped part has lost the spaces at its ends
            front, back = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
            told.append(f"{front}{plain(part.strip())}{back}")
        else:
            told.append(cite(part))
    return "".join(told)


def _read(keys: Sequence[str]) -> str:
    return f" ({'; '.join(map(_short, keys))})"


def _cited(keys: Sequence[str]) -> str:
    return rf" \cite{{{','.join(keys)}}}"


def _parted(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",")]


def _short(key: str) -> str:
    """A paper as text names it: the first author, or both of two, and the year."""
    entry = bibtex([key])[0]
    authors, year = re.search(r"author = \{(.*?)\},\n", entry, re.DOTALL), key[-4:]
    assert authors is not None
    names = [one.split(",")[0].strip() for one in re.split(r"\s+and\s+", authors[1])]
    told = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else ""
    return f"{told or names[0] + ' et al.'} {year}"
