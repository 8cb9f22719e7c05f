"""A site in a process of its own, which a test kills. usage: python site.py PORT FILE"""

from __future__ import annotations

import sys

import uvicorn

from penstock.web import DurableStreams, StreamsOverHttp
from tests.web.durable_streams.kit import mounted

if __name__ == "__main__":
    app = DurableStreams(StreamsOverHttp(durable=sys.argv[2], long_poll_s=1))
    uvicorn.run(mounted(app), port=int(sys.argv[1]), lifespan="off", log_level="critical")
