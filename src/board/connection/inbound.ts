import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Timed, TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { Decoder, DecoderEvent } from "../../wire/protocol/decoder.ts";
import type { Heartbeat } from "../../wire/protocol/heartbeat.ts";
import type { Message } from "../../wire/protocol/message.ts";
import type { Transport, TransportReceiver } from "../../wire/transport/transport.ts";
import { RateLimit, type RateOptions } from "./rate-limit.ts";

/** What one connection may decode in a turn of the event loop, lest reads full of tiny frames or of deflate bombs keep all others waiting. */
const EVENTS_PER_TURN = 256;
const MESSAGE_BYTES_PER_TURN = 4 * 1024 * 1024;
/** So much it may in any turn, whatever the shard's other connections do. Beyond it goes on only while the turn of all has time. */
const LIGHT_EVENTS = 16;
const LIGHT_MESSAGE_BYTES = 64 * 1024;
const EVENTS_AT_ONCE = 4;

/** Why a connection isn't read, as bits. */
const MAILBOX_FULL = 1;
const TURN_OVER = 2;
const OVER_RATE = 4;

/** What those of a shard share. */
export interface InboundHost {
  readonly wheel: TimerWheel;
  readonly turns: FairScheduler;
  readonly counters: Counters;
}

/** Takes the messages. The connection's `ActorCell` is one. */
export interface MessageSink {
  /** True while no message can be taken. `Inbound.mailboxHasRoom` tells the end of that. */
  readonly full: boolean;
  deliver(message: Message): void;
}

/** Frames that concern the connection itself. */
export type ControlEvent = Exclude<DecoderEvent, Message>;

/** The connection, which takes everything but messages. */
export interface InboundOwner {
  /** The transport's buffer is empty again. */
  drained(): void;
  /** The peer ended its direction. */
  ended(): void;
  /** Both directions of the transport are closed. */
  closed(): void;
  controlReceived(event: ControlEvent): void;
  /** The peer sends more than its rates allow, and isn't read for a while, or is to be closed. */
  rateExceeded(): void;
}

/**
 * What one connection reads: bytes from its transport through its decoder, for as long as they are wanted. While they are not, the
 * transport is paused and the decoder keeps what it has, so that the peer has to wait: when the mailbox is full, when a turn's
 * budget is spent, when the peer is above its rates.
 *
 * A turn's budget is one connection's, in events and bytes, and its shard's, in time: a read of a few messages is decoded at once, whatever
 * others do; who has more goes on only while this turn of the shard has time and nobody waits for it, and else waits in line. So does a
 * message that may inflate to much.
 */
export class Inbound implements TransportReceiver, Timed, ScheduledTask {
  readonly #transport: Transport;
  readonly #decoder: Decoder;
  readonly #heartbeat: Heartbeat;
  readonly #host: InboundHost;
  readonly #messages: MessageSink;
  readonly #owner: InboundOwner;
  /** Undefined where no rates are set, and when they no longer matter. */
  #rates: RateLimit | undefined;
  #held = 0;
  /** A turn, and what was decoded in it. */
  #turn = -1;
  #events = 0;
  #messageBytes = 0;
  #decoding = false;
  /** False once our close frame is queued: messages are then decoded and dropped. */
  #wantsMessages = true;
  #over = false;
  deadline: number | undefined;

  constructor(
    transport: Transport,
    decoder: Decoder,
    { heartbeat, host, rates }: { heartbeat: Heartbeat; host: InboundHost; rates: RateOptions },
    messages: MessageSink,
    owner: InboundOwner,
  ) {
    this.#transport = transport;
    this.#decoder = decoder;
    this.#heartbeat = heartbeat;
    this.#host = host;
    this.#messages = messages;
    this.#owner = owner;
    this.#rates = RateLimit.of(rates, performance.now());
  }

  /** Whether the peer is listened to now. */
  get reading(): boolean {
    return this.#held === 0;
  }

