/**
 * A shard's part of the limits on the connections of one user: it holds clients that are about to connect until the
 * main thread has counted those of all shards and nodes (`UserLimits`). The actor module has one `UserAdmission`.
 */
import type { RegisteredClient } from "../client/client-registry.ts";
import type { ClientAdmission } from "../client/client-server.ts";
import type { ClientConfig } from "../config/config.ts";
import { type CodeWithReason, DISCONNECTS } from "../protocol/codes.ts";

/**
 * Time after which a client gets in although nobody has decided, in ms. SDKs give up after 5 s. The next look at the
 * user closes the client if it is one too many.
 */
const PATIENCE_MS = 3_000;
/** Number of clients of one user that wait in one shard at most. */
const MAX_WAITING = 1_000;

/** A question of the main thread to the shards of all nodes. */
export type AdmissionQuestion =
  /** Asks for the clients of a user. */
  | { readonly kind: "clientsOf"; readonly user: string }
  /** Lets waiting clients of the user in, or refuses them. A client that is in already and is refused is closed. */
  | ({
      readonly kind: "admit";
      readonly user: string;
      readonly admitted: readonly string[];
      readonly refused: readonly string[];
    } & CodeWithReason);

/** One client of a user. Plain data. */
export interface CountedClient {
  readonly client: string;
  /** Unix time in ms at which the client wanted to connect. */
  readonly since: number;
  /** True while nobody has decided about it. */
  readonly isWaiting: boolean;
}

export interface AdmissionAnswer {
  readonly kind: "clientsOf" | "admit";
  readonly clients: readonly CountedClient[];
}

interface Held {
  readonly since: number;
  /** Ends the wait. Undefined for a client that is in. */
  decide: ((refusal: CodeWithReason | undefined) => void) | undefined;
}

export interface AdmissionOwner {
  /** Tells the main thread that a client of the user wants to connect. Returns false if that can't be told. */
  tell(user: string): boolean;
  /** Closes a client that is in. */
  close(client: string, reason: CodeWithReason): void;
}

export class UserAdmission implements ClientAdmission {
  readonly #users = new Map<string, Map<string, Held>>();
  readonly #limit: number;
  readonly #isSingle: boolean;
  readonly #owner: AdmissionOwner;

  constructor(config: ClientConfig, owner: AdmissionOwner) {
    this.#limit = config.userConnectionLimit;
    this.#isSingle = isSingle(config);
    this.#owner = owner;
  }

  /** Says whether the config limits the connections of a user. */
  static isNeeded(config: ClientConfig): boolean {
    return config.userConnectionLimit > 0 || isSingle(config);
  }

  /**
   * Resolves with the reason why the client may not connect; with undefined if it may. Anonymous clients always may.
   */
  async admit({ clientId, user }: { readonly clientId: string; readonly user: string }) {
    if (user === "") return undefined;
    const clients = this.#users.get(user) ?? new Map<string, Held>();
    const since = Date.now();
    // Without a limit there may be one connection only, and the newest one stays: it doesn't wait.
    if (this.#limit === 0) {
      this.#users.set(user, clients.set(clientId, { since, decide: undefined }));
      this.#owner.tell(user);
      return undefined;
    }
    const waiting = [...clients.values()].filter(({ decide }) => decide !== undefined).length;
    if (!this.#isSingle && clients.size - waiting >= this.#limit) return DISCONNECTS.connectionLimit;
    if (waiting >= MAX_WAITING) return DISCONNECTS.tooManyRequests;
    const { promise, resolve } = Promise.withResolvers<CodeWithReason | undefined>();
    const held: Held = { since, decide: resolve };
    this.#users.set(user, clients.set(clientId, held));
    const timer = setTimeout(() => resolve(undefined), PATIENCE_MS);
    if (!this.#owner.tell(user)) resolve(undefined);
    const refusal = await promise;
    clearTimeout(timer);
    held.decide = undefined;
    if (refusal !== undefined) this.left({ clientId, user });
    return refusal;
  }

  /** The connection of a client has ended, whether or not it was let in. */
  left({ clientId, user }: { readonly clientId: string; readonly user: string }): void {
    const clients = this.#users.get(user);
    if (clients?.delete(clientId) && clients.size === 0) this.#users.delete(user);
  }

  /** A client has come from another shard, where it was let in. */
  arrived({ clientId, user, life }: Pick<RegisteredClient, "clientId" | "user" | "life">): void {
    if (user === "") return;
    const clients = this.#users.get(user) ?? new Map<string, Held>();
    this.#users.set(user, clients.set(clientId, { since: life.connectedAt, decide: undefined }));
  }

  answer(question: AdmissionQuestion): AdmissionAnswer {
    const { kind, user } = question;
    const clients = this.#users.get(user) ?? new Map<string, Held>();
    if (question.kind === "clientsOf") {
      const counted = Array.from(clients, ([client, { since, decide }]) => {
        return { client, since, isWaiting: decide !== undefined };
      });
      return { kind, clients: counted };
    }
    for (const client of question.admitted) clients.get(client)?.decide?.(undefined);
    const { code, reason } = question;
    for (const client of question.refused) {
      const held = clients.get(client);
      if (held?.decide !== undefined) held.decide({ code, reason });
      else if (held !== undefined) this.#owner.close(client, { code, reason });
    }
    return { kind, clients: [] };
  }
}

/** True if a user may have one connection only. */
export function isSingle({ subscribeToUserPersonalChannel }: Pick<ClientConfig, "subscribeToUserPersonalChannel">) {
  return subscribeToUserPersonalChannel.enabled && subscribeToUserPersonalChannel.singleConnection;
}

export function isAdmissionQuestion(question: unknown): question is AdmissionQuestion {
  const { kind } = question as Partial<AdmissionQuestion>;
  return kind === "clientsOf" || kind === "admit";
}
