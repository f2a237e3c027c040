/**
 * Relayed streams whose shard's end is on its way to another thread. The main thread has one `RelayMoves` for all
 * shards: the thread that had a stream tells that it has left, the thread that gets it asks for it, in any order.
 */
import type { RelayTransport } from "./relay-transport.ts";

/** Time in ms in which both threads must tell. A thread that hangs for longer loses the stream. */
const TIMEOUT_MS = 15_000;

type Taken = (stream: RelayTransport | undefined) => void;

/** One stream that one of the two threads has told of. */
interface Move {
  readonly stream: RelayTransport | undefined;
  readonly taken: Taken | undefined;
  readonly timer: NodeJS.Timeout;
}

export class RelayMoves {
  /** Moves by the life of the thread that had the stream, and the stream's number there. */
  readonly #moves = new Map<string, Move>();

  /** The shard's end of a stream has left a thread. Without a taker the stream is closed after 15 s. */
  left(life: number, id: number, stream: RelayTransport): void {
    const other = this.#settle(life, id);
    if (other?.taken !== undefined) other.taken(stream);
    else this.#await(life, id, { stream, taken: undefined });
  }

  /**
   * A thread takes a stream. Calls back with the main thread's end when the stream has left the thread that had it;
   * with undefined if it isn't there.
   */
  take(life: number, id: number, taken: Taken): void {
    const other = this.#settle(life, id);
    if (other?.stream !== undefined) taken(other.stream);
    else this.#await(life, id, { stream: undefined, taken });
  }

  #settle(life: number, id: number): Move | undefined {
    const key = `${life}/${id}`;
    const move = this.#moves.get(key);
    clearTimeout(move?.timer);
    this.#moves.delete(key);
    return move;
  }

  #await(life: number, id: number, { stream, taken }: Omit<Move, "timer">): void {
    const giveUp = (): void => {
      this.#settle(life, id);
      stream?.lose();
      taken?.(undefined);
    };
    this.#moves.set(`${life}/${id}`, { stream, taken, timer: setTimeout(giveUp, TIMEOUT_MS).unref() });
  }
}
