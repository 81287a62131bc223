"""Proofs that the caller hands in."""
