"""A state-machine driven transaction engine for Cashu ecash wallets."""
