/** One thread of the load: runs a scenario as the main thread commands. `workers/load.ts` is its entry. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { DEFAULT_COMPRESSION } from "../wire/protocol/deflate/compression.ts";
import type { LatencyHistogram } from "./histogram.ts";
import type { LoadCommand, LoadNotice, LoadTask, ThreadHistogram, ThreadReport } from "./messages.ts";
import { Meter } from "./meter.ts";
import { Echo } from "./scenarios/echo.ts";
import { Fanout } from "./scenarios/fanout.ts";
import { Idle } from "./scenarios/idle.ts";
import type { Scenario, ScenarioHost } from "./scenarios/scenario.ts";
import { Storm } from "./scenarios/storm.ts";
import { Tally } from "./tally.ts";

/** Time for replies after the last message was sent. */
const REPLY_TIMEOUT_MS = 5_000;
const PROGRESS_MS = 500;
const POLL_MS = 1;
/** Smallest limit for the length of a server's messages: greetings may be longer than the replies. */
const MIN_MESSAGE_LIMIT_BYTES = 1024 * 1024;

const scenarios = { echo: Echo, fanout: Fanout, storm: Storm, idle: Idle };

/** The counts and costs of the counted time. */
type Counted = Pick<ThreadReport, "sent" | "received" | "bytesSent" | "bytesReceived" | "effort">;

const NOTHING_COUNTED: Counted = {
  sent: 0,
  received: 0,
  bytesSent: 0,
  bytesReceived: 0,
  effort: { seconds: 0, cpuSeconds: 0, busy: 0, loopDelayP99Ms: 0 },
};

/** Runs this thread of the load. Does nothing in the main thread. */
export function runLoad(): void {
  if (parentPort !== null) new LoadThread(parentPort, workerData as LoadTask);
}

class LoadThread {
  readonly #port: MessagePort;
  readonly #tally = new Tally();
  readonly #meter = new Meter();
  readonly #scenario: Scenario;
  readonly #progress: NodeJS.Timeout;
  /** Number of open connections. */
  #open = 0;
  /** Number of open connections that the main thread was told last. */
  #told = 0;
  #counted: Counted = NOTHING_COUNTED;

  constructor(port: MessagePort, task: LoadTask) {
    const { settings, target, connections, before, fanout } = task;
    this.#port = port;
    const host: ScenarioHost = {
      settings,
      client: {
        target,
        headers: settings.headers,
        insecure: settings.insecure,
        compression: settings.compress ? { ...DEFAULT_COMPRESSION, threshold: 0 } : undefined,
        maxMessageBytes: Math.max(MIN_MESSAGE_LIMIT_BYTES, 2 * settings.bytes),
        tally: this.#tally,
      },
      tally: this.#tally,
      connections,
      before,
      fanout,
      stepReached: (open) => this.#post({ kind: "step", connections: open }),
      spent: () => this.#post({ kind: "spent" }),
      openChanged: (open) => {
        this.#open = open;
        if (open === connections || open === 0) this.#tell();
      },
    };
    this.#scenario = new scenarios[settings.scenario](host);
    this.#progress = setInterval(() => this.#tell(), PROGRESS_MS);
    port.on("message", (command: LoadCommand) => this.#obey(command));
    void this.#scenario.open().then(() => {
      this.#tell();
      this.#post({ kind: "ready" });
    });
  }

  #post(notice: LoadNotice): void {
    this.#port.postMessage(notice);
  }

  #tell(): void {
    if (this.#open !== this.#told) this.#post({ kind: "open", connections: this.#open });
    this.#told = this.#open;
    this.#post({ kind: "progress", received: this.#tally.received });
  }

  #obey({ kind }: LoadCommand): void {
    if (kind === "send") {
      this.#scenario.start();
    } else if (kind === "start") {
      this.#tally.restart();
      this.#meter.start();
      this.#post({ kind: "started" });
    } else if (kind === "end") {
      const { sent, received, bytesSent, bytesReceived } = this.#tally;
      this.#counted = { sent, received, bytesSent, bytesReceived, effort: this.#meter.stop() };
      this.#post({ kind: "ended" });
    } else if (kind === "stop") {
      this.#scenario.stop();
    } else if (kind === "settle") {
      void this.#settle();
    } else if (kind === "report") {
      this.#report();
    } else {
      this.#finish();
    }
  }

  /** Waits for missing replies, and counts those that don't come as lost. */
  async #settle(): Promise<void> {
    const giveUpAt = performance.now() + REPLY_TIMEOUT_MS;
    while (this.#scenario.outstanding > 0 && performance.now() < giveUpAt) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const missing = this.#scenario.outstanding;
    this.#tally.lost += missing;
    if (missing > 0) this.#tally.error(`replies were missing ${REPLY_TIMEOUT_MS / 1000} s after the last message`);
    this.#post({ kind: "settled" });
  }

  #report(): void {
    const { lost, wrong, opened, failed, closed } = this.#tally;
    const { latency, slip, errors } = this.#tally;
    this.#post({
      kind: "report",
      report: {
        ...this.#counted,
        lost,
        wrong,
        opened,
        failed,
        closed,
        errors,
        latency: portable(latency),
        slip: portable(slip),
      },
    });
  }

  #finish(): void {
    clearInterval(this.#progress);
    this.#scenario.close();
    this.#port.close();
  }
}

/** Converts a histogram to plain data. */
function portable(histogram: LatencyHistogram): ThreadHistogram {
  return { counts: histogram.counts(), mean: histogram.mean, max: histogram.max };
}
