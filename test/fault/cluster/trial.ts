/** A cluster of boards over one Redis, and one trial of a fault: readers, writers, and what became of them. */
import { expect, onTestFinished, vi } from "vitest";
import type { RedisOptions } from "../../../src/engines/redis/index.ts";
import type { TopicsOption } from "../../../src/index.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { isLong, writeRow } from "../rows.ts";
import { BoardProcess } from "./board-process.ts";
import { judge } from "./checker.ts";
import { Reader, Writer } from "./clients.ts";

/** Times of the engine: in the long form its defaults. The short ones are long enough for a machine that is busy. */
export const TIMES: RedisOptions = isLong
  ? { presenceTtlMs: 15_000 }
  : { probeIntervalMs: 100, commandTimeoutMs: 1_500, connectTimeoutMs: 5_000, nodeTtlMs: 1_500, presenceTtlMs: 2_000 };

/** Time for which Redis stands still, in ms. */
export const STANDSTILL_MS = isLong ? 20_000 : 2_500;

export const TOPICS: TopicsOption = {
  "who-*": { history: { size: 20_000 }, presence: { leaveGraceMs: 0 } },
  "*": { history: { size: 20_000 } },
};

/** Boards over one Redis, each with a link of its own that can be broken. */
export class Cluster {
  readonly boards: BoardProcess[] = [];
  readonly links: TcpProxy[] = [];

  get ports(): number[] {
    return this.boards.map(({ port }) => port);
  }

  /** Ends a board as `kill -9` does. Its clients go elsewhere. */
  async kill(board: BoardProcess): Promise<void> {
    this.boards.splice(this.boards.indexOf(board), 1);
    await board.kill();
  }

  /** Starts boards whose links lead to a port, or whose options say where Redis is. */
  async add(count: number, redis: number | RedisOptions, clocksAheadMs: readonly number[] = []): Promise<void> {
    const add = async (_: unknown, index: number): Promise<void> => {
      const link = typeof redis === "number" ? await TcpProxy.start(redis, { outlivesTest: true }) : undefined;
      const options = typeof redis === "number" ? { url: link?.url ?? "" } : redis;
      const board = await BoardProcess.start({ redis: { ...TIMES, ...options }, topics: TOPICS }, clocksAheadMs[index]);
      this.boards.push(board);
      if (link !== undefined) this.links.push(link);
    };
    await Promise.all(Array.from({ length: count }, add));
  }

  async end(): Promise<void> {
    await Promise.all(this.boards.map((board) => board.kill()));
    await Promise.all(this.links.map((link) => link.close()));
  }
}

/** A row of the table that `npm run faults` prints. */
export interface Row {
  readonly fault: string;
  readonly publishers: string;
  readonly subscribers: string;
  readonly health: string;
  readonly recovered: string;
}

let trials = 0;

export interface TrialOptions {
  readonly topics?: number;
  /** Readers at each board, and one writer. */
  readonly readers?: number;
  /** True for topics with presence, and a user for each reader. */
  readonly presence?: boolean;
}

export class Trial {
  readonly cluster: Cluster;
  readonly topics: readonly string[];
  readonly readers: Reader[];
  readonly writers: Writer[];
  readonly startedAtMs = performance.now();
  #wake = Promise.withResolvers<void>();
  #faultAtMs = 0;
  #mendedAtMs = 0;
  #health = "up";
  #recoveredMs = 0;
  #before = { stored: 0, rejected: 0 };

