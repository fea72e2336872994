"""Reading an equation: text, or functions, to rates, a start and an output."""
