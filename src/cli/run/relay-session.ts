/** Two processes of the program that speak with each other through the supervisor. `Relay` has one for each pair. */
import type { ChildProcess } from "node:child_process";
import type { TcpHandle } from "../../wire/node-internals/net.ts";
import { PartQueue } from "../../wire/passing/part-queue.ts";
import type { ChannelPart, SupervisorMessage } from "../../wire/passing/supervisor-messages.ts";
import { hasDescriptor } from "../../wire/transport/descriptors.ts";

/**
 * Parts that wait for one process at most. Signs of life come twice a second, and a process waits for room before each
 * socket.
 */
const MAX_WAITING = 64;

/** Time between two looks whether this process can receive a socket, in ms. Node drops a socket silently if not. */
const LOOK_MS = 250;

/** One of the two processes. */
interface End {
  readonly child: ChildProcess;
  /** Parts for this process. */
  readonly parts: PartQueue;
  /** True once the process has closed the channel, or has ended. */
  isClosed: boolean;
}

/**
 * A socket in the supervisor is a bare handle that nobody reads. The handle is closed when the receiver has the socket.
 * At most two sockets in each direction are here: one under way, and one that waits.
 */
export class RelaySession {
  readonly #serial: number;
  readonly #ends: readonly [End, End];
  readonly #over: (why: string | undefined) => void;
  readonly #looking: NodeJS.Timeout;
  #isOver = false;

  /** @param over called once, when nothing more is passed on, with the reason if the session was cut */
  constructor(
    serial: number,
    predecessor: ChildProcess,
    successor: ChildProcess,
    over: (why: string | undefined) => void,
  ) {
    this.#serial = serial;
    this.#over = over;
    this.#looking = setInterval(() => this.#look(), LOOK_MS).unref();
    this.#ends = [this.#endOf(predecessor), this.#endOf(successor)];
  }

  has(child: ChildProcess): boolean {
    return this.#ends.some((end) => end.child === child);
  }

  /** Passes a part on that one of the two has sent. */
  received(from: ChildProcess, part: ChannelPart, handle: TcpHandle | undefined): void {
    const [own, other] = this.#sides(from);
    if (part.kind === "took") {
      own.parts.took();
      return;
    }
    if (other.parts.length === MAX_WAITING || (part.kind === "socket") !== (handle !== undefined)) {
      handle?.close();
      this.#cut(`pid ${own.child.pid} sent what can't be passed on`);
      return;
    }
    if (handle === undefined) other.parts.push(part);
    else {
      const socket = { open: () => handle, close: () => handle.close(), drop: () => handle.close() };
      other.parts.push(part, socket, () => this.#post(own.child, { kind: "took" }));
    }
    if (part.kind === "closed") this.#closed(own);
  }

  /** One of the two has ended. Everything that it has sent was passed on, or waits. */
  gone(child: ChildProcess): void {
    const [own, other] = this.#sides(child);
    void own.parts.stop();
    if (!own.isClosed) other.parts.push({ kind: "closed" });
    this.#closed(own);
  }

  #closed(end: End): void {
    end.isClosed = true;
    if (this.#ends.every(({ isClosed }) => isClosed)) this.#end();
  }

  #look(): void {
    if (!hasDescriptor()) this.#cut("this process has no descriptor left to pass a socket on (ulimit -n)");
  }

  /** A part was lost: both processes may run, and neither knows what the other has. */
  #cut(why: string): void {
    if (this.#isOver) return;
    this.#end(why);
    for (const { child } of this.#ends) this.#post(child, { kind: "cut" });
  }

  #end(why?: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#looking);
    for (const { parts } of this.#ends) void parts.stop();
    this.#over(why);
  }

  #endOf(child: ChildProcess): End {
    const post = (part: ChannelPart, handle: TcpHandle | undefined, sent: (error: Error | null) => void): void =>
      this.#post(child, part, handle, sent);
    return { child, parts: new PartQueue(post, ({ message }) => this.#cut(message)), isClosed: false };
  }

  #sides(child: ChildProcess): readonly [own: End, other: End] {
    const [predecessor, successor] = this.#ends;
    return predecessor.child === child ? [predecessor, successor] : [successor, predecessor];
  }

  #post(
    child: ChildProcess,
    part: ChannelPart,
    handle?: TcpHandle,
    sent: (error: Error | null) => void = () => {},
  ): void {
    const message: SupervisorMessage = { switchboard: "part", session: this.#serial, part };
    // Node takes a bare handle and leaves it open. Its types know sockets and servers only.
    child.send(message, handle as unknown as undefined, {}, sent);
  }
}
