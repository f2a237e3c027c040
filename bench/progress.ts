/** The progress of the suite on stderr. Used by `run.ts`. */

const REDRAW_MS = 200;

/** Shows the progress: on a terminal one line that is redrawn, elsewhere one line for each step. */
export class Progress {
  readonly #steps: number;
  readonly #out: NodeJS.WriteStream;
  readonly #startedAt = performance.now();
  #done = 0;
  #label = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(steps: number, out: NodeJS.WriteStream = process.stderr) {
    this.#steps = steps;
    this.#out = out;
  }

  /** Begins a step. */
  begin(label: string): void {
    this.#label = label;
    if (!this.#out.isTTY) return;
    this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS);
    this.#draw();
  }

  /** Ends the step that began last, with its outcome. */
  end(outcome: string): void {
    this.#done++;
    if (!this.#out.isTTY) this.#out.write(`[${this.#done}/${this.#steps}] ${this.#label}: ${outcome}\n`);
  }

  /** Clears the line. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write("\r\x1b[2K");
  }

  #draw(): void {
    const width = 24;
    const filled = Math.floor((this.#done / this.#steps) * width);
    const bar = "━".repeat(filled) + "─".repeat(width - filled);
    const line = `${bar} ${this.#done}/${this.#steps}  ${this.#label}${this.#left()}`;
    this.#out.write(`\r\x1b[2K${line.slice(0, (this.#out.columns || 80) - 1)}`);
  }

  #left(): string {
    if (this.#done === 0) return "";
    const elapsed = (performance.now() - this.#startedAt) / 1000;
    const seconds = Math.round((elapsed / this.#done) * (this.#steps - this.#done));
    return `  ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  }
}
