/**
 * Measures what a shard itself costs, without sockets: connections over memory in one thread, each through its
 * handshake, 101, one echo and close. Run by hand.
 *
 *     node bench/memory.ts [--only connection,cold,echo,echo-16,async-16,fanout,fanout-16,idle] [--rounds 5]
 *         [--against DIRECTORY]
 *
 * Prints CPU of the process in µs for each connection, echo or delivery, and bytes of V8's heap for `idle`: the medians
 * of processes that run one after the other on one core. With `--against`, another checkout takes turns with this one,
 * and the ratios to it follow.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Message } from "../src/index.ts";
import { noop } from "../src/wire/protocol/empty.ts";
import { encodeClose, encodeFrame, type Frame } from "../src/wire/protocol/frame.ts";
import { maskFrame } from "../src/wire/protocol/masking/mask-frame.ts";
import { Opcode } from "../src/wire/protocol/opcode.ts";
import type { HandshakeTransport, TransportReceiver } from "../src/wire/transport/transport.ts";
import { median } from "./statistics.ts";

const HERE = join(import.meta.dirname, "..");
/** Connections under way at a time, and open ones that echo. */
const AT_ONCE = 12;
const ECHOING = 100;
const WARM_CONNECTIONS = 20_000;
const COLD_CONNECTIONS = 8_000;
const IDLE_CONNECTIONS = 10_000;
/** Subscribers of the topic of a fan-out. */
const SUBSCRIBERS = 1_000;
/** Turns of the event loop in which every open connection echoes, or one connection publishes. */
const WARM_TURNS = 1_500;
const ECHO_TURNS = 2_000;

const ECHOES = { echo: 1, "echo-16": 16, "async-16": 16 } as const;
const FANOUTS = { fanout: 1, "fanout-16": 16 } as const;
const SCENARIOS = ["connection", "cold", "echo", "echo-16", "async-16", "fanout", "fanout-16", "idle"];

const { values } = parseArgs({
  options: {
    only: { type: "string", default: SCENARIOS.join(",") },
    rounds: { type: "string", default: "5" },
    against: { type: "string" },
    /** Runs one scenario in this process. For the calls of this program by itself. */
    run: { type: "string" },
    root: { type: "string", default: HERE },
  },
});

function compare(): void {
  const roots = values.against === undefined ? [HERE] : [values.against, HERE];
  for (const scenario of values.only.split(",")) {
    if (!SCENARIOS.includes(scenario)) throw new RangeError(`--only takes ${SCENARIOS.join(", ")}, got ${scenario}`);
    const rounds = Array.from({ length: Number(values.rounds) }, (_, round) => {
      const figures = new Map<string, number>();
      for (const root of round % 2 === 0 ? roots : roots.toReversed()) figures.set(root, runAlone(scenario, root));
      return roots.map((root) => figures.get(root) as number);
    });
    const [before = Number.NaN, after] = roots.map((_, side) =>
      median(rounds.map((figures) => figures[side] as number)),
    );
    if (after === undefined) console.log(scenario, before.toPrecision(3));
    else {
      const ratios = rounds.map(([other = Number.NaN, own = Number.NaN]) => own / other).toSorted((a, b) => a - b);
      const spread = [median(ratios), ratios[0], ratios.at(-1)].map((ratio) => ratio?.toFixed(2));
      console.log(
        scenario,
        before.toPrecision(3),
        after.toPrecision(3),
        `ratio ${spread[0]} (${spread[1]} to ${spread[2]})`,
      );
    }
  }
}

function runAlone(scenario: string, root: string): number {
  const own = ["--expose-gc", import.meta.filename, "--run", scenario, "--root", root];
  return Number(execFileSync("taskset", ["-c", "0", process.execPath, ...own], { encoding: "utf8" }));
}

/** Returns the CPU of one connection or one message in µs, or the bytes of an idle connection. */
async function measure(scenario: string, root: string): Promise<number> {
  const publishes = FANOUTS[scenario as keyof typeof FANOUTS] as number | undefined;
  const memory = await openShard(root, publishes !== undefined ? "fanout" : scenario === "async-16" ? "async" : "echo");
  if (scenario === "connection") {
    await memory.connections(WARM_CONNECTIONS);
    return perUnit(WARM_CONNECTIONS, () => memory.connections(WARM_CONNECTIONS));
  }
  if (scenario === "cold") return perUnit(COLD_CONNECTIONS, () => memory.connections(COLD_CONNECTIONS));
  if (scenario === "idle") {
    await memory.open(IDLE_CONNECTIONS / 4);
    const before = usedHeap();
    await memory.open(IDLE_CONNECTIONS);
    return (usedHeap() - before) / IDLE_CONNECTIONS;
  }
  if (publishes !== undefined) {
    await memory.open(SUBSCRIBERS + 1);
    await memory.publish(WARM_TURNS, publishes);
    return perUnit(ECHO_TURNS * SUBSCRIBERS * publishes, () => memory.publish(ECHO_TURNS, publishes));
  }
  const messages = ECHOES[scenario as keyof typeof ECHOES];
  await memory.open(ECHOING);
  await memory.echo(WARM_TURNS, messages);
  return perUnit(ECHO_TURNS * ECHOING * messages, () => memory.echo(ECHO_TURNS, messages));
}

async function perUnit(units: number, work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / units;
}

