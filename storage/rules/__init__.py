"""The rules that every store holds a batch to, and the form of what is stored."""
