/**
 * The end of a peer comes after its messages: they are handled, and their answers leave, before the connection ends.
 */
import { describe, expect, it } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import type { ConnectionHost } from "../../../src/board/connection/connection-host.ts";
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { createConnectionHost } from "../../support/connection-host.ts";
import { FakeTransport } from "../../support/fake-transport.ts";
import { close, text } from "../../support/frames.ts";

let log: string[] = [];
/** Number of connections that are gone. */
let gone = 0;
/** Resolves what the handlers of `Waiting` wait for, one call after the other. */
let gates: (() => void)[] = [];

function gate(): Promise<void> {
  return new Promise((resolve) => gates.push(resolve));
}

/** Opens the oldest gate. Resolves when the handlers have gone on, and what they sent was written. */
async function openGate(): Promise<void> {
  gates.shift()?.();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}

/** Waits in each handler. Answers each message with itself. */
class Waiting extends Actor {
  static override readonly moves = 1;

  override async opened(): Promise<void> {
    await gate();
  }
  override async received(message: Message): Promise<void> {
    await gate();
    if (message.text === "close") this.close(4000);
    if (message.text === "throw") throw new Error("thrown");
    this.send(message);
  }
  override async mailed(): Promise<void> {
    await gate();
    log.push(this.send("mailed"));
  }
  override closed(code: number): void {
    log.push(`closed ${code}`);
  }
}

function open({
  actorClass = Waiting as ActorClass,
  ...options
}: Partial<ConnectionHost["options"]> & { actorClass?: ActorClass } = {}) {
  log = [];
  gates = [];
  gone = 0;
  const host = createConnectionHost({ connectionClosed: () => void gone++ });
  const transport = new FakeTransport();
  const identity = { id: "0-0" as Address, session: undefined, params: {}, protocol: "", url: "/" };
  const connection = new Connection(transport, identity, { ...host, options: { ...host.options, ...options } });
  connection.open(actorClass, "");
  return { connection, transport };
}

/** What was written: texts, and the codes of close frames. */
function written({ frames }: FakeTransport): (string | number)[] {
  return frames.map(({ opcode, payload }) => (opcode === 8 ? payload.readUInt16BE() : payload.toString()));
}

const ends = [
  {
    end: "a close frame",
    finish: (transport: FakeTransport) => transport.feed(close(1001)),
    codes: [1001],
    closed: 1001,
  },
  {
    end: "the end of its direction",
    finish: (transport: FakeTransport) => transport.endByPeer(),
    codes: [],
    closed: 1006,
  },
];

describe.each(ends)("after $end", ({ finish, codes, closed }) => {
  it("handles and answers the messages before it, and then ends", async () => {
    const { transport } = open();
    transport.feed(Buffer.concat([text("a"), text("b")]));
    finish(transport);
    await openGate();
    await openGate();
    expect(written(transport)).toEqual(["a"]);
    expect(log).toEqual([]);
    await openGate();
    expect(written(transport)).toEqual(["a", "b", ...codes]);
    expect(log).toEqual([`closed ${closed}`]);
  });

  it("answers a message whose handler is under way", async () => {
    const { transport } = open();
    await openGate();
    transport.feed(text("a"));
    finish(transport);
    await openGate();
    expect(written(transport)).toEqual(["a", ...codes]);
  });

  it("ends at once if nothing of the peer waits, whatever else the actor does", async () => {
    const { connection, transport } = open();
    await openGate();
    connection.mailReceived({ kind: "mail", value: 1, from: undefined, answer: undefined });
    await new Promise(setImmediate);
    finish(transport);
    await new Promise(setImmediate);
    expect(written(transport)).toEqual(codes);
    await openGate();
    expect(log).toEqual(["closed", `closed ${closed}`]);
  });

  it("ends without the answers after closeTimeoutMs", async () => {
    const { transport } = open({ closeTimeoutMs: 20 });
    transport.feed(text("a"));
    finish(transport);
    await expect.poll(() => transport.destroyed).toBe(true);
    expect(written(transport)).toEqual(codes);
    await openGate();
    await openGate();
    expect(log).toContain(`closed ${closed}`);
    expect(written(transport)).toEqual(codes);
  });

  it("lets the handler of an earlier message close", async () => {
    const { transport } = open();
    await openGate();
    transport.feed(Buffer.concat([text("close"), text("late")]));
    finish(transport);
    await openGate();
    expect(written(transport)).toEqual([4000]);
    expect(log).toEqual([codes.length > 0 ? "closed 4000" : "closed 1006"]);
  });

  it("closes with 1011 if the handler of an earlier message fails", async () => {
    const { transport } = open();
    await openGate();
    transport.feed(text("throw"));
    finish(transport);
    await openGate();
    expect(written(transport)).toEqual([1011]);
  });

  it("doesn't move, and answers what waited while the actor was suspended", async () => {
    const { connection, transport } = open();
    transport.feed(text("a"));
    const suspended = Promise.withResolvers<unknown>();
    connection.suspend(10_000, 1, suspended.resolve);
    await openGate();
    await suspended.promise;
    expect(connection.isSuspended).toBe(true);
    finish(transport);
    await new Promise(setImmediate);
    expect(connection.isSuspended).toBe(false);
    expect(connection.stayReason).toBe("closing");
    await openGate();
    expect(written(transport)).toEqual(["a", ...codes]);
    expect(log).toEqual([`closed ${closed}`]);
  });

  it("tells the actor once if the transport is lost meanwhile", async () => {
    const { transport } = open();
    transport.feed(text("a"));
    finish(transport);
    await new Promise(setImmediate);
    transport.destroy();
    await openGate();
    await openGate();
    expect(gone).toBe(1);
    expect(log).toEqual(["closed 1006"]);
  });
});
