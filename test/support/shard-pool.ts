/** Pools of shards without a board, whose shards a test asks what a board would ask in a takeover. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { ShardEvent } from "../../src/board/connection/shard-events.ts";
import type { PassedConnection } from "../../src/board/shard/moving/messages.ts";
import { BoardTopics } from "../../src/board/switchboard/board-topics.ts";
import { checkCloseOptions } from "../../src/board/switchboard/options/close-options.ts";
import { checkStartOptions } from "../../src/board/switchboard/options/start-options.ts";
import { ShardPool } from "../../src/board/switchboard/pool/shard-pool.ts";
import { PassedOut } from "../../src/board/switchboard/takeover/passed-out.ts";
import { MailRouter } from "../../src/runtime/mail/mail-router.ts";
import { createRawSocketServer } from "../../src/wire/transport/raw-socket-server.ts";
import { actorUrl } from "./actor-url.ts";

const LISTENER = 0;

export interface PoolOptions {
  /** Default: 1. */
  readonly shards?: number;
  /** Default: "node". */
  readonly sockets?: "node" | "uring";
  /** Gets the events of the shards. */
  event?(event: ShardEvent): void;
}

export async function startPool(
  actor: string,
  { shards = 1, sockets = "node", event = () => {} }: PoolOptions = {},
): Promise<ShardPool> {
  const owner = {
    ...{ event: (_: number, one: ShardEvent) => event(one), reported: vi.fn(), shardLost: vi.fn() },
    ...{ shardReplaced: vi.fn(), shardFailed: vi.fn(), lateUpgrade: vi.fn() },
    ...{ clientLeft: vi.fn(), moved: vi.fn(), published: vi.fn(), engineLost: vi.fn(), engineFailed: vi.fn() },
  };
  const mail = new MailRouter({ shard: undefined, mailReceived: () => "gone", mailUndelivered: () => {} });
  const topics = new BoardTopics(undefined, {
    ...{ engineHealthChanged: vi.fn(), engineLost: vi.fn(), controlReceived: vi.fn(), nodeChanged: vi.fn() },
  });
  const settings = checkStartOptions({ actor: actorUrl(actor), shards, warmUp: false, compression: true });
  const pool = await ShardPool.start(settings, sockets, { topics, mail }, owner);
  pool.configure({ listenerId: LISTENER, settings: { route: { handshakeTimeoutMs: 10_000 } } });
  onTestFinished(async () => {
    await pool.close(checkCloseOptions({ timeoutMs: 0 }));
    topics.close();
  });
  return pool;
}

/** Listens for one shard of a pool. Resolves with the port. */
export async function listenFor(pool: Pick<ShardPool, "handles">, shard = 0): Promise<number> {
  const server = createRawSocketServer(
    (socket) => void pool.handles[shard]?.handOffRawSocket(socket, LISTENER, undefined),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Takes all connections out of the shard of a pool. */
export async function giveUpAll(pool: ShardPool): Promise<PassedConnection[]> {
  await pool.query(0, { kind: "suspendAll", limitMs: 60_000, fewLimitMs: 60_000 }, 60_000);
  return passAllOut(pool);
}

/** Takes all connections out that are suspended. */
export async function passAllOut(pool: ShardPool): Promise<PassedConnection[]> {
  const [handle] = pool.handles;
  const passedOut = new PassedOut();
  const all: PassedConnection[] = [];
  while (handle !== undefined) {
    const some = await passedOut.take(handle, 8);
    if (some.length === 0) break;
    all.push(...some);
  }
  return all;
}

/** A peer of a `Moving` actor. */
export class MovingPeer {
  readonly socket: WebSocket;
  readonly #messages: string[] = [];
  #wake: () => void = () => {};
  /** Code of the close. */
  readonly closed: Promise<number>;

  private constructor(port: number) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    this.closed = new Promise((resolve) => this.socket.once("close", resolve));
    this.socket.on("error", () => {});
    this.socket.on("message", (data) => {
      this.#messages.push(String(data));
      this.#wake();
    });
    onTestFinished(() => this.socket.terminate());
  }

  static async open(port: number): Promise<MovingPeer> {
    const peer = new MovingPeer(port);
    await once(peer.socket, "open");
    return peer;
  }

  /** Sends a text. Resolves with the next message. */
  ask(text: string): Promise<string> {
    this.socket.send(text);
    return this.next();
  }

  async next(): Promise<string> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
