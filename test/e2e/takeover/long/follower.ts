/**
 * A client of a `Following` actor: comes, leaves, comes back with its positions, and checks everything that it gets.
 */
import { once } from "node:events";
import { WebSocket } from "ws";
import type { Position } from "../../../../src/index.ts";
import { noop } from "../../../../src/wire/protocol/empty.ts";

/** One topic of a follower. */
class FollowedTopic {
  /** Place after the last stored publication; undefined before the first result. */
  position: Position | undefined;
  /** Number of the last publication, by publisher. */
  readonly last = new Map<string, number>();
  /** Publishers of which this connection has got something: each next number must follow. */
  readonly heard = new Set<string>();
  isFollowed = false;
}

export class Follower {
  readonly topics = new Map<string, FollowedTopic>();
  readonly faults: string[] = [];
  /** Number of publications that came. */
  received = 0;
  /** Number of closes with 1012: a subscription took too long on a busy machine. */
  sentAway = 0;
  #socket: WebSocket | undefined;

  /** Connects. Topics that the follower had before are resumed. Resolves when it follows all. */
  async come(port: number, topics: readonly string[]): Promise<void> {
    const before = new Map(topics.map((topic) => [topic, this.topics.get(topic)?.position]));
    for (const topic of this.topics.keys()) if (!before.has(topic)) this.topics.delete(topic);
    for (const topic of topics) if (!this.topics.has(topic)) this.topics.set(topic, new FollowedTopic());
    for (const followed of this.topics.values()) {
      followed.heard.clear();
      followed.isFollowed = false;
    }
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    this.#socket = socket;
    const follows = Promise.withResolvers<void>();
    socket.on("message", (data) => {
      if (this.#socket !== socket) return;
      this.#take(String(data), before);
      if ([...this.topics.values()].every(({ isFollowed }) => isFollowed)) follows.resolve();
    });
    socket.on("close", (code) => {
      follows.resolve();
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (code === 1012) this.sentAway++;
      else this.faults.push(`closed with ${code}`);
    });
    await once(socket, "open");
    socket.on("error", noop);
    socket.send(JSON.stringify([...before]));
    await follows.promise;
  }

  leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.terminate();
  }

  /** True while the follower has a connection. */
  get isHere(): boolean {
    return this.#socket !== undefined;
  }

  #take(text: string, before: ReadonlyMap<string, Position | undefined>): void {
    if (text.startsWith("{")) {
      this.#result(JSON.parse(text), before);
    } else if (text.startsWith("lost")) {
      this.faults.push(text);
    } else {
      this.received++;
      this.#publication(text, true);
    }
  }

  #result(
    { topic, recovered, position, publications }: Result,
    before: ReadonlyMap<string, Position | undefined>,
  ): void {
    const followed = this.topics.get(topic);
    const since = before.get(topic);
    if (followed === undefined || recovered !== (since !== undefined)) {
      this.faults.push(`${topic}: ${recovered ? "" : "not "}recovered`);
      return;
    }
    if (since === undefined) followed.position = position;
    for (const publication of publications) this.#publication(publication, false);
    if (followed.position?.offset !== position.offset) this.faults.push(`${topic}: told ${position.offset}`);
    followed.position = position;
    followed.isFollowed = true;
  }

  #publication(text: string, isLive: boolean): void {
    const [topic = "", offset, publisher = "", count] = text.split(" ");
    const followed = this.topics.get(topic);
    const { position } = followed ?? {};
    if (followed === undefined || position === undefined || followed.isFollowed !== isLive) {
      this.faults.push(`unexpected: ${text}`);
      return;
    }
    if (Number(offset) > 0) {
      if (Number(offset) !== position.offset + 1) this.faults.push(`${text}: after offset ${position.offset}`);
      followed.position = { ...position, offset: Number(offset) };
    }
    // The first one that comes live may follow on some that aren't stored, which the follower was not there for.
    const last = followed.last.get(publisher) ?? -1;
    const isNext = followed.heard.has(publisher) ? Number(count) === last + 1 : Number(count) > last;
    if (!isNext) this.faults.push(`${text}: after ${last}`);
    if (isLive) followed.heard.add(publisher);
    followed.last.set(publisher, Number(count));
  }
}

/** What the actor tells of a subscription. */
interface Result {
  readonly topic: string;
  readonly recovered: boolean;
  readonly position: Position;
  readonly publications: readonly string[];
}
