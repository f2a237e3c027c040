import { expect, it, vi } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import type { ConnectionHost, ConnectionIdentity } from "../../../src/board/connection/connection-host.ts";
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import type { Message, Sendable } from "../../../src/wire/protocol/message.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { createConnectionHost } from "../../support/connection-host.ts";
import { FakeTransport } from "../../support/fake-transport.ts";
import { binary, close, continuation, text } from "../../support/frames.ts";

const ANSWER = "HTTP/1.1 101 Switching Protocols\r\n\r\n";

interface Opened {
  readonly transport: FakeTransport;
  readonly connection: Connection;
  /** The calls that the actor and the host recorded. */
  readonly log: string[];
  readonly host: ConnectionHost;
}

let log: string[] = [];

function createHost(): ConnectionHost {
  log = [];
  return createConnectionHost({
    shard: 3,
    events: {
      report: (name, detail) => {
        if ("bufferedBytes" in detail) log.push(`${detail.id} slow ${detail.policy} ${detail.bufferedBytes}`);
        else if ("outcome" in detail) log.push(`${detail.id} failed ${detail.handler}: ${detail.error.message}`);
        else if (name !== "abnormalClosure") log.push(name);
      },
    },
    connectionClosed: () => log.push("gone"),
  });
}

const identity: ConnectionIdentity = {
  ...{ id: "3-0", session: { user: "ada" }, params: { room: "blue" }, protocol: "v2" },
  url: "/chat/blue?a=1",
};

function open(actorClass: ActorClass, host = createHost()): Opened {
  const transport = new FakeTransport();
  const connection = new Connection(transport, identity, host);
  connection.open(actorClass, ANSWER);
  return { transport, connection, log, host };
}

/** Everything that has been written, after the flush of this turn of the loop. */
async function written({ transport }: Opened): Promise<string[]> {
  await new Promise(setImmediate);
  return transport.framesAfter(ANSWER).map(({ opcode, payload }) => {
    if (opcode !== 8) return `${opcode === 1 ? "text" : "binary"} ${payload}`;
    return payload.length === 0 ? "close" : `close ${payload.readUInt16BE()} ${payload.toString("utf8", 2)}`;
  });
}

class Noting extends Actor {
  override received(message: Message): void {
    log.push(message.text);
  }
  override closed(code: number, reason: string): void {
    log.push(`closed ${code} ${reason}`);
  }
}

it("gives its actor the session, params, id, protocol, shard and request", () => {
  class Curious extends Actor {
    override opened(): void {
      const { id, shard, session, params, protocol, request } = this;
      log.push(JSON.stringify({ id, shard, session, params, protocol, url: request.url, a: request.query.get("a") }));
    }
  }
  expect(open(Curious).log.map((line) => JSON.parse(line))).toEqual([{ shard: 3, ...identity, a: "1" }]);
});

it("answers the handshake in one write with what its actor sends when it opens", async () => {
  class Welcoming extends Actor {
    override opened(): void {
      this.send("welcome");
    }
  }
  const opened = open(Welcoming);
  expect(await written(opened)).toEqual(["text welcome"]);
  expect(opened.transport.writes).toHaveLength(1);
});

it("keeps a received message unchanged for as long as the actor keeps it", async () => {
  const kept: Message[] = [];
  class Keeping extends Actor {
    override received(message: Message): void {
      kept.push(message);
    }
  }
  const { transport } = open(Keeping);
  // Messages of every size class, in pieces, some of them fragmented.
  const sent = Array.from({ length: 1_000 }, (_, i) => Buffer.alloc([3, 70, 130, 700, 20_000][i % 5] ?? 0, `${i};`));
  for (const [i, payload] of sent.entries()) {
    const half = payload.length >> 1;
    const frames =
      i % 7 === 0
        ? Buffer.concat([binary(payload.subarray(0, half), { fin: false }), continuation(payload.subarray(half))])
        : binary(payload);
    transport.feed(frames.subarray(0, 10));
    transport.feed(frames.subarray(10));
  }
  await vi.waitFor(() => expect(kept).toHaveLength(1_000));
  expect(kept.filter(({ bytes }, i) => !bytes.equals(sent[i] ?? Buffer.alloc(0)))).toEqual([]);
});

