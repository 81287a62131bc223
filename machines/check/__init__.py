"""The check: an operation that stores the result of a look at the store."""
