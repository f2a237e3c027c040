/** The form of notifications: the events, the body of a POST, and its headers with the signature. */
import { builtins } from "../../wire/node-internals/builtins.ts";
import type { ClientFacts } from "../client/backend.ts";
import type { EndpointConfig } from "../config/config.ts";
import { addMeta, JsonObject, protocolOf } from "./request-body.ts";

/** Header with the signature of the body. */
export const SIGNATURE_HEADER = "x-switchboard-signature";

/** A client has gone. The text crosses threads: the shard makes it, the main thread sends it. */
export function disconnectEvent(config: EndpointConfig, facts: ClientFacts, code: number, reason: string): string {
  const event = new JsonObject()
    .value("name", "disconnect")
    .value("time_ms", Date.now())
    .value("client", facts.client)
    .value("transport", facts.transport)
    .value("protocol", protocolOf(facts))
    .value("user", facts.user)
    .value("code", code)
    .value("reason", reason);
  addMeta(event, config, facts);
  return event.toString();
}

/** A channel got its first subscriber, or its last one has left. */
export function occupancyEvent(name: "channel_occupied" | "channel_vacated", channel: string): string {
  return new JsonObject().value("name", name).value("time_ms", Date.now()).value("channel", channel).toString();
}

/** A client subscribed in cache mode to a channel in which nothing is. */
export function cacheMissEvent(channel: string): string {
  return new JsonObject().value("name", "cache_miss").value("time_ms", Date.now()).value("channel", channel).toString();
}

/** The body of a POST with these events. */
export function hookBody(events: readonly string[]): Buffer {
  return Buffer.from(`{"time_ms":${Date.now()},"events":[${events.join()}]}`);
}

/** The headers of a POST with this body. A `secret` that is "" leaves it without a signature. */
export function hookHeaders(
  fixed: Readonly<Record<string, string>>,
  secret: string,
  body: Buffer,
): Record<string, string> {
  const headers: Record<string, string> = { ...fixed, "content-type": "application/json" };
  if (secret !== "")
    headers[SIGNATURE_HEADER] = builtins.crypto.createHmac("sha256", secret).update(body).digest("hex");
  return headers;
}
