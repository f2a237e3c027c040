/** The progress line of `switchboard bench`. */
import type { WriteStream } from "node:tty";
import type { LoadEvent } from "../load/run.ts";
import type { LoadSettings } from "../load/settings.ts";

const CLEAR_LINE = "\r\x1b[K";
/** Width of the progress bar, in characters. */
const BAR_WIDTH = 20;

/** Shows the progress of a run in one line on a terminal. Prints nothing to any other output. */
export class Progress {
  readonly #settings: LoadSettings;
  readonly #out: WriteStream | undefined;
  #counting = false;

  constructor(settings: LoadSettings, out: WriteStream) {
    this.#settings = settings;
    this.#out = out.isTTY ? out : undefined;
  }

  tell(event: LoadEvent): void {
    if (event.event === "start") this.#counting = true;
    if (event.event === "end") this.#show("waiting for the last replies");
    if (event.event !== "progress") return;
    const { connections, duration } = this.#settings;
    if (!this.#counting) {
      this.#show(`${event.connections} of ${connections} connections`);
      return;
    }
    const part = Math.min(1, event.seconds / duration);
    const filled = Math.round(part * BAR_WIDTH);
    const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
    const perSecond = event.seconds > 0 ? Math.round(event.received / event.seconds) : 0;
    this.#show(
      `${bar} ${event.seconds.toFixed(0)} of ${duration} s  ${event.connections} connections  ${perSecond.toLocaleString("en")} messages/s`,
    );
  }

  /** Clears the line. */
  end(): void {
    this.#out?.write(CLEAR_LINE);
  }

  #show(text: string): void {
    this.#out?.write(CLEAR_LINE + text.slice(0, Math.max(0, this.#out.columns - 1)));
  }
}
