import { describe, expect, it } from "vitest";
import { switchingProtocols } from "../../../src/wire/upgrade/response.ts";
import { connectPair } from "./loopback.ts";

describe("switchingProtocols", () => {
  it("is a status line, the headers in their order, and an empty line", () => {
    expect(switchingProtocols({ Upgrade: "websocket", Connection: "Upgrade" })).toBe(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    );
  });

  it("needs no headers", () => {
    expect(switchingProtocols({})).toBe("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  });

  it("reaches a client unchanged when it is written as latin1, one byte for each character", async () => {
    const { client, server } = await connectPair();
    server.write(switchingProtocols({ Upgrade: "example/1", "X-Room": "caf\u00e9" }), "latin1");
    expect(await client.response()).toEqual({ status: 101, headers: { upgrade: "example/1", "x-room": "caf\u00e9" } });
  });

  it("leaves the bytes that follow it to the new protocol", async () => {
    const { client, server } = await connectPair();
    server.write(switchingProtocols({ Upgrade: "example/1" }), "latin1");
    server.end("bytes of the new protocol");
    expect((await client.response()).status).toBe(101);
    expect(await client.rest()).toBe("bytes of the new protocol");
  });

  it.each([
    ["a line end in a value", { "X-Room": "a\r\nSet-Cookie: b=c" }],
    ["a lone line feed in a value", { "X-Room": "a\nb" }],
    ["a NUL in a value", { "X-Room": "a\0b" }],
    ["a character beyond latin1 in a value", { "X-Room": "€" }],
    ["a space in a name", { "X Room": "a" }],
    ["a colon in a name", { "X:Room": "a" }],
    ["an empty name", { "": "a" }],
  ])("throws for %s", (_name, headers) => {
    expect(() => switchingProtocols({ Upgrade: "websocket", ...headers })).toThrow(TypeError);
  });
});
