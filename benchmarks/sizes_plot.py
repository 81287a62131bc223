"""The drawing of ``python -m benchmarks.sizes``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHOWN = ("melt", "reconcile ID", "history", "history of a rare kind", "balance", "count of the wallet")


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the file: a panel for each store, a line for each call, both axes logarithmic. It shows CPU time,
    of the program and of its server together: a busy machine changes it little."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # of the dependency group "plot"
    from matplotlib.figure import Figure

    stores = list(dict.fromkeys(row["store"] for row in rows))
    figure = Figure(figsize=(5.2 * len(stores), 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(stores), squeeze=False, sharey=True)[0]
    for panel, store in zip(panels, stores, strict=True):
        for name in SHOWN:
            line = [row for row in rows if (row["store"], row["call"], row["coins"]) == (store, name, 0)]
            line.sort(key=lambda row: row["tokens"])
            panel.plot(
                [row["tokens"] for row in line],
                [row["cpu_ms"] + row["server_ms"] for row in line],
                "o-",
                label=name,
            )
        panel.set(xscale="log", yscale="log", title=store, xlabel="stored tokens")
        panel.grid(visible=True, which="major", alpha=0.3)
    panels[0].set_ylabel("CPU of one call, ms")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small"
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
