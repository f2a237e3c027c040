/**
 * Handles the expiry of a connection or a subscription: the application is asked whether it goes on, or the client has
 * a time of grace for a new token. The client's actor creates a `ClientExpiry` when an expiry is set.
 */
import { type CodeWithReason, DISCONNECTS } from "../../protocol/codes.ts";
import type { Answer, ClientFacts, ConnectionGrant, Renewal } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";

/** The deadlines of the client. */
interface ExpiryDeadlines {
  set(name: string, delayMs: number, callback: (client: ExpiringClient) => unknown): void;
  delete(name: string): void;
}

export interface ExpiringClient {
  readonly server: ServerParts;
  facts(): ClientFacts;
  closeWith(reason: CodeWithReason): void;
  /** The application said how the connection goes on. */
  renewed(grant: Pick<ConnectionGrant, "expireAt" | "info" | "meta">): void;
  /** Ends a subscription that has expired. */
  endExpired(channel: string): void;
}

/** Name of the deadline of the connection, and the beginning of those of its subscriptions. */
const OF_CONNECTION = "expiry";
const OF_CHANNEL = "expiry ";

export class ClientExpiry {
  readonly #client: ExpiringClient;
  readonly #deadlines: ExpiryDeadlines;

  constructor(client: ExpiringClient, deadlines: ExpiryDeadlines) {
    this.#client = client;
    this.#deadlines = deadlines;
  }

  /** @param expireAt Unix time in seconds; undefined: the connection doesn't expire any more */
  connection(expireAt: number | undefined): void {
    const { server } = this.#client;
    if (expireAt === undefined) {
      this.#deadlines.delete(OF_CONNECTION);
    } else if (server.backend.refresh === undefined) {
      this.#deadlines.set(OF_CONNECTION, leftMs(expireAt) + server.config.expiredCloseDelayMs, endConnection);
    } else {
      this.#deadlines.set(OF_CONNECTION, leftMs(expireAt), async () => {
        const answer = await server.backend.refresh?.(this.#client.facts());
        if (goesOn(answer)) this.#client.renewed(answer.result);
        // The application can't answer now: the client has the time that a token has.
        else if (answer?.kind === "error")
          this.#deadlines.set(OF_CONNECTION, server.config.expiredCloseDelayMs, endConnection);
        else this.#client.closeWith(answer?.kind === "disconnect" ? answer : DISCONNECTS.expired);
      });
    }
  }

  /**
   * Sets a deadline again, for a client that came from another shard.
   *
   * @param name name of the deadline
   * @param isByToken tells whether the client brings a new token for its subscription to a channel; undefined: it has
   * none
   */
  again(name: string, dueInMs: number, isByToken: (channel: string) => boolean | undefined): void {
    const dueAt = (Date.now() + dueInMs) / 1_000;
    if (name === OF_CONNECTION) {
      if (this.#client.server.backend.refresh === undefined) this.#deadlines.set(name, dueInMs, endConnection);
      else this.connection(dueAt);
      return;
    }
    const channel = name.slice(OF_CHANNEL.length);
    const byToken = isByToken(channel);
    if (byToken === true) this.#deadlines.set(name, dueInMs, () => this.#client.endExpired(channel));
    else if (byToken === false) this.subscription(channel, dueAt, byToken);
  }

  /**
   * @param expireAt Unix time in seconds; undefined: the subscription doesn't expire any more
   * @param byToken true if the client brings a new token; false if the application is asked
   */
  subscription(channel: string, expireAt: number | undefined, byToken: boolean): void {
    const name = `${OF_CHANNEL}${channel}`;
    if (expireAt === undefined) {
      this.#deadlines.delete(name);
      return;
    }
    const { backend, config, channels } = this.#client.server;
    const found = channels.of(channel);
    const asks = found.kind === "known" && found.channel.options.subRefreshProxyEnabled;
    const end = (): void => this.#client.endExpired(channel);
    if (byToken || !asks || backend.subRefresh === undefined) {
      this.#deadlines.set(name, leftMs(expireAt) + (byToken ? config.expiredSubCloseDelayMs : 0), end);
      return;
    }
    this.#deadlines.set(name, leftMs(expireAt), async () => {
      const answer = await backend.subRefresh?.(this.#client.facts(), channel);
      if (goesOn(answer)) this.subscription(channel, answer.result.expireAt, byToken);
      else if (answer?.kind === "error") this.#deadlines.set(name, config.expiredSubCloseDelayMs, end);
      else end();
    });
  }
}

/** One function for all clients: most clients with a token have nothing else that expires. */
function endConnection(client: ExpiringClient): void {
  client.closeWith(DISCONNECTS.expired);
}

function goesOn(answer: Answer<Renewal> | undefined): answer is { readonly kind: "result"; readonly result: Renewal } {
  return answer?.kind === "result" && answer.result.expired !== true;
}

function leftMs(expireAt: number): number {
  return Math.max(expireAt * 1_000 - Date.now(), 0);
}
