/** A board of a cluster, in a process of its own, as a test sees it. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Health, Stats } from "../../../src/index.ts";
import type { BoardCall, BoardEvent, BoardMember, BoardNews, BoardProgram, HistoryAnswer } from "./messages.ts";

interface ToldEvent {
  readonly name: BoardEvent;
  readonly text: string;
  /** Time of the event, as of `performance.now()`. */
  readonly atMs: number;
}

const program = new URL("./board-program.ts", import.meta.url);
const clock = new URL("./clock-ahead.ts", import.meta.url);

export class BoardProcess {
  readonly port: number;
  readonly events: ToldEvent[] = [];
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (value: unknown) => void>();
  #calls = 0;
  #wake = Promise.withResolvers<void>();

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.on("message", (news: BoardNews) => this.#hear(news));
  }

  static async start(settings: BoardProgram, clockAheadMs = 0): Promise<BoardProcess> {
    const child = fork(program, [JSON.stringify(settings)], {
      execArgv: clockAheadMs === 0 ? [] : ["--import", clock.href],
      env: { ...process.env, CLOCK_AHEAD_MS: String(clockAheadMs) },
    });
    const exited = once(child, "exit").then(([code]) => {
      throw new Error(`a board ended with ${code} before it listened`);
    });
    const [news] = (await Promise.race([once(child, "message"), exited])) as [BoardNews];
    exited.catch(() => {});
    if (news.kind !== "listening") throw new Error(`a board said ${JSON.stringify(news)} before it listened`);
    return new BoardProcess(child, news.port);
  }

  health(): Promise<Health> {
    return this.#call({ name: "health" }) as Promise<Health>;
  }

  stats(): Promise<Stats> {
    return this.#call({ name: "stats" }) as Promise<Stats>;
  }

  /** Rejects if the board can't read the history now. */
  async history(topic: string): Promise<HistoryAnswer> {
    const answer = (await this.#call({ name: "history", topic })) as HistoryAnswer | { readonly error: string };
    if ("error" in answer) throw new Error(answer.error);
    return answer;
  }

  presence(topic: string): Promise<readonly BoardMember[]> {
    return this.#call({ name: "presence", topic }) as Promise<readonly BoardMember[]>;
  }

  killEngine(): Promise<unknown> {
    return this.#call({ name: "killEngine" });
  }

  /** Resolves with the first event of this name from this time on. */
  async tells(name: BoardEvent, sinceMs: number): Promise<ToldEvent> {
    for (;;) {
      const event = this.events.find((one) => one.name === name && one.atMs >= sinceMs);
      if (event !== undefined) return event;
      await this.#wake.promise;
    }
  }

  /** Ends the process as `kill -9` does. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #hear(news: BoardNews): void {
    if (news.kind === "answer") {
      this.#answers.get(news.id)?.(news.value);
      this.#answers.delete(news.id);
    } else if (news.kind === "event") {
      this.events.push({ name: news.name, text: news.text, atMs: performance.now() });
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
  }

  #call(call: BoardCall): Promise<unknown> {
    const id = ++this.#calls;
    this.#child.send({ id, ...call });
    return new Promise((resolve) => this.#answers.set(id, resolve));
  }
}
