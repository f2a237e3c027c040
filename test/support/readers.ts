/** Thousands of subscribers in a process of their own. Used by tests of large fan-outs. */
import { type ChildProcess, fork } from "node:child_process";
import { onTestFinished } from "vitest";

export interface ReadersOptions {
  readonly port: number;
  readonly count: number;
  readonly topic: string;
  /** Payload length of each publish, in bytes. */
  readonly bytes: number;
}

/** The lines that `programs/readers.ts` prints. */
export type ReadersStory =
  | { readonly event: "subscribed" }
  /** All readers have this publish and all earlier ones. */
  | { readonly event: "published"; readonly number: number }
  | { readonly event: "wrong"; readonly what: string };

/** Many subscribers in a process of their own, which ends with the test. */
export class Readers {
  readonly #child: ChildProcess;
  #subscribed = false;
  #published = -1;
  #wrong: string | undefined;
  #wake = (): void => {};

  constructor(options: ReadersOptions) {
    this.#child = fork(new URL("./programs/readers.ts", import.meta.url), [JSON.stringify(options)], { execArgv: [] });
    onTestFinished(() => void this.#child.kill("SIGKILL"));
    this.#child.on("message", (story: ReadersStory) => {
      if (story.event === "subscribed") this.#subscribed = true;
      else if (story.event === "published") this.#published = story.number;
      else this.#wrong ??= story.what;
      this.#wake();
    });
    this.#child.on("exit", (code, signal) => {
      this.#wrong ??= `the readers ended with ${code ?? signal}`;
      this.#wake();
    });
  }

  async subscribed(): Promise<void> {
    await this.#until(() => this.#subscribed);
  }

  /** Resolves when all readers have this publish and all earlier ones. Rejects if one received anything else. */
  async have(number: number): Promise<void> {
    await this.#until(() => this.#published >= number);
  }

  async #until(done: () => boolean): Promise<void> {
    for (;;) {
      if (this.#wrong !== undefined) throw new Error(this.#wrong);
      if (done()) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
