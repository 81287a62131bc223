"""The engine: decide (machines), commit (storage), act (mint), and again until nothing is open."""
