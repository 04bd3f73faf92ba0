"""uvicorn's protocol of httptools, which has no limit of its own for what comes before a body."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
_BODY = b'{"error":"headers_too_large","message":"The head of the request is too long."}'
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
) % (len(_BODY), _BODY)


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection that sends on and on without a whole head, or without a byte of a body: headers,
    trailers and the sizes of chunks are held in memory until they are whole."""

    _since_progress = 0

    def data_received(self, data: bytes) -> None:
        self._since_progress += len(data)
        super().data_received(data)
        if self._since_progress > HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        self._since_progress = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since_progress = 0
        super().on_message_complete()

    def _refuse(self) -> None:
        self.transport.write(_REFUSAL)
        self.transport.close()
