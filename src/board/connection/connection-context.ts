/** The part of an actor's context that outlives the connection. `Connection` and `EndedContext` extend the class. */
import type { Address } from "../../runtime/actor/address.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import type { Mailer } from "../../runtime/actor/mail.ts";
import type { TopicMemory } from "../../runtime/streams/topic-memory.ts";
import type { ActorName, ConnectionHost, ConnectionIdentity } from "./connection-host.ts";

/** The facts about a connection that never change, and the way to other actors. */
export abstract class ConnectionContext {
  protected readonly identity: ConnectionIdentity;
  protected readonly host: ConnectionHost;
  /** True once the actor has published, or sent mail, in this thread. */
  hasSpoken = false;

  constructor(identity: ConnectionIdentity, host: ConnectionHost) {
    this.identity = identity;
    this.host = host;
  }

  get address(): Address {
    return this.identity.id as Address;
  }

  get shard(): number {
    return this.host.shard;
  }

  /** Name of the actor module that serves the connection. */
  get actor(): ActorName {
    return this.identity.actor;
  }

  get session(): unknown {
    return this.identity.session;
  }

  get params(): Params {
    return this.identity.params;
  }

  get protocol(): string {
    return this.identity.protocol;
  }

  get memory(): TopicMemory {
    return this.host.topics;
  }

  get mailer(): Mailer {
    this.hasSpoken = true;
    return this.host.mailer;
  }
}
