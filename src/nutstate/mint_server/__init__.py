"""The simulated mint over HTTP, for developers of wallets and services. Needs the extra ``mint-server``; the
real Nutshell, in an environment of its own, beside it."""
