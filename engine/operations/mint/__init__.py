"""Ecash issued for a paid invoice: what the engine does in each state of a funding."""