it("forwards a message with its own type", async () => {
  class Echo extends Actor {
    override received(message: Message): void {
      log.push(message.type);
      this.send(message);
    }
  }
  const opened = open(Echo);
  opened.transport.feed(Buffer.concat([text("letters"), binary(Buffer.from("bytes")), text("more")]));
  expect(await written(opened)).toEqual(["text letters", "binary bytes", "text more"]);
  expect(opened.log).toEqual(["text", "binary", "text"]);
});

const bytes = Buffer.from("xhellox").subarray(1, 6);
const copy = new Uint8Array(bytes);
it.each([
  { name: "a string", data: "hello", sent: "text hello" },
  { name: "a view of a larger buffer", data: bytes, sent: "binary hello" },
  { name: "an ArrayBuffer", data: copy.buffer, sent: "binary hello" },
  { name: "a DataView", data: new DataView(copy.buffer, 1, 3), sent: "binary ell" },
  { name: "an empty string", data: "", sent: "text " },
] as { name: string; data: Sendable; sent: string }[])("sends $name", async ({ data, sent }) => {
  const opened = open(Noting);
  expect(opened.connection.send(data)).toBe("sent");
  expect(await written(opened)).toEqual([sent]);
});

it.each([undefined, null, 5, {}, ["a"]])("refuses to send or to publish %s", (data) => {
  const { connection } = open(Noting);
  const error = expect.objectContaining({ code: "ERR_DATA" });
  expect(() => connection.send(data as unknown as Sendable)).toThrow(error);
  expect(() => connection.publish("topic", data as unknown as Sendable)).toThrow(error);
});

it.each([1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])("closes with code %i", async (code) => {
  const opened = open(Noting);
  opened.connection.close(code, "reason");
  expect(await written(opened)).toEqual([`close ${code} reason`]);
});

it.each([-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1000.5, 3000.5, Number.NaN, Number.POSITIVE_INFINITY])(
  "refuses to close with code %d",
  async (code) => {
    const opened = open(Noting);
    expect(() => opened.connection.close(code)).toThrow(expect.objectContaining({ code: "ERR_CLOSE_CODE" }));
    expect(opened.connection.send("still open")).toBe("sent");
    expect(await written(opened)).toEqual(["text still open"]);
  },
);

it.each([
  { name: "123 bytes", reason: "a".repeat(123) },
  { name: "41 characters of 3 bytes", reason: "界".repeat(41) },
])("closes with a reason of $name", async ({ reason }) => {
  const opened = open(Noting);
  opened.connection.close(4000, reason);
  expect(await written(opened)).toEqual([`close 4000 ${reason}`]);
});

it.each([
  { name: "124 bytes", reason: "a".repeat(124) },
  { name: "42 characters of 3 bytes", reason: "界".repeat(42) },
])("refuses a reason of $name", ({ reason }) => {
  const { connection } = open(Noting);
  expect(() => connection.close(4000, reason)).toThrow(expect.objectContaining({ code: "ERR_CLOSE_REASON" }));
  expect(connection.send("still open")).toBe("sent");
});

it("closes with 1000 and no reason by default, and once", async () => {
  const opened = open(Noting);
  opened.connection.close();
  opened.connection.close(4000, "again");
  opened.transport.feed(close(1000));
  expect(await written(opened)).toEqual(["close 1000 "]);
  expect(opened.log).toEqual(["closed 1000 "]);
});

it("returns closed for messages sent after close, and doesn't send them", async () => {
  const opened = open(Noting);
  expect(opened.connection.send("before")).toBe("sent");
  opened.connection.close();
  expect(opened.connection.send("after")).toBe("closed");
  expect(await written(opened)).toEqual(["text before", "close 1000 "]);
});

it("returns closed for messages sent from the closed handler, and sends nothing after the close frame", async () => {
  const results: SendResult[] = [];
  class Late extends Actor {
    override closed(): void {
      results.push(this.send("late"));
    }
  }
  const opened = open(Late);
  opened.transport.feed(close(1000, "bye"));
  expect(await written(opened)).toEqual(["close 1000 bye"]);
  expect(results).toEqual(["closed"]);
});

it("receives nothing more after its own close", () => {
  const opened = open(Noting);
  opened.connection.close(4000, "enough");
  opened.transport.feed(text("too late"));
  opened.transport.feed(close(4000));
  expect(opened.log).toEqual(["closed 4000 enough"]);
});

