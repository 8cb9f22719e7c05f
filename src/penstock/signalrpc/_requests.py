"""Requests that wait for their answers: `Requests` finds the one that an answer is for. It sends nothing and reads no clock."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.errors import InvalidArgument, NotFound, StatusError
from penstock.signalrpc._messages import Answer, RelayFault, error_of_fault, value_of


class RpcResponse:
    """The answer to a request.

    data: its value. from_ and from_name: the peer that has answered. flow: whether that is one of Penstock, with flow control.
    """

    __slots__ = ("data", "flow", "from_", "from_name")

    def __init__(self, data: Any, from_: str | None, from_name: str | None, flow: int = 0) -> None:
        self.data = data
        self.from_ = from_
        self.from_name = from_name
        self.flow = flow

    def __repr__(self) -> str:
        return f"RpcResponse(data={self.data!r}, from_={self.from_!r}, from_name={self.from_name!r})"


class Requests:
    """Requests by their ids. response_type: that of the data of their answers."""

    def __init__(self, response_type: Any) -> None:
        self._type = response_type
        self._waiting: dict[str, tuple[asyncio.Future[RpcResponse], str | None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, request_id: str, to: str | None) -> asyncio.Future[RpcResponse]:
        """Wait for the answer to a request; `to` is the peer that it is for, None for any."""
        answer: asyncio.Future[RpcResponse] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = (answer, to)
        return answer

    def end(self, request_id: str) -> None:
        """Wait no more."""
        self._waiting.pop(request_id, None)

    def take(self, message: Answer) -> None:
        """Give an answer to its request. The first counts; one of another peer than the one that was asked does not."""
        answer, to = self._waiting.get(message.request_id, (None, None))
        if answer is None or answer.done() or (to is not None and message.from_ not in {None, to}):
            return
        if message.fault is not None:
            _fail(answer, error_of_fault(message.fault).came_from(message.from_ or "a peer"))
            return
        try:
            data = value_of(message.data, self._type)
        except InvalidArgument as error:
            _fail(answer, InvalidArgument(f"Invalid response data: {error.message}"))
            return
        except StatusError as error:
            _fail(answer, error)
            return
        answer.set_result(RpcResponse(data, message.from_, message.from_name, message.flow))

    def take_fault(self, fault: RelayFault) -> None:
        """Fail the requests that the relay could not pass on. It says only for which peer."""
        for answer, to in self._waiting.values():
            if to is not None and to == fault.target_id:
                _fail(answer, NotFound(f"{fault.error}: {fault.target_id}"))

    def fail(self, error: Exception) -> None:
        """Fail all of them."""
        for answer, _ in self._waiting.values():
            _fail(answer, error)


def _fail(answer: asyncio.Future[RpcResponse], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()
