"""One request becomes one operation, however often the caller asks and at the same time."""