it.each([
  {
    name: "the peer's code and reason",
    end: ({ transport }: Opened) => transport.feed(close(4001, "bye")),
    closed: "4001 bye",
  },
  { name: "1005 when the peer gave no code", end: ({ transport }: Opened) => transport.feed(close()), closed: "1005 " },
  { name: "1006 when the peer just vanished", end: ({ transport }: Opened) => transport.endByPeer(), closed: "1006 " },
  {
    name: "our code when the peer broke the protocol",
    end: ({ transport }: Opened) => transport.feed(text("x", { masked: false })),
    closed: "1002 frames from a client must be masked",
  },
])("calls closed $name, once and after all messages", async ({ end, closed }) => {
  const opened = open(Noting);
  opened.transport.feed(Buffer.concat([text("a"), text("b")]));
  end(opened);
  opened.transport.endByPeer();
  await vi.waitFor(() => expect(opened.log).toContain("gone"));
  expect(opened.log).toEqual(["a", "b", `closed ${closed}`, "gone"]);
});

const boom = (): never => {
  throw new Error("boom");
};
class InConstructor extends Noting {
  readonly broken = boom();
}
class InOpened extends Noting {
  override opened(): void {
    boom();
  }
}
class InOpenedLater extends Noting {
  override async opened(): Promise<void> {
    boom();
  }
}
class InReceived extends Noting {
  override received(): void {
    boom();
  }
}
class InReceivedLater extends Noting {
  override async received(): Promise<void> {
    boom();
  }
}

it.each([
  { actor: InConstructor, handler: "constructor", closed: [] },
  { actor: InOpened, handler: "opened", closed: ["closed 1011 internal error"] },
  { actor: InOpenedLater, handler: "opened", closed: ["closed 1011 internal error"] },
  { actor: InReceived, handler: "received", closed: ["closed 1011 internal error"] },
  { actor: InReceivedLater, handler: "received", closed: ["closed 1011 internal error"] },
])("closes with 1011 and reports it when $actor.name fails", async ({ actor, handler, closed }) => {
  const opened = open(actor);
  opened.transport.feed(Buffer.concat([text("a"), text("b")]));
  expect(await written(opened)).toEqual(["close 1011 internal error"]);
  opened.transport.feed(close(1011));
  expect(opened.log).toEqual([`3-0 failed ${handler}: boom`, ...closed]);
  expect(opened.host.counters.get("actorFailures")).toBe(1);
});

it.each([
  { name: "throws", fail: boom },
  { name: "rejects", fail: async () => boom() },
])("reports a closed handler that $name, and sends the peer no second close frame", async ({ fail }) => {
  class InClosed extends Actor {
    override closed(): void | Promise<void> {
      return fail();
    }
  }
  const opened = open(InClosed);
  opened.transport.feed(close(1000, "bye"));
  expect(await written(opened)).toEqual(["close 1000 bye"]);
  expect(opened.log).toEqual(["3-0 failed closed: boom"]);
});

it.each([
  { name: "we close", end: ({ connection }: Opened) => connection.close() },
  { name: "the peer closes", end: ({ transport }: Opened) => transport.feed(close(1000)) },
  { name: "the peer vanishes", end: ({ transport }: Opened) => transport.endByPeer() },
])("leaves its topics when $name", async ({ end }) => {
  const opened = open(Noting);
  const { bus } = opened.host.topics;
  void opened.connection.subscribe("news");
  const deliveriesOfOne = (): number => {
    const { delivered, buffered, closed } = bus.publish("news", encodeText("hello"));
    return delivered + buffered + closed;
  };
  expect(deliveriesOfOne()).toBe(1);
  end(opened);
  await vi.waitFor(() => expect(deliveriesOfOne()).toBe(0));
});

it("can't subscribe any more after close and in closed: the result has no position", async () => {
  const host = createHost();
  const results: unknown[] = [];
  class Clinging extends Actor {
    override async received(): Promise<void> {
      this.close();
      results.push(await this.subscribe("news"));
    }
    override async closed(): Promise<void> {
      results.push(await this.subscribe("news", { since: "latest" }));
    }
  }
  const subscribe = vi.spyOn(host.topics.bus, "subscribe");
  const { transport } = open(Clinging, host);
  transport.feed(text("close"));
  transport.feed(close(1000));
  const nothing = { wasRecovering: false, recovered: false, publications: [], position: undefined };
  await vi.waitFor(() => expect(results).toEqual([nothing, nothing]));
  expect(subscribe).not.toHaveBeenCalled();
});
