import type { Socket } from "node:net";
import { type RequestHead, readPlainHead } from "../../wire/handshake/request-head.ts";
import type { TcpTransport } from "../../wire/transport/tcp-transport.ts";
import type { TransportReceiver } from "../../wire/transport/transport.ts";
import type { Listener } from "./listener.ts";

export interface PlainHandshakeOwner {
  /** Makes a connection of the transport; false, with nothing done, for a request that must be answered in another way. */
  take(handshake: PlainHandshake, request: RequestHead, rest: Buffer): boolean;
  /** Lets HTTP have what isn't plainly an opening handshake. */
  leaveToHttp(handshake: PlainHandshake, chunk: Buffer): void;
  /** Told even after the other three, unless the timer is cleared. */
  timedOut(handshake: PlainHandshake): void;
  /** The peer is gone, before it said anything. */
  abandoned(handshake: PlainHandshake): void;
}

/**
 * A connection of which nothing was read yet, on a port without TLS of which nobody has to be asked. A request as almost every client writes
 * it, in one read, needs no HTTP server and no stream: the connection's transport is there from its accept on.
 */
export class PlainHandshake implements TransportReceiver {
  readonly transport: TcpTransport;
  readonly listener: Listener;
  /** Under which the client is counted, if clients are. */
  readonly address: string | undefined;
  /** Goes on where HTTP has the socket. */
  readonly timer: NodeJS.Timeout;
  /** What HTTP has. */
  stream: Socket | undefined;
  readonly #owner: PlainHandshakeOwner;
  #over = false;

  constructor(transport: TcpTransport, listener: Listener, address: string | undefined, owner: PlainHandshakeOwner) {
    this.transport = transport;
    this.listener = listener;
    this.address = address;
    this.#owner = owner;
    this.timer = setTimeout(timeOut, listener.settings.handshakeTimeoutMs, this);
  }

  received(chunk: Buffer): void {
    this.#over = true;
    const plain = readPlainHead(chunk);
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
function timeOut(handshake: PlainHandshake): void {
  handshake.expired();
}
