import { Socket } from "node:net";
import type { Transport, TransportReceiver } from "./transport.ts";

/** Reads of all sockets of a thread go here, one after the other: a receiver is done with the bytes when it returns. */
const READ_BUFFER_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

let readBuffer: Buffer | undefined;

/** Views of the read buffer by length: short reads are the most frequent, and making a view costs as much as decoding a short frame. */
const views: Buffer[] = [];
const LONGEST_KEPT_VIEW = 512;

/** Of the last longer read: the next is often as long, if only because it filled the buffer, too. */
let longView: Buffer = NOTHING;

function firstBytes(buffer: Buffer, length: number): Buffer {
  if (length > LONGEST_KEPT_VIEW) {
    if (longView.length !== length) longView = buffer.subarray(0, length);
    return longView;
  }
  views[length] ??= buffer.subarray(0, length);
  return views[length];
}

/** What a handle can be taken from. Node gives every `net.Socket` one; its types don't show it. */
export interface HandleOwner {
  _handle: object | null;
}

/**
 * A TCP socket that reads into one shared buffer, without the machinery of readable streams (the documented `onread`
 * option of `net.Socket`: a fifth less CPU per small echo than `data` events).
 */
export class TcpTransport implements Transport {
  // First what every write needs, that it be close together.
  /** Bytes of the write that Node hasn't finished; what comes meanwhile waits in `#waiting`. */
  #writing = 0;
  #waitingBytes = 0;
  /** Nothing follows what is queued. */
  #ending = false;
  readonly #socket: Socket;
  #receiver: TransportReceiver | undefined;
  /** Bytes that were read before this transport existed, or after it was paused; delivered before all others. */
  #head: Buffer | undefined;
  #reading = true;
  /** Whether Node reads now; undefined before it ever did. */
  #flowing: boolean | undefined;
  /** It isn't ours any more: what is read goes to whoever reads the stream. */
  #isStream = false;
  /** The peer ended its direction while we were paused. */
  #endWaits = false;
  #waiting: Buffer[] = [];
  /** The peer didn't take all at once: `drained` is owed. */
  #behind = false;
  /** How much of the connection has ended: our direction, and the peer's, which was told. */
  #ended = 0;

  /**
   * Takes over the handle of `source`, which is of no use afterwards.
   *
   * @param head bytes of this stream that were already read
   * @param undelayed TCP_NODELAY is set already
   */
  constructor(source: Socket | HandleOwner, head: Buffer, undelayed = false) {
    const owner = source as HandleOwner;
    const handle = owner._handle;
    owner._handle = null;
    this.#head = head;
    readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    this.#socket = new Socket({
      handle,
      allowHalfOpen: true,
      // Reading begins with `start`.
      manualStart: true,
      onread: {
        buffer: readBuffer,
        callback: (length: number, buffer: Buffer): boolean => {
          const chunk = firstBytes(buffer, length);
          if (this.#isStream) return this.#socket.push(Buffer.from(chunk));
          // Node may read once more after a pause.
          if (this.#reading) this.#receiver?.received(chunk);
          else this.#head = Buffer.concat([this.#head ?? NOTHING, chunk]);
          return this.#reading;
        },
      },
    } as ConstructorParameters<typeof Socket>[0]);
    // Node may be reading already for `source`, and nothing may arrive before there is a receiver.
    if (source instanceof Socket) this.#socket.pause();
    if (!undelayed) this.#socket.setNoDelay(true);
    this.#socket.on("error", ignore);
    this.#socket.on("end", () => {
      if (this.#reading) this.#tellEnd();
      else this.#endWaits = true;
    });
    this.#socket.on("close", () => this.#receiver?.closed());
    // It died on the way here.
    if (handle === null) this.#socket.destroy();
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    if (this.#socket.closed) queueMicrotask(() => receiver.closed());
    else if (this.#reading) this.#read();
  }

  /**
   * What started it has read all that concerns it: another receiver will start it, in this turn.
   *
   * @param rest bytes that were read and are the next receiver's
   */
  handOver(rest: Buffer): void {
    this.#receiver = undefined;
    if (rest.length > 0) this.#head = Buffer.from(rest);
  }

  /**
   * Gives the socket to somebody who reads it as a stream; paused. The transport is of no use afterwards.
   *
   * @param rest bytes that were read, to be read again
   */
  toStream(rest: Buffer): Socket {
    this.#receiver = undefined;
    this.#isStream = true;
    this.#socket.pause();
    this.#socket.unshift(Buffer.from(rest));
    return this.#socket;
  }

  get bufferedBytes(): number {
    return this.#writing + this.#waitingBytes;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  /**
   * Writes through `_write`, the hook below a stream's own queue, and keeps that queue here: a microsecond less per write, and `drained`
   * when everything is gone (the stream's `drain` comes only from its high-water mark on).
   */
  write(bytes: Buffer): void {
    if (this.#ending || bytes.length === 0) return;
    if (this.#writing === 0) {
      this.#writeNow(bytes);
    } else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
  }

  /** Called within `_write` when the operating system took all at once, as it mostly does. */
  readonly #written = (error?: Error | null): void => {
    this.#writing = 0;
    if (error != null) {
      this.#socket.destroy();
      return;
    }
    if (this.#waitingBytes > 0) {
      const bytes = this.#waiting.length === 1 ? (this.#waiting[0] as Buffer) : Buffer.concat(this.#waiting);
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#writeNow(bytes);
      return;
    }
    if (this.#ending) this.#shutDown();
    if (!this.#behind) return;
    this.#behind = false;
    this.#receiver?.drained();
  };

  #writeNow(bytes: Buffer): void {
    this.#writing = bytes.length;
    this.#socket._write(bytes, "buffer" as BufferEncoding, this.#written);
    if (this.#writing > 0) this.#behind = true;
  }

  pause(): void {
    this.#reading = false;
    if (this.#flowing) this.#flowing = false;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    if (this.#receiver !== undefined) this.#read();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#writing === 0) this.#shutDown();
  }

  /** Through `_final`, the hook that goes with `_write`: the stream's own end does the same after a microsecond or two. */
  #shutDown(): void {
    if (!this.#socket.destroyed) this.#socket._final(this.#halfEnded);
  }

  readonly #halfEnded = (error?: Error | null): void => {
    if (++this.#ended === 2 || error != null) this.#socket.destroy();
  };

  destroy(): void {
    this.#socket.destroy();
  }

  /** Goes on reading where it stopped. */
  #read(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.length > 0) this.#receiver?.received(head);
    if (!this.#reading) return;
    if (this.#endWaits) this.#tellEnd();
    else if (this.#flowing === undefined) {
      // Enough for what doesn't go through the stream's queue, and a microsecond less than `resume`.
      this.#flowing = true;
      this.#socket.read(0);
    } else if (!this.#flowing) {
      this.#flowing = true;
      this.#socket.resume();
    }
  }

  #tellEnd(): void {
    this.#endWaits = false;
    this.#receiver?.ended();
    this.#halfEnded();
  }
}

/** What an error means is told by `closed`, which always follows. */
function ignore(): void {}
