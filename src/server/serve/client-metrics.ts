/**
 * The metrics of the server's clients, and of its questions to the application. The shards are asked when Prometheus
 * asks. `server-metrics.ts` loads this file.
 */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import { DistinctCount } from "../client/control/distinct-count.ts";
import type { RefusedCount } from "./client-watch.ts";
import { NUMBERS_QUESTION, type ShardNumbers } from "./shard-numbers.ts";

/** Time that shards have to answer, in ms. Numbers of a shard that doesn't are missing. */
const TIMEOUT_MS = 1_000;
const COUNTS = {
  clients: "Connected clients.",
  subscriptions: "Subscriptions of all clients.",
  users: "Distinct users of connected clients.",
  channels: "Channels with subscribers.",
};
const ENDPOINT_NAMES = ["calls", "failures", "overloaded", "shortCircuited", "underWay", "waiting"] as const;

/** Adds the metrics of clients and questions to those of the board. */
export function addClientMetrics(registry: Registry, board: Switchboard): void {
  const ask = oncePerScrape(() => numbersOf(board));
  const registers = [registry];
  for (const [name, help] of Object.entries(COUNTS)) {
    new Gauge({
      name: `switchboard_server_${name}`,
      help,
      registers,
      async collect() {
        this.set((await ask()).counts[name as keyof typeof COUNTS]);
      },
    });
  }
  new Counter({
    name: "switchboard_server_refused_total",
    help: "Commands of clients that were refused, by their kind and by the reason.",
    registers,
    labelNames: ["command", "reason"],
    async collect() {
      this.reset();
      for (const [command, reason, count] of (await ask()).refused) this.inc({ command, reason }, count);
    },
  });
  new Gauge({
    name: "switchboard_server_questions",
    help: "Questions to the application since the start, or now, by endpoint and by what became of them.",
    registers,
    labelNames: ["endpoint", "state"],
    async collect() {
      this.reset();
      for (const [endpoint, state, value] of (await ask()).endpoints) this.inc({ endpoint, state }, value);
    },
  });
}

type EndpointNumber = readonly [endpoint: string, state: string, value: number];

async function numbersOf(board: Switchboard) {
  const infos: ShardNumbers["info"][] = [];
  const endpoints: EndpointNumber[] = [];
  const refused: RefusedCount[] = [];
  for (const each of await board.survey(NUMBERS_QUESTION, { isLocal: true, timeoutMs: TIMEOUT_MS })) {
    if (each.kind === "failed") continue;
    const { info, refused: inShard, endpoints: ofShard } = each.answer as ShardNumbers;
    infos.push(info);
    refused.push(...inShard);
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
  return { counts, endpoints, refused };
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
