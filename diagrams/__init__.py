"""Drawings and tables of the machines: Mermaid and Markdown, generated, committed and compared."""
