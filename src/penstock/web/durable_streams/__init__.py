"""Retained streams over HTTP, by the open Durable Streams protocol, which clients in ten languages read."""

from penstock.web.durable_streams._app import DurableStreams
from penstock.web.durable_streams._settings import StreamsOverHttp

__all__ = ["DurableStreams", "StreamsOverHttp"]
