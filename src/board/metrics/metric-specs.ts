/** The metrics of the counters of shards, actor modules and the cluster: name, help and unit. */
import type { ActorCounts } from "../../runtime/stats/actor-counters.ts";
import type { CounterName } from "../../runtime/stats/counters.ts";
import type { ClusterStats } from "../switchboard/cluster/node-list.ts";

/** The metric of one counter. */
export interface MetricSpec {
  /** Name without the prefix: with its unit, and with `_total` if it only grows, as Prometheus wants it. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** Factor from the counter to the unit of the name. Default: 1. */
  readonly scale?: number;
}

function total(name: string, help: string): MetricSpec {
  return { name: `${name}_total`, help, type: "counter" };
}

function gauge(name: string, help: string): MetricSpec {
  return { name, help, type: "gauge" };
}

/** Metrics of all counters of a shard. Each has the label `shard`. */
export const SHARD_METRICS: Readonly<Record<CounterName, MetricSpec>> = {
  connections: gauge("connections", "Open WebSocket connections."),
  actors: gauge("actors", "Actors whose connection is open, or of whom a handler is still under way."),
  handshakes: gauge("handshakes", "Sockets in a handshake that the shard does itself."),
  eventLoopUtilization: gauge("event_loop_utilization_ratio", "Busy share of the shard's last second."),
  eventLoopDelayMs: {
    ...gauge("event_loop_delay_seconds", "Mean delay of the shard's timers in the last second."),
    scale: 0.001,
  },
  heapUsedBytes: gauge("heap_used_bytes", "JavaScript memory in use in the shard."),
  memoryBytes: gauge("memory_bytes", "JavaScript memory and buffers in use in the shard."),
  bufferedBytes: gauge("buffered_bytes", "Bytes that wait for peers."),
  mailboxHighWater: gauge("mailbox_high_water", "The most messages and mails that ever waited for one actor."),
  acceptedHere: total("sockets_accepted", "Sockets that the shard accepted by itself."),
  departed: total("sockets_departed", "Sockets that were sent to the shard or accepted there, and are gone."),
  connectionsOpened: total("connections_opened", "Connections opened."),
  movedIn: total("connections_moved_in", "Open connections that came from other shards."),
  movedOut: total("connections_moved_out", "Open connections that went to other shards."),
  movesFailed: total("moves_failed", "Connections that were to go to another shard and stayed."),
  messagesReceived: total("messages_received", "Messages from peers."),
  bytesReceived: total("received_bytes", "Bytes from peers, as on the wire."),
  messagesSent: total("messages_sent", "Messages to peers, also those that a slow-consumer policy drops later."),
  bytesSent: total("sent_bytes", "Bytes of messages to peers, as on the wire."),
  publishes: total("publishes", "Publishes made by actors of the shard."),
  deliveries: total("deliveries", "Publishes handed to subscribers of the shard."),
  publishesDropped: total("publishes_dropped", "Publishes lost on the way to another shard that was too far behind."),
  actorFailures: total("actor_failures", "Handlers of actors that threw or rejected."),
  handlerTimeouts: total("handler_timeouts", "Handlers of actors that were given up because they took too long."),
  deadLetters: total("dead_letters", "Mail between actors that was accepted and not handled, or refused as gone."),
  reportsRefused: total("reports_refused", "Reports of actors that were refused: the main thread was too far behind."),
  publishesFailed: total("publishes_failed", "Publications that the engine didn't store for certain."),
  subscriptionsBehind: total(
    "subscriptions_behind",
    "Times that a subscription to a stream fell behind its peer's reading.",
  ),
  subscriptionsLost: total("subscriptions_lost", "Subscriptions to streams that ended because publications were lost."),
  subscriptionsNotResumed: total(
    "subscriptions_not_resumed",
    "Subscriptions with an encode that ended after a move: resumed didn't subscribe again.",
  ),
  subscriptionsRefused: total("subscriptions_refused", "Subscriptions beyond what one connection may have."),
  violations: total("violations", "Connections closed for what their peer sent."),
  slowConsumersClosed: total("slow_consumers", "Connections closed because their peer didn't read."),
  droppedNewest: total("dropped_newest", "Messages dropped because their peer didn't read, by the policy dropNewest."),
  droppedOldest: total("dropped_oldest", "Messages dropped because their peer didn't read, by the policy dropOldest."),
  conflated: total("conflated", "Publishes that a newer one of their topic replaced, by the policy conflate."),
  rateLimited: total("rate_limited", "Times that a connection was above its rates."),
  abnormalClosures: total("abnormal_closures", "Connections whose peer vanished without a close handshake."),
  handoffsFailed: total("handoffs_failed", "Sockets that couldn't be moved to the shard, or that it didn't take."),
  recycled: total("shard_recycled", "Times that the shard's thread was replaced by a recycling."),
  acceptsFailed: total(
    "accepts_failed",
    "Sockets that the shard refused or couldn't accept, because few descriptors were left.",
  ),
};

/** Metrics of the counts of an actor module. Each has the labels `shard` and `actor`. */
export const ACTOR_METRICS: Readonly<Record<Exclude<keyof ActorCounts, "actor">, MetricSpec>> = {
  connections: gauge("connections", "Open WebSocket connections of the actor module."),
  connectionsOpened: total("connections_opened", "Connections of the actor module that were opened."),
  failures: total("failures", "Handlers of actors of the module that threw or rejected."),
  handlerTimeouts: total("handler_timeouts", "Handlers of actors of the module that were given up."),
};

/**
 * Metrics of what the board knows of all nodes. Sums of totals are left out: they fall when a node leaves, and a
 * Prometheus that asks every node sums them itself.
 */
export const CLUSTER_METRICS: Readonly<
  Record<keyof Pick<ClusterStats, "nodes" | "shards" | "connections" | "messagesDropped">, MetricSpec>
> = {
  nodes: gauge("nodes", "Nodes that share the engine, this one included."),
  shards: gauge("shards", "Shards of all nodes."),
  connections: gauge("connections", "Open WebSocket connections of all nodes, as they last told."),
  messagesDropped: total("messages_dropped", "Control messages to this node that made no sense or found no room."),
};
