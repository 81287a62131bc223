"""Commands about stored operations: shown, gone on with, decided."""
