import type { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, reviveError } from "../../errors.ts";
import { DuplexTransport, remoteAddressOf } from "./duplex-transport.ts";
import { type HandoffResult, lost } from "./handoff.ts";
import { RelayPort } from "./relay-port.ts";
import type { Transport, TransportReceiver } from "./transport.ts";

/** A stream that begins, and the shard's answer. An error means that it refused the stream. */
type RelayOpening<Envelope> =
  | {
      readonly kind: "open";
      readonly id: number;
      readonly envelope: Envelope;
      readonly remoteAddress: string | undefined;
    }
  | { readonly kind: "answer"; readonly id: number; readonly error: ErrorReport | undefined };

/**
 * The main thread's end of one shard's relay: for streams that can't be moved. It keeps them, and relays their bytes. From the call of
 * `send` on the stream is the relay's: it is closed when the peer, the shard's connection or the shard itself is gone, or refuses it.
 */
export class RelaySender<Envelope> {
  readonly #relay: RelayPort<RelayOpening<Envelope>>;
  readonly #pending = new Map<number, (result: HandoffResult) => void>();
  #serial = 0;

  constructor(port: MessagePort) {
    const handle = (message: RelayOpening<Envelope>): void => {
      if (message.kind !== "answer") return;
      const error = message.error && reviveError(message.error);
      this.#settle(message.id, error === undefined ? { outcome: "adopted" } : { outcome: "failed", error });
    };
    // After all sockets of this turn were read.
    this.#relay = new RelayPort(port, setImmediate, handle, () => {
      for (const id of this.#pending.keys()) this.#settle(id, { outcome: "failed", error: lost() });
    });
  }

  /** Streams sent that the shard hasn't answered for. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /**
   * Opens a stream in the shard.
   *
   * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
   */
  send(stream: Duplex, head: Buffer, envelope: Envelope): Promise<HandoffResult> {
    if (stream.destroyed || !stream.writable) {
      stream.destroy();
      return Promise.resolve({ outcome: "peerGone" });
    }
    const id = this.#serial++;
    try {
      if (this.#relay.closed) throw lost();
      this.#relay.tell({ kind: "open", id, envelope, remoteAddress: remoteAddressOf(stream) });
    } catch (thrown) {
      stream.destroy();
      return Promise.resolve({ outcome: "failed", error: thrown as Error });
    }
    splice(new DuplexTransport(stream, head), this.#relay.open(id));
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  /** For when the shard has ended. */
  close(): void {
    this.#relay.close();
  }

  #settle(id: number, result: HandoffResult): void {
    const resolve = this.#pending.get(id);
    this.#pending.delete(id);
    resolve?.(result);
  }
}

/** The shard's end. `adopt` takes the transport over, or throws: then the stream is closed. */
export function receiveRelayed<Envelope>(
  port: MessagePort,
  adopt: (transport: Transport, envelope: Envelope) => void,
): void {
  const relay = new RelayPort<RelayOpening<Envelope>>(port, queueMicrotask, (message) => {
    if (message.kind !== "open") return;
    const { id, envelope, remoteAddress } = message;
    const transport = relay.open(id, remoteAddress);
    let error: ErrorReport | undefined;
    try {
      adopt(transport, envelope);
    } catch (thrown) {
      transport.destroy();
      error = reportError(thrown);
    }
    relay.tell({ kind: "answer", id, error });
  });
}

/** Makes one stream of two whose chunks may be kept: each reads only as fast as the other writes, and ends and closes with it. */
function splice(one: Transport, other: Transport): void {
  one.start(new Splice(one, other));
  other.start(new Splice(other, one));
}

class Splice implements TransportReceiver {
  readonly #from: Transport;
  readonly #to: Transport;

  constructor(from: Transport, to: Transport) {
    this.#from = from;
    this.#to = to;
  }

  received(chunk: Buffer): void {
    this.#to.write(chunk);
    if (this.#to.bufferedBytes > 0) this.#from.pause();
  }

  drained(): void {
    this.#to.resume();
  }

  ended(): void {
    this.#to.end();
  }

  closed(): void {
    this.#to.destroy();
  }
}
