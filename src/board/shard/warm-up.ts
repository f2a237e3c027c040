/**
 * The warm-up of a shard's thread before it takes connections: V8 compiles a function at its first call, and again
 * after many calls. `Shard.start` uses it.
 */
import type { Socket } from "node:net";
import { MessageChannel } from "node:worker_threads";
import { Actor } from "../../runtime/actor/actor.ts";
import { handlersAreTraced } from "../../runtime/actor/diagnostics.ts";
import { Counters } from "../../runtime/stats/counters.ts";
import { createMeterMemory } from "../../runtime/stats/event-loop-meter.ts";
import { encodeClose, encodeFrame, type Frame } from "../../wire/protocol/frame.ts";
import { maskFrame } from "../../wire/protocol/masking/mask-frame.ts";
import type { Message } from "../../wire/protocol/message.ts";
import { Opcode } from "../../wire/protocol/opcode.ts";
import { createHandoffChannel } from "../../wire/transport/pending-handoffs.ts";
import type { HandshakeTransport, TransportReceiver } from "../../wire/transport/transport.ts";
import type { ShardPortSettings } from "../accept/shard-port.ts";
import { closedChannel, openedChannel, upgradeChannel } from "../connection/diagnostics.ts";
import type { ActorModules } from "./actor-module.ts";
import type { ShardTask } from "./messages.ts";

/**
 * Number of connections. Measured: 250 take 17 ms of CPU and save 40 ms of the first 1,000 real connections; 500 take
 * 29 and save 46; 1,000 take 60 and save 55.
 */
const CONNECTIONS = 250;
const AT_ONCE = 10;
/** Longest warm-up. Without a free core the warm-up makes fewer connections. */
const MAX_MS = 200;

const REQUEST = Buffer.from(
  [
    ...["GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
    ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "User-Agent: warm-up", "", ""],
  ].join("\r\n"),
);

export const WARM_UP_LISTENER = 0;
export const WARM_UP_SETTINGS: ShardPortSettings = { route: { handshakeTimeoutMs: 10_000 } };

/** Actor of the warm-up connections. The user's actor takes no part. */
export class WarmUpActor extends Actor {
  override received(message: Message): void {
    this.send(message);
  }
}

/** The actor modules of the second shard. */
export const WARM_UP_ACTORS: ActorModules = new Map([
  [
    undefined,
    { actorClass: WarmUpActor, moves: undefined, authorize: undefined, surveyed: undefined, requestHeaders: [] },
  ],
]);

/**
 * Returns false if this thread has a subscriber of a diagnostics channel: it would be told of the warm-up connections.
 */
export function mayWarmUp(): boolean {
  const channels = [upgradeChannel, openedChannel, closedChannel];
  return !channels.some(({ hasSubscribers }) => hasSubscribers) && !handlersAreTraced();
}

/**
 * Returns the task of the second shard: with counters and ports that nothing else knows, and no limits that its
 * messages would reach.
 */
export function warmUpTask({
  shard,
  actors,
  options: wanted,
}: Pick<ShardTask, "shard" | "actors" | "options">): ShardTask {
  const { maxMessagesPerSecond, maxBytesPerSecond, ...options } = { ...wanted, maxPayloadBytes: 1024 };
  const end = () => createHandoffChannel().receiver;
  return {
    shard,
    life: 0,
    addressPrefix: "",
    actors,
    options,
    trustedProxies: [],
    warmUp: false,
    counters: new Counters([...actors.keys()]).memory,
    meter: createMeterMemory(),
    pulse: undefined,
    control: new MessageChannel().port2,
    handoff: end(),
    relay: end(),
    rawSockets: end(),
    uringEstate: undefined,
    engine: undefined,
    links: [],
  };
}

/**
 * Makes connections over memory, each from its handshake through two echoes to its close.
 *
 * @param accept takes the server's end of a new connection
 */
export async function warmUp(accept: (transport: HandshakeTransport) => void): Promise<void> {
  const done = Promise.withResolvers<void>();
  const client = createClient();
  let over = false;
  // Connections that are open end first: their handlers mustn't run when the actor modules are there.
  const timer = setTimeout(() => {
    over = true;
  }, MAX_MS);
  let begun = 0;
  let open = 0;
  const next = (): void => {
    if (over || begun === CONNECTIONS) {
      if (open === 0) done.resolve();
      return;
    }
    begun++;
    open++;
    const ended = (): void => {
      open--;
      next();
    };
    accept(new WarmUpTransport(client, ended));
  };
  for (let i = 0; i < AT_ONCE; i++) next();
  await done.promise;
  clearTimeout(timer);
}

/** Steps of a client: the bytes that it sends after each answer. */
type Client = readonly Buffer[];

function createClient(): Client {
  const messages = Buffer.concat([
    masked(encodeFrame(Opcode.text, Buffer.from('{"kind":"warm-up"}'))),
    masked(encodeFrame(Opcode.binary, Buffer.alloc(20))),
  ]);
  return [messages, masked(encodeClose(1000))];
}

/** The server's end of a connection over memory. Its peer answers each write with the next step in a client's life. */
class WarmUpTransport implements HandshakeTransport {
  readonly bufferedBytes = 0;
  readonly #client: Client;
  readonly #ended: () => void;
  #receiver: TransportReceiver | undefined;
  #writes = 0;
  #started = false;
  #destroyed = false;

  constructor(client: Client, ended: () => void) {
    this.#client = client;
    this.#ended = ended;
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (!this.#started) this.#send(REQUEST);
    this.#started = true;
  }

  handOver(): void {
    this.#receiver = undefined;
  }

  /** Never called: the request is a simple one. */
  toStream(): Socket {
    throw new TypeError("the connection of a warm-up has no socket");
  }

  write(): void {
    const step = this.#client[this.#writes++];
    if (step !== undefined) this.#send(step);
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    // The peer ends its direction as well; then both are closed.
    setImmediate(() => {
      this.#receiver?.ended();
      this.destroy();
    });
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    setImmediate(() => {
      this.#receiver?.closed();
      this.#ended();
    });
  }

  #send(bytes: Buffer): void {
    setImmediate(() => this.#receiver?.received(bytes));
  }
}

function masked(frame: Frame): Buffer {
  const { block, start, end } = maskFrame(frame);
  return block.subarray(start, end);
}
