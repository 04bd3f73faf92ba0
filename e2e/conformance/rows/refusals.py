"""§3.1.3: what is refused, with which status, and never as anything but JSON."""

from __future__ import annotations

from e2e.conformance import expect
from e2e.conformance.registry import requirement
from e2e.conformance.server import Server

_BROKEN = (b"", b"{", b"[]", b'{"lang": "py"}', b'{"code": "1"}', b'{"lang": 1, "code": {}}', b"\xff\xfe")
_WITH_PROFILE = "X-CodeAPI-Expected-Profile"


@requirement("C-171", "§3.1.3", "a body that is no request is 400 or 422 with a reason in JSON")
def broken_requests(server: Server) -> None:
    for body in _BROKEN:
        answer = server.send("POST", "/exec", content=body, headers={"Content-Type": "application/json"})
        expect.refusal(answer, 400, 422)


@requirement("C-172", "§3.1.3", "fields of the wrong type are 400 or 422, and never a 5xx")
def wrong_types(server: Server) -> None:
    for wrong in ({"files": "x"}, {"args": {"a": 1}}, {"timeout": "soon"}, {"files": [1]}):
        request = {"lang": "bash", "code": "echo ran"} | wrong
        expect.refusal(server.send("POST", "/exec", json=request), 400, 422)


@requirement("C-173", "§2", "a run that expects the profile default is served")
def expected_profile(server: Server) -> None:
    request = {"lang": "bash", "code": "echo ran", "files": [server.shared]}
    answer = server.send("POST", "/exec", json=request, headers={_WITH_PROFILE: "default"})
    expect.same(expect.status(answer, 200).json()["stdout"], "ran\n", "stdout")


@requirement("C-174", "§2", "a run that expects the other profile is 409 execution_profile_mismatch")
def other_profile(server: Server) -> None:
    request = {"lang": "bash", "code": "echo ran", "files": [server.shared]}
    answer = server.send("POST", "/exec", json=request, headers={_WITH_PROFILE: "stateful"})
    if answer.status_code == 200:
        raise expect.NotOfferedError("the header is ignored")
    expect.refusal(answer, 409)
    expect.same(answer.json()["error"], "execution_profile_mismatch", "`error`")


@requirement("C-175", "§3.1.3", "an unknown route is 404, and a wrong method 404 or 405, with JSON")
def unknown_routes(server: Server) -> None:
    expect.refusal(server.get("/no-such-route"), 404)
    expect.refusal(server.get("/exec"), 404, 405)
