"""Ecash issued for a paid invoice."""
