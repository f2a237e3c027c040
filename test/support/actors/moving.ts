import { existsSync, writeFileSync } from "node:fs";
import { Actor, type Message } from "../../../src/index.ts";

interface State {
  readonly log: readonly string[];
}

/** A class of the application. */
class Settings {
  readonly theme = "dark";
}

/** Shards of which this thread runs one, as its actors tell. */
const shards = new Set<number>();
/** Ends the handlers that hold. */
let held: (() => void)[] = [];

function release(): void {
  for (const end of held) end();
  held = [];
}

/** Executes its peer's commands, so that a test can reach every branch of a move. Logs what is called. */
export default class Moving extends Actor {
  static override readonly moves = 7;
  #log: string[] = [];
  /** What `suspended` and `resumed` do. */
  #plan = "";

  override opened(): void {
    shards.add(this.shard);
    this.#log.push("opened");
  }

  override suspended(): unknown {
    this.#log.push(`suspended on ${this.shard}`);
    const state: State & { readonly plan: string } = { log: this.#log, plan: this.#plan };
    switch (this.#plan) {
      case "throw":
        throw new Error("suspended throws");
      case "reject":
        return Promise.reject(new Error("suspended rejects"));
      case "hang":
        return new Promise(() => {});
      case "function":
        return { ...state, method: () => {} };
      case "blob":
        return { ...state, deep: [new Map([["file", new Blob(["bytes"])]])] };
      case "class":
        return Object.assign(new Settings(), state);
      case "large":
        return { ...state, plan: "", bytes: Buffer.alloc(1024 * 1024) };
      case "slow":
        this.send("suspending");
        return new Promise((resolve) => setTimeout(() => resolve({ ...state, plan: "" }), 300));
      case "held":
        this.send("suspending");
        return new Promise((resolve) => held.push(() => resolve({ ...state, plan: "" })));
      case "async":
        return new Promise((resolve) => setImmediate(() => resolve(state)));
      default:
        return state;
    }
  }

  override resumed({ log, plan }: State & { readonly plan: string }, version: number): void | Promise<void> {
    this.#log = [...log, `resumed ${version} on ${this.shard}`];
    if (plan === "fail") throw new Error("resumed throws");
    if (plan === "end") process.exit(1);
    if (plan === "kill") process.kill(process.pid, "SIGKILL");
    if (plan === "failLater") return this.#failLater();
  }

  async #failLater(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error("resumed rejects");
  }

  override async received(message: Message): Promise<void> {
    const [what = "", argument = ""] = message.text.split(" ");
    switch (what) {
      case "plan":
        this.#plan = argument;
        this.send("planned");
        return;
      case "log":
        this.send(this.#log.join(", "));
        return;
      case "hold":
        this.send("holding");
        await new Promise<void>((resolve) => held.push(resolve));
        this.send("held");
        return;
      case "release":
        release();
        return;
      case "block": {
        // Until the test makes a file of this name.
        writeFileSync(`${argument}.held`, "");
        const never = new Int32Array(new SharedArrayBuffer(4));
        while (!existsSync(argument)) Atomics.wait(never, 0, 0, 5);
        this.send("blocked");
        return;
      }
      case "move":
        this.report(Number(argument));
        this.send("asked");
        // The order to move comes while this handler runs.
        await new Promise<void>((resolve) => held.push(resolve));
        return;
      case "uncloneable":
        this.after(60_000, "late", { told: () => {} });
        this.send("planned");
        return;
      case "timers":
        this.after(Number(argument), "late", { told: "later" });
        this.every(Number(argument) / 2, "again", "tick");
        this.after(1, () => this.send("a function"));
        return;
      default:
        this.send(message);
    }
  }

  late({ told }: { readonly told: string }): void {
    this.send(`${told} on ${this.shard}`);
  }

  again(argument: unknown): void {
    this.send(`${argument} on ${this.shard}`);
  }

  override mailed(mail: unknown): void {
    this.#log.push(`mailed ${mail} on ${this.shard}`);
  }

  override closed(code: number): void {
    this.#log.push(`closed ${code}`);
    this.report(this.#log);
  }
}

/** "end": ends the thread of shard 1, which is busy with moves. "release": ends the handlers that hold. */
export function surveyed(question: unknown): void {
  if (question === "end" && shards.has(1)) setImmediate(() => process.exit(1));
  if (question === "release") release();
}
