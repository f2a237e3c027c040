/** Pushes of joins and leaves: encoded once for each codec, whatever the number of clients that are told. */
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import type { Codec, Encoded } from "../protocol/messages.ts";
import { clientInfoOf } from "./presence-info.ts";

type Change = Exclude<PresenceEvent, { readonly kind: "missed" }>;

/** All clients of a shard get the same event object. */
const encoded = new WeakMap<Change, Map<string, Encoded>>();

/** Returns undefined for a member that is no client of this protocol. */
export function pushOfPresence(event: Change, codec: Codec, id: number | undefined): Encoded | undefined {
  let pushes = encoded.get(event);
  if (pushes === undefined) {
    pushes = new Map();
    encoded.set(event, pushes);
  }
  const name = `${codec.name} ${id ?? ""}`;
  let push = pushes.get(name);
  if (push === undefined) {
    const info = clientInfoOf(event.member);
    if (info === undefined) return undefined;
    const kind = event.kind === "joined" ? "join" : "leave";
    push = codec.encodePush({ kind, channel: event.topic, id, info });
    pushes.set(name, push);
  }
  return push;
}
