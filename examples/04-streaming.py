"""See what a program says while it runs, with asyncio."""

import asyncio

from codesession import AsyncClient, End, Files, Stderr, Stdout

PROGRAM = """
import time

for number in range(3):
    print(f"step {number}", flush=True)
    time.sleep(0.2)
open("report.txt", "w").write("done")
"""


async def main() -> None:
    # To leave the stream before its end, by break or by an error, cancels the program.
    async with AsyncClient() as client, client.stream(PROGRAM) as events:
        async for event in events:
            match event:
                case Stdout(text) | Stderr(text):
                    print(text, end="", flush=True)
                case Files(files):
                    print("files:", [file.name for file in files])
                case End(result):
                    print("exit code:", result.exit_code)


asyncio.run(main())
