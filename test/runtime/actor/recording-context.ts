/** A context that records calls, for the tests of actors. */
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { ConnectionRequest } from "../../../src/runtime/actor/context/connection-request.ts";
import { NOTHING_KEPT } from "../../../src/runtime/streams/subscribe.ts";
import { noMemory } from "./memory.ts";

type Call = readonly [method: string, ...args: unknown[]];

/** A context that records the calls. */
export function recordingContext(): { context: ActorContext; calls: Call[] } {
  const calls: Call[] = [];
  const context: ActorContext = {
    address: "1-7" as Address,
    shard: 1,
    session: { user: "ada" },
    params: { room: "blue" },
    protocol: "chat.v2",
    request: new ConnectionRequest({ url: "/chat/blue?token=1" }, "192.0.2.1"),
    memory: noMemory(),
    mailer: {
      tell: async (...args) => {
        calls.push(["tell", ...args]);
        return { status: "accepted" };
      },
      ask: async (...args) => {
        calls.push(["ask", ...args]);
        return "answer";
      },
    },
    send: (data) => {
      calls.push(["send", data]);
      return "buffered";
    },
    slowConsumerPolicy: "close",
    whenDrained: async () => void calls.push(["whenDrained"]),
    publish: (...args) => {
      calls.push(["publish", ...args]);
      return { delivered: 1, buffered: 2, dropped: 3, closed: 4, remote: 5, remoteDropped: 6 };
    },
    subscribe: async (topic, options) => {
      calls.push(options === undefined ? ["subscribe", topic] : ["subscribe", topic, options]);
      return NOTHING_KEPT;
    },
    unsubscribe: (topic) => void calls.push(["unsubscribe", topic]),
    close: (...args) => void calls.push(["close", ...args]),
    cancelTimers: () => 0,
    schedule: (_actor, delayMs, _callback, repeats) => {
      calls.push(["schedule", delayMs, repeats]);
      return () => {};
    },
    withoutConnection: () => context,
  };
  return { context, calls };
}
