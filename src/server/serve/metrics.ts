/**
 * The metrics of the server: those of its board, its clients, its questions to the application, and its hooks. They are
 * read when Prometheus asks.
 */
import type { RequestListener } from "node:http";
import type { Gauge, Registry } from "prom-client";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { ControlAnswer } from "../client/control/control.ts";
import { DistinctCount } from "../client/control/distinct-count.ts";
import type { EmulationStats } from "../emulation/emulation.ts";
import type { EndpointSnapshot } from "../hooks/endpoint.ts";
import type { HooksSnapshot } from "../hooks/hooks.ts";

/** Question to the shards for the numbers of their clients and of the application's endpoints. */
export const NUMBERS_QUESTION = { kind: "numbers" } as const;

/** Answer of one shard. Plain data. */
export interface ShardNumbers {
  readonly info: ControlAnswer & { readonly kind: "info" };
  readonly endpoints: Readonly<Record<string, Omit<EndpointSnapshot, "latency">>>;
}

export interface MetricsSources {
  readonly board: Switchboard;
  hooks(): HooksSnapshot;
  emulation(): EmulationStats;
}

/** Time that shards have to answer, in ms. Numbers of a shard that doesn't are missing. */
const TIMEOUT_MS = 1_000;
const NAMES = ["clients", "subscriptions", "users", "channels"] as const;
const ENDPOINT_NAMES = ["calls", "failures", "overloaded", "shortCircuited", "underWay", "waiting"] as const;
const HOOK_NAMES = ["waiting", "waitingBytes", "delivered", "dropped", "posts", "failures"] as const;

/** `prom-client` is an optional peer: without it there are no metrics, and the path says why. */
export async function metricsHandler(sources: MetricsSources): Promise<RequestListener> {
  try {
    const { createMetrics } = await import("../../board/metrics/index.ts");
    const { Gauge: GaugeClass } = await import("prom-client");
    const { registry, handler } = createMetrics(sources.board);
    addServerMetrics(registry, GaugeClass, sources);
    return handler;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    return (_, response) => {
      response.writeHead(501, { "Content-Type": "text/plain" });
      response.end("metrics need the package prom-client: npm install prom-client@15\n");
    };
  }
}

function addServerMetrics(registry: Registry, GaugeClass: typeof Gauge, sources: MetricsSources): void {
  const ask = oncePerScrape(() => numbersOf(sources.board));
  const registers = [registry];
  const clients = {
    clients: "Connected clients.",
    subscriptions: "Subscriptions.",
    users: "Distinct users.",
    channels: "Channels with subscribers.",
  };
  for (const name of NAMES) {
    new GaugeClass({
      name: `switchboard_server_${name}`,
      help: clients[name],
      registers,
      async collect() {
        this.set((await ask()).counts[name]);
      },
    });
  }
  new GaugeClass({
    name: "switchboard_server_questions",
    help: "Questions to the application since the start, or now, by endpoint and by what became of them.",
    registers,
    labelNames: ["endpoint", "state"],
    async collect() {
      this.reset();
      for (const [endpoint, state, value] of (await ask()).endpoints) this.inc({ endpoint, state }, value);
    },
  });
  new GaugeClass({
    name: "switchboard_server_hooks",
    help: "Hooks of the application since the start, or now, by kind and by what became of them.",
    registers,
    labelNames: ["hook", "state"],
    collect() {
      this.reset();
      const { disconnect, occupancy } = sources.hooks();
      for (const [hook, queue] of Object.entries({ disconnect, occupancy })) {
        for (const name of HOOK_NAMES) if (queue !== undefined) this.set({ hook, state: snake(name) }, queue[name]);
      }
    },
  });
  new GaugeClass({
    name: "switchboard_server_emulation",
    help: "Clients without WebSockets since the start, or now, by what became of their requests.",
    registers,
    labelNames: ["state"],
    collect() {
      for (const [name, value] of Object.entries(sources.emulation())) this.set({ state: snake(name) }, value);
    },
  });
}

type EndpointNumber = readonly [endpoint: string, state: string, value: number];

async function numbersOf(board: Switchboard) {
  const infos: ShardNumbers["info"][] = [];
  const endpoints: EndpointNumber[] = [];
  for (const each of await board.survey(NUMBERS_QUESTION, { isLocal: true, timeoutMs: TIMEOUT_MS })) {
    if (each.kind === "failed") continue;
    const { info, endpoints: ofShard } = each.answer as ShardNumbers;
    infos.push(info);
    for (const [endpoint, snapshot] of Object.entries(ofShard)) {
      for (const name of ENDPOINT_NAMES) endpoints.push([endpoint, snake(name), snapshot[name]]);
      endpoints.push([endpoint, "circuits_open", snapshot.circuit === "closed" ? 0 : 1]);
    }
  }
  const counts = {
    clients: infos.reduce((sum, { clients }) => sum + clients, 0),
    subscriptions: infos.reduce((sum, { subscriptions }) => sum + subscriptions, 0),
    users: DistinctCount.merge(infos.map(({ users }) => users))?.value ?? 0,
    channels: DistinctCount.merge(infos.map(({ channels }) => channels))?.value ?? 0,
  };
  return { counts, endpoints };
}

/** All metrics of a scrape ask once. */
function oncePerScrape<Result>(ask: () => Promise<Result>): () => Promise<Result> {
  let asked: Promise<Result> | undefined;
  return () => {
    if (asked === undefined) {
      asked = ask();
      const forget = (): void => {
        asked = undefined;
      };
      asked.then(forget, forget);
    }
    return asked;
  };
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
