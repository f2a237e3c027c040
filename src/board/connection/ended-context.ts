/**
 * The stand-in for an ended connection. `Connection.withoutConnection` creates one for an abandoned actor.
 */

import type { ActorContext, PublishOptions } from "../../runtime/actor/context/actor-context.ts";
import type { ConnectionRequest } from "../../runtime/actor/context/connection-request.ts";
import type { PublishResult } from "../../runtime/actor/context/publish-result.ts";
import { NOTHING_KEPT, type Subscribed } from "../../runtime/streams/subscribe.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { type Sendable, toFrame } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import { ConnectionContext } from "./connection-context.ts";
import type { ConnectionHost, ConnectionIdentity } from "./connection-host.ts";

/**
 * The context of an actor whose connection has ended while a handler that was given up may still run. The context keeps
 * the address and the session, still reaches topics and other actors, and holds no connection in memory.
 */
export class EndedContext extends ConnectionContext implements ActorContext {
  readonly request: ConnectionRequest;
  slowConsumerPolicy: SlowConsumerPolicy;

  constructor(identity: ConnectionIdentity, request: ConnectionRequest, host: ConnectionHost) {
    super(identity, host);
    this.request = request;
    this.slowConsumerPolicy = host.options.slowConsumerPolicy;
  }

  send(data: Sendable): SendResult {
    // Throws for data of a wrong type, as an open connection does.
    toFrame(data);
    return "closed";
  }

  whenDrained(): Promise<void> {
    return Promise.resolve();
  }

  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult {
    this.host.counters.add("publishes");
    return this.host.topics.publish(topic, toFrame(data), options);
  }

  subscribe(): Promise<Subscribed> {
    return Promise.resolve(NOTHING_KEPT);
  }

  unsubscribe(): void {}

  close(code?: number, reason = ""): void {
    if (code !== undefined) checkClose(code, reason);
  }

  schedule(): () => void {
    return () => {};
  }

  cancelTimers(): number {
    return 0;
  }

  withoutConnection(): ActorContext {
    return this;
  }
}
