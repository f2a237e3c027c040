/** A connection to the actor of `targets/actors/stream.ts` that lets the actor publish. Used by the stream loads. */
import { connect, type WebSocket } from "../../src/wire/websocket/index.ts";

export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** Number of publications that the actor publishes at once at most: the engine takes 65,536 from one thread. */
const MAX_AT_ONCE = 10_000;

export class StreamPublisher {
  readonly shard: number;
  readonly #socket: WebSocket;
  readonly #messages: AsyncIterator<{ readonly text: string }>;

  static async open(url: string): Promise<StreamPublisher> {
    const socket = await connect(url);
    const messages = socket[Symbol.asyncIterator]();
    const { value } = await messages.next();
    return new StreamPublisher(socket, messages, Number(value?.text));
  }

  private constructor(socket: WebSocket, messages: AsyncIterator<{ readonly text: string }>, shard: number) {
    this.#socket = socket;
    this.#messages = messages;
    this.shard = shard;
  }

  /**
   * Publishes one after the other to the streams from `first` on. Resolves with the position of the last one when all
   * are stored. Rejects if one of them isn't.
   */
  async publish(publications: number, first: number, streams: number): Promise<Position> {
    void this.#socket.send(`publish ${publications} ${first} ${streams}`);
    const { value, done } = await this.#messages.next();
    if (done === true) throw new Error("the server has closed the connection of a publisher");
    return JSON.parse(value.text);
  }

  /** Publishes the same number to each of the streams from `first` on, part by part. */
  async fill(publications: number, first: number, streams: number): Promise<void> {
    const streamsAtOnce = Math.floor(MAX_AT_ONCE / publications);
    for (let done = 0; done < streams; done += streamsAtOnce) {
      const part = Math.min(streamsAtOnce, streams - done);
      await this.publish(publications * part, first + done, part);
    }
  }
}
