"""A token that the caller hands in, exchanged for coins of the wallet before anything is credited."""
