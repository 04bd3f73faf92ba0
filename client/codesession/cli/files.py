"""`codesession files`, `upload`, `download` and `delete`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesession.cli import status
from codesession.cli.status import OutputError
from codesession.cli.terminal import line, progress, reason, size, table, tell
from codesession.errors import NotFoundError
from codesession.models import File
from codesession.synchronous import Client


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    listing = commands.add_parser("files", help="list the files of a session", parents=[common])
    listing.add_argument("session", metavar="SESSION", help="its id")
    listing.set_defaults(run=_list)

    sending = commands.add_parser(
        "upload", help="store files on the server, for programs to come", parents=[common]
    )
    sending.add_argument("paths", metavar="PATH", nargs="+", help="a file of this machine")
    sending.set_defaults(run=_upload)

    fetching = commands.add_parser("download", help="fetch files from the server", parents=[common])
    fetching.add_argument(
        "what",
        metavar="SESSION[/FILE]",
        nargs="+",
        help="all files of a session, or one by its id or name",
    )
    fetching.add_argument("--out", metavar="DIR", default=".", help="folder to write to (default: this one)")
    fetching.set_defaults(run=_download)

    deleting = commands.add_parser(
        "delete", help="end sessions with all their files, or delete single files", parents=[common]
    )
    deleting.add_argument(
        "what", metavar="SESSION[/FILE]", nargs="+", help="a session, or one of its files by id or name"
    )
    deleting.set_defaults(run=_delete)


def find(client: Client, reference: str) -> File:
    """The file of `SESSION/FILE`, FILE being an id or a name; of two of one name the newer. Raises
    CodeSessionError, ValueError."""
    session, _, wanted = reference.partition("/")
    if not wanted:
        raise ValueError(f"{reference} is not SESSION/FILE")
    found = [file for file in client.files(session) if wanted in (file.id, file.name)]
    if not found:
        raise NotFoundError(404, "not_found", f"There is no file {wanted} in session {session}.")
    return found[-1]


def stored(client: Client, path: str, *, quiet: bool = False) -> File:
    """Upload one file, with a bar where people look."""
    if quiet:
        return client.upload(path)
    with progress(Path(path).name) as bar:
        return client.upload(path, progress=bar)


def fetched(client: Client, files: Sequence[File], folder: str, *, quiet: bool) -> list[Path]:
    """Download files into a folder. Raises OutputError where it cannot be written."""
    written = []
    for file in files:
        try:
            if quiet:
                written.append(client.download(file, folder))
            else:
                with progress(file.name) as bar:
                    written.append(client.download(file, folder, progress=bar))
        except OSError as error:
            raise OutputError(reason(error)) from error
        if not quiet:
            tell(f"wrote {written[-1]}")
    return written


def newest(files: Sequence[File]) -> list[File]:
    """Of each name the last."""
    return list({file.name: file for file in files}.values())


def _list(options: argparse.Namespace) -> int:
    with Client(options.url, options.key) as client:
        found = client.files(options.session)
    if options.json:
        print(json.dumps([file.model_dump(mode="json") for file in found]))
        return status.OK
    table([("FILE", "SIZE", "MODIFIED", "NAME"), *(_row(file) for file in found)])
    return status.OK


def _row(file: File) -> tuple[str, str, str, str]:
    moment = file.modified.astimezone().isoformat(" ", "seconds")[:19] if file.modified else ""
    return file.reference, size(file.size), moment, file.name


def _upload(options: argparse.Namespace) -> int:
    with Client(options.url, options.key) as client:
        for path in options.paths:
            file = stored(client, path, quiet=options.json)
            shown = json.dumps(file.model_dump(mode="json")) if options.json else _stored_as(file)
            print(shown, flush=True)
    return status.OK


def _stored_as(file: File) -> str:
    return f"{file.reference}  {line(file.name)}"


def _download(options: argparse.Namespace) -> int:
    with Client(options.url, options.key) as client:
        found = [file for what in options.what for file in _named(client, what)]
        written = fetched(client, found, options.out, quiet=options.json)
    if options.json:
        print(json.dumps([str(path) for path in written]))
    return status.OK


def _named(client: Client, what: str) -> list[File]:
    if "/" in what:
        return [find(client, what)]
    found = newest(client.files(what))
    if not found:
        raise NotFoundError(404, "not_found", f"There are no files in session {what}.")
    return found


def _delete(options: argparse.Namespace) -> int:
    with Client(options.url, options.key) as client:
        for what in options.what:
            client.delete(find(client, what) if "/" in what else what)
    if options.json:
        print(json.dumps({"deleted": options.what}))
    return status.OK
