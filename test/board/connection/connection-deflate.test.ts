import { expect, it } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import type { ConnectionHost } from "../../../src/board/connection/connection-host.ts";
import { Actor } from "../../../src/runtime/actor/actor.ts";
import { DEFAULT_COMPRESSION } from "../../../src/wire/protocol/deflate/compression.ts";
import { Deflaters } from "../../../src/wire/protocol/deflate/deflater.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { createConnectionHost } from "../../support/connection-host.ts";
import { deflateMessage } from "../../support/deflate.ts";
import { FakeTransport } from "../../support/fake-transport.ts";
import { clientFrame } from "../../support/frames.ts";

class Publishing extends Actor {
  override opened(): void {
    void this.subscribe("news");
  }
  override received(message: Message): void {
    this.publish("news", message);
  }
}

const createHost = (): ConnectionHost => createConnectionHost({ deflaters: new Deflaters(DEFAULT_COMPRESSION) });

async function openAll(windows: readonly (number | undefined)[], host: ConnectionHost): Promise<FakeTransport[]> {
  const transports = windows.map((windowBits, i) => {
    const transport = new FakeTransport();
    const identity = { id: `0-${i}`, session: undefined, params: {}, protocol: "", url: "/" };
    const agreement =
      windowBits === undefined ? undefined : { windowBits, peerWindowBits: 15, peerContextTakeover: false };
    new Connection(transport, identity, host, agreement).open(Publishing, "answer");
    return transport;
  });
  await flushed();
  for (const { writes } of transports) writes.length = 0;
  return transports;
}

function flushed(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const letters = "all work and no play ".repeat(200);

it("compresses a publish once for all subscribers with the same window, and not at all for the others", async () => {
  const host = createHost();
  const transports = await openAll([15, 15, undefined, 10, 15, 10, undefined, 8], host);
  const frame = encodeText(letters);
  host.topics.bus.publish("news", frame);
  await flushed();
  const [a, b, plain, c, d, e, alsoPlain, tooSmall] = transports.map(({ writes }) => writes);
  expect(a?.[0]?.[0]).toBe(0xc1);
  expect(c?.[0]?.[0]).toBe(0xc1);
  expect(plain?.[0]?.[0]).toBe(0x81);
  // The same memory, not only the same bytes.
  const written = (writes: Buffer[] | undefined) => [writes?.length, writes?.[0]?.buffer, writes?.[0]?.byteOffset];
  expect(written(b)).toEqual(written(a));
  expect(written(d)).toEqual(written(a));
  expect(written(e)).toEqual(written(c));
  expect(c?.[0]).not.toBe(a?.[0]);
  for (const writes of [plain, alsoPlain, tooSmall]) {
    expect(writes?.[0]?.buffer).toBe(frame.block.buffer);
    expect(writes?.[0]).toHaveLength(frame.end - frame.start);
  }
});

it("forwards a compressed message to plain and to compressed subscribers", async () => {
  const transports = await openAll([15, undefined, 15], createHost());
  transports[0]?.feed(clientFrame(0x41, deflateMessage(letters)));
  await flushed();
  const [sender, plain, other] = transports.map(({ writes }) => writes);
  expect(sender).toEqual([]);
  expect(plain?.[0]?.subarray(4).toString()).toBe(letters);
  expect(other?.[0]?.[0]).toBe(0xc1);
  expect(other?.[0]?.length).toBeLessThan(200);
});

it("counts the bytes that are sent, not those before compression", async () => {
  const host = createHost();
  await openAll([15], host);
  host.topics.bus.publish("news", encodeText(letters));
  await flushed();
  expect(host.counters.get("bytesSent")).toBeLessThan(200);
  expect(host.counters.get("messagesSent")).toBe(1);
});
