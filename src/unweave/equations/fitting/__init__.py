"""Fitting an equation: many starts, many records, and how sure the answer is."""
