/** Reports of `switchboard run` to the program that has started it: systemd, or PM2. */
import { setTimeout as delay } from "node:timers/promises";
import { startChild } from "./children.ts";

/** Tells the state of the service. Does nothing where nobody asks for it. */
export interface ServiceManager {
  /** Connections are served. Also after a replacement, also one that failed. */
  ready(): void;
  reloading(): void;
  stopping(): void;
  /** Resolves when everything has been told, at the latest after 2 s. */
  told(): Promise<void>;
}

const MAX_TELL_MS = 2_000;

/**
 * systemd reads messages at the socket NOTIFY_SOCKET. Node has no sockets of that kind, so the program `systemd-notify`
 * sends them, for which the unit needs `NotifyAccess=all`. PM2 with `wait_ready` waits for a message over the channel
 * of Node's `fork`.
 */
export function serviceManager(report: (line: string) => void): ServiceManager {
  let last = Promise.resolve();
  let failed = false;
  // One after the other: systemd reads them in the order in which they come.
  const notify = (...variables: string[]): void => {
    if (process.env["NOTIFY_SOCKET"] === undefined) return;
    last = last.then(async () => {
      const error = await send(variables);
      if (error === undefined || failed) return;
      failed = true;
      report(`systemd isn't told the state of the service: ${error}`);
    });
  };
  return {
    ready: () => {
      notify("READY=1");
      process.send?.("ready");
    },
    // systemd compares the time with that of its own signal. `hrtime` is the clock that it means (CLOCK_MONOTONIC).
    reloading: () => notify("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`),
    stopping: () => notify("STOPPING=1"),
    told: () => Promise.race([last, delay(MAX_TELL_MS)]),
  };
}

/** Resolves with what went wrong. */
function send(variables: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = startChild("systemd-notify", variables, { stdio: "ignore" });
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code) => resolve(code === 0 ? undefined : `systemd-notify ended with code ${code}`));
  });
}
