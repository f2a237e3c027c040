/** The log of the server: lines of JSON for machines, or text for people. Only the command writes logs. */
import type { ServerConfig } from "../config/config.ts";

const LEVELS = ["debug", "info", "warn", "error", "none"] as const;
type Level = Exclude<(typeof LEVELS)[number], "none">;

/** Facts of a line. They hold no secrets. */
export type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

export class Log {
  readonly #least: number;
  readonly #format: ServerConfig["log"]["format"];
  readonly #write: (line: string) => void;

  constructor({ level, format }: ServerConfig["log"], write: (line: string) => void = writeToStderr) {
    this.#least = LEVELS.indexOf(level);
    this.#format = format;
    this.#write = write;
  }

  /** True if lines of the level `debug` are written. */
  get isDebug(): boolean {
    return this.#least === 0;
  }

  debug(message: string, facts: Facts = {}): void {
    this.#log("debug", message, facts);
  }

  info(message: string, facts: Facts = {}): void {
    this.#log("info", message, facts);
  }

  warn(message: string, facts: Facts = {}): void {
    this.#log("warn", message, facts);
  }

  error(message: string, facts: Facts = {}): void {
    this.#log("error", message, facts);
  }

  #log(level: Level, message: string, facts: Facts): void {
    if (LEVELS.indexOf(level) < this.#least) return;
    const time = new Date().toISOString();
    if (this.#format === "json") {
      this.#write(JSON.stringify({ time, level, message, ...facts }));
      return;
    }
    const told = Object.entries(facts).filter(([, value]) => value !== undefined);
    const shown = told.map(([name, value]) => ` ${name}=${typeof value === "string" ? JSON.stringify(value) : value}`);
    this.#write(`${time} ${level.toUpperCase().padEnd(5)} ${message}${shown.join("")}`);
  }
}

function writeToStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
