"""Coins of a wallet: ids, proofs and the choice of inputs."""
