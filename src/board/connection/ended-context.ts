/**
 * The stand-in for an ended connection. `Connection.withoutConnection` creates one for an abandoned actor.
 */

import type { Address } from "../../runtime/actor/address.ts";
import type { ActorContext, Params, PublishOptions } from "../../runtime/actor/context/actor-context.ts";
import type { ConnectionRequest } from "../../runtime/actor/context/connection-request.ts";
import type { PublishResult } from "../../runtime/actor/context/publish-result.ts";
import type { SlowConsumerPolicy } from "../../runtime/actor/context/slow-consumer-policy.ts";
import type { Mailer } from "../../runtime/actor/mail.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { type Sendable, toFrame } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { ConnectionHost, ConnectionIdentity } from "./connection-host.ts";

/**
 * The context of an actor whose connection has ended while a handler that was given up may still run. The context keeps
 * the address and the session, still reaches topics and other actors, and holds no connection in memory.
 */
export class EndedContext implements ActorContext {
  readonly #identity: ConnectionIdentity;
  readonly #host: ConnectionHost;
  readonly request: ConnectionRequest;
  slowConsumerPolicy: SlowConsumerPolicy;

  constructor(identity: ConnectionIdentity, request: ConnectionRequest, host: ConnectionHost) {
    this.#identity = identity;
    this.#host = host;
    this.request = request;
    this.slowConsumerPolicy = host.options.slowConsumerPolicy;
  }

  get address(): Address {
    return this.#identity.id as Address;
  }

  get shard(): number {
    return this.#host.shard;
  }

  get session(): unknown {
    return this.#identity.session;
  }

  get params(): Params {
    return this.#identity.params;
  }

  get protocol(): string {
    return this.#identity.protocol;
  }

  get mailer(): Mailer {
    return this.#host.mailer;
  }

  send(data: Sendable): SendResult {
    // Throws for data of a wrong type, as an open connection does.
    toFrame(data);
    return "closed";
  }

  whenDrained(): Promise<void> {
    return Promise.resolve();
  }

  publish(topic: string, data: Sendable, _options?: PublishOptions): PublishResult {
    this.#host.counters.add("publishes");
    return this.#host.bus.publish(topic, toFrame(data));
  }

  subscribe(): Promise<void> {
    return Promise.resolve();
  }

  unsubscribe(): void {}

  close(code?: number, reason = ""): void {
    if (code !== undefined) checkClose(code, reason);
  }

  schedule(): () => void {
    return () => {};
  }

  withoutConnection(): ActorContext {
    return this;
  }
}
