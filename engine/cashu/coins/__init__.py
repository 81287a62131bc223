"""Cashu coins: blind signatures, outputs, secrets and tokens as text."""
