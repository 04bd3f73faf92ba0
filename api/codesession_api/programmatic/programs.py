"""Programs that call tools, step by step: each request brings one to its next calls or to its end.

A program is one process that waits while its calls are made, and its sandbox is nobody else's, for runs of a
session go one after the other: a call that itself runs code in the session would wait for its caller. The
session that the client names is where it gets its files from. With the program ends the sandbox; its files
stay, as those of any session.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from codesession_api import cancelling, hints, metrics, tracing
from codesession_api.answer import answer
from codesession_api.errors import (
    SandboxBusy,
    SandboxConflict,
    SandboxError,
    SandboxesUnavailable,
    SandboxRunUnknown,
    invalid_field,
    not_found,
)
from codesession_api.execution import Executor, reason
from codesession_api.files import Files
from codesession_api.inputs import Inputs, Mounted
from codesession_api.outputs import Collector
from codesession_api.ports import Outcome, Pause, Principal, RunResult, RunSpec, Sandbox, Sandboxes
from codesession_api.programmatic import answers, identifiers, tokens
from codesession_api.programmatic.answers import failed
from codesession_api.programmatic.tokens import Continuation
from codesession_api.quotas import Quotas
from codesession_api.settings import Settings
from codesession_api.wire import CallsRequired, Completed, Failed, FileRef, ProgrammaticRequest, ToolCall

log = logging.getLogger(__name__)

MAX_TOOLS = 100
WAIT_SECONDS = 600.0
"""How long a program waits for its callers, in all; the runner ends it then."""

Answer = CallsRequired | Completed | Failed
Step = Coroutine[Any, Any, RunResult | Pause]


class Programs:
    def __init__(
        self, settings: Settings, sandboxes: Sandboxes, files: Files, quotas: Quotas, executor: Executor
    ) -> None:
        self._settings = settings
        self._sandboxes = sandboxes
        self._files = files
        self._quotas = quotas
        self._executor = executor
        given = settings.continuation_key
        self._key = given.get_secret_value().encode() if given else secrets.token_bytes(32)

    async def begin(self, principal: Principal, request: ProgrammaticRequest, name: str | None) -> Answer:
        """Raises ApiError, or what the ports raise when they cannot serve at all."""
        if request.lang not in identifiers.LANGUAGES or request.lang not in self._settings.languages:
            return failed(f"Programs in {request.lang[:32]!r} cannot call tools.")
        if len(request.tools) > MAX_TOOLS:
            raise invalid_field(f"tools: at most {MAX_TOOLS} can be given")
        if len(request.files) > self._settings.run_files:
            raise invalid_field(f"files: at most {self._settings.run_files} can be named")
        tools = identifiers.named((tool.name for tool in request.tools), request.lang)
        request = await self._with_session(principal, request)
        place = await self._executor.prepared(principal, request, _hint(principal), own=True)
        seconds = self._executor.seconds(request)
        spec = RunSpec(secrets.token_hex(16), request.lang, request.code, request.args, seconds)
        waiting = Continuation(
            session=place.sandbox.session_id,
            run=spec.run_id,
            round=0,
            expires=0.0,
            language=request.lang,
            seconds=seconds,
            tools=[tool.name for tool in tools],
            files=_references(place.inputs),
            notes=place.inputs.notes,
        )
        program = _Program(self, principal, place.sandbox, waiting)
        return await program.step(
            place.sandbox.begin(spec, tools, _name(principal, name)), place.inputs, place.mounted
        )

    async def resume(self, principal: Principal, request: ProgrammaticRequest, name: str | None) -> Answer:
        """Raises ApiError: 404 when nothing waits by this token (any more), 409 when another request has
        answered these calls."""
        waiting = tokens.read(self._key, request.continuation_token or "", principal, time.time())
        sandbox = await self._sandboxes.find(waiting.session, principal) if waiting else None
        if waiting is None or sandbox is None:
            raise not_found("program that waits")
        replies = answers.replies(request.tool_results)
        program = _Program(self, principal, sandbox, waiting)
        return await program.step(sandbox.resume(waiting.run, waiting.round, replies, _name(principal, name)))

    async def cancel(self, principal: Principal, name: str) -> bool:
        """Whether there was a program with a step of this name."""
        step = _name(principal, name)
        if step is None:
            return False
        return await cancelling.cancel(self._sandboxes, principal, _hint(principal), step)

    async def _with_session(self, principal: Principal, request: ProgrammaticRequest) -> ProgrammaticRequest:
        """Naming the session that is meant by a hint, for its files."""
        hint = hints.hashed(self._settings, principal, request.runtime_session_hint)
        found = await self._sandboxes.hinted(hint, principal) if hint and not request.session_id else None
        return request.model_copy(update={"session_id": found.session_id}) if found else request

    def token(self, waiting: Continuation, principal: Principal) -> str:
        return tokens.sign(self._key, waiting, principal)

    def collector(self, sandbox: Sandbox, principal: Principal, inputs: Inputs) -> Collector:
        transfers = self._settings.transfers
        return Collector(
            self._files, self._quotas, sandbox, principal, inputs, fresh=True, transfers=transfers
        )

    async def inputs(self, waiting: Continuation, principal: Principal) -> Inputs:
        """Those of a program that was begun by another request: the references, and what was put into the
        sandbox besides, which its session's history tells."""
        inputs = Inputs.of(map(FileRef.model_validate, waiting.files), principal, None)
        inputs.restore(await self._files.latest(principal, waiting.session))
        inputs.notes = waiting.notes
        return inputs

    async def end(self, session: str, principal: Principal) -> None:
        try:
            await self._sandboxes.delete(session, principal)
        except SandboxesUnavailable:
            log.warning("the sandbox of a program that ended stays until its time is over")

    def succeeded(self) -> None:
        self._executor.last_success = time.monotonic()


