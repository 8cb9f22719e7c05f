"""A user's code: the class or object that a text names, from modules that each folder has for itself."""

from penstock.node.loading._load import Search, Unloadable, error_text, load, user_traceback

__all__ = ["Search", "Unloadable", "error_text", "load", "user_traceback"]
