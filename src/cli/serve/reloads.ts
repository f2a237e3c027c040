/** Reloads of the command `serve`: at SIGHUP, and with `--watch` when the config file changes. */
import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { ServerConfig } from "../../server/config/config.ts";
import { formatFault } from "../../server/config/fault.ts";
import type { LoadedConfig } from "../../server/config/load.ts";
import type { Log } from "../../server/serve/log.ts";
import type { RunningServer } from "../../server/serve/server.ts";

type Good = LoadedConfig & { readonly kind: "ok" };

export interface ReloadSource {
  /** Config file; undefined if the config comes from the environment alone. */
  readonly file: string | undefined;
  /** Loads the config anew. */
  load(): Promise<LoadedConfig>;
}

/** Editors write a file in several steps: time after the last one, in ms. */
const SETTLED_MS = 100;

export class Reloads {
  readonly #server: RunningServer;
  readonly #source: ReloadSource;
  readonly #log: Log;
  #isRunning = false;
  #isDue = false;

  constructor(server: RunningServer, source: ReloadSource, log: Log) {
    this.#server = server;
    this.#source = source;
    this.#log = log;
  }

  /** Reloads now. One that is asked for during another comes after it, and several of them are one. */
  async reload(because: string): Promise<void> {
    this.#isDue = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#isDue) {
      this.#isDue = false;
      await this.#reloadOnce(because);
    }
    this.#isRunning = false;
  }

  /** Reloads when the config file changes. */
  watch(file: string): void {
    let timer: NodeJS.Timeout | undefined;
    // Editors put another file in the place of the old one: a watch of the file itself would stay with the old one.
    const watcher = watch(dirname(file), (_, name) => {
      if (name !== basename(file)) return;
      clearTimeout(timer);
      timer = setTimeout(() => void this.reload(`${file} has changed`), SETTLED_MS);
    });
    watcher.on("error", (error) => this.#log.error("the config file can't be watched", { error: error.message }));
  }

  async #reloadOnce(because: string): Promise<void> {
    const log = this.#log;
    const { file } = this.#source;
    try {
      const loaded = await this.#source.load();
      if (loaded.kind === "faults") {
        for (const fault of loaded.faults) log.error(formatFault(fault, file));
        log.error("not reloaded: the config has faults, and the server goes on as before", { because });
        return;
      }
      for (const warning of loaded.warnings) log.warn(formatFault(warning, file));
      const { needRestart, moved, closed, ms } = await this.#server.reload(this.#withoutNewSecrets(loaded));
      for (const key of needRestart) log.warn(`${key} has changed, and needs a restart: the old value goes on`);
      log.info("reloaded", { because, moved, closed, ms: Math.round(ms) });
    } catch (error) {
      log.error("not reloaded: the server goes on as before", {
        because,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** Secrets that were made for this run stay. */
  #withoutNewSecrets({ config, generated }: Good): ServerConfig {
    const isNew = generated.some(({ path }) => path === "client.token.hmac_secret_key");
    if (!isNew) return config;
    return { ...config, client: { ...config.client, token: this.#server.config.client.token } };
  }
}