function usedHeap(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** Loads a module of a checkout, which may be another one. */
function load<T>(root: string, path: string): Promise<T> {
  return import(join(root, path));
}

/** Opens a shard of a checkout in this thread, with an actor that echoes, or publishes each message. */
async function openShard(root: string, actor: "echo" | "async" | "fanout"): Promise<Clients> {
  const { Shard } = await load<typeof import("../src/board/shard/shard.ts")>(root, "src/board/shard/shard.ts");
  const warmUp = await load<typeof import("../src/board/shard/warm-up.ts")>(root, "src/board/shard/warm-up.ts");
  const { Actor } = await load<typeof import("../src/index.ts")>(root, "src/index.ts");
  const { checkStartOptions } = await load<typeof import("../src/board/switchboard/options/start-options.ts")>(
    root,
    "src/board/switchboard/options/start-options.ts",
  );
  class Echo extends Actor {
    override received(message: Message): void {
      this.send(message);
    }
  }
  class AsyncEcho extends Actor {
    override async received(message: Message): Promise<void> {
      this.send(message);
    }
  }
  class Fanout extends Actor {
    override async opened(): Promise<void> {
      await this.subscribe("all");
    }

    override received(message: Message): void {
      this.publish("all", message);
    }
  }
  const { connection: options } = checkStartOptions({ actor: import.meta.url });
  const shard = new Shard(warmUp.warmUpTask({ shard: 0, actors: new Map([[undefined, ""]]), options }));
  const facts = { moves: undefined, authorize: undefined, surveyed: undefined, requestHeaders: [] };
  const actorClass = { echo: Echo, async: AsyncEcho, fanout: Fanout }[actor];
  return new Clients(shard.acceptInMemory(new Map([[undefined, { actorClass, ...facts }]])));
}

const REQUEST = Buffer.from(
  [
    ...["GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
    ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""],
  ].join("\r\n"),
);
const MESSAGE = masked(encodeFrame(Opcode.binary, Buffer.alloc(20, 7)));
const CLOSE = masked(encodeClose(1000));

/** Like the read buffer of a thread: all reads come from here, and reads of one length are one view. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);
const views = new Map<number, Buffer>();

function read(bytes: Buffer): Buffer {
  bytes.copy(readBuffer);
  const view = views.get(bytes.length) ?? readBuffer.subarray(0, bytes.length);
  views.set(bytes.length, view);
  return view;
}

function masked(frame: Frame): Buffer {
  const { block, start, end } = maskFrame(frame);
  return block.subarray(start, end);
}

/** The clients of a shard. What happens to their connections happens in turns of the event loop. */
class Clients {
  readonly #accept: (transport: HandshakeTransport) => void;
  readonly #open: MemoryTransport[] = [];
  #events: (() => void)[] = [];

  constructor(accept: (transport: HandshakeTransport) => void) {
    this.#accept = accept;
  }

  later(event: () => void): void {
    this.#events.push(event);
  }

  async #turn(): Promise<void> {
    const events = this.#events;
    this.#events = [];
    for (const event of events) event();
    await turn();
  }

  /** Makes connections, each from its handshake to its close. */
  async connections(count: number): Promise<void> {
    let begun = 0;
    let ended = 0;
    const next = (): void => {
      if (begun === count) return;
      begun++;
      const closed = (): void => {
        ended++;
        next();
      };
      this.#accept(new MemoryTransport(this, [MESSAGE, CLOSE], closed));
    };
    for (let i = 0; i < AT_ONCE; i++) next();
    while (ended < count) await this.#turn();
  }

  /** Opens connections that stay. */
  async open(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const transport = new MemoryTransport(this, [], noop);
      this.#open.push(transport);
      this.#accept(transport);
      if (i % AT_ONCE === 0) await this.#turn();
    }
    for (let turns = 0; turns < 3; turns++) await this.#turn();
  }

  /** Each connection that is open gets some messages in one read, in each of some turns. */
  async echo(turns: number, messages: number): Promise<void> {
    const bytes = Buffer.concat(Array.from({ length: messages }, () => MESSAGE));
    for (let i = 0; i < turns; i++) {
      for (const transport of this.#open) transport.receive(bytes);
      await turn();
    }
  }

  /** The first connection gets some messages in one read, in each of some turns. All others get them, too. */
  async publish(turns: number, messages: number): Promise<void> {
    const bytes = Buffer.concat(Array.from({ length: messages }, () => MESSAGE));
    for (let i = 0; i < turns; i++) {
      this.#open[0]?.receive(bytes);
      await turn();
    }
  }
}

/** The server's end of a connection over memory. Its peer answers each write with the next of its `answers`. */
class MemoryTransport implements HandshakeTransport {
  readonly bufferedBytes = 0;
  readonly #clients: Clients;
  readonly #answers: readonly Buffer[];
  readonly #closed: () => void;
  #receiver: TransportReceiver | undefined;
  #writes = 0;
  #started = false;
  #destroyed = false;

  constructor(clients: Clients, answers: readonly Buffer[], closed: () => void) {
    this.#clients = clients;
    this.#answers = answers;
    this.#closed = closed;
  }

  receive(bytes: Buffer): void {
    this.#receiver?.received(read(bytes));
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (!this.#started) this.#clients.later(() => this.receive(REQUEST));
    this.#started = true;
  }

  handOver(): void {
    this.#receiver = undefined;
  }

  /** Never called: the request is a simple one. */
  toStream(): never {
    throw new TypeError("a connection over memory has no socket");
  }

  write(): void {
    const answer = this.#answers[this.#writes++];
    if (answer !== undefined) this.#clients.later(() => this.receive(answer));
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    this.#clients.later(() => {
      this.#receiver?.ended();
      this.destroy();
    });
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#clients.later(() => {
      this.#receiver?.closed();
      this.#closed();
    });
  }
}

if (values.run !== undefined) console.log(await measure(values.run, values.root));
else compare();
process.exit();
