"""§3.1.1: the forms of `files[]`, and references that lead nowhere."""

from __future__ import annotations

from e2e.conformance import expect
from e2e.conformance.registry import requirement
from e2e.conformance.rows.bases import UNKNOWN
from e2e.conformance.server import Json, Server, legacy


def _reads(server: Server, file: Json, content: str) -> None:
    ran = server.run('cat "$1"', files=[file], args=[file["name"]])
    expect.same(ran["stdout"], content, f"what is read (stderr: {ran['stderr']!r})")


@requirement("C-151", "§3.1.1", "the form of now: id, resource_id, storage_session_id, name, kind")
def form_of_now(server: Server) -> None:
    _reads(server, server.upload("now.csv", b"now"), "now")


@requirement("C-152", "§3.1.1", "the form of old: id, session_id, name")
def form_of_old(server: Server) -> None:
    _reads(server, legacy(server.upload("old.csv", b"old", entity_id="agent_abc")), "old")


@requirement("C-153", "§3.1.1", "the form of a skill's file, with its version as a number")
def form_of_a_skill(server: Server) -> None:
    file = server.upload("skills/x/skill.md", b"skill", kind="skill", id="s1", version="3")
    _reads(server, file | {"kind": "skill", "resource_id": "s1", "version": 3}, "skill")


@requirement("C-154", "§3.1.1", "a reference without kind and resource_id, as host helpers send it")
def form_without_owner(server: Server) -> None:
    file = server.upload("bare.csv", b"bare")
    _reads(server, {key: file[key] for key in ("id", "storage_session_id", "name")}, "bare")


@requirement("C-155", "§3.1.1", "a reference with {id, name} alone does not fail the run")
def form_without_session(server: Server) -> None:
    ran = server.run("echo ran", files=[{"id": UNKNOWN, "name": "x"}])
    expect.same(ran["stdout"], "ran\n", "stdout")


@requirement(
    "C-156", "§3.1.1", "a name may hold directories, spaces, quotes, other scripts, and no extension"
)
def names_of_all_kinds(server: Server) -> None:
    for name in ("skills/pdf/scripts/run.py", "it's (1) & 100%.csv", "données-日本.csv", "no-extension"):
        _reads(server, server.upload(name, name.encode()), name)


@requirement("C-157", "§3.1.1", "of two references to one name the last counts")
def last_of_one_name(server: Server) -> None:
    files = [server.upload("twice.csv", content) for content in (b"first", b"last")]
    expect.same(server.run("cat twice.csv", files=files)["stdout"], "last", "what is read")


@requirement("C-158", "§3.1.1", "a stale reference is left out, with a note in stderr at most")
def stale_reference(server: Server) -> None:
    stale = server.upload("gone.csv", b"1") | {"id": UNKNOWN}
    ran = server.run("echo ran", files=[stale])
    expect.same(ran["stdout"], "ran\n", "stdout")
    expect.that(all(file["name"] != "gone.csv" for file in ran["files"]), "it is among the answer's files")


@requirement("C-159", "§3.1.1", "a reference whose ids are none is left out too")
def senseless_reference(server: Server) -> None:
    for senseless in ({}, {"id": "../x", "storage_session_id": "y", "name": "z"}, {"id": None, "name": None}):
        expect.same(server.run("echo ran", files=[senseless])["stdout"], "ran\n", "stdout")


@requirement("C-160", "§3.1.1", "a file deleted since is left out, and the others are there")
def deleted_reference(server: Server) -> None:
    gone, stays = server.upload("was.csv", b"1"), server.upload("stays.csv", b"2")
    server.send("DELETE", f"/sessions/{gone['storage_session_id']}/objects/{gone['id']}")
    ran = server.run("cat was.csv stays.csv 2>/dev/null", files=[gone, stays])
    expect.same(ran["stdout"], "2", "what is read")
