"""The Cashu HTTP interface: requests, answers, connections."""
