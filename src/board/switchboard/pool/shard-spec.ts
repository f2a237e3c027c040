/**
 * The settings with which a shard's thread starts. `LiveShards` fills in a `ShardSpec`, and `ShardHandle` turns it into
 * the thread's task.
 */
import type { MessagePort } from "node:worker_threads";
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { UringEstate } from "../../../wire/transport/uring/uring-estate.ts";
import type { ActorName, ConnectionLimits } from "../../connection/connection-host.ts";
import type { ShardEvent } from "../../connection/shard-events.ts";
import type { LateUpgradeReport, ModuleReport, ShardEngine, ShardTask, ThreadLink } from "../../shard/messages.ts";
import type { MovesReport } from "../../shard/moving/messages.ts";
import type { SocketDispatchSettings } from "./socket-dispatch.ts";

export interface ShardSpec extends SocketDispatchSettings {
  readonly shard: number;
  /** Beginning of all addresses of this node: `<node>.`, or "". */
  readonly addressPrefix: string;
  /** URLs of the actor modules, by name. */
  readonly actors: ReadonlyMap<ActorName, string>;
  /** True if the thread is warmed up before the shard is ready. */
  readonly warmUp: boolean;
  readonly options: ConnectionLimits;
  readonly trustedProxies: readonly string[];
  /** List of what the shard owns past Node, if it reads and writes them through io_uring. */
  readonly uringEstate: UringEstate | undefined;
  /** Milliseconds for which the shard's event loop may be blocked. 0: no limit. */
  readonly timeoutMs: number;
  /** Milliseconds that the shard has to become ready. 0: no limit. */
  readonly startTimeoutMs: number;
  /** Way to the engine; undefined if the board has none. */
  readonly engine: ShardEngine | undefined;
  /** Links; their far ends are with the main thread's bus and with the other shards. */
  readonly links: readonly ThreadLink[];
  /** Takes the events of the shard. */
  readonly event: (event: ShardEvent) => void;
  /** Takes what actors and their modules report. */
  readonly reported: (reports: readonly ModuleReport[]) => void;
  /** Connections have left the shard for others, or have come. */
  readonly moved: (report: MovesReport) => void;
  /** Takes publishes for subscribers that have gone to another process. */
  readonly published: (publish: PassedPublish) => void;
  /** Takes sockets for the process that has taken over. */
  readonly lateUpgrade: (report: LateUpgradeReport) => void;
}

/** The main thread's parts of a shard that the thread gets an end of. */
export type ShardEnds = Pick<ShardTask, "control" | "meter" | "pulse" | "handoff" | "relay" | "rawSockets">;

/** Returns the task of a shard's thread, and all ports in it, which are transferred. */
export function shardTask(
  spec: ShardSpec,
  ends: ShardEnds,
): { readonly task: ShardTask; readonly ports: MessagePort[] } {
  const { shard, life, addressPrefix, actors, warmUp, options, trustedProxies, counters, engine, links } = spec;
  const uringEstate = spec.uringEstate?.memory;
  const ports = [ends.control, ...[ends.handoff, ends.relay, ends.rawSockets, ...links].map(({ port }) => port)];
  if (engine?.port !== undefined) ports.push(engine.port);
  const board = { addressPrefix, actors, warmUp, options, trustedProxies, engine, links };
  return { task: { shard, life, counters: counters.memory, uringEstate, ...board, ...ends }, ports };
}
