"""Go on where the last program ended: calls that name one session share its variables and files."""

from codesession import Client, NotFoundError

with Client() as client:
    session = client.open_session()

    client.execute("import math; radius = 2", session=session)
    client.execute("open('area.txt', 'w').write(f'{math.pi * radius ** 2:.2f}')", session=session)
    print(client.execute("print(radius, open('area.txt').read())", session=session).stdout, end="")

    # Other languages find the files.
    print(client.execute("ls", "bash", session=session).stdout, end="")

    # A session ends by itself after a while without use. Whoever ends it at once makes room for others.
    client.delete(session)
    try:
        client.delete(session)
    except NotFoundError as error:
        print(error)
