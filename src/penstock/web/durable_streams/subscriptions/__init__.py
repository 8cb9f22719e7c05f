"""Subscriptions: workers are woken when streams have new items, by a webhook or by an item of another stream."""

from penstock.web.durable_streams.subscriptions._routes import Subscriptions, handle

__all__ = ["Subscriptions", "handle"]
