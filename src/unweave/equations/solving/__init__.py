"""Solving an equation: from latents to the state at the times of an observation."""
