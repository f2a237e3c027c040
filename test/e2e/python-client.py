"""A client of python3-websockets: `python-client.py echo|closed URL`. Prints the result as JSON."""

import asyncio
import json
import sys

import websockets

MEBIBYTE = 1024 * 1024


async def echo(url):
    async with websockets.connect(url, max_size=None) as socket:
        seen = {}
        await socket.send("aß水🎈")
        seen["text"] = await socket.recv()

        sent = bytes(i * 31 % 251 for i in range(MEBIBYTE))
        await socket.send(sent)
        received = await socket.recv()
        assert received == sent, "other bytes came back"
        seen["bytes"] = len(received)

        await socket.send(["in ", "three ", "pieces"])
        seen["fragments"] = await socket.recv()

        await (await socket.ping(b"are you there"))
        seen["pinged"] = True

        # These are properties of the socket in the legacy client, and of its protocol in the newer one.
        extensions = getattr(socket, "extensions", None) or getattr(getattr(socket, "protocol", None), "extensions", [])
        seen["extensions"] = [extension.name for extension in extensions or []]

        await socket.close(4001, "enough")
        seen["close"] = [socket.close_code, socket.close_reason]
        return seen


async def closed(url):
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"do": "close", "code": 4002, "reason": "because"}))
        await socket.wait_closed()
        return {"close": [socket.close_code, socket.close_reason]}


what, url = sys.argv[1:]
print(json.dumps(asyncio.run({"echo": echo, "closed": closed}[what](url))))
