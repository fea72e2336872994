"""Statements looked up in one another, and what they mean together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from ..._latents import Latents
from .._system import Variable
from ._formulas import Formula, Scope
from ._lines import read_statements
from ._meaning import EventFormulas, Expressions, JumpFormulas, Meaning
from ._nodes import Name, Node
from ._priors import prior_of
from ._statements import (
    Declared,
    Definition,
    Differential,
    Input,
    Noise,
    Observe,
    Rate,
    Start,
    Statement,
    Stochastic,
    TimeUnit,
    When,
)
from ._tokens import EquationError, Place


def understand(text: str) -> Meaning:
    """The meaning of a text.

    **Raises:** `EquationError` at the character that has none.
    """
    return _Reading(read_statements(text)).meaning()


@dataclass(frozen=True)
class _Latent:
    name: Name
    unit: str
    own: bool
    declared: Declared


class _Reading:
    """Statements sorted by kind, then looked up in one another."""

    def __init__(self, statements: tuple[Statement, ...]):
        self.statements = statements
        self.taken: dict[str, Place] = {}
        equations = self._all(Rate, Stochastic)
        if not equations:
            raise EquationError(
                "the text has no equation.", mend="Give a rate of change: x' = -k*x"
            )
        self.states: dict[str, Rate | Stochastic] = {}
        self.next_state: dict[str, str] = {}
        for equation in equations:
            self._take_states(equation)
        self.inputs = [(name, line) for line in self._all(Input) for name in line.names]
        self.definitions = self._all(Definition)
        for name in (*[name for name, _ in self.inputs], *self.definitions):
            self._take(name.name, name.place)
        self.parameters, self.starts = self._latents()
        self.fixed = self._fixed_starts()
        self.scope = self._scope()

    def _all(self, *kinds: type) -> list[Any]:
        return [line for line in self.statements if isinstance(line, kinds)]

    def _take(self, label: str, place: Place) -> None:
        if label in self.taken:
            raise EquationError(
                f"'{label}' is given twice; the first time in line {self.taken[label].line}.",
                mend="Take one of the two away, or give it another name.",
                place=place,
            )
        self.taken[label] = place

    def _take_states(self, equation: Rate | Stochastic) -> None:
        order = equation.order if isinstance(equation, Rate) else 1
        for primes in range(order):
            name = equation.name + "'" * primes
            self._take(name, equation.place)
            self.states[name] = equation
            if primes + 1 < order:
                self.next_state[name] = name + "'"

    def _latents(self) -> tuple[list[_Latent], dict[str, _Latent]]:
        parameters, starts = [], {}
        for line in self._all(Declared):
            for name in line.names:
                if name.initial:
                    self._check_state(name)
                elif name.name.endswith("'"):
                    raise EquationError(
                        f"'{name.name}' is a rate of change and no latent.",
                        mend=f"Write {name.name}(0) for where it starts.",
                        place=name.place,
                    )
                self._take(name.label, name.place)
                own = name.initial if line.own is None else line.own
                latent = _Latent(name, line.unit, own, line)
                if name.initial:
                    starts[name.name] = latent
                else:
                    parameters.append(latent)
        return parameters, starts

    def _check_state(self, name: Name) -> None:
        if name.name not in self.states:
            raise EquationError(
                f"'{name.name}' is no state: it has no equation.",
                mend=f"Add a line: {name.name}' = ...",
                place=name.place,
            )

    def _fixed_starts(self) -> dict[str, Start]:
        fixed = {}
        for line in self._all(Start):
            self._check_state(line.name)
            self._take(line.name.label, line.place)
            fixed[line.name.name] = line
        for name, equation in self.states.items():
            if name not in fixed and name not in self.starts:
                raise EquationError(
                    f"'{name}' has no start.",
                    mend=f"Add a line: {name}(0) in (0, 1), or {name}(0) = 0",
                    place=equation.place,
                )
        return fixed

    def _scope(self) -> Scope:
        labels = [
            "t",
            *self.states,
            *[latent.name.label for latent in self._ordered()],
            *[name.name for name, _ in self.inputs],
        ]
        symbols = {label: sp.Symbol(label, real=True) for label in labels}
        definitions = {line.name: line.value for line in self.definitions}
        definitions |= {line.name.label: line.value for line in self.fixed.values()}
        return Scope(symbols, definitions)

    def _ordered(self) -> list[_Latent]:
        """Parameters as declared, then initial states in the order of the states."""
        return [*self.parameters, *[self.starts[n] for n in self.states if n in self.starts]]

    def meaning(self) -> Meaning:
        """All of it, checked."""
        latents = self._ordered()
        self._check_units()
        for line in self.definitions:
            self.scope.whole(line.value)
        observed = self._observed()
        wiener = self._wiener()
        expressions = Expressions(
            time=self.scope.symbols["t"],
            states=tuple(self.scope.symbols[name] for name in self.states),
            latents=tuple(self.scope.symbols[latent.name.label] for latent in latents),
            inputs=tuple(self.scope.symbols[name.name] for name, _ in self.inputs),
            drift=tuple(self._drift(name) for name in self.states),
            diffusion=tuple(self._diffusion(name, wiener) for name in self.states),
            start=tuple(self._start(name) for name in self.states),
            observed=tuple(self._expression(node) for _, node in observed),
        )
        events, jumps = tuple(self._event(line) for line in self._all(When)), self._jumps()
        self._check_networks()
        networks = tuple(self.scope.networks)
        expressions = replace(expressions, networks=tuple(call.symbol for call in networks))
        return Meaning(
            statements=self.statements,
            time_unit=self._once(TimeUnit, "unit", ""),
            noise_name=self._once(Noise, "name", None),
            states=tuple(Variable(name, self._state_unit(name)) for name in self.states),
            inputs=tuple(Variable(name.name, line.unit) for name, line in self.inputs),
            interpolations=tuple(line.interpolation for _, line in self.inputs),
            observables=tuple(variable for variable, _ in observed),
            observed=tuple(node for _, node in observed),
            latents=Latents(
                tuple(latent.name.label for latent in latents),
                tuple(latent.unit for latent in latents),
                tuple(prior_of(latent.declared, self.scope) for latent in latents),
            ),
            is_own=tuple(latent.own for latent in latents),
            wiener=wiener,
            expressions=expressions,
            events=events,
            jumps=jumps,
            networks=networks,
        )

    def _check_networks(self) -> None:
        """A network is learned along smooth courses."""
        if not self.scope.networks:
            return
        place = self.scope.networks[0].place
        if self._all(Stochastic):
            raise EquationError(
                "a network is learned in the rates of an ordinary equation, and this is a "
                "stochastic one.",
                mend="Write the rates as x' = ..., or the term as a formula.",
                place=place,
            )
        if self._all(When):
            raise EquationError(
                "a network is learned along smooth courses, and this equation has events.",
                mend="Take the 'when' lines away, or write the term as a formula.",
                place=place,
            )

    def _expression(self, node: Node) -> sp.Expr:
        return self.scope.whole(node).expression

    def _once(self, kind: type, attribute: str, default: Any) -> Any:
        lines = self._all(kind)
        if len(lines) > 1:
            raise EquationError(
                f"this was said before, in line {lines[0].place.line}.",
                mend="Take one of the two lines away.",
                place=lines[1].place,
            )
        return getattr(lines[0], attribute) if lines else default

    def _state_unit(self, name: str) -> str:
        return self.starts[name].unit if name in self.starts else self.fixed[name].unit

    def _check_units(self) -> None:
        """A unit without brackets after a formula must not read as a product of names."""
        for line in self._all(Definition, Start, Observe):
            words = re.findall(r"[^\W\d]\w*", line.unit) if line.unit_place else []
            clash = next((word for word in words if word in self.taken), None)
            if clash:
                raise EquationError(
                    f"'{clash}' is declared, so that this may be a product or a unit.",
                    mend=f"For a product put '*' before it; for a unit write [{line.unit}]",
                    place=line.unit_place,
                )

    def _drift(self, state: str) -> sp.Expr:
        if state in self.next_state:
            return self.scope.symbols[self.next_state[state]]
        equation = self.states[state]
        if isinstance(equation, Rate):
            return self._expression(equation.value)
        return sp.Add(*[self._coefficient(term) for term in equation.terms if _is(term, "dt")])

    def _coefficient(self, term: Differential) -> sp.Expr:
        size = sp.S.One if term.coefficient is None else self._expression(term.coefficient)
        return -size if term.negative else size

    def _terms(self, prefix: str) -> list[tuple[str, Differential]]:
        """The terms of a kind, each with its state."""
        return [
            (equation.name, term)
            for equation in self._all(Stochastic)
            for term in equation.terms
            if _is(term, prefix)
        ]

    def _wiener(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(term.process for _, term in self._terms("dW")))

    def _diffusion(self, state: str, wiener: Sequence[str]) -> tuple[sp.Expr, ...]:
        terms = [term for name, term in self._terms("dW") if name == state]
        return tuple(
            sp.Add(*[self._coefficient(term) for term in terms if term.process == process])
            for process in wiener
        )

    def _jumps(self) -> tuple[JumpFormulas, ...]:
        terms = self._terms("dN")
        processes = dict.fromkeys(term.process for _, term in terms)
        return tuple(
            self._jump(process, [pair for pair in terms if pair[1].process == process])
            for process in processes
        )

    def _jump(self, process: str, terms: list[tuple[str, Differential]]) -> JumpFormulas:
        rates = []
        leap: dict[str, sp.Expr] = dict.fromkeys(self.states, sp.S.Zero)
        draws: list[sp.Symbol] = []
        for state, term in terms:
            assert term.rate is not None
            rates.append(self._expression(term.rate))
            if rates[-1] != rates[0]:
                raise EquationError(
                    f"{process} has two rates; one process jumps at one rate.",
                    mend="Number the processes: dN1(a), dN2(b)",
                    place=term.rate.place,
                )
            size, own = self._leap(term)
            fresh = [sp.Symbol(f"draw {len(draws) + i + 1}", real=True) for i in range(len(own))]
            size = size.subs(dict(zip(own, fresh, strict=True)), simultaneous=True)
            leap[state] = leap[state] + size
            draws += fresh
        return JumpFormulas(process, rates[0], tuple(leap.values()), tuple(draws))

    def _leap(self, term: Differential) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
        if term.coefficient is None:
            formula, draws = Formula(sp.S.One), ()
        else:
            formula, draws = self.scope.jump(term.coefficient)
        return (-formula.expression if term.negative else formula.expression), draws

    def _start(self, state: str) -> sp.Expr:
        if state in self.starts:
            return self.scope.symbols[state + "(0)"]
        node = self.fixed[state].value
        expression = self._expression(node)
        allowed = {self.scope.symbols[latent.name.label] for latent in self._ordered()}
        moving = sorted(str(symbol) for symbol in expression.free_symbols - allowed)
        learned = [c for c in self.scope.networks if c.symbol in expression.free_symbols]
        if learned:
            raise EquationError(
                "a start is made of latents and numbers, and this is a network.",
                mend=f"Make it a latent: {state}(0) in (0, 1)",
                place=learned[0].place,
            )
        if moving:
            raise EquationError(
                f"'{moving[0]}' changes in time, and a start is made of latents and numbers.",
                mend=f"Use its start: {moving[0]}(0)",
                place=node.place,
            )
        return expression

    def _observed(self) -> list[tuple[Variable, Node]]:
        found: dict[str, tuple[Variable, Node]] = {}
        units = {name.name: line.unit for name, line in self.inputs}
        units |= {line.name: line.unit for line in self.definitions}
        units |= {name: self._state_unit(name) for name in self.states}
        for line in self._all(Observe):
            for name in line.names:
                if name.name in found:
                    raise EquationError(
                        f"'{name.name}' is observed twice.",
                        mend="Take one of the two away, or give it another name.",
                        place=name.place,
                    )
                if line.value is not None and name.name in self.taken:
                    raise EquationError(
                        f"'{name.name}' is given in line {self.taken[name.name].line} already.",
                        mend="Give what is observed another name.",
                        place=name.place,
                    )
                node = name if line.value is None else line.value
                unit = line.unit or (units.get(name.name, "") if line.value is None else "")
                found[name.name] = (Variable(name.name, unit), node)
        if found:
            return list(found.values())
        return [
            (Variable(name, self._state_unit(name)), Name(name, equation.place))
            for name, equation in self.states.items()
        ]

    def _event(self, line: When) -> EventFormulas:
        condition = self.scope.signed(line.condition)
        if not line.assignments:
            return EventFormulas(condition, None, line)
        after: dict[str, sp.Expr] = {name: self.scope.symbols[name] for name in self.states}
        for name, value in line.assignments:
            if name.initial or name.name not in self.states:
                raise EquationError(
                    f"'{name.label}' is no state, and an event can change states alone.",
                    mend=f"The states are {', '.join(self.states)}.",
                    place=name.place,
                )
            after[name.name] = self._expression(value)
        return EventFormulas(condition, tuple(after.values()), line)


def _is(term: Differential, prefix: str) -> bool:
    return term.process.startswith(prefix)
