"""The check: an operation that stores the result of a look at stored documents or proofs."""
