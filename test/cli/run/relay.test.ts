/** What the supervisor passes on between processes, with real processes that say anything. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Relay } from "../../../src/cli/run/relay.ts";
import {
  asSupervisorMessage,
  type ChannelPart,
  type SupervisorMessage,
} from "../../../src/wire/passing/supervisor-messages.ts";
import { stateOf } from "../../support/process-state.ts";

/**
 * A process that sends to the supervisor what the test says, with sockets to a port if it asks for one, and tells the
 * test what comes from the supervisor. It answers "took" for each socket.
 */
const PUPPET = `
const { connect } = require("node:net");
process.on("message", ({ say, port, times = 1, exits, ...other }, handle) => {
  if (exits) process.exit();
  if (say !== undefined) {
    if (port === undefined) for (let i = 0; i < times; i++) process.send(say);
    else {
      const socket = connect({ port, host: "127.0.0.1" }, () => { socket._handle.readStop(); process.send(say, socket._handle); });
    }
    return;
  }
  process.send({ heard: other, hasHandle: handle !== undefined });
  if (handle === undefined) return;
  handle.close();
  process.send({ switchboard: "part", session: other.session, part: { kind: "took" } });
});
process.on("disconnect", () => process.exit());
`;

interface Heard {
  readonly heard: SupervisorMessage;
  readonly hasHandle: boolean;
}

class Puppet {
  readonly child: ChildProcess;
  readonly heard: Heard[] = [];

