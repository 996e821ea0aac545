"""Temporal formulas about executions: how they are written, and whether a net satisfies them."""