class _Program:
    """One program for the time of one request."""

    def __init__(
        self, programs: Programs, principal: Principal, sandbox: Sandbox, waiting: Continuation
    ) -> None:
        self._programs = programs
        self._principal = principal
        self._sandbox = sandbox
        self._waiting = waiting

    async def step(self, step: Step, inputs: Inputs | None = None, mounted: Sequence[Mounted] = ()) -> Answer:
        """`inputs` are given with the first step."""
        waits = False
        try:
            reached = await self._reached(step)
            if isinstance(reached, RunResult):
                return await self._end(reached, inputs, mounted)
            if inputs is not None:
                # Of a session that fails too: the answer names it, and it hands on what it was given.
                collector = self._programs.collector(self._sandbox, self._principal, inputs)
                await collector.collect(RunResult(Outcome.EXIT), mounted)
            if isinstance(reached, Failed):
                return reached
            if unknown := [call.name for call in reached.calls if call.name not in self._waiting.tools]:
                return self._unregistered(unknown[0])
            waits = True
            return self._calls(reached)
        except (SandboxBusy, SandboxConflict):
            waits = inputs is None
            raise
        except asyncio.CancelledError:
            waits = inputs is None and not await asyncio.shield(self._left())
            raise
        finally:
            if not waits:
                await asyncio.shield(self._programs.end(self._waiting.session, self._principal))

    async def _left(self) -> bool:
        """The client went away: whether the program ends with that. One that posted what another has posted
        already leaves nothing."""
        try:
            return await self._sandbox.leave(self._waiting.run, self._waiting.round)
        except SandboxError:
            return True

    async def _reached(self, step: Step) -> RunResult | Pause | Failed:
        try:
            with tracing.span("run", language=self._waiting.language):
                return await step
        except (SandboxBusy, SandboxConflict):
            raise
        except SandboxRunUnknown as error:
            if self._waiting.round:
                raise not_found("program that waits") from None
            return failed(reason(error), session_id=self._sandbox.session_id)
        except SandboxError as error:
            log.warning("a program failed: %s", type(error).__name__)
            metrics.RUNS.labels(self._waiting.language, "failed").inc()
            metrics.failed(error)
            return failed(reason(error), session_id=self._sandbox.session_id)

    async def _end(
        self, result: RunResult, inputs: Inputs | None, mounted: Sequence[Mounted]
    ) -> Completed | Failed:
        metrics.RUNS.labels(self._waiting.language, result.outcome.value).inc()
        if inputs is None:
            inputs = await self._programs.inputs(self._waiting, self._principal)
        collector = self._programs.collector(self._sandbox, self._principal, inputs)
        outputs = await collector.collect(result, mounted)
        self._programs.succeeded()
        made = answer(
            self._sandbox.session_id,
            self._waiting.language,
            self._waiting.seconds,
            result,
            outputs,
            collector.unchanged(result),
            inputs.notes,
        )
        return answers.ended(made, result)

    def _calls(self, pause: Pause) -> CallsRequired:
        waiting = replace(self._waiting, round=pause.round, expires=time.time() + WAIT_SECONDS)
        return CallsRequired(
            continuation_token=self._programs.token(waiting, self._principal),
            tool_calls=[ToolCall(id=call.id, name=call.name, input=call.input) for call in pause.calls],
            session_id=self._sandbox.session_id,
            partial_stdout=pause.stdout.decode("utf-8", "replace"),
        )

    def _unregistered(self, name: str) -> Failed:
        shown = "".join(char if char.isprintable() else " " for char in name[:100])
        return failed(
            "The program was stopped.",
            f"Sandbox requested an unregistered tool: {shown}",
            self._sandbox.session_id,
        )


def _references(inputs: Inputs) -> list[dict[str, Any]]:
    """What the client gave, with the session that it left to be understood."""
    return [
        entry.ref.model_dump(exclude_none=True)
        | ({} if entry.ref.session else {"session_id": entry.key.session})
        for entry in inputs.values()
        if entry.ref is not None
    ]


def _hint(principal: Principal) -> str:
    """By which all sandboxes of a principal's programs are found."""
    return _hashed(principal, "programs")


def _name(principal: Principal, request_id: str | None) -> str | None:
    return _hashed(principal, f"request\0{request_id}") if request_id else None


def _hashed(principal: Principal, what: str) -> str:
    whole = f"programmatic\0{principal.tenant}\0{principal.principal}\0{what}"
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:32]
