/**
 * The metrics of the server beside those of its board: the API, hooks, clients without WebSockets. `server.ts` loads
 * this file only where `prom-client` is wanted.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Gauge, type Registry } from "prom-client";
import { createMetrics } from "../../board/metrics/index.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { EmulationStats } from "../emulation/emulation.ts";
import type { HookQueueSnapshot } from "../hooks/hook-queue.ts";
import type { HooksSnapshot } from "../hooks/hooks.ts";
import type { ApiCount } from "./api-counts.ts";
import { addClientMetrics } from "./client-metrics.ts";

/** The sources of the numbers. They are read when Prometheus asks. */
export interface CountedParts {
  readonly board: Switchboard;
  readonly api: Iterable<ApiCount>;
  readonly hooks: { snapshot(): HooksSnapshot };
  readonly emulation: { stats(): EmulationStats };
}

const PREFIX = "switchboard_server_";

const HOOK_COUNTERS: Readonly<Record<string, readonly [keyof HookQueueSnapshot, string]>> = {
  hook_events_delivered_total: ["delivered", "Notifications that the application took."],
  hook_events_dropped_total: ["dropped", "Notifications that were given up: too many waited, or they were too old."],
  hook_posts_total: ["posts", "POSTs of notifications."],
  hook_post_failures_total: ["failures", "POSTs of notifications that failed."],
};

const EMULATION_COUNTERS: Readonly<Record<string, readonly [keyof EmulationStats, string]>> = {
  emulation_streams_opened_total: ["streamsOpened", "Streams of clients without WebSockets that were opened."],
  emulation_streams_refused_total: ["streamsRefused", "Streams of clients without WebSockets that were refused."],
  emulation_commands_refused_total: ["commandsRefused", "Requests with commands of these clients that were refused."],
};

/** Returns the listener for the path of the metrics. */
export function metricsOf({ board, api, hooks, emulation }: CountedParts) {
  const { registry, handler } = createMetrics(board);
  const registers = [registry];
  addClientMetrics(registry, board);
  new Counter({
    name: `${PREFIX}api_commands_total`,
    help: "Commands of the HTTP API by method, and by the code of their error; code 0 is a result. A batch counts once.",
    labelNames: ["method", "code"],
    registers,
    collect() {
      this.reset();
      for (const { method, code, count } of api) this.inc({ method, code }, count);
    },
  });
  const queuesOf = (): [string, HookQueueSnapshot][] => {
    const { disconnect, occupancy } = hooks.snapshot();
    return Object.entries({ disconnect, occupancy }).filter((one): one is [string, HookQueueSnapshot] => !!one[1]);
  };
  new Gauge({
    name: `${PREFIX}hook_events_waiting`,
    help: "Notifications that wait for the application.",
    labelNames: ["hook"],
    registers,
    collect() {
      for (const [hook, { waiting }] of queuesOf()) this.set({ hook }, waiting);
    },
  });
  for (const [name, [field, help]] of Object.entries(HOOK_COUNTERS)) {
    const collect = function (this: Counter<"hook">): void {
      this.reset();
      for (const [hook, counts] of queuesOf()) this.inc({ hook }, counts[field]);
    };
    new Counter({ name: PREFIX + name, help, labelNames: ["hook"], registers, collect });
  }
  addEmulation(emulation, registers);
  return handler satisfies (request: IncomingMessage, response: ServerResponse) => void;
}

function addEmulation(emulation: CountedParts["emulation"], registers: Registry[]): void {
  new Gauge({
    name: `${PREFIX}emulation_streams`,
    help: "Clients without WebSockets that are connected.",
    registers,
    collect() {
      this.set(emulation.stats().streams);
    },
  });
  for (const [name, [field, help]] of Object.entries(EMULATION_COUNTERS)) {
    const collect = function (this: Counter): void {
      this.reset();
      this.inc(emulation.stats()[field]);
    };
    new Counter({ name: PREFIX + name, help, registers, collect });
  }
}