  private constructor(cluster: Cluster, { topics = 3, readers = 4, presence = false }: TrialOptions) {
    this.cluster = cluster;
    const trial = ++trials;
    this.topics = Array.from({ length: topics }, (_, number) => `${presence ? "who-" : ""}t${trial}-${number}`);
    this.readers = cluster.boards.flatMap((_, home) =>
      Array.from({ length: readers }, (_, index) => {
        const name = `reader ${home}-${index}`;
        const user = presence ? `user-${home}-${index}` : undefined;
        return new Reader(name, this.topics, cluster, home, index % 2 === 0, user);
      }),
    );
    this.writers = cluster.boards.map((_, home) => new Writer(`p${home}`, this.topics, cluster, home));
    for (const client of [...this.readers, ...this.writers]) {
      client.changed = () => this.#changed();
      client.connect();
    }
    onTestFinished(({ task }) => {
      if (task.result?.state === "fail") console.error(this.#describe());
      for (const client of [...this.readers, ...this.writers]) client.end();
    });
  }

  /** Resolves when publications of all writers reach all readers. */
  static async start(cluster: Cluster, options: TrialOptions = {}): Promise<Trial> {
    const trial = new Trial(cluster, options);
    await trial.until(() => trial.readers.every((reader) => reader.isLive) && trial.writers.every((one) => one.isOpen));
    for (const writer of trial.writers) writer.run();
    await trial.flows();
    return trial;
  }

  /** Resolves when the condition holds. It is looked at after each message, and now and then. */
  async until(condition: () => boolean): Promise<void> {
    const timer = setInterval(() => this.#changed(), 100);
    try {
      while (!condition()) await this.#wake.promise;
    } finally {
      clearInterval(timer);
    }
  }

  /** Resolves when each of these readers has something of each writer that was published after now. */
  async flows(readers: readonly Reader[] = this.readers, writers: readonly Writer[] = this.writers): Promise<void> {
    const from = writers.map((writer) => [writer, writer.number + 1] as const);
    await this.until(() =>
      readers.every((reader) =>
        [...reader.topics.values()].every((topic) =>
          from.every(([writer, number]) => (topic.newest.get(writer.source) ?? 0) >= number),
        ),
      ),
    );
  }

  /** The fault begins now. */
  begin(): void {
    this.#before = { stored: this.#stored, rejected: this.#rejected };
    this.#faultAtMs = performance.now();
  }

  /** Resolves when these boards tell that the engine is down, or deaf, and `health()` of each isn't ok. */
  async goesRed(boards: readonly BoardProcess[] = this.cluster.boards): Promise<void> {
    const events = await Promise.all(boards.map((board) => board.tells("engineDown", this.#faultAtMs)));
    const healths = await Promise.all(boards.map((board) => board.health()));
    const slowest = Math.max(...events.map(({ atMs }) => atMs - this.#faultAtMs));
    // The engine may be back already.
    for (const [index, { ok, engine }] of healths.entries()) {
      const isBack = boards[index]?.events.some(({ name, atMs }) => name === "engineUp" && atMs >= this.#faultAtMs);
      if (isBack !== true) expect([ok, engine?.status !== "up"]).toEqual([false, true]);
    }
    this.#health = `red after ${seconds(slowest)}`;
  }

  /** The fault has ended now. */
  mended(): void {
    this.#mendedAtMs = performance.now();
  }

  /** Resolves when these boards are well again, and what is published reaches everybody. */
  async recovers(boards: readonly BoardProcess[] = this.cluster.boards): Promise<void> {
    const since = this.#health === "up" ? undefined : this.#faultAtMs;
    if (since !== undefined) await Promise.all(boards.map((board) => board.tells("engineUp", since)));
    if (since !== undefined) this.#health += ", then green";
    await this.flows();
    this.#recoveredMs = performance.now() - this.#mendedAtMs;
    for (const board of this.cluster.boards) expect((await board.health()).ok).toBe(true);
  }

  /**
   * Ends the trial: waits for all answers, judges everything, and writes the row of the table.
   *
   * @param told number of times that each reader was told of a loss in each topic; undefined for any
   */
  async end(fault: string, { told, note }: { readonly told?: number; readonly note?: string } = {}): Promise<void> {
    for (const writer of this.writers) writer.stop();
    await this.until(() => this.writers.every(({ isIdle }) => isIdle));
    for (const topic of this.topics) await this.#judge(topic);
    const tolds = this.readers.flatMap(({ topics }) => [...topics.values()].map((one) => one.told));
    if (told !== undefined) expect(tolds).toEqual(tolds.map(() => told));
    for (const board of this.cluster.boards) {
      expect(board.events.filter(({ name }) => name === "actorFailed" || name === "shardLost")).toEqual([]);
    }
    this.#write(fault, tolds, note);
  }

  async #judge(topic: string): Promise<void> {
    // What no answer came to may still be stored, so the top may move until all have it.
    const history = await vi.waitFor(async () => {
      const read = await this.cluster.boards[0]?.history(topic);
      if (read === undefined) throw new Error("there is no board");
      for (const { name, topics } of this.readers) {
        const { epoch, offset } = topics.get(topic) ?? {};
        expect({ name, epoch, offset }).toEqual({ name, ...read.top });
      }
      return read;
    }, 20_000);
    const subscribers = this.readers.map(({ name, topics }) => ({ name, lines: topics.get(topic)?.lines ?? [] }));
    const stored = this.writers.flatMap((writer) => writer.stored.get(topic) ?? []);
    expect(judge({ subscribers, stored, history: history.publications, top: history.top })).toEqual([]);
    expect(stored.length).toBeGreaterThan(0);
  }

  #write(fault: string, tolds: readonly number[], note: string | undefined): void {
    const codes = new Set(this.writers.flatMap(({ rejections }) => [...rejections.keys()]));
    const unknown = this.writers.reduce((sum, writer) => sum + writer.unknown, 0);
    const rejected = this.#rejected - this.#before.rejected;
    const publishers = [
      `${this.#stored.toLocaleString("en")} stored`,
      rejected === 0 ? "none rejected" : `${rejected.toLocaleString("en")} rejected (${[...codes].join(", ")})`,
      ...(unknown === 0 ? [] : [`${unknown} without an answer`]),
    ];
    const most = Math.max(...tolds);
    const closes = this.readers.reduce((sum, reader) => sum + reader.closes.length, 0);
    const subscribers = [
      `${this.readers.length} at ${this.topics.length} topics`,
      most === 0 ? "nobody told, all recovered" : `told ${most === 1 ? "once" : `up to ${most} times`} each`,
      ...(closes === 0 ? [] : [closes === 1 ? "1 reconnect" : `${closes} reconnects`]),
      ...(note === undefined ? [] : [note]),
    ];
    writeRow({
      fault,
      publishers: publishers.join(", "),
      subscribers: subscribers.join(", "),
      health: this.#health,
      recovered: seconds(this.#recoveredMs),
    });
  }

  /** What somebody who looks into a failure needs. */
  #describe(): string {
    const readers = this.readers.map(({ name, isOpen, closes, refusals, topics }) => {
      const states = [...topics].map(([topic, { isLive, epoch, offset, told, newest }]) => {
        const place = `${epoch.slice(0, 4)} ${offset}`;
        return `${topic} ${isLive ? "live" : "not live"} at ${place}, told ${told}, ${JSON.stringify([...newest])}`;
      });
      return [
        `${name}: ${isOpen ? "open" : "closed"} ${closes.join(" ")} ${JSON.stringify([...refusals])}`,
        ...states,
      ].join("\n    ");
    });
    const writers = this.writers.map(
      ({ source, number, isOpen, isIdle, rejections }) =>
        `${source}: ${number}, open ${isOpen}, idle ${isIdle}, ${JSON.stringify([...rejections])}`,
    );
    const boards = this.cluster.boards.map(({ port, events }) => {
      const told = events.filter(({ atMs }) => atMs >= this.startedAtMs);
      return `${port}: ${told.map(({ name, text, atMs }) => `${Math.round(atMs)} ${name} ${text}`).join("; ")}`;
    });
    return [...readers, ...writers, ...boards].join("\n");
  }

  get #stored(): number {
    return this.writers.reduce((sum, { stored }) => sum + [...stored.values()].flat().length, 0);
  }

  get #rejected(): number {
    return this.writers.reduce((sum, { rejections }) => sum + [...rejections.values()].reduce((a, b) => a + b, 0), 0);
  }

  #changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
