/**
 * The scenario `deploy`: clients under load while their server is replaced. Switchboard hands its connections to a new
 * process; `ws` is restarted, once in place, and once with the new process listening before the old one closes. Prints
 * a table, and writes the curve. Run by hand.
 *
 *     node bench/deploy.ts [--clients 1000] [--seconds 4] [--only switchboard,restart,overlap] [--svg FILE]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ClientsSeen } from "./deploy/clients.ts";
import { type Curve, curveChart, waitsOf } from "./deploy/curve.ts";
import { Supervised } from "./deploy/supervised.ts";
import { drawSvg } from "./report/svg.ts";
import { COMPILE_CACHE, ServerProcess } from "./server-process.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "1000" },
    seconds: { type: "string", default: "4" },
    only: { type: "string", default: "switchboard,restart,overlap" },
    svg: { type: "string", default: join(import.meta.dirname, "results/deploy.svg") },
  },
});

/** Time before the deploy that the curve shows, in ms. */
const BEFORE_MS = 1_000;
/** Time after the deploy that the curve shows at least, in ms. */
const AFTER_MS = 1_000;
const WIDTH = 860;

/** A server that can be replaced. */
interface Deployable {
  readonly port: number;
  /** Resolves when the new process serves alone. */
  deploy(): Promise<void>;
  stop(): Promise<void>;
}

interface Deploy {
  readonly title: string;
  readonly color: string;
  start(): Promise<Deployable>;
}

const target = (name: string): string => join(import.meta.dirname, "deploy/targets", name);

const DEPLOYS: Readonly<Record<string, Deploy>> = {
  switchboard: {
    title: "Switchboard, taken over",
    color: "#2563eb",
    async start() {
      // The port must be known to the next process.
      const args = [target("switchboard.ts"), String(await freePort())];
      const server = Supervised.start(args, import.meta.dirname, { NODE_COMPILE_CACHE: COMPILE_CACHE });
      const [, port] = await server.prints(/listening on (\d+)/);
      return { port: Number(port), deploy: () => server.replace(), stop: () => server.stop() };
    },
  },
  restart: { title: "ws, restarted", color: "#dc2626", start: () => startWs([]) },
  overlap: { title: "ws, new process first", color: "#d97706", start: () => startWs(["--reuse-port"]) },
};

async function startWs(flags: readonly string[]): Promise<Deployable> {
  const start = (port: number): Promise<ServerProcess> =>
    ServerProcess.start([process.execPath, target("ws.ts"), String(port), ...flags], undefined);
  let server = await start(await freePort());
  const { port } = server;
  return {
    port,
    async deploy() {
      const old = server;
      if (flags.length > 0) server = await start(port);
      await old.stop();
      if (flags.length === 0) server = await start(port);
    },
    stop: () => server.stop(),
  };
}

/** A port that nobody listens on at the moment. */
async function freePort(): Promise<number> {
  const server = await ServerProcess.start([process.execPath, target("ws.ts"), "0"], undefined);
  await server.stop();
  return server.port;
}

interface Outcome {
  readonly title: string;
  readonly curve: Curve;
  readonly seen: ClientsSeen;
  readonly deployMs: number;
}

async function run({ title, color, start }: Deploy): Promise<Outcome> {
  const server = await start();
  let clients: ChildProcess | undefined;
  try {
    clients = fork(join(import.meta.dirname, "deploy/clients.ts"), [String(server.port), values.clients]);
    await once(clients, "message");
    await delay(BEFORE_MS + 500);
    clients.send("go");
    const at = performance.timeOrigin + performance.now();
    await server.deploy();
    const deployMs = performance.timeOrigin + performance.now() - at;
    const endMs = Math.max(Number(values.seconds) * 1_000, deployMs + AFTER_MS);
    await delay(endMs - deployMs);
    clients.send("stop");
    const [seen] = (await once(clients, "message")) as [ClientsSeen];
    const waits = waitsOf(seen, at, -BEFORE_MS, endMs);
    return { title, curve: { title, color, waits }, seen, deployMs };
  } finally {
    clients?.kill();
    await server.stop();
  }
}

const outcomes: Outcome[] = [];
for (const name of values.only.split(",")) {
  const deploy = DEPLOYS[name];
  if (deploy === undefined) throw new RangeError(`there is no ${name}, only ${Object.keys(DEPLOYS).join(", ")}`);
  console.error(`${deploy.title} …`);
  outcomes.push(await run(deploy));
}
console.log(
  "| | disconnects | messages lost | longest time without an answer: median client | 99 % | worst | deploy |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const { title, seen, deployMs } of outcomes) {
  const sorted = seen.longestMs.toSorted((a, b) => a - b);
  const ms = (share: number): string =>
    `${(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(0)} ms`;
  const figures = [
    title,
    seen.disconnects,
    seen.lost + seen.wrong,
    ms(0.5),
    ms(0.99),
    ms(1),
    `${deployMs.toFixed(0)} ms`,
  ];
  console.log(`| ${figures.join(" | ")} |`);
}
console.log("\nClients send a message every 100 ms, so the time without an answer is 100 ms also without a deploy.");
mkdirSync(dirname(values.svg), { recursive: true });
const chart = curveChart(
  outcomes.map(({ curve }) => curve),
  Number(values.clients),
);
writeFileSync(values.svg, drawSvg(chart, WIDTH));
console.log(relative(process.cwd(), values.svg));
process.exit(0);
