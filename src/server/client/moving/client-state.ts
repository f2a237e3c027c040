/**
 * A client that moves to another shard, as plain data. Its actor gives the state to `suspended` and gets it in
 * `resumed`.
 */
import type { SubscriptionRights } from "../../channels/subscription-rights.ts";
import type { ConnectRequest, FilterNode } from "../../protocol/messages.ts";
import type { ConnectionGrant } from "../backend.ts";
import type { ChangeQuestion } from "../control/control.ts";

/** The version of the state: `static moves` of a class that extends `ClientActor`. */
export const CLIENT_STATE_VERSION = 1;

export interface IdentityState {
  readonly clientId: string;
  readonly told: Pick<ConnectRequest, "name" | "version" | "headers">;
  readonly grant: Pick<ConnectionGrant, "user" | "expireAt" | "info" | "meta">;
  /** Unix time in ms; 0 for a client that isn't connected. */
  readonly connectedAt: number;
  readonly secret: string | undefined;
}

export interface SubscriptionState {
  readonly channel: string;
  readonly isServerSide: boolean;
  readonly rights: SubscriptionRights;
  readonly info: Uint8Array | undefined;
  readonly id: number | undefined;
  readonly byToken: boolean;
  readonly expires: boolean;
  readonly filter: FilterNode | undefined;
}

export interface ClientState {
  readonly identity: IdentityState;
  readonly phase: "new" | "connected" | "refused";
  readonly awaitsPong: boolean;
  /** Deadlines by name, and the time that is left, in ms. */
  readonly deadlines: readonly (readonly [name: string, dueInMs: number])[];
  readonly subscriptions: readonly SubscriptionState[];
}

/** A question of the API that came while the client was on its way: mail of the client to itself. */
export interface ForwardedQuestion {
  readonly kind: "control";
  readonly question: ChangeQuestion;
}

export function isForwarded(mail: unknown): mail is ForwardedQuestion {
  return typeof mail === "object" && mail !== null && "kind" in mail && mail.kind === "control";
}
