"""A whole payment, without a network."""
