/**
 * The server: a board, its HTTP ports, the API, the endpoints for clients. `switchboard serve` starts one, and tests
 * do.
 */
import type { RequestListener, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ClientAddresses } from "../../board/accept/client-address.ts";
import type { RenewalResult } from "../../board/switchboard/moving/renewals.ts";
import { Switchboard } from "../../board/switchboard/switchboard.ts";
import { redis } from "../../engines/redis/index.ts";
import { memory } from "../../runtime/streams/memory/memory-options.ts";
import { closeWhenAnswered } from "../../wire/transport/close-when-answered.ts";
import { createApi } from "../api/api.ts";
import { PublishMemory } from "../api/publish-memory.ts";
import { Channels } from "../channels/channels.ts";
import { topicsOf } from "../channels/topics.ts";
import { clientInfoOf } from "../client/presence-info.ts";
import type { ServerConfig } from "../config/config.ts";
import { createEmulation } from "../emulation/emulation.ts";
import { Hooks } from "../hooks/hooks.ts";
import { DISCONNECTS, ERRORS } from "../protocol/codes.ts";
import { SUBPROTOCOLS } from "../protocol/subprotocols.ts";
import { ApiCounts } from "./api-counts.ts";
import { closeServer, createServer, type Handler, pathOf } from "./http/http-servers.ts";
import { Successor } from "./http/successor.ts";
import type { Log } from "./log.ts";
import { OccupancyReports, type ThreadReport } from "./occupancy-reports.ts";
import { originsOf } from "./origins.ts";
import { ReloadableSettings, type ReloadedConfig } from "./reloading.ts";
import type { CountedParts } from "./server-metrics.ts";
import { ServerState } from "./server-state.ts";
import { UserLimits } from "./user-limits.ts";

/** True in the built package, where the files lie elsewhere than in the sources. */
const built = !import.meta.url.endsWith(".ts");
const ACTOR = new URL(built ? "./server/actor.js" : "./actor.ts", import.meta.url);
/** Topics of a client beside its channels: none now, some to spare. */
const SPARE_TOPICS = 8;
/** Time for hooks that wait when the server closes, in ms. */
const HOOKS_END_MS = 2_000;

export interface ServerOptions {
  readonly config: ServerConfig;
  /** Version of the package. */
  readonly version: string;
  readonly log: Log;
}

/** A report from a shard to the main thread. */
export type ShardReport =
  | ThreadReport
  /** A client of a user wants to connect. Reported only if the connections of a user have a limit. */
  | { readonly kind: "connecting"; readonly user: string }
  | { readonly kind: "disconnected"; readonly event: string };

export interface RunningServer {
  readonly board: Switchboard;
  /** The config that the clients are served by. */
  readonly config: ServerConfig;
  /** Port of the clients; with the API too, unless that has a port of its own. */
  readonly address: AddressInfo;
  /** Port of the API, health and metrics. */
  readonly internalAddress: AddressInfo;
  /**
   * Moves all clients to new threads, with the parts of a config that can change while the server runs. Rejects, with
   * nothing changed, if the threads can't start.
   */
  reload(config: ServerConfig): Promise<RenewalResult & Pick<ReloadedConfig, "needRestart">>;
  /** Resolves when another process has taken everything over (the key `takeover`), and this server has ended. */
  readonly handedOver: Promise<void>;
  /** Ends: readiness first, then clients in batches with 3001, then the ports. */
  close(): Promise<void>;
}

/** Starts a server. Rejects if a port is taken, or the engine can't be reached. Nothing is left running then. */
export async function startServer({ config, version, log }: ServerOptions): Promise<RunningServer> {
  const settings = new ReloadableSettings(ACTOR, { config, version });
  const { url } = settings;
  const hooks = new Hooks(config.hooks, { log });
  const occupancy = new OccupancyReports(hooks);
  const publishMemory = new PublishMemory();
  const state = new ServerState({ publishMemory, occupancy }, log);
  const started: (() => Promise<unknown>)[] = [async () => settings.forget(), () => hooks.close(0)];
  try {
    const board = await startBoard(config, url, state);
    started.push(() => board.close({ timeoutMs: 0 }));
    watch(board, config, hooks, occupancy, log);
    state.watch(board);
    const handedOver = new Promise((resolve) => board.once("handedOver", () => board.once("closed", resolve)));
    const successor = new Successor(board);
    const handlers = await handlersOf(board, config, hooks, { successor, publishMemory }, log);
    const isShared = config.httpServer.internalPort === 0;
    const publicHandlers = isShared ? [...handlers.clients, ...handlers.internal] : handlers.clients;
    const { port, address: host, tls, internalPort, internalAddress: internalHost } = config.httpServer;
    const server = await createServer(publicHandlers, tls);
    started.push(() => closeServer(server));
    attach(board, server, config);
    const internal = isShared ? server : await createServer(handlers.internal);
    if (internal !== server) started.push(() => closeServer(internal));
    const address = await listen(board, server, port, host);
    const internalAddress = isShared ? address : await listen(board, internal, internalPort, internalHost);
    successor.listens({ address: internalAddress, isTls: isShared && tls !== undefined });
    const end = () => close(config, board, hooks, [...new Set([server, internal])], () => settings.forget());
    return {
      board,
      get config() {
        return settings.config;
      },
      address,
      internalAddress,
      handedOver: handedOver.then(end),
      reload: (next) => settings.reload(board, next),
      close: end,
    };
  } catch (error) {
    for (const stop of started.reverse()) await stop();
    throw error;
  }
}

