"""A real client as requirements see it: a conversation, and a sandbox that their calls share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property

from e2e.clients.librechat import Conversation, Json, LibreChat, ToolMessage


class Guest:
    """One version of `@librechat/agents`. `kept` are the sessions that its rows share."""

    def __init__(self, version: str, base: str, api_key: str | None, bearer: str | None) -> None:
        self.client = LibreChat(version, base, api_key, bearer)
        self.kept: set[str] = set()
        self._names = itertools.count()

    @cached_property
    def chat(self) -> Conversation:
        """A conversation whose calls all run in one sandbox, as it holds a file of theirs."""
        conversation = self.client.conversation()
        made = conversation.bash("echo shared > shared.txt")
        self.kept.add(made.artifact["session_id"])
        self._shared = made.file("shared.txt")
        return conversation

    @property
    def shared(self) -> Json:
        """The reference to a file of that sandbox: calls which are given it run there."""
        assert self.chat
        file = self._shared
        named = {"id": file["id"], "name": file["name"]}
        if self.client.legacy:
            return named | {"session_id": file["session_id"]}
        owner = {"resource_id": file["id"], "kind": "user"}
        return named | owner | {"storage_session_id": file["storage_session_id"]}

    def conversation(self, *files: Json) -> Conversation:
        """A conversation of its own with these attachments, in the shared sandbox."""
        return self.client.conversation([self.shared, *files])

    def python(self, code: str, *files: Json, args: Sequence[str] = ()) -> ToolMessage:
        return self.client.python(code, [self.shared, *files], args)

    def bash(self, command: str, *files: Json, args: Sequence[str] = ()) -> ToolMessage:
        return self.client.bash(command, [self.shared, *files], args)

    def name(self, name: str) -> str:
        """That name below a directory of this row's own, since the sandbox is shared."""
        return f"row{next(self._names)}/{name}"
