"""Stochastic equations: transition densities, paths, and their fit."""
