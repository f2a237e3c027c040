/** Actor cells with a log, for the tests of this folder. */
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import { ActorCell } from "../../../src/runtime/actor/actor-cell.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { ActorCellOwner } from "../../../src/runtime/actor/cell-host.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { ConnectionRequest } from "../../../src/runtime/actor/context/connection-request.ts";
import { HandlerWatch, type WatchedActor } from "../../../src/runtime/actor/handlers/handler-watch.ts";
import type { MailboxLimits } from "../../../src/runtime/actor/queue/mailbox.ts";
import { TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";
import { NOTHING_KEPT } from "../../../src/runtime/streams/subscribe.ts";
import { Message } from "../../../src/wire/protocol/message.ts";
import { cellSettings } from "../../support/cells.ts";
import { noMemory } from "./memory.ts";

export const context: ActorContext = {
  address: "0-0" as Address,
  shard: 0,
  session: undefined,
  params: {},
  protocol: "",
  request: new ConnectionRequest({ url: "/chat/blue?token=1" }, "192.0.2.1"),
  memory: noMemory(),
  mailer: {
    tell: async () => ({ status: "accepted" }),
    ask: async () => undefined,
  },
  send: () => "sent",
  slowConsumerPolicy: "close",
  whenDrained: async () => {},
  publish: () => ({ delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0 }),
  subscribe: async () => NOTHING_KEPT,
  unsubscribe: () => {},
  close: () => {},
  schedule: () => () => {},
  cancelTimers: () => 0,
  withoutConnection: () => ({ ...context, send: () => "closed" }),
};

export function message(text: string): Message {
  const payload = Buffer.from(text);
  const block = Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return new Message(block, 0, 2, block.length);
}

/** A watch that times out the running handler when a test says so. */
export class ManualWatch extends HandlerWatch {
  actor: WatchedActor | undefined;

  constructor() {
    const wheel = new TimerWheel(1_000);
    wheel.stop();
    super(wheel, { handlerTimeoutMs: 1_000, handlerTimeoutAfterCloseMs: 0 });
  }

  override add(actor: WatchedActor): void {
    this.actor = actor;
  }
}

export interface Started {
  readonly cell: ActorCell;
  readonly open: () => void;
  /** Records of the actor's handlers and of its owner. */
  readonly log: string[];
}

/** Records of the handlers of the last cell that was started. */
export let log: string[] = [];

/** Number of times that cells have reported their actor as done since the last start. */
export let ends = 0;

export function start(actorClass: ActorClass, limits: Partial<MailboxLimits> = {}, watch?: HandlerWatch): Started {
  log = [];
  ends = 0;
  const owner: ActorCellOwner = {
    actorFailed: (handler, error) => log.push(`failed ${handler}: ${(error as Error).message}`),
    messagesAnswered: () => {},
    mailboxHasRoom: () => log.push("drained"),
    actorResumed: () => {},
    mailUndelivered: ({ value }, reason) => log.push(`dead ${value}: ${reason}`),
    handlerTimedOut: (handler, limitMs) => log.push(`${handler} timed out after ${limitMs} ms`),
    actorEnded: () => void ends++,
  };
  const cell = new ActorCell(cellSettings(limits, undefined, watch), owner);
  return { cell, open: () => cell.open(actorClass, context), log };
}

/** Records every call. */
export class Sync extends Actor {
  override opened(): void {
    log.push("opened");
  }
  override received({ text }: Message): void {
    log.push(text);
    if (text === "throw") throw new Error("thrown");
  }
  override closed(code: number, reason: string): void {
    log.push(`closed ${code} ${reason}`);
  }
}
