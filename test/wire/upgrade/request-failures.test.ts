import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { openTunnel, requestUpgrade } from "../../../src/wire/upgrade/request.ts";
import { serveUpgrades } from "../../../src/wire/upgrade/serve.ts";
import { freePort } from "../../support/free-port.ts";
import { countLeaks, startHttp } from "./leaks.ts";
import { answering, SWITCH, startEcho, startRaw, talk } from "./servers.ts";

// Chosen before the first test: the socket that reserves the port would count as a leak of a test.
const unusedPort = await freePort();

countLeaks();

describe("an answer that doesn't switch", () => {
  it("can be read, and rejects the stream", async () => {
    const { server, port } = await startHttp();
    serveUpgrades(server, () => ({ status: 403, body: "go away" }));
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(403);
    expect(await text(response)).toBe("go away");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED", kind: "refused" });
    await expect(onUpgrade(response)).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
  });

  it("may be the 200 of a server that doesn't support upgrades", async () => {
    const { server, port } = await startHttp();
    server.on("request", (_request, response) => response.end("a page"));
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(await text(response)).toBe("a page");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
  });

  it("closes its socket when it is destroyed unread", async () => {
    const port = await answering(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome`);
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
    response.destroy();
  });

  it.each([
    ["without Upgrade", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n"],
    ["without Connection", "HTTP/1.1 101 X\r\nUpgrade: foobar\r\n\r\n"],
    ["without either, and with bytes behind it", "HTTP/1.1 101 X\r\n\r\nbytes"],
    ["to another protocol", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: barfoo\r\n\r\nbytes"],
    ["to two protocols", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: foobar, barfoo\r\n\r\n"],
  ])("is a 101 %s, and the socket is closed", async (_name, bytes) => {
    const closed = Promise.withResolvers<void>();
    const port = await startRaw((socket) => {
      socket.on("close", () => closed.resolve()).write(bytes);
    });
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(101);
    await expect(upgraded).rejects.toMatchObject({ code: "ERR_UPGRADE_MISMATCH", kind: "protocol" });
    await closed.promise;
  });
});

describe("no answer", () => {
  const steps: [string, string][] = [
    ["without a byte", ""],
    ["within the status line", "HTTP/1.1 10"],
    ["within a header", `${SWITCH}X-Half`],
    ["before the empty line", SWITCH],
  ];
  it.each(steps)("rejects when the server ends the connection %s", async (_name, bytes) => {
    const port = await startRaw((socket) => socket.end(bytes));
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNRESET|HPE_INVALID_EOF_STATE/),
    });
  });

  it.each(steps)("rejects when the server resets the connection %s", async (_name, bytes) => {
    const port = await startRaw((socket) => {
      if (bytes === "") socket.resetAndDestroy();
      else socket.write(bytes, () => socket.resetAndDestroy());
    });
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("rejects when no server listens", async () => {
    await expect(requestUpgrade(`http://127.0.0.1:${unusedPort}`, "foobar")).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
  });

  it.each([
    ["one long header", `X-Long: ${"a".repeat(20_000)}\r\n`],
    ["many headers", Array.from({ length: 3_000 }, (_, i) => `X-${i}: a\r\n`).join("")],
  ])("rejects when the head of the response is larger than the limit by %s", async (_name, headers) => {
    const port = await answering(`${SWITCH}${headers}\r\n`);
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: "HPE_HEADER_OVERFLOW",
    });
  });

  it("accepts a larger head when the options allow it", async () => {
    const port = await answering(`${SWITCH}X-Long: ${"a".repeat(20_000)}\r\n\r\n`);
    const options = { maxHeaderSize: 32_768 };
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar", options);
    expect(response.headers["x-long"]).toHaveLength(20_000);
    (await upgraded).destroy();
  });

  it("rejects for bytes that aren't HTTP", async () => {
    const port = await answering("SSH-2.0-OpenSSH_9.2\r\n");
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar")).rejects.toMatchObject({
      code: expect.stringMatching(/^HPE_/),
    });
  });

  it("rejects with the signal's reason when it is aborted before or during the wait", async () => {
    const reason = new Error("no longer");
    const controller = new AbortController();
    const port = await startRaw(() => controller.abort(reason));
    const { signal } = controller;
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal })).rejects.toBe(reason);
    await expect(requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal })).rejects.toBe(reason);
    await expect(openTunnel(`http://127.0.0.1:${port}`, "a:1", { signal })).rejects.toBe(reason);
  });

  it("doesn't affect the stream when the signal is aborted after the switch", async () => {
    const { port } = await startEcho();
    const controller = new AbortController();
    const answered = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar", { signal: controller.signal });
    controller.abort();
    expect(await talk(answered, "still here")).toBe("still here");
  });
});
