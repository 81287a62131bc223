"""Paying a Lightning invoice with ecash."""
