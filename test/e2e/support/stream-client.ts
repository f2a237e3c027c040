/**
 * A client of the actor in `test/support/actors/remembering.ts`. Used by the tests of topics with history or presence.
 */
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Position, PresenceEvent } from "../../../src/index.ts";

export interface ShownPublication {
  readonly epoch: string;
  readonly offset: number;
  readonly text: string;
}

export interface ShownSubscribed {
  readonly wasRecovering: boolean;
  readonly recovered: boolean;
  readonly publications: readonly ShownPublication[];
  readonly position?: Position;
}

interface Answer {
  readonly serial?: number;
  readonly result?: unknown;
  readonly code?: string;
  readonly publication?: ShownPublication;
  readonly presence?: PresenceEvent;
  readonly lost?: { readonly topic: string; readonly position: Position };
}

/** An error of a call in the actor, by its code. */
export class ActorError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export class StreamClient {
  readonly socket: WebSocket;
  shard = -1;
  address = "";
  /** The publications that arrived, in order. */
  readonly publications: ShownPublication[] = [];
  readonly presence: PresenceEvent[] = [];
  readonly lost: { readonly topic: string; readonly position: Position }[] = [];
  closeCode: number | undefined;
  #serial = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => this.#take(JSON.parse(String(data))));
    socket.on("error", () => {});
    socket.on("close", (code) => {
      this.closeCode = code;
      for (const { reject } of this.#waiting.values()) reject(new Error(`closed with ${code}`));
    });
  }

  static async open(port: number): Promise<StreamClient> {
    const client = new StreamClient(new WebSocket(`ws://127.0.0.1:${port}/`));
    onTestFinished(() => client.socket.terminate());
    await once(client.socket, "open");
    Object.assign(client, await client.tell("who", ""));
    return client;
  }

  /** Opens connections until one is on that shard. */
  static async openOn(port: number, shard: number): Promise<StreamClient> {
    for (;;) {
      const client = await StreamClient.open(port);
      if (client.shard === shard) return client;
    }
  }

  /** Has the actor do something. Resolves with the result; rejects with an `ActorError`. */
  tell(what: string, topic: string, more: object = {}): Promise<unknown> {
    const serial = this.#serial++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(serial, answer);
    this.socket.send(JSON.stringify({ serial, do: what, topic, ...more }));
    return answer.promise;
  }

  async subscribe(topic: string, more: object = {}): Promise<ShownSubscribed> {
    return (await this.tell("subscribe", topic, more)) as ShownSubscribed;
  }

  /** Offsets of the publications that arrived. */
  get offsets(): number[] {
    return this.publications.map(({ offset }) => offset);
  }

  #take({ serial, result, code, publication, presence, lost, ...rest }: Answer & { message?: string }): void {
    if (publication !== undefined) this.publications.push(publication);
    if (presence !== undefined) this.presence.push(presence);
    if (lost !== undefined) this.lost.push(lost);
    if (serial === undefined) return;
    const waiting = this.#waiting.get(serial);
    this.#waiting.delete(serial);
    if (code === undefined) waiting?.resolve(result);
    else waiting?.reject(new ActorError(code, rest.message ?? ""));
  }
}
