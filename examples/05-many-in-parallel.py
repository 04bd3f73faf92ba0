"""Many programs at one time, each in a sandbox of its own; no more of them than the server has room for."""

import asyncio

from codesession import AsyncClient, BusyError, Patience

AT_ONE_TIME = 3


async def square(client: AsyncClient, number: int, places: asyncio.Semaphore) -> int:
    async with places:
        result = await client.execute("import sys; print(int(sys.argv[1]) ** 2)", args=[str(number)])
        assert result.ok, result.stderr
        if result.session_id:
            await client.delete(result.session_id)
    return int(result.stdout)


async def main() -> None:
    places = asyncio.Semaphore(AT_ONE_TIME)
    # A server without room says when to come again, and the client does so, as long as its patience lasts.
    async with AsyncClient(patience=Patience(attempts=10, seconds=120)) as client:
        try:
            print(await asyncio.gather(*(square(client, number, places) for number in range(6))))
        except BusyError as error:
            print("no room:", error)


asyncio.run(main())
