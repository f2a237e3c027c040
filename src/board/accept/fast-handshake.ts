import type { Socket } from "node:net";
import { type RequestHead, readSimpleHead } from "../../wire/handshake/request-head.ts";
import type { Transport, TransportReceiver } from "../../wire/transport/transport.ts";
import type { ShardPort } from "./shard-port.ts";

/** The transport of a connection from its accept on. `TcpTransport` is one. */
export interface HandshakeTransport extends Transport {
  /** See `TcpTransport.handOver`. */
  handOver(rest: Buffer): void;
  /** See `TcpTransport.toStream`. */
  toStream(rest: Buffer): Socket;
}

export interface FastHandshakeOwner {
  /** Makes a connection of the transport; false, with nothing done, for a request that must be answered in another way. */
  take(handshake: FastHandshake, request: RequestHead, rest: Buffer): boolean;
  /** Lets HTTP have what isn't plainly an opening handshake. */
  leaveToHttp(handshake: FastHandshake, chunk: Buffer): void;
  /** Told even after the other three, unless the timer is cleared. */
  timedOut(handshake: FastHandshake): void;
  /** The peer is gone, before it said anything. */
  abandoned(handshake: FastHandshake): void;
}

/**
 * A connection of which nothing was read yet, on a port without TLS of which nobody has to be asked. A request as almost every client writes
 * it, in one read, needs no HTTP server and no stream: the connection's transport is there from its accept on.
 */
export class FastHandshake implements TransportReceiver {
  readonly transport: HandshakeTransport;
  readonly listener: ShardPort;
  /** Under which the client is counted, if clients are. */
  readonly clientKey: string | undefined;
  /** Goes on where HTTP has the socket. */
  readonly timer: NodeJS.Timeout;
  /** What HTTP has. */
  stream: Socket | undefined;
  readonly #owner: FastHandshakeOwner;
  #over = false;

  constructor(
    transport: HandshakeTransport,
    listener: ShardPort,
    clientKey: string | undefined,
    owner: FastHandshakeOwner,
  ) {
    this.transport = transport;
    this.listener = listener;
    this.clientKey = clientKey;
    this.#owner = owner;
    this.timer = setTimeout(timeOut, listener.settings.handshakeTimeoutMs, this);
  }

  received(chunk: Buffer): void {
    this.#over = true;
    const plain = readSimpleHead(chunk);
    if (plain !== undefined && this.#owner.take(this, plain.head, chunk.subarray(plain.length))) return;
    this.#owner.leaveToHttp(this, chunk);
  }

  drained(): void {}

  ended(): void {
    this.transport.destroy();
  }

  closed(): void {
    if (!this.#over) this.#owner.abandoned(this);
    this.#over = true;
  }

  expired(): void {
    this.#owner.timedOut(this);
  }
}

/** One function for all, not one for each. */
function timeOut(handshake: FastHandshake): void {
  handshake.expired();
}