  constructor() {
    this.child = spawn(process.execPath, ["--eval", PUPPET], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    onTestFinished(() => void this.child.kill("SIGKILL"));
    this.child.on("message", (message) => {
      if (typeof message === "object" && "heard" in message) this.heard.push(message as unknown as Heard);
    });
  }

  /** Ends when everything before was said. Resolves when everything has been heard. */
  async ends(): Promise<void> {
    const ended = once(this.child, "close");
    this.child.send({ exits: true });
    await ended;
  }

  says(message: unknown, options: { readonly port?: number; readonly times?: number } = {}): void {
    this.child.send({ say: message, ...options });
  }

  /** Parts of sessions that have come. */
  get parts(): string[] {
    return this.heard.flatMap(({ heard, hasHandle }) => {
      if (heard.switchboard !== "part") return [];
      const { part } = heard;
      const text = part.kind === "message" ? String.fromCharCode(...part.body) : part.kind;
      return [hasHandle ? `${text} with a handle` : text];
    });
  }
}

const part = (one: ChannelPart, session = 0): SupervisorMessage => ({ switchboard: "part", session, part: one });
const text = (words: string): SupervisorMessage =>
  part({ kind: "message", body: new TextEncoder().encode(words), sockets: 0 });
const closed = part({ kind: "closed" });

/** An old and a new process in a session, and a third one that has nothing to do with them. */
async function session() {
  const cut = vi.fn();
  const [old, next, stranger] = [new Puppet(), new Puppet(), new Puppet()];
  const relay = new Relay({
    predecessorOf: (child) => (child === next.child ? old.child : undefined),
    gives: () => {},
    has: () => {},
    goesOn: () => {},
    awaits: () => next.says({ switchboard: "finds", holdsByNumber: false }),
    cut: (child, why) => cut(child.pid, why),
  });
  for (const { child } of [old, next, stranger]) relay.add(child);
  old.says({ switchboard: "awaits", holdsByNumber: true });
  await vi.waitFor(() => expect([old.heard.length, next.heard.length]).toEqual([1, 1]));
  expect([old.heard[0]?.heard, next.heard[0]?.heard]).toEqual([
    { switchboard: "successor", session: 0, pid: next.child.pid },
    { switchboard: "found", session: 0, pid: old.child.pid },
  ]);
  return { old, next, stranger, cut };
}

/** A server, and the sockets that it has accepted. */
async function listen(): Promise<{ readonly port: number; readonly accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server: Server = createServer((socket) => accepted.push(socket)).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return { port: (server.address() as { readonly port: number }).port, accepted };
}

describe("a session", () => {
  it("passes messages and sockets on in both directions, in order, and ends for both when both close it", async () => {
    const { old, next } = await session();
    const { port, accepted } = await listen();
    next.says(text("hello"));
    await vi.waitFor(() => expect(old.parts).toEqual(["hello"]));
    old.says(part({ kind: "socket", serial: 0 }), { port });
    await vi.waitFor(() => expect(old.parts).toEqual(["hello", "took"]));
    old.says(text("one socket"));
    old.says(closed);
    await vi.waitFor(() => expect(next.parts).toEqual(["socket with a handle", "one socket", "closed"]));
    next.says(closed);
    await vi.waitFor(() => expect(old.parts).toEqual(["hello", "took", "closed"]));
    // The supervisor and the new process have closed theirs: the last one is that of the old process.
    const ended = once(accepted[0] as Socket, "close");
    accepted[0]?.on("error", () => {}).resume();
    old.child.kill("SIGKILL");
    await ended;
  });

  it("gives the other process everything that an ended one has sent, then its end", async () => {
    const { old, next } = await session();
    const { port } = await listen();
    next.child.kill("SIGSTOP");
    await vi.waitFor(() => expect(stateOf(next.child.pid ?? 0)).toBe("T"));
    old.says(part({ kind: "socket", serial: 0 }), { port });
    await vi.waitFor(() => expect(old.parts).toEqual(["took"]));
    old.says(text("the last word"));
    await old.ends();
    next.child.kill("SIGCONT");
    await vi.waitFor(() => expect(next.parts).toEqual(["socket with a handle", "the last word", "closed"]));
  });

  it("has room for few parts behind a socket that nobody takes: then both processes are told that it is cut", async () => {
    const { old, next, cut } = await session();
    const { port } = await listen();
    next.child.kill("SIGSTOP");
    await vi.waitFor(() => expect(stateOf(next.child.pid ?? 0)).toBe("T"));
    old.says(part({ kind: "socket", serial: 0 }), { port });
    await vi.waitFor(() => expect(old.parts).toEqual(["took"]));
    old.says(text("more"), { times: 65 });
    await vi.waitFor(() => expect(old.parts).toEqual(["took", "cut"]));
    next.child.kill("SIGCONT");
    await vi.waitFor(() => expect(next.parts).toEqual(["socket with a handle", "cut"]));
    expect(cut.mock.calls).toEqual([[next.child.pid, `pid ${old.child.pid} sent what can't be passed on`]]);
  });

  it("gives a stranger nothing, and takes nothing from it", async () => {
    const { old, next, stranger } = await session();
    stranger.says({ switchboard: "finds", holdsByNumber: false });
    for (const message of [text("mine"), closed, { switchboard: "part", session: 0 }, { switchboard: 1 }, "awaits"]) {
      stranger.says(message);
    }
    await vi.waitFor(() => expect(stranger.heard.map(({ heard }) => heard)).toEqual([NOBODY]));
    await stranger.ends();
    next.says(text("hello"));
    old.says(text("welcome"));
    await vi.waitFor(() => expect([old.parts, next.parts]).toEqual([["hello"], ["welcome"]]));
  });
});

const NOBODY: SupervisorMessage = { switchboard: "found", session: undefined, pid: 0 };

it.each([
  undefined,
  "part",
  { switchboard: "other" },
  { switchboard: "awaits" },
  { switchboard: "part", session: -1, part: { kind: "took" } },
  { switchboard: "part", session: 0, part: { kind: "message", body: "text", sockets: 0 } },
  { switchboard: "part", session: 0, part: { kind: "socket", serial: 0.5 } },
  { switchboard: "successor", session: 0 },
  { switchboard: "goesOn", lost: -1 },
])("%j is no message between a program and its supervisor", (message) => {
  expect(asSupervisorMessage(message)).toBeUndefined();
});
