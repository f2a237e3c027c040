import type { Transport, TransportReceiver } from "./transport.ts";

/** What the two ends of one relayed stream say to each other. The same in both directions. */
export type RelayMessage =
  /** In memory that belongs to the message alone. */
  | { readonly kind: "bytes"; readonly id: number; readonly bytes: Uint8Array }
  /** So much of what the other end sent has been taken: it may send as much again. */
  | { readonly kind: "credit"; readonly id: number; readonly cost: number }
  /** No more bytes. */
  | { readonly kind: "end"; readonly id: number }
  /** Both directions are closed. */
  | { readonly kind: "closed"; readonly id: number };

/** What one end may have sent that the other hasn't taken. Acts as the send buffer of the kernel does for a socket. */
export const WINDOW_COST = 256 * 1024;
/** Taken bytes are told of in steps, not one by one. Below the window, lest both ends wait for each other. */
const CREDIT_STEP = WINDOW_COST / 4;
/** Memory of a message beyond its bytes: so that many small ones are bounded, too. */
const MESSAGE_COST = 128;

/**
 * One end of a stream relayed over a port, under a number. Both ends are this: what one writes the other receives, and what doesn't fit
 * the window waits here as `bufferedBytes`. Its chunks may be kept.
 */
export class RelayTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly #id: number;
  readonly #post: (message: RelayMessage) => void;
  readonly #forget: () => void;
  #receiver: TransportReceiver | undefined;
  #closed = false;

  /** What the other end may still be sent. */
  #credit = WINDOW_COST;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #awaitsDrain = false;
  #end: "open" | "asked" | "posted" = "open";

  #arrived: Buffer[] = [];
  /** Taken and not yet told of. */
  #taken = 0;
  #reading = true;
  #delivering = false;
  #peerEnd: "open" | "waits" | "told" = "open";
  /** The other end closed, after an end that waits to be told. */
  #closeWaits = false;

  /**
   * @param forget called when this end has closed: no message for it is expected any more
   * @param remoteAddress of the peer whose bytes are relayed
   */
  constructor(id: number, post: (message: RelayMessage) => void, forget: () => void, remoteAddress?: string) {
    this.remoteAddress = remoteAddress;
    this.#id = id;
    this.#post = post;
    this.#forget = forget;
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#closed) queueMicrotask(() => receiver.closed());
    else this.#deliver();
  }

  get bufferedBytes(): number {
    return this.#waitingBytes;
  }

  write(bytes: Buffer): void {
    if (this.#closed || this.#end !== "open" || bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#send();
    if (this.#waitingBytes > 0) this.#awaitsDrain = true;
  }

  pause(): void {
    this.#reading = false;
  }

  resume(): void {
    this.#reading = true;
    this.#deliver();
  }

  end(): void {
    if (this.#closed || this.#end !== "open") return;
    this.#end = "asked";
    this.#send();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#post({ kind: "closed", id: this.#id });
    this.#close();
  }

  /** A message of the other end. */
  handle(message: RelayMessage): void {
    switch (message.kind) {
      case "bytes": {
        const { buffer, byteOffset, byteLength } = message.bytes;
        this.#arrived.push(Buffer.from(buffer, byteOffset, byteLength));
        this.#deliver();
        return;
      }
      case "credit":
        this.#credit += message.cost;
        this.#send();
        this.#tellDrain();
        return;
      case "end":
        this.#peerEnd = "waits";
        this.#deliver();
        return;
      case "closed":
        // After an end it says that all is well: what came before is still delivered. Otherwise the peer has vanished.
        if (this.#peerEnd === "waits") this.#closeWaits = true;
        else this.#close();
        return;
    }
  }

  /** The port is closed. */
  lose(): void {
    this.#close();
  }

  /** Posts as much as the other end takes. */
  #send(): void {
    while (this.#credit > MESSAGE_COST) {
      const first = this.#waiting[0];
      if (first === undefined) break;
      const length = Math.min(first.length, this.#credit - MESSAGE_COST);
      if (length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(length);
      this.#waitingBytes -= length;
      this.#credit -= length + MESSAGE_COST;
      this.#post({ kind: "bytes", id: this.#id, bytes: new Uint8Array(first.subarray(0, length)) });
    }
    if (this.#end === "asked" && this.#waitingBytes === 0) {
      this.#end = "posted";
      this.#post({ kind: "end", id: this.#id });
    }
  }

  #tellDrain(): void {
    if (!this.#awaitsDrain || this.#waitingBytes > 0) return;
    this.#awaitsDrain = false;
    this.#receiver?.drained();
  }

  /** Delivers what has arrived, for as long as the receiver takes it. */
  #deliver(): void {
    const receiver = this.#receiver;
    if (receiver === undefined || this.#delivering) return;
    this.#delivering = true;
    while (this.#reading && !this.#closed) {
      const chunk = this.#arrived.shift();
      if (chunk === undefined) break;
      receiver.received(chunk);
      this.#take(chunk.length + MESSAGE_COST);
    }
    this.#delivering = false;
    if (!this.#reading || this.#closed || this.#peerEnd !== "waits") return;
    this.#peerEnd = "told";
    receiver.ended();
    if (this.#closeWaits) this.#close();
  }

  #take(cost: number): void {
    this.#taken += cost;
    if (this.#taken < CREDIT_STEP || this.#closed) return;
    this.#post({ kind: "credit", id: this.#id, cost: this.#taken });
    this.#taken = 0;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#arrived = [];
    this.#forget();
    const receiver = this.#receiver;
    if (receiver !== undefined) queueMicrotask(() => receiver.closed());
  }
}
