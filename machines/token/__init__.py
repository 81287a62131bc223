"""One stored token."""
