import { expect, it, vi } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import type { ConnectionHost } from "../../../src/board/connection/connection-host.ts";
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { cellSettings } from "../../support/cells.ts";
import { createConnectionHost } from "../../support/connection-host.ts";
import { FakeTransport } from "../../support/fake-transport.ts";
import { close, text } from "../../support/frames.ts";

/** A frame that breaks the protocol: a client's frames must be masked. */
const VIOLATION = text("x", { masked: false });

let log: string[] = [];

/** Records the handlers that are called. Closes with 4000 when a message says so. */
class Noting extends Actor {
  override received(message: Message): void {
    log.push(message.text);
    if (message.text === "close") this.close(4000, "told to");
  }
  override mailed(mail: unknown): void {
    log.push(`mail ${mail}`);
  }
  override closed(code: number): void {
    log.push(`closed ${code}`);
    // Does nothing: the connection has ended.
    this.close(4001, "again");
  }
}

function open(options: Partial<ConnectionHost["options"]> = {}, actorClass: ActorClass = Noting) {
  log = [];
  const cells = cellSettings({ messages: 2 });
  const { turns } = cells;
  const host = createConnectionHost({ cells, turns, connectionClosed: () => log.push("gone") });
  const transport = new FakeTransport();
  const identity = { id: "0-0" as Address, session: undefined, params: {}, protocol: "", url: "/" };
  const connection = new Connection(transport, identity, { ...host, options: { ...host.options, ...options } });
  connection.open(actorClass, "");
  return { connection, host, transport };
}

/** Codes of the close frames that were written once this turn of the event loop is flushed. */
async function closeFrames(transport: FakeTransport): Promise<number[]> {
  await new Promise(setImmediate);
  return transport.frames.filter(({ opcode }) => opcode === 8).map(({ payload }) => payload.readUInt16BE());
}

it.each([
  { name: "two close frames", chunk: [close(1000), close(4002)], sent: [1000], closed: 1000, violations: 0 },
  { name: "a close frame and a violation", chunk: [close(1000), VIOLATION], sent: [1000], closed: 1000, violations: 0 },
  { name: "a violation and a close frame", chunk: [VIOLATION, close(1000)], sent: [1002], closed: 1002, violations: 1 },
  {
    name: "a message whose handler closes, and a close frame",
    chunk: [text("close"), close(1000)],
    sent: [4000],
    closed: 4000,
    violations: 0,
  },
  {
    name: "a message whose handler closes, and a violation",
    chunk: [text("close"), VIOLATION, close(1000)],
    sent: [4000],
    closed: 1002,
    violations: 1,
  },
])("sends one close frame for $name in one chunk", async ({ chunk, sent, closed, violations }) => {
  const { host, transport } = open();
  transport.feed(Buffer.concat(chunk));
  expect(await closeFrames(transport)).toEqual(sent);
  expect(log.filter((line) => line.startsWith("closed"))).toEqual([`closed ${closed}`]);
  expect(host.counters.get("violations")).toBe(violations);
});

it.each([
  { name: "a close frame", after: close(1000) },
  { name: "a violation", after: VIOLATION },
])("sends one close frame when a peer that exceeds its rate sends $name with its messages", async ({ after }) => {
  const { host, transport } = open({ maxMessagesPerSecond: 1, rateLimitPolicy: "close" });
  transport.feed(Buffer.concat([text("a"), text("b"), text("c"), after]));
  expect(await closeFrames(transport)).toEqual([1008]);
  expect(log).toContain("closed 1008");
  expect(host.counters.get("violations")).toBe(0);
});

/**
 * A connection whose mailbox is full and whose actor is idle: the actor handles its mail, and the messages behind, in
 * a later turn. The decoder still holds what `after` brings.
 */
function openWithFullMailbox(after: Buffer) {
  const opened = open({ maxBufferedBytes: 1_000 });
  opened.connection.mailReceived({ kind: "mail", value: 1, from: undefined, answer: undefined });
  opened.transport.feed(Buffer.concat([text("a"), text("b"), text("c"), after]));
  return opened;
}

it.each([
  { name: "a close frame", after: close(1000) },
  { name: "a violation", after: VIOLATION },
])(
  "decodes neither a further message nor $name after a connection was closed because its peer is slow",
  async ({ after }) => {
    const { connection, host, transport } = openWithFullMailbox(after);
    transport.peerReads = false;
    transport.bufferedBytes = 1_000;
    expect(transport.reading).toBe(false);
    // The actor's mailbox is emptied within this call.
    expect(connection.deliver(encodeText("news"), "topic")).toBe("closed");
    expect(log).toEqual(["mail 1", "a", "b", "closed 1013"]);
    expect(await closeFrames(transport)).toEqual([1013]);
    expect(host.counters.get("violations")).toBe(0);
    expect(host.counters.get("messagesReceived")).toBe(2);
    // Bytes that the peer still sends are read and dropped.
    expect(transport.reading).toBe(true);
  },
);

it.each([
  { name: "a close frame", after: close(1000) },
  { name: "a violation", after: VIOLATION },
])("decodes neither a further message nor $name after the transport has closed", async ({ after }) => {
  const { connection, host, transport } = openWithFullMailbox(after);
  connection.destroy();
  await Promise.resolve();
  expect(log).toEqual(["mail 1", "a", "b", "closed 1006", "gone"]);
  expect(await closeFrames(transport)).toEqual([]);
  expect(host.counters.get("violations")).toBe(0);
  expect(host.counters.get("messagesReceived")).toBe(2);
});

it.each([
  { name: "a close frame", after: close(1000), sent: 1000 },
  { name: "a violation", after: VIOLATION, sent: 1002 },
])("continues to read after $name that waited for room in the mailbox", async ({ after, sent }) => {
  const { transport } = openWithFullMailbox(after);
  expect(transport.reading).toBe(false);
  expect(await closeFrames(transport)).toEqual([sent]);
  expect(log).toEqual(["mail 1", "a", "b", "c", `closed ${sent}`]);
  // The end of the peer's direction has to arrive.
  expect(transport.reading).toBe(true);
});

it("leaves no work for later when the peer ends its direction after the close handshake", () => {
  const { host, transport } = open();
  const added = vi.spyOn(host.turns, "addBackground");
  transport.feed(close(1000));
  transport.endByPeer();
  expect(log).toEqual(["closed 1000"]);
  expect(added).not.toHaveBeenCalled();
});