/** Operators know of no actor module: what goes wrong in it is told without its file. */
async function startBoard(config: ServerConfig, actor: URL, state: ServerState): Promise<Switchboard> {
  try {
    return await Switchboard.start(boardOptions(config, actor, state));
  } catch (error) {
    if (error instanceof Error) error.message = error.message.replace(` (in the actor module ${actor})`, "");
    throw error;
  }
}

function boardOptions(
  config: ServerConfig,
  actor: URL,
  { give, take }: ServerState,
): Parameters<typeof Switchboard.start>[0] {
  const { client, channel, websocket, engine, shards, sockets, node, httpServer, takeover } = config;
  return {
    actor,
    ...(shards === 0 ? {} : { shards }),
    sockets,
    topics: topicsOf(channel),
    engine: engine.type === "redis" ? redis({ url: engine.redis.address, prefix: engine.redis.prefix }) : memory(),
    maxPayloadBytes: websocket.messageSizeLimit,
    maxBufferedBytes: client.queueMaxSize,
    maxSubscriptions: client.channelLimit + SPARE_TOPICS,
    compression: websocket.compression,
    trustedProxies: httpServer.trustedProxies,
    // The protocol has pings of its own.
    pingIntervalMs: 0,
    ...(node.name === "" ? {} : { nodeName: node.name }),
    ...(takeover === "" ? {} : { takeover: { path: takeover, give, take } }),
  };
}

function watch(
  board: Switchboard,
  { client }: ServerConfig,
  hooks: Hooks,
  occupancy: OccupancyReports,
  log: Log,
): void {
  const limits = new UserLimits(board, client, (error) => {
    log.error("the connections of a user can't be counted", {
      error: error instanceof Error ? error.message : String(error),
    });
  });
  board.on("reported", ({ shard, value }) => {
    const report = value as ShardReport;
    if (report.kind === "disconnected") hooks.disconnected(report.event);
    else if (report.kind === "connecting") limits.connecting(report.user);
    else occupancy.reported(shard, report);
  });
  board.on("shardLost", ({ shard, reason, connections, error }) => {
    occupancy.shardLost(shard);
    log.error("a shard died; its clients come back to others", { shard, reason, connections, error: error?.message });
  });
  board.on("shardFailed", ({ shard, reason }) => {
    log.error("a shard died again and again, and isn't started any more", { shard, reason });
  });
  board.on("actorFailed", ({ id, handler, error }) => {
    log.error("a client was closed because of a fault in the server", { client: id, handler, error: error.message });
  });
  board.on("engineDown", () => log.error("the engine can't be reached; publishes to channels with history fail"));
  board.on("engineUp", () => log.info("the engine is back"));
  board.on("engineLost", (error) =>
    log.error("the engine's thread died and is started again", { error: error.message }),
  );
  board.on("takenOver", ({ connections, ms }) => {
    log.info("took over from another process", { connections, ms: Math.round(ms) });
  });
  board.on("handedOver", ({ pid, connections, isSilent, pauseMs }) => {
    if (isSilent) log.error("the process that has taken over gives no sign of life", { pid, connections });
    log.info("handed over to another process", { pid, connections, pauseMs: Math.round(pauseMs) });
  });
  board.on("successorFailed", ({ pid, error, lost }) => {
    const goesOn = lost === 0 ? "everything goes on here" : "it ended with the clients that it had taken already";
    log.error(`another process couldn't take over; ${goesOn}`, { pid, error: error.message, lost });
  });
  board.on("takeoverUnavailable", ({ message }) =>
    log.error("no process can take over now; the server tries again to wait for one", { error: message }),
  );
  board.on("acceptFailed", ({ error }) => log.error("a connection can't be accepted", { error: error.message }));
}

/** The parts of the API that a takeover concerns. */
interface ApiParts {
  readonly successor: Successor;
  readonly publishMemory: PublishMemory;
}

