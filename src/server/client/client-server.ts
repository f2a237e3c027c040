/**
 * The parts that all clients of one shard share: config, channels, tokens, the application, the registry. An actor
 * module makes one `ClientServer`, and gives it to its subclass of `ClientActor`.
 */
import { TokenVerifier } from "../auth/token-verifier.ts";
import type { ChannelsConfig } from "../channels/channel-options.ts";
import { Channels } from "../channels/channels.ts";
import type { ClientConfig } from "../config/config.ts";
import { type CodeWithReason, DISCONNECTS } from "../protocol/codes.ts";
import type { Backend } from "./backend.ts";
import type { ClientObserver } from "./client-observer.ts";
import { ClientRegistry, type RegisteredClient } from "./client-registry.ts";
import type { ControlAnswer, ControlQuestion } from "./control/control.ts";
import { answerControl } from "./control/control-answers.ts";
import { PublicationEncoder } from "./publication-encoder.ts";
import type { ServerParts } from "./server-parts.ts";
import { ClientPings } from "./timing/client-pings.ts";
import { DeadlineClock } from "./timing/deadline-clock.ts";

export interface ClientServerOptions {
  readonly client: ClientConfig;
  readonly channel: ChannelsConfig;
  /** The application. Default: it is never asked. */
  readonly backend?: Backend | undefined;
  /** Version that clients are told. */
  readonly version?: string | undefined;
  /** Decides last about clients that are to connect. Default: all may. */
  readonly admission?: ClientAdmission | undefined;
  /** Is told what clients do. Default: nobody. */
  readonly observer?: ClientObserver | undefined;
  /** Takes what the main thread is told. Default: nobody. */
  readonly tell?: ((report: ClientReport) => void) | undefined;
}

/** A limit on clients that looks beyond the shard. */
export interface ClientAdmission {
  /** Resolves with the reason with which the client is closed in place of an answer to `connect`; undefined: it may. */
  admit(client: Pick<RegisteredClient, "clientId" | "user">): Promise<CodeWithReason | undefined>;
  /** The connection of a client has ended, whether or not `admit` was called for it. */
  left(client: Pick<RegisteredClient, "clientId" | "user">): void;
  /** A client that was let in has come from another shard. */
  arrived(client: Pick<RegisteredClient, "clientId" | "user" | "life">): void;
}

/**
 * A report of one shard about its clients to the main thread: a channel got its first subscriber, or its last one left.
 */
export type ClientReport =
  | { readonly kind: "occupied"; readonly channel: string }
  | { readonly kind: "vacated"; readonly channel: string };

export class ClientServer implements ServerParts {
  readonly config: ClientConfig;
  readonly limits: ChannelsConfig;
  readonly channels: Channels;
  readonly backend: Backend;
  readonly version: string;
  readonly connectionTokens: TokenVerifier;
  readonly subscriptionTokens: TokenVerifier;
  readonly registry: ClientRegistry;
  readonly encoder: PublicationEncoder;
  readonly admission: ClientAdmission | undefined;
  readonly observer: ClientObserver | undefined;
  readonly pings: ClientPings;
  /** The timers of all clients. */
  readonly clock = new DeadlineClock();
  readonly #tell: (report: ClientReport) => void;

  /** Throws `ERR_OPTION` for a regular expression that is none. */
  constructor({
    client,
    channel,
    backend = {},
    version = "",
    tell = () => {},
    admission,
    observer,
  }: ClientServerOptions) {
    this.config = client;
    this.pings = new ClientPings(client);
    this.limits = channel;
    this.channels = new Channels(channel);
    this.backend = backend;
    this.version = version;
    this.#tell = tell;
    this.admission = admission;
    this.observer = observer;
    this.connectionTokens = new TokenVerifier(client.token);
    this.subscriptionTokens =
      client.subscriptionToken === undefined ? this.connectionTokens : new TokenVerifier(client.subscriptionToken);
    this.registry = new ClientRegistry({
      occupied: (name) => this.#tellOccupancy("occupied", name),
      vacated: (name) => this.#tellOccupancy("vacated", name),
    });
    this.encoder = new PublicationEncoder({
      numberOf: (name) => this.registry.numberOf(name),
      notJson: (name) => this.#notJson(name),
    });
  }

  /** Answers a question of the main thread about the clients of this shard: export it from the actor module. */
  readonly surveyed = (question: unknown): Promise<ControlAnswer> => answerControl(this, question as ControlQuestion);

  /** Closes all clients that speak JSON and are subscribed to a channel: they can't get what was published there. */
  #notJson(channel: string): void {
    for (const client of [...this.registry.values()]) {
      if (client.codec.name !== "json" || client.subscriptions.get(channel) === undefined) continue;
      void client.soon(() => {
        client.closeWith(DISCONNECTS.inappropriateProtocol);
        return true;
      });
    }
  }

  connected(client: RegisteredClient): void {
    this.registry.add(client.clientId, client);
    this.observer?.connected(client);
  }

  /** A client is about to move to another shard. `arrived` follows, there or here. */
  leaving(client: RegisteredClient): void {
    this.registry.leaves(client.clientId);
    this.admission?.left(client);
  }

  arrived(client: RegisteredClient): void {
    this.registry.add(client.clientId, client);
    this.admission?.arrived(client);
  }

  /** The connection of a client has ended, whether or not it was let in. */
  left(client: RegisteredClient): void {
    this.registry.delete(client.clientId);
    this.admission?.left(client);
  }

  #tellOccupancy(kind: "occupied" | "vacated", name: string): void {
    const found = this.channels.of(name);
    if (found.kind === "known" && found.channel.options.occupancyHooksEnabled) this.#tell({ kind, channel: name });
  }
}
