/**
 * Counters, events and channels of `node:diagnostics_channel` for what happens to a connection: its opening, failures
 * of its actor, its end. The acceptor and the connections publish to the channels.
 */
import { channel } from "node:diagnostics_channel";
import { reportError, SwitchboardError } from "../../errors.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { HandlerName } from "../../runtime/actor/work.ts";
import type { UpgradeRequest } from "../../wire/handshake/server.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";
import type { Closing } from "../../wire/protocol/close-handshake.ts";
import type { ConnectionContext } from "./connection-context.ts";
import type { ConnectionHost } from "./connection-host.ts";

/** Message about an answered upgrade request, in the thread that did the handshake. */
export interface UpgradeDiagnostics {
  /** Undefined if the request couldn't be parsed. */
  readonly request: UpgradeRequest | undefined;
  readonly outcome: "accepted" | "refused" | "abandoned" | "failed" | "passedOn";
  /** HTTP status of a refusal. */
  readonly status?: number;
}

/** Message about a connection that opened, or ended for its actor, in the shard's thread. */
export interface ConnectionDiagnostics {
  readonly address: Address;
  readonly shard: number;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  /** Close code; only of a connection that ended. */
  readonly code?: number;
  readonly reason?: string;
}

/** Channels of `node:diagnostics_channel`, one set per thread. Check `hasSubscribers` before making a message. */
export const upgradeChannel = channel("switchboard:upgrade");
export const openedChannel = channel("switchboard:connection:opened");
export const closedChannel = channel("switchboard:connection:closed");

/** Counts a connection that opens, and its actor, and tells the subscribers of `openedChannel`. */
export function reportOpening({ counters }: ConnectionHost, { actor, address, shard }: ConnectionContext): void {
  counters.add("connections");
  counters.add("actors");
  counters.add("connectionsOpened");
  counters.byActor.add(actor, "connections");
  counters.byActor.add(actor, "connectionsOpened");
  if (openedChannel.hasSubscribers) openedChannel.publish({ address, shard, actor });
}

/** Counts a connection that has come from another shard, without a word to anybody. */
export function countArrival({ counters }: ConnectionHost, { actor }: ConnectionContext): void {
  counters.add("connections");
  counters.add("actors");
  counters.add("movedIn");
  counters.byActor.add(actor, "connections");
}

/** Counts a connection that has left for another shard. */
export function countDeparture({ counters }: ConnectionHost, { actor }: ConnectionContext): void {
  counters.add("connections", -1);
  counters.add("actors", -1);
  counters.add("movedOut");
  counters.byActor.add(actor, "connections", -1);
}

/** Counts and reports a handler that failed. */
export function reportFailure(
  { counters, events }: ConnectionHost,
  { actor, address }: ConnectionContext,
  handler: HandlerName,
  error: unknown,
  outcome: FailureOutcome,
): void {
  counters.add("actorFailures");
  counters.byActor.add(actor, "failures");
  events.report("actorFailed", { id: address, actor, handler, outcome, error: reportError(error) });
}

/** Counts and reports a handler that was given up after `limitMs`. */
export function reportTimeout(
  { counters, events }: ConnectionHost,
  { actor, address }: ConnectionContext,
  handler: HandlerName,
  limitMs: number,
): void {
  counters.add("handlerTimeouts");
  counters.byActor.add(actor, "handlerTimeouts");
  events.report("handlerTimedOut", { id: address, actor, handler, limitMs });
}

/** Counts and reports a subscription that has ended after a move, because the actor didn't give its `encode` again. */
export function reportNotResumed(
  { counters, events }: ConnectionHost,
  { actor, address }: ConnectionContext,
  topic: string,
): void {
  counters.add("subscriptionsNotResumed");
  const message = `the subscription to ${JSON.stringify(topic)} has ended, because its encode couldn't move with the connection: subscribe again in resumed, with the encode`;
  const error = reportError(new SwitchboardError("ERR_NOT_RESUMED", message));
  events.report("subscriptionNotResumed", { id: address, actor, topic, error });
}

/** Counts a connection that has ended for its actor, and tells the subscribers of `closedChannel`. */
export function reportEnd(
  { counters, events }: ConnectionHost,
  { actor, address, shard }: ConnectionContext,
  { code, reason }: Closing,
): void {
  counters.closes.add(code);
  if (code === CloseCode.abnormal) {
    counters.add("abnormalClosures");
    events.report("abnormalClosure", { id: address, actor });
  }
  if (closedChannel.hasSubscribers) closedChannel.publish({ address, shard, actor, code, reason });
}

/** Counts a connection whose transport is gone. */
export function countClosed({ counters }: ConnectionHost, { actor }: ConnectionContext): void {
  counters.add("connections", -1);
  counters.byActor.add(actor, "connections", -1);
}
