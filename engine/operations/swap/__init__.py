"""Swaps: coins of a wallet exchanged for new coins of the same wallet."""
