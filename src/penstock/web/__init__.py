"""The web: this process over HTTP, for browsers, curl and other languages."""

from penstock.web.durable_streams import DurableStreams, StreamsOverHttp

__all__ = ["DurableStreams", "StreamsOverHttp"]
