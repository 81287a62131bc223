"""The error codes, listed and explained."""
