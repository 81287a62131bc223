"""The mint: its port, the HTTP adapter, a simulated mint, and the cryptography between."""