async function handlersOf(
  board: Switchboard,
  config: ServerConfig,
  hooks: Hooks,
  { successor, publishMemory }: ApiParts,
  log: Log,
): Promise<{ clients: Handler[]; internal: Handler[] }> {
  const { sse, httpStream, emulation, client, websocket, health, prometheus } = config;
  const origins = originsOf(client.allowedOrigins);
  const endpoints = createEmulation(board, {
    ssePath: sse.enabled && sse.handlerPrefix,
    httpStreamPath: httpStream.enabled && httpStream.handlerPrefix,
    emulationPath: emulation.handlerPrefix,
    maxBodyBytes: websocket.messageSizeLimit,
    onError: (error) => log.error("a client without WebSockets can't be served", { error: error.message }),
    ...(origins === undefined ? {} : { origins }),
  });
  const internal: Handler[] = [];
  const api = new ApiCounts();
  if (!config.httpApi.disabled) internal.push(apiOf(board, config, api, { successor, publishMemory }, log));
  if (health.enabled) {
    const answer = at(health.handlerPrefix, (_, response) => answerHealth(board, response));
    internal.push(successor.first(health.handlerPrefix, answer));
  }
  if (prometheus.enabled) {
    const answer = at(prometheus.handlerPrefix, await metricsHandler({ board, api, hooks, emulation: endpoints }));
    internal.push(successor.first(prometheus.handlerPrefix, answer));
  }
  const clients: Handler[] = sse.enabled || httpStream.enabled ? [(...args) => endpoints.handle(...args)] : [];
  return { clients, internal };
}

function apiOf(
  board: Switchboard,
  { httpApi, httpServer, channel, engine }: ServerConfig,
  counts: ApiCounts,
  { successor, publishMemory }: ApiParts,
  log: Log,
): Handler {
  const answer = createApi({
    board,
    channels: new Channels(channel),
    clientInfoOf,
    versions: engine.type === "memory",
    publishMemory,
    elsewhere: successor.taken,
    ...httpApi,
    answered: (method, error, cause) => {
      counts.answered(method, error?.code ?? 0);
      if (error?.code !== ERRORS.internal.code) return;
      log.error("a request to the API failed", {
        method,
        error: cause instanceof Error ? cause.message : String(cause),
      });
    },
  });
  const handle = successor.first(httpApi.handlerPrefix, answer);
  if (!httpApi.loopbackOnly) return handle;
  const addresses = new ClientAddresses(httpServer.trustedProxies);
  return (request, response) => {
    if (isLoopback(addresses.of(request.headers, request.socket.remoteAddress) ?? "")) return handle(request, response);
    if (!pathOf(request).startsWith(`${httpApi.handlerPrefix}/`)) return false;
    response.writeHead(403, { "Content-Type": "text/plain" });
    response.end(
      "the API is for this machine only: give it a key of your own (http_api.key), or set http_api.loopback_only to false\n",
    );
    return true;
  };
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

/** Green while the server takes clients and its engine answers. Load balancers and Kubernetes ask it. */
function answerHealth(board: Switchboard, response: ServerResponse): void {
  const { ok, ready, engine } = board.health();
  const body = { status: ok ? "ok" : "failing", ready, engine: engine?.status };
  response.writeHead(ok ? 200 : 503, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(JSON.stringify(body));
}

/** `prom-client` is an optional peer: without it there are no metrics, and the path says why. */
async function metricsHandler(parts: CountedParts): Promise<RequestListener> {
  try {
    const { metricsOf } = await import("./server-metrics.ts");
    return metricsOf(parts);
  } catch {
    return (_, response) => {
      response.writeHead(501, { "Content-Type": "text/plain" });
      response.end("metrics need the package prom-client: npm install prom-client@15\n");
    };
  }
}

function at(path: string, listener: RequestListener): Handler {
  return (request, response) => {
    if (pathOf(request) !== path) return false;
    listener(request, response);
    return true;
  };
}

/** The board opens the port, so that another process can take its socket over. */
async function listen(board: Switchboard, server: Server, port: number, host: string): Promise<AddressInfo> {
  return (await board.listen(server, { port, ...(host === "" ? {} : { host }) })) as AddressInfo;
}

function attach(board: Switchboard, server: Server, { client, websocket }: ServerConfig): void {
  const origins = originsOf(client.allowedOrigins);
  board.attach(server, {
    path: websocket.handlerPrefix,
    protocols: SUBPROTOCOLS,
    ...(origins === undefined ? {} : { origins }),
  });
}

async function close(
  { shutdown }: ServerConfig,
  board: Switchboard,
  hooks: Hooks,
  servers: readonly Server[],
  forget: () => void,
): Promise<void> {
  const { readinessDelayMs, timeoutMs } = shutdown;
  const ended = board.close({ ...shutdown, timeoutMs: timeoutMs - readinessDelayMs, ...DISCONNECTS.shutdown });
  // A request that has come is answered before the engine ends: the board waits for servers that are closed.
  const timer = setTimeout(() => servers.forEach(closeWhenAnswered), readinessDelayMs);
  await ended;
  clearTimeout(timer);
  await Promise.all(servers.map(closeServer));
  await hooks.close(HOOKS_END_MS);
  forget();
}
