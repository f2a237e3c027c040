/** The package's entry `switchboard/metrics`: a board's metrics for Prometheus. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Gauge, Registry } from "prom-client";
import type { CounterName } from "../../runtime/stats/counters.ts";
import { argumentError } from "../../wire/upgrade/arguments.ts";
import type { Stats } from "../switchboard/stats.ts";
import type { Switchboard } from "../switchboard/switchboard.ts";
import { ACTOR_METRICS, CLUSTER_METRICS, SHARD_METRICS } from "./metric-specs.ts";
import { PrometheusHistogram } from "./prometheus-histogram.ts";

export interface MetricsOptions {
  /** Registry to use: your own, to show other metrics beside these or to set default labels. Default: a new one. */
  readonly registry?: Registry;
  /** Prefix of every name. Default: `switchboard_`. */
  readonly prefix?: string;
}

/** The metrics of a board. They are read on demand from memory that the shards share, so they wait for no shard. */
export interface BoardMetrics {
  readonly registry: Registry;
  /** Value of the Content-Type header of the text. */
  readonly contentType: string;
  /** Resolves with the text in the exposition format of Prometheus. */
  text(): Promise<string>;
  /** Answers a request with the text: a listener for `node:http` and a handler for Express. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
}

/**
 * Creates the metrics of a board. Needs the package `prom-client` beside this one. Throws `ERR_ARGUMENT` for anything
 * but a board.
 */
export function createMetrics(
  board: Pick<Switchboard, "stats">,
  { registry = new Registry(), prefix = "switchboard_" }: MetricsOptions = {},
): BoardMetrics {
  if (typeof (board as Partial<typeof board> | undefined)?.stats !== "function") {
    throw argumentError("createMetrics takes a board: pass what Switchboard.start resolves with");
  }
  const stats = onceATurn(() => board.stats());
  const registers = [registry];

  for (const [counter, { name, help, type, scale = 1 }] of Object.entries(SHARD_METRICS)) {
    const Metric = type === "gauge" ? Gauge : Counter;
    new Metric({
      name: prefix + name,
      help,
      registers,
      labelNames: ["shard"],
      collect() {
        this.reset();
        for (const shard of stats().shards) this.inc({ shard: shard.shard }, shard[counter as CounterName] * scale);
      },
    });
  }
  new Gauge({
    name: `${prefix}board_info`,
    help: "1, with how the shards read and write their sockets, and why.",
    registers,
    labelNames: ["sockets", "reason"],
    collect() {
      const { kind, reason } = stats().sockets;
      this.set({ sockets: kind, reason }, 1);
    },
  });
  new Gauge({
    name: `${prefix}shard_ready`,
    help: "1 when the shard takes connections, else 0.",
    registers,
    labelNames: ["shard"],
    collect() {
      for (const { shard, ready } of stats().shards) this.set({ shard }, Number(ready));
    },
  });
  new Counter({
    name: `${prefix}connections_closed_total`,
    help: "Closed connections by close code; 1006 is a peer that vanished.",
    registers,
    labelNames: ["shard", "code"],
    collect() {
      this.reset();
      for (const { shard, closes } of stats().shards) {
        for (const [code, count] of Object.entries(closes)) this.inc({ shard, code }, count);
      }
    },
  });
  addActorMetrics(stats, registers, `${prefix}actor_module_`);
  new Counter({
    name: `${prefix}upgrades_total`,
    help: "Upgrade requests by outcome, and by status when they were refused.",
    registers,
    labelNames: ["outcome", "status"],
    collect() {
      this.reset();
      const { refused, ...others } = stats().upgrades;
      for (const [outcome, count] of Object.entries(others)) this.inc({ outcome, status: "" }, count);
      for (const [status, count] of Object.entries(refused)) this.inc({ outcome: "refused", status }, count);
    },
  });
  new Counter({
    name: `${prefix}board_publishes_dropped_total`,
    help: "Publishes of the embedding program lost on the way to a shard that was too far behind.",
    registers,
    collect() {
      this.reset();
      this.inc(stats().publishesDropped);
    },
  });
  new Counter({
    name: `${prefix}board_publishes_failed_total`,
    help: "Publications of the embedding program that the engine didn't store for certain.",
    registers,
    collect() {
      this.reset();
      this.inc(stats().publishesFailed);
    },
  });
  addClusterMetrics(stats, registers, `${prefix}cluster_`);
  const addEngineGauges = addEngineMetrics(stats, registers, `${prefix}engine_`);
  new Counter({
    name: `${prefix}board_dead_letters_total`,
    help: "Mail of the embedding program that nobody handled.",
    registers,
    collect() {
      this.reset();
      this.inc(stats().deadLetters);
    },
  });
  new Counter({
    name: `${prefix}board_accepts_failed_total`,
    help: "Sockets that the main thread refused or couldn't accept, because few descriptors were left.",
    registers,
    collect() {
      this.reset();
      this.inc(stats().acceptsFailed);
    },
  });
  new PrometheusHistogram(
    {
      name: `${prefix}handoff_seconds`,
      help: "Time from the decision to move a socket to a shard until its arrival was known.",
      registers,
    },
    () => stats().shards.map(({ handoff }) => handoff),
  );
  new PrometheusHistogram(
    {
      name: `${prefix}bus_lag_seconds`,
      help: "Time that publishes from other threads were on their way to the shard.",
      registers,
    },
    () => stats().shards.map(({ busLag }) => busLag),
  );

  const text = (): Promise<string> => {
    addEngineGauges();
    return registry.metrics();
  };
  const { contentType } = registry;
  return {
    registry,
    contentType,
    text,
    handler: (_request, response) => {
      text().then(
        (body) => response.setHeader("Content-Type", contentType).end(body),
        (error: Error) => {
          response.statusCode = 500;
          response.end(`${error.message}\n`);
        },
      );
    },
  };
}

/** Adds the counts of each actor module and shard. The default module has an empty label. */
function addActorMetrics(stats: () => Stats, registers: Registry[], prefix: string): void {
  for (const counter of Object.keys(ACTOR_METRICS) as (keyof typeof ACTOR_METRICS)[]) {
    const { name, help, type } = ACTOR_METRICS[counter];
    const Metric = type === "gauge" ? Gauge : Counter;
    new Metric({
      name: prefix + name,
      help,
      registers,
      labelNames: ["shard", "actor"],
      collect() {
        this.reset();
        for (const { shard, byActor } of stats().shards) {
          for (const counts of byActor) this.inc({ shard, actor: counts.actor ?? "" }, counts[counter]);
        }
      },
    });
  }
}

/** Adds what the board knows of all nodes together. Without an engine that is shared these have no values. */
function addClusterMetrics(stats: () => Stats, registers: Registry[], prefix: string): void {
  for (const counter of Object.keys(CLUSTER_METRICS) as (keyof typeof CLUSTER_METRICS)[]) {
    const { name, help, type } = CLUSTER_METRICS[counter];
    const Metric = type === "gauge" ? Gauge : Counter;
    new Metric({
      name: prefix + name,
      help,
      registers,
      // A metric without labels shows a zero when it has no value.
      labelNames: ["engine"],
      collect() {
        this.reset();
        const { cluster, engine } = stats();
        if (cluster !== undefined) this.inc({ engine: engine?.name ?? "" }, cluster[counter]);
      },
    });
  }
}

/**
 * Adds whether the engine is up, and a gauge for each number that the engine tells, as soon as it has told one: engines
 * tell different numbers. Returns a function that adds those which have come since.
 */
function addEngineMetrics(stats: () => Stats, registers: Registry[], prefix: string): () => void {
  const known = new Set<string>();
  const addNew = (): void => {
    for (const gauge of Object.keys(stats().engine?.gauges ?? {})) {
      if (known.has(gauge)) continue;
      known.add(gauge);
      new Gauge({
        name: prefix + gauge,
        help: `What the engine counts as ${gauge}.`,
        registers,
        labelNames: ["engine"],
        collect() {
          this.reset();
          const { name = "", gauges = {} } = stats().engine ?? {};
          if (gauges[gauge] !== undefined) this.set({ engine: name }, gauges[gauge]);
        },
      });
    }
  };
  new Gauge({
    name: `${prefix}up`,
    help: "1 when the engine works, 0 when it can't be reached or nothing arrives from it.",
    registers,
    labelNames: ["engine"],
    collect() {
      addNew();
      const { engine } = stats();
      if (engine !== undefined) this.set({ engine: engine.name }, Number(engine.status === "up"));
    },
  });
  return addNew;
}

/** Reads the stats once for each turn, so that all metrics of one answer show the same moment. */
function onceATurn(read: () => Stats): () => Stats {
  let current: Stats | undefined;
  return () => {
    if (current === undefined) {
      current = read();
      setImmediate(() => {
        current = undefined;
      });
    }
    return current;
  };
}