  received(chunk: Buffer): void {
    this.#host.counters.add("bytesReceived", chunk.length);
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    if (this.#over) return;
    this.#decoder.feed(chunk);
    this.#charge(0, chunk.length);
    // A transport may end the read in progress after a pause.
    if (this.#held !== 0) this.#decoder.suspend();
    else this.#decode();
  }

  drained(): void {
    this.#owner.drained();
  }

  ended(): void {
    this.#owner.ended();
  }

  closed(): void {
    this.#owner.closed();
  }

  mailboxHasRoom(): void {
    this.#release(MAILBOX_FULL);
  }

  /** What the peer still says is only looked through for its close frame. */
  ignoreMessages(): void {
    this.#wantsMessages = false;
    this.#forgetRates();
    if ((this.#held & ~TURN_OVER) === 0) return;
    // In a turn of its own: this one may be in the middle of anything.
    this.#hold(TURN_OVER);
    this.#held = TURN_OVER;
  }

  /** What the peer still sends is only taken off the wire. */
  ignoreBytes(): void {
    this.close();
    this.#decoder.suspend();
    if (this.#held === 0) return;
    this.#held = 0;
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    this.#transport.resume();
  }

  /** Nothing more is decoded. */
  close(): void {
    this.#over = true;
    this.#forgetRates();
  }

  /** From the wheel: the rates are kept again. */
  expired(): void {
    this.#release(OVER_RATE);
  }

  /** From `Turns`, for who is held by `TURN_OVER`. */
  takeTurn(): void {
    if (!this.#over) this.#release(TURN_OVER);
  }

  #decode(): void {
    if (this.#decoding) return;
    this.#decoding = true;
    if (this.#turn !== this.#host.turns.now) {
      this.#turn = this.#host.turns.now;
      this.#forgetTurn();
    }
    while (!this.#over) {
      if (this.#wantsMessages && this.#messages.full) this.#hold(MAILBOX_FULL);
      if (this.#isTurnOver()) this.#hold(TURN_OVER);
      if (this.#held !== 0) {
        this.#decoder.suspend();
        break;
      }
      const event = this.#decoder.next(EVENTS_PER_TURN - this.#events);
      this.#events += this.#decoder.fragments;
      if (event === undefined) {
        if (this.#decoder.inflationWaits) this.#hold(TURN_OVER);
        else if (!this.#isTurnOver()) break;
        continue;
      }
      this.#events++;
      if (event.kind === "message") {
        this.#messageBytes += event.byteLength;
        this.#charge(1, 0);
        if (this.#over) break;
        this.#take(event);
      } else {
        this.#owner.controlReceived(event);
      }
    }
    this.#decoding = false;
    if (this.#isLight()) this.#forgetTurn();
  }

  #take(message: Message): void {
    if (!this.#wantsMessages) return;
    this.#host.counters.add("messagesReceived");
    this.#messages.deliver(message);
  }

  #forgetTurn(): void {
    this.#events = 0;
    this.#messageBytes = 0;
  }

  /** Whether so little was decoded that it isn't added to other reads of its turn. */
  #isLight(): boolean {
    return this.#events <= LIGHT_EVENTS && this.#messageBytes <= LIGHT_MESSAGE_BYTES;
  }

  /** Whether there is a rest, and it must wait for another turn. */
  #isTurnOver(): boolean {
    if (this.#isLight() || !this.#decoder.hasMore) return false;
    if (this.#events >= EVENTS_PER_TURN || this.#messageBytes >= MESSAGE_BYTES_PER_TURN) return true;
    // The time isn't looked at after each of many small ones.
    return (this.#events % EVENTS_AT_ONCE === 0 || this.#messageBytes > LIGHT_MESSAGE_BYTES) && this.#host.turns.over;
  }

  #charge(messages: number, bytes: number): void {
    if (this.#rates === undefined) return;
    const overMs = this.#rates.took(messages, bytes, performance.now());
    if (overMs === 0) return;
    if ((this.#held & OVER_RATE) === 0) {
      this.#hold(OVER_RATE);
      this.#owner.rateExceeded();
    }
    // The owner may have ended it.
    if (this.#rates !== undefined) this.#host.wheel.schedule(this, overMs);
  }

  #hold(reason: number): void {
    if (this.#held === 0) this.#transport.pause();
    if (reason === TURN_OVER && (this.#held & TURN_OVER) === 0) this.#host.turns.add(this);
    this.#held |= reason;
  }

  #release(reason: number): void {
    if ((this.#held & reason) === 0) return;
    this.#held &= ~reason;
    if (this.#held !== 0) return;
    this.#decode();
    // What was left in the decoder may have been too much again.
    if (this.#held !== 0 || this.#over) return;
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    this.#transport.resume();
  }

  #forgetRates(): void {
    this.#rates = undefined;
    this.#host.wheel.cancel(this);
  }
}
