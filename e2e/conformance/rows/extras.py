"""What answers and routes have beside LibreChat's: for users of other interpreters and stateful sandboxes."""

from __future__ import annotations

from e2e.conformance import expect
from e2e.conformance.expect import NotOfferedError
from e2e.conformance.registry import requirement
from e2e.conformance.server import Server


@requirement("C-131", "F2", "exit_code, code, signal, status and wall_time are told beside")
def additive_fields(server: Server) -> None:
    ran = server.run("exit 3")
    if "exit_code" not in ran:
        raise NotOfferedError("there is no `exit_code`")
    expect.same((ran["exit_code"], ran.get("code")), (3, 3), "(exit_code, code)")
    expect.same(ran.get("status"), "RE", "`status`")
    expect.that(isinstance(ran.get("wall_time"), int), f"`wall_time` is {ran.get('wall_time')!r}")
    killed = server.run("kill -KILL $$")
    expect.same((killed.get("signal"), killed.get("status")), ("SIGKILL", "SG"), "(signal, status)")


@requirement("C-132", "F2", "`output` is stdout, then stderr")
def joined_output(server: Server) -> None:
    ran = server.run("echo out; echo err >&2")
    if "output" not in ran:
        raise NotOfferedError("there is no `output`")
    expect.same(ran["output"], ran["stdout"] + ran["stderr"], "`output`")


@requirement(
    "C-133", "§3.1.2", "a runtime_session_hint is echoed by runtime_session_id and runtime_status", keyed=True
)
def runtime_session(server: Server) -> None:
    ran = server.run("echo ran", runtime_session_hint="v2:user:0123456789abcdef0123456789abcdef")
    expect.same(ran["stdout"], "ran\n", "stdout")
    if "runtime_status" not in ran:
        raise NotOfferedError("there is no `runtime_status`")
    expect.within(ran["runtime_status"], ("new", "reused"), "what `runtime_status` may be")
    expect.that(ran.get("runtime_session_id"), "there is no `runtime_session_id`")


@requirement("C-134", "F2", "/run/exec does what /exec does")
def run_exec(server: Server) -> None:
    request = {"lang": "bash", "code": "echo ran", "files": [server.shared]}
    answer = expect.offered(server.send("POST", "/run/exec", json=request))
    expect.same(answer.json()["stdout"], "ran\n", "stdout")


@requirement("C-135", "F14", "a session_id that is alive keeps Python's variables; other calls are fresh")
def variables(server: Server) -> None:
    session = server.fresh("print('begun')", lang="py")["session_id"]
    server.fresh("x = 41", lang="py", session_id=session)
    kept = server.fresh("print(globals().get('x', 0) + 1)", lang="py", session_id=session)
    if kept["session_id"] != session or kept["stdout"] == "1\n":
        raise NotOfferedError("variables are not kept")
    expect.same(kept["stdout"], "42\n", f"stdout (stderr: {kept['stderr']!r})")
    expect.same(server.fresh("print('x' in globals())", lang="py")["stdout"], "False\n", "of another call")
    lost = server.fresh("import os; os._exit(1)", lang="py", session_id=session)
    expect.within("variables", lost["stderr"], "stderr of a call that ends the interpreter")
    after = server.fresh("print('x' in globals())", lang="py", session_id=session)
    expect.same((after["session_id"], after["stdout"]), (session, "False\n"), "the next call")


@requirement("C-136", "F16", "figures that are shown or left open become PNG files, those saved do not twice")
def figures(server: Server) -> None:
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
    shown = server.run(plot + "plt.show()\nplt.plot([3])\n", lang="py")
    images = [file["name"] for file in shown["files"] if file["name"].endswith(".png")]
    if not images:
        raise NotOfferedError("figures are not captured")
    expect.same(len(images), 2, f"the number of figures (stderr: {shown['stderr']!r})")
    saved = server.run(plot + "plt.savefig('mine.png')\nplt.show()\n", lang="py")
    changed = [file["name"] for file in saved["files"] if not file.get("inherited")]
    expect.same(changed, ["mine.png"], "the files of a figure that was saved")
