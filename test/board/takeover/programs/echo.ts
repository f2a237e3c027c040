/**
 * A server without WebSockets that can be taken over, for tests: answers each line with its number on the connection.
 * Takes over from the process at its path, if there is one. Prints a JSON line for each event.
 */
import { once } from "node:events";
import { openSync, writeSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { deserialize, serialize } from "node:v8";
import type { MovingConnection, MovingListener } from "../../../../src/board/takeover/messages.ts";
import { DEFAULT_HAND_OVER, type TakeoverSource } from "../../../../src/board/takeover/predecessor.ts";
import { DEFAULT_TAKE_OVER, type TakeoverSink, takeOver } from "../../../../src/board/takeover/successor.ts";
import { TakeoverServer } from "../../../../src/board/takeover/takeover-server.ts";
import { Estate } from "../../../../src/wire/native/estate/estate.ts";
import { createEstateMemory } from "../../../../src/wire/native/estate/estate-memory.ts";
import { claimDescriptor } from "../../../../src/wire/native/estate/settlement.ts";
import { duplicate } from "../../../../src/wire/native/pass-descriptors.ts";
import { closeDescriptor } from "../../../../src/wire/native/sockets.ts";
import { handleOf } from "../../../../src/wire/node-internals/net.ts";
import { connectChannel } from "../../../../src/wire/passing/connect-channel.ts";
import { nodeSockets } from "../../../../src/wire/transport/tcp-sockets.ts";
import { TcpTransport } from "../../../../src/wire/transport/tcp-transport.ts";
import type { MovableTransport } from "../../../../src/wire/transport/transport.ts";
import type { EchoOptions, EchoStory, Step } from "../echo-story.ts";

const { path, settings, patienceMs, moves = 1, failure }: EchoOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(story: EchoStory): void {
  writeSync(1, `${JSON.stringify(story)}\n`);
}

const passed = new Map<Step, number>();
let failed = false;

/** Fails here if the options say so. */
function pass(step: Step, connections = 0): void {
  const before = passed.get(step) ?? 0;
  passed.set(step, before + connections);
  if (failure?.step !== step || before + connections < (failure.after ?? 0) || failed) return;
  failed = true;
  const { how } = failure;
  tell({ event: "failing" });
  if (how === "throw") throw new Error("as the test wants");
  if (how === "exhaust") exhaust();
  else if (how === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  else process.kill(process.pid, how);
}

/** Opens files until no descriptor is left. */
function exhaust(): void {
  try {
    for (;;) openSync("/dev/null", "r");
  } catch {
    // As wanted.
  }
}

interface EchoState {
  readonly count: number;
  readonly rest: string;
  readonly unread: Uint8Array;
  readonly unsent: readonly Uint8Array[];
}

const connections = new Set<Echo>();

/** One connection. Its state is the number of its lines, and the line in progress. */
class Echo {
  readonly #transport: MovableTransport;
  #count: number;
  #rest: string;

  constructor(transport: MovableTransport, count = 0, rest = "") {
    this.#transport = transport;
    this.#count = count;
    this.#rest = rest;
    connections.add(this);
    transport.start({
      received: (chunk) => this.#received(chunk.toString("latin1")),
      drained: () => {},
      ended: () => transport.end(),
      closed: () => connections.delete(this),
    });
  }

  static resume({ descriptor, state }: MovingConnection): void {
    const { count, rest, unread, unsent }: EchoState = deserialize(state);
    const transport = nodeSockets.adopt({ descriptor }, Buffer.from(unread));
    for (const bytes of unsent) transport.write(Buffer.from(bytes));
    new Echo(transport, count, rest);
  }

  suspend(): MovingConnection | undefined {
    const detached = this.#transport.detach();
    if (detached === undefined) return undefined;
    connections.delete(this);
    const { socket, unread, unsent } = detached;
    const state: EchoState = { count: this.#count, rest: this.#rest, unread, unsent };
    const descriptor = nodeSockets.release(socket, list);
    claimDescriptor(list.memory, descriptor);
    return { descriptor, state: serialize(state), shard: 0 };
  }

  #received(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#transport.write(Buffer.from(`${this.#count++} ${line}\n`, "latin1"));
  }
}

/** Only `claimDescriptor` takes from it at once: this process is its own main thread. */
const list = new Estate(createEstateMemory(), 0);

let server: Server | undefined;
/** Descriptor of the listening socket while nobody accepts. */
let kept = -1;

async function listen(options: object): Promise<void> {
  server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.on("connection", (socket) => new Echo(new TcpTransport(socket, Buffer.alloc(0))));
  server.listen(options);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  tell({ event: "listening", port, connections: connections.size });
}

const source: TakeoverSource = {
  moves: { "": moves },
  shards: 1,
  get connections() {
    return connections.size;
  },
  async listeners() {
    const handle = server === undefined ? null : handleOf(server);
    return [{ name: "echo", descriptor: handle?.fd ?? -1 }];
  },
  async stopAccepting() {
    pass("stopAccepting");
    kept = duplicate((server === undefined ? null : handleOf(server))?.fd ?? -1);
    // Its end waits for the connections.
    server?.close();
  },
  async acceptAgain() {
    await listen({ fd: kept });
  },
  async *luggage() {
    for (let piece = 0; piece < 3; piece++) yield { piece };
  },
  async suspend(count) {
    const some = [...connections].slice(0, count);
    const moving = some.map((one) => one.suspend()).filter((one) => one !== undefined);
    pass("suspend", moving.length);
    return moving;
  },
  async resume(moving) {
    for (const one of moving) Echo.resume(one);
  },
};

async function waitForSuccessor(): Promise<void> {
  await TakeoverServer.listen(path, {
    source,
    settings: { ...DEFAULT_HAND_OVER, ...settings },
    ended: (result) => {
      const { outcome } = result;
      const error = "error" in result ? result.error : undefined;
      const code = String((error as { readonly code?: unknown } | undefined)?.code);
      const given = outcome === "refused" ? 0 : result.connections;
      const isSilent = outcome === "handedOver" && result.isSilent;
      tell({ event: "ended", outcome, connections: given, isSilent, code, message: error?.message ?? "" });
      if (outcome === "handedOver") process.exit();
    },
  });
}

const sink: TakeoverSink = {
  moves: { "": moves },
  shards: 1,
  async listen(listeners: readonly MovingListener[]) {
    pass("listen");
    for (const { descriptor } of listeners) await listen({ fd: descriptor });
  },
  async take(luggage) {
    if (luggage === undefined) throw new Error("no luggage");
  },
  async adopt(moving) {
    for (const { state } of moving) deserialize(state);
    pass("adopt", moving.length);
  },
  start(moving) {
    pass("start", moving.length);
    for (const one of moving) Echo.resume(one);
  },
  async finish() {
    pass("finish");
    await waitForSuccessor();
  },
  published() {},
};

const channel = await connectChannel(path);
if (channel === undefined) {
  await listen({ port: 0, host: "127.0.0.1" });
  await waitForSuccessor();
} else {
  try {
    const settings = { ...DEFAULT_TAKE_OVER, ...(patienceMs !== undefined && { patienceMs }) };
    const { connections: taken, predecessorDied } = await takeOver(channel, sink, settings);
    tell({ event: "takenOver", connections: taken, predecessorDied });
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message: string };
    tell({ event: "refused", code: String(code), message });
    for (const one of connections) one.suspend();
    closeDescriptor(kept);
    process.exit(1);
  }
}
