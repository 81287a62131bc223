"""Proofs enter the store."""
