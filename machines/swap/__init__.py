"""Coins of a wallet exchanged for new ones of the same wallet."""
