"""Melts that the caller makes: hold, unhold and record."""
