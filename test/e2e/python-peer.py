"""The peer of our client and of our single-threaded server: `python-peer.py serve`, or `python-peer.py client URL`."""

import asyncio
import json
import sys

import websockets


async def handle(socket, path=None):
    async for message in socket:
        if message == "close":
            await socket.close(4002, "because")
        elif message == "fragments":
            await socket.send(["in ", "three ", "pieces"])
        elif message == "ping":
            await (await socket.ping(b"are you there"))
            await socket.send("pinged")
        else:
            await socket.send(message)


async def serve():
    async with websockets.serve(handle, "127.0.0.1", 0, subprotocols=["v2.chat"], max_size=None) as server:
        print("listening on", next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Future()


async def client(url):
    async with websockets.connect(url, subprotocols=["v2.chat"], max_size=None) as socket:
        seen = {"protocol": socket.subprotocol}
        await socket.send("aß水🎈")
        seen["text"] = await socket.recv()
        await socket.send(bytes(1024 * 1024))
        seen["bytes"] = len(await socket.recv())
        await socket.send(["in ", "three ", "pieces"])
        seen["fragments"] = await socket.recv()
        await (await socket.ping(b"are you there"))
        await socket.close(4001, "enough")
        seen["close"] = [socket.close_code, socket.close_reason]
        print(json.dumps(seen))


asyncio.run(serve() if sys.argv[1] == "serve" else client(sys.argv[2]))
