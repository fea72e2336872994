"""How a field behaves: roots, equilibria, portraits, branches, exponents, outcomes."""
