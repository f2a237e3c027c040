/** One end of a relayed stream, as a transport. The main thread and the shard each have one for a stream. */
import type { StreamMessage } from "./messages.ts";
import type { Transport, TransportReceiver } from "./transport.ts";

/**
 * Cost that one end may have sent without the other having taken it. Acts as the kernel's send buffer does for a
 * socket.
 */
export const WINDOW_COST = 256 * 1024;
/** Step in which taken bytes are reported. Below the window, so that the ends never wait for each other. */
const CREDIT_STEP = WINDOW_COST / 4;
/** Memory of a message besides its bytes, so that many small messages are bounded as well. */
const MESSAGE_COST = 128;

/**
 * One end of a relayed stream. Bytes that one end writes arrive at the other; bytes that don't fit the window wait here
 * as `bufferedBytes`. Chunks may be kept.
 */
export class RelayTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly #id: number;
  readonly #post: (message: StreamMessage) => void;
  readonly #forget: () => void;
  #receiver: TransportReceiver | undefined;
  #closed = false;

  /** Cost that may still be sent to the other end. */
  #credit = WINDOW_COST;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #awaitsDrain = false;
  #end: "open" | "asked" | "posted" = "open";

  #arrived: Buffer[] = [];
  /** Cost that was taken and not yet reported. */
  #taken = 0;
  #reading = true;
  #delivering = false;
  #peerEnd: "open" | "waits" | "told" = "open";
  /** True if the other end closed after an end that the receiver doesn't know yet. */
  #closeWaits = false;

  /**
   * @param forget called when this end has closed: no message for it is expected any more
   * @param remoteAddress address of the peer whose bytes are relayed
   */
  constructor(id: number, post: (message: StreamMessage) => void, forget: () => void, remoteAddress?: string) {
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

  /** Takes a message of the other end. */
  handle(message: StreamMessage): void {
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
        // After an end the close is in order: bytes before it are still delivered. Otherwise the peer has vanished.
        if (this.#peerEnd === "waits") this.#closeWaits = true;
        else this.#close();
        return;
    }
  }

  /** The port has closed. */
  lose(): void {
    this.#close();
  }

  /** Posts as much as the window allows. */
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

  /** Delivers arrived bytes while the receiver takes them. */
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
