"""The live console of a node: its control service over HTTP on this machine, and the page that shows it."""

from penstock.web.console._serve import serve_console

__all__ = ["serve_console"]
