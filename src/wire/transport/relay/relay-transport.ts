/** One end of a relayed stream, as a transport. The main thread and the shard each have one for a stream. */
import type { StreamNews } from "../messages.ts";
import type { DetachedStream, MovableTransport, RelayedStream, TransportReceiver } from "../transport.ts";

/**
 * Cost that one end may have sent without the other having taken it. Acts as the kernel's send buffer does for a
 * socket.
 */
export const WINDOW_COST = 256 * 1024;
/** Step in which taken bytes are reported. Below the window, so that the ends never wait for each other. */
const CREDIT_STEP = WINDOW_COST / 4;
/** Memory of a message besides its bytes, so that many small messages are bounded as well. */
const MESSAGE_COST = 128;

/** The place of one end of a stream on a port. */
export interface StreamLink {
  readonly id: number;
  readonly post: (news: StreamNews) => void;
  /** This end has closed: no message for it is expected any more. */
  readonly forget: () => void;
}

/**
 * One end of a relayed stream. Bytes that one end writes arrive at the other; bytes that don't fit the window wait here
 * as `bufferedBytes`. Chunks may be kept.
 *
 * The shard's end can move to another thread: it asks the main thread's end to keep what it has (`hold`), is taken
 * apart (`detach`), and is put together elsewhere (`load`). The main thread's end then goes on over another port
 * (`bind`).
 */
export class RelayTransport implements MovableTransport<DetachedStream> {
  readonly remoteAddress: string | undefined;
  #link: StreamLink;
  /**
   * In the main thread: news that the shard's end gets when it has moved, or stays; undefined while it does neither.
   */
  #kept: StreamNews[] | undefined;
  /** In the shard: set from `hold` on. */
  #hold: (PromiseWithResolvers<void> & { isHeld: boolean }) | undefined;
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

  /** @param remoteAddress address of the peer whose bytes are relayed */
  constructor(link: StreamLink, remoteAddress?: string) {
    this.remoteAddress = remoteAddress;
    this.#link = link;
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
    this.release();
    this.#end = "asked";
    this.#send();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#post({ kind: "closed" });
    this.#close();
  }

  // ── the shard's end, when it moves to another thread ───────────────────────────────────────────────────

  hold(): Promise<void> {
    // After its own end it doesn't move, and waits for the other end's.
    if (this.#closed || this.#end !== "open") return Promise.resolve();
    if (this.#hold === undefined) {
      this.#hold = { ...Promise.withResolvers<void>(), isHeld: false };
      this.#post({ kind: "hold" });
    }
    return this.#hold.promise;
  }

  release(): void {
    if (this.#hold === undefined || this.#closed) return;
    this.#hold = undefined;
    this.#post({ kind: "release" });
  }

  /** The news that this end has left is on its way after everything that it has sent. */
  detach(): DetachedStream | undefined {
    if (this.#closed || this.#end !== "open" || this.#peerEnd === "told" || !this.#hold?.isHeld) return undefined;
    this.#closed = true;
    this.#receiver = undefined;
    const [unread, unsent, chunks] = [Buffer.concat(this.#arrived), this.#waiting, this.#arrived.length];
    // On the other side all of them arrive as one chunk.
    const taken = this.#taken + Math.max(0, chunks - 1) * MESSAGE_COST;
    const { id, forget } = this.#link;
    this.#post({ kind: "left" });
    forget();
    const peerEnded = this.#peerEnd === "waits";
    const { remoteAddress } = this;
    const stream = { id, remoteAddress, credit: this.#credit, taken, peerEnded, peerClosed: this.#closeWaits };
    return { stream, unread, unsent };
  }

  /** Goes on where another end was taken apart. What was unsent there is written as usual. */
  load({ credit, taken, peerEnded, peerClosed }: RelayedStream, unread: Buffer): void {
    this.#credit = credit;
    this.#taken = taken;
    if (peerEnded) this.#peerEnd = "waits";
    this.#closeWaits = peerClosed;
    if (unread.length > 0) this.#arrived.push(unread);
  }

  // ── the main thread's end, when the other end has moved ────────────────────────────────────────────────

  /** The other end is on another port: what was kept for it goes there. */
  bind(link: StreamLink): void {
    this.#link = link;
    this.#sendKept();
  }

  #sendKept(): void {
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    for (const news of kept) this.#link.post(news);
    if (this.#closed) this.#link.forget();
  }

  // ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #post(news: StreamNews): void {
    if (this.#kept === undefined) this.#link.post(news);
    else this.#kept.push(news);
  }

  /** Takes a message of the other end. */
  handle(message: StreamNews): void {
    switch (message.kind) {
      case "hold":
        this.#link.post({ kind: "held" });
        this.#kept ??= [];
        return;
      case "held":
        if (this.#hold === undefined) return;
        this.#hold.isHeld = true;
        this.#hold.resolve();
        return;
      case "release":
        this.#sendKept();
        return;
      case "left":
        // `RelayPort` takes this news itself.
        return;
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
        this.#kept = undefined;
        // After an end the close is in order: bytes before it are still delivered. Otherwise the peer has vanished.
        if (this.#peerEnd === "waits") this.#closeWaits = true;
        else this.#close();
        return;
    }
  }

  /** The port has closed. */
  lose(): void {
    this.#kept = undefined;
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
      this.#post({ kind: "bytes", bytes: new Uint8Array(first.subarray(0, length)) });
    }
    if (this.#end === "asked" && this.#waitingBytes === 0) {
      this.#end = "posted";
      this.#post({ kind: "end" });
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
    this.#post({ kind: "credit", cost: this.#taken });
    this.#taken = 0;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#arrived = [];
    // News that was kept for the other end still has to go there.
    if (this.#kept === undefined) this.#link.forget();
    this.#hold?.resolve();
    const receiver = this.#receiver;
    if (receiver !== undefined) queueMicrotask(() => receiver.closed());
  }
}
