"""Where operations, tokens and their audit live: the port, its plain data, and the adapters."""
