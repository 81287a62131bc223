"""Drawings and pages of the machines."""
