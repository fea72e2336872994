"""Expressions and names as they are read: in plain text, and in LaTeX."""

from ._functions import FUNCTIONS, MARK, is_network
from ._nodes import Call, Comparison, Logic, Name, Node, Number, Power, Product, Sum

_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi",
    "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi",
    "Omega",
}  # fmt: skip
_SPELT = {"lam": "lambda", "lamda": "lambda", "eps": "epsilon"}
_RELATIONS = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge"}
# how strongly a node binds, for the parentheses that it needs
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _POWER, _ATOM = range(8)


def _strength(node: Node) -> int:
    if isinstance(node, Logic):
        return {"or": _OR, "and": _AND, "not": _NOT}[node.word]
    kinds = {Comparison: _COMPARE, Sum: _SUM, Product: _PRODUCT, Power: _POWER}
    return kinds.get(type(node), _ATOM)


def plain(node: Node, least: int = _OR) -> str:
    """An expression as text that reads back as the same expression; in parentheses where it
    binds less than `least`."""
    text = _plain(node)
    return f"({text})" if _strength(node) < least else text


def strong_plain(node: Node) -> str:
    """An expression as a factor: a sum in parentheses."""
    return plain(node, _PRODUCT)


def _plain(node: Node) -> str:
    match node:
        case Number(text):
            return text
        case Name():
            return node.label
        case Call(function, arguments):
            return f"{function}({', '.join(plain(part) for part in arguments)})"
        case Sum(terms):
            first = ("-" if terms[0][0] else "") + plain(terms[0][1], _PRODUCT)
            rest = (f" {'-' if less else '+'} {plain(n, _PRODUCT)}" for less, n in terms[1:])
            return first + "".join(rest)
        case Product(factors):
            parts = [plain(factors[0][1], _POWER)]
            parts += [("/" if under else "*") + plain(n, _POWER) for under, n in factors[1:]]
            return "".join(parts)
        case Power(base, exponent):
            return f"{plain(base, _ATOM)}^{plain(exponent, _POWER)}"
        case Comparison(relation, left, right):
            return f"{plain(left, _SUM)} {relation} {plain(right, _SUM)}"
        case Logic("not", (part,)):
            return f"not {plain(part, _NOT)}"
        case Logic(word, parts):
            least = _AND if word == "or" else _NOT
            return f" {word} ".join(plain(part, least) for part in parts)


def latex(node: Node, least: int = _OR) -> str:
    """An expression in LaTeX's mathematics, in the order in which it was written."""
    text = _latex(node)
    return bracketed(text) if _strength(node) < least else text


def strong_latex(node: Node) -> str:
    """An expression as a factor in LaTeX: a sum in parentheses."""
    return latex(node, _PRODUCT)


def _latex(node: Node) -> str:
    match node:
        case Number():
            return latex_number(node.text)
        case Name():
            return latex_name(node.label)
        case Call():
            return _latex_call(node)
        case Sum(terms):
            first = ("-" if terms[0][0] else "") + latex(terms[0][1], _PRODUCT)
            rest = (f" {'-' if less else '+'} {latex(n, _PRODUCT)}" for less, n in terms[1:])
            return first + "".join(rest)
        case Product():
            return _latex_product(node)
        case Power(base, exponent):
            return f"{latex(base, _ATOM)}^{{{latex(exponent)}}}"
        case Comparison(relation, left, right):
            return f"{latex(left, _SUM)} {_RELATIONS[relation]} {latex(right, _SUM)}"
        case Logic("not", (part,)):
            return rf"\neg {latex(part, _ATOM)}"
        case Logic(word, parts):
            sign = r" \lor " if word == "or" else r" \land "
            return sign.join(latex(part, _NOT) for part in parts)


def _latex_call(node: Call) -> str:
    if is_network(node.function):
        inside = ", ".join(latex(part) for part in node.arguments)
        return latex_name(node.function) + bracketed(inside)
    pattern = FUNCTIONS[node.function].latex
    if "{0}" in pattern:
        # in these the arguments are raised to powers
        least = _ATOM if node.function in ("hill", MARK) else _OR
        return pattern.format(*[latex(part, least) for part in node.arguments])
    inside = ", ".join(latex(part) for part in node.arguments)
    return pattern + bracketed(inside)


def bracketed(text: str) -> str:
    """Text in parentheses, that grow where it is tall."""
    tall = any(command in text for command in (r"\frac", r"\left", r"\begin"))
    return rf"\left({text}\right)" if tall else f"({text})"


def _latex_product(node: Product) -> str:
    """Factors side by side, over those that divide."""
    above = [factor for under, factor in node.factors if not under]
    below = [factor for under, factor in node.factors if under]
    if not below:
        return _side_by_side(above)
    above = [factor for factor in above if factor != Number("1", factor.place)] or above[:1]
    return rf"\frac{{{_side_by_side(above)}}}{{{_side_by_side(below)}}}"


def _side_by_side(factors: list[Node]) -> str:
    if len(factors) == 1:
        return latex(factors[0])
    text = latex(factors[0], _PRODUCT)
    for factor in factors[1:]:
        # two numbers side by side would read as one
        between = r" \cdot " if isinstance(factor, Number) else " "
        text += between + latex(factor, _POWER)
    return text


def latex_number(text: str) -> str:
    """A number in LaTeX: 1.5e-3 as a power of ten."""
    mantissa, _, exponent = text.lower().partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


def latex_name(label: str) -> str:
    r"""A name in LaTeX: `x1` as x with an index, `theta'` as $\dot\theta$, long names upright."""
    bare, initial = label.removesuffix("(0)"), label.endswith("(0)")
    name = bare.rstrip("'")
    order = len(bare) - len(name)
    head, index = _head_and_index(name)
    symbol = _symbol(head)
    if order:
        dots = {1: r"\dot", 2: r"\ddot", 3: r"\dddot"}.get(order)
        symbol = rf"{dots}{{{symbol}}}" if dots else f"{{{symbol}}}^{{({order})}}"
    if index:
        symbol += f"_{{{index}}}"
    return symbol + ("(0)" if initial else "")


def _head_and_index(name: str) -> tuple[str, str]:
    """`x1` is x with 1, `k_max` is k with max."""
    head, _, index = name.partition("_")
    if not head:
        return name.replace("_", r"\_"), ""
    digits = len(head) - len(head.rstrip("0123456789"))
    if digits and not index and len(head) > digits:
        return head[:-digits], head[-digits:]
    if not index:
        return head, ""
    index = index.replace("_", r"\_")
    return head, index if len(index) == 1 or index.isdecimal() else rf"\mathrm{{{index}}}"


def _symbol(head: str) -> str:
    head = _SPELT.get(head, head)
    if head in _GREEK:
        return "\\" + head
    return head if len(head) == 1 else rf"\mathrm{{{head}}}"


def latex_unit(unit: str) -> str:
    """A unit in LaTeX's mathematics, upright."""
    signs = {"%": r"\%", "°": r"{}^{\circ}", "µ": r"\mu ", "μ": r"\mu ", " ": r"\,", "$": r"\$"}
    signs |= {"#": r"\#", "&": r"\&", "_": r"\_", "~": r"\sim ", "\\": r"\backslash "}
    signs |= {"{": r"\{", "}": r"\}", "*": r"\cdot "}
    escaped = "".join(signs.get(c, c) for c in unit.replace("**", "^"))
    head, *powers = escaped.split("^")
    # ^ binds the number that follows it
    for power in powers:
        digits = len(power) - len(power.lstrip("-0123456789"))
        head += f"^{{{power[:digits]}}}{power[digits:]}"
    return rf"\mathrm{{{head}}}"
