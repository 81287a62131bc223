"""A whole Cashu mint that needs no network, for demos and tests."""
