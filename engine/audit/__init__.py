"""Audit records: building, sanitising and verifying them."""
