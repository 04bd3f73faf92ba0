"""Copies bytes between standard streams and the runner's socket; `pods/exec` starts it once per API replica.

    python3 -I -S relay.py [SOCKET]

It imports next to nothing, since its start is on the way to the first answer of a sandbox. It ends with
either side: 0 at the end of a stream, 1 when one breaks, 2 when the runner cannot be reached.
"""

import _ctypes
import _socket
import _thread
import posix
import sys

DEFAULT_SOCKET = "/run/codesession/runner.sock"
_CHUNK = 128 * 1024
_PR_SET_DUMPABLE = 4


def main(path: str) -> None:
    _hide()
    runner = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        runner.connect(path)
    except OSError as error:
        posix.write(2, f"no runner at {path}: {error.strerror}\n".encode())
        posix._exit(2)
    _thread.start_new_thread(_copy, (0, runner.fileno()))
    _copy(runner.fileno(), 1)


def _hide() -> None:
    """Keep programs of the same user out of /proc/<pid>/fd, which would let them into the stream.

    What `processes.set_dumpable` does, without the import of ctypes that takes longer than all else here.
    """
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0))


def _copy(source: int, target: int) -> None:
    try:
        while data := posix.read(source, _CHUNK):
            view = memoryview(data)
            while view:
                view = view[posix.write(target, view) :]
    except OSError:
        posix._exit(1)
    posix._exit(0)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_SOCKET)
