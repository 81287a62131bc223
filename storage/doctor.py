"""Is this store fit to keep money in? One question for every kind of store, answered in findings."""

from __future__ import annotations

from .errors import unknown_address
from .findings import Finding, Report
from .rules.machines import BUILT_IN, Machines


def examine(url: str, *, fix: bool = False, machines: Machines | None = None) -> Report:
    """Look at the store at ``url``, and put right what can be if ``fix``; ``machines`` are those of the
    program (default: those of this release). A store of an older schema is migrated by ``fix``. A store that
    is missing, broken or out of reach is a finding; StoreUnsupported is raised only for a URL that names no
    store."""
    known = machines or BUILT_IN
    scheme = url.partition("://")[0] if isinstance(url, str) and "://" in url else ""
    if scheme == "sqlite":
        from .sqlite.doctor import examine_sqlite

        return examine_sqlite(url, fix=fix, machines=known)
    if scheme == "memory":
        return _examine_memory(url)
    if scheme in ("mongodb", "mongodb+srv"):
        from .mongo.doctor.examine import examine_mongo

        return examine_mongo(url, fix=fix, machines=known)
    raise unknown_address(url)


def _examine_memory(url: str) -> Report:
    from .memory import LACKS, open_memory

    open_memory(url).close()
    lost = Finding(
        "purpose",
        "error",
        "a store in memory is for tests: it is gone when the program ends, and the money in it too",
        "Use sqlite:///wallet.db, or a MongoDB replica set.",
    )
    lacks = (Finding(lack.capability, "info", f"lacks this: {lack.reason}") for lack in LACKS)
    return Report(url, (lost, *lacks))
