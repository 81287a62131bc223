"""Paying a Lightning invoice with ecash: what the engine does in each state of a melt."""
