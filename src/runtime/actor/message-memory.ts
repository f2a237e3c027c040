/** The memory of messages, as an actor class chooses it. Connections and the loader of modules ask. */
import { SwitchboardError } from "../../errors.ts";

/**
 * - `owned`: a message has memory of its own, and may be kept.
 * - `borrowed`: the memory of a message is the connection's again when the handler has ended.
 */
export type MessageMemory = "owned" | "borrowed";

export const DEFAULT_MESSAGE_MEMORY: MessageMemory = "owned";

/** Returns the choice of an actor class. Throws `ERR_MESSAGES`. */
export function messagesOf(actorClass: object): MessageMemory {
  const given: unknown = "messages" in actorClass ? actorClass.messages : DEFAULT_MESSAGE_MEMORY;
  if (given === "owned" || given === "borrowed") return given;
  throw new SwitchboardError(
    "ERR_MESSAGES",
    `the actor class's static messages: takes "owned" or "borrowed", got ${String(given)}`,
  );
}
