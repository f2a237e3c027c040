import { once } from "node:events";
import { EventSource } from "eventsource";
import { expect, it, onTestFinished, vi } from "vitest";
import { CONNECT, emulate, type Line, rpc, startServer } from "./server.ts";

interface Events {
  readonly source: EventSource;
  /** Data of the next event. */
  next(): Promise<string>;
  line(): Promise<Line>;
}

function listen(url: string, commands = CONNECT): Events {
  const source = new EventSource(`${url}/connection/sse?cf_connect=${encodeURIComponent(commands)}&room=7`);
  onTestFinished(() => source.close());
  const events: string[] = [];
  source.addEventListener("message", ({ data }) => events.push(data));
  const next = async (): Promise<string> => {
    await vi.waitFor(() => expect(events).not.toHaveLength(0));
    return events.shift() ?? "";
  };
  return { source, next, line: async () => JSON.parse(await next()) };
}

it("connects an EventSource, and takes commands over /emulation", async () => {
  const { url } = await startServer();
  const { line } = listen(url);
  const { connect } = await line();
  if (connect === undefined) throw new Error("this is no connect reply");
  expect(connect.data).toMatchObject({ session: { transport: "sse" }, protocol: "", clientAddress: "127.0.0.1" });
  expect(await emulate(url, connect, rpc(2, "echo", "ü 😀"))).toBe(204);
  expect(await line()).toEqual({ id: 2, rpc: { data: "ü 😀" } });
});

it("keeps the connect command, which may hold a token, out of what the connection knows of its url", async () => {
  const { url, board } = await startServer();
  const { line } = listen(url);
  expect((await line()).connect?.data).toMatchObject({ url: "/connection/sse?room=7" });
  expect(JSON.stringify(await board.connections())).not.toContain("cf_connect");
});

it("makes each line of a message an event, also with a carriage return between tokens", async () => {
  const { url } = await startServer();
  const { next } = listen(url, `${CONNECT}\n${JSON.stringify(rpc(2, "text", '{"a":1}\n{"b":\r2}\n{"c":"\\r\\n"}'))}`);
  // The actor sends the text before the replies of the same frame.
  expect([await next(), await next(), await next()].map((data) => JSON.parse(data))).toEqual([
    { a: 1 },
    { b: 2 },
    { c: "\r\n" },
  ]);
});

it("takes the connect command in the body of a POST", async () => {
  const { url } = await startServer();
  const abort = new AbortController();
  const { signal } = abort;
  const response = await fetch(`${url}/connection/sse`, { method: "POST", body: CONNECT, signal });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
  expect(Buffer.from(value as Uint8Array).toString()).toMatch(/^data: \{"id":1,"connect":.*\}\n\n$/);
  abort.abort();
});

it("tells a close as a push, and ends the response", async () => {
  const { url, emulation } = await startServer();
  const { source, line } = listen(url);
  const { connect } = await line();
  await emulate(url, connect as NonNullable<Line["connect"]>, rpc(2, "close", { code: 3500, reason: "invalid token" }));
  const ended = once(source, "error");
  expect(await line()).toEqual({ push: { disconnect: { code: 3500, reason: "invalid token" } } });
  await ended;
  source.close();
  await vi.waitFor(() => expect(emulation.stats().streams).toBe(0));
});

it("refuses a GET without a connect command, and one with an overlong one", async () => {
  const { url } = await startServer({ emulation: { maxBodyBytes: 100 } });
  const status = async (query: string) => (await fetch(`${url}/connection/sse${query}`)).status;
  expect(await status("")).toBe(400);
  expect(await status("?cf_connect=")).toBe(400);
  expect(await status(`?cf_connect=${"x".repeat(101)}`)).toBe(413);
});
