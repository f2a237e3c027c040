import type { Decoder, DecoderEvent } from "../protocol/decoder.ts";
import type { Transport } from "../transport/transport.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { RateLimit, type RateOptions } from "./rate-limit.ts";
import type { Timed, TimerWheel } from "./timer-wheel.ts";

/** What one connection may decode in a turn of the event loop, lest reads full of tiny frames or of deflate bombs keep all others waiting. */
const EVENTS_PER_TURN = 256;
const MESSAGE_BYTES_PER_TURN = 4 * 1024 * 1024;
/** Up to here a read isn't added to others of its turn, which would need to know when that ends. */
const LIGHT_EVENTS = 64;
const LIGHT_MESSAGE_BYTES = 64 * 1024;

/** Why a connection isn't read, as bits. */
const MAILBOX_FULL = 1;
const TURN_OVER = 2;
const OVER_RATE = 4;

export interface InboundOwner {
  /** Whether no message can be taken until `mailboxDrained`. */
  readonly mailboxFull: boolean;
  handle(event: DecoderEvent): void;
  /** The peer sends more than its rates allow, and isn't read for a while, or is to be closed. */
  overRate(): void;
}

/**
 * What one connection reads: bytes from its transport through its decoder, for as long as they are wanted. While they are not, the
 * transport is paused and the decoder keeps what it has, so that the peer has to wait: when the mailbox is full, when a turn's
 * budget is spent, when the peer is above its rates.
 */
export class Inbound implements Timed {
  readonly #transport: Transport;
  readonly #decoder: Decoder;
  readonly #heartbeat: Heartbeat;
  readonly #wheel: TimerWheel;
  readonly #owner: InboundOwner;
  /** Undefined where no rates are set, and when they no longer matter. */
  #rates: RateLimit | undefined;
  #held = 0;
  /** What was decoded in this turn. */
  #events = 0;
  #messageBytes = 0;
  #awaitsTurn = false;
  #decoding = false;
  #over = false;
  deadline: number | undefined;

  constructor(
    transport: Transport,
    decoder: Decoder,
    { heartbeat, wheel, rates }: { heartbeat: Heartbeat; wheel: TimerWheel; rates: RateOptions },
    owner: InboundOwner,
  ) {
    this.#transport = transport;
    this.#decoder = decoder;
    this.#heartbeat = heartbeat;
    this.#wheel = wheel;
    this.#owner = owner;
    this.#rates = RateLimit.of(rates, performance.now());
  }

  /** Whether the peer is listened to now. */
  get reading(): boolean {
    return this.#held === 0;
  }

  received(chunk: Buffer): void {
    this.#heartbeat.heard();
    if (this.#over) return;
    this.#decoder.feed(chunk);
    this.#charge(0, chunk.length);
    // A transport may end the read in progress after a pause.
    if (this.#held !== 0) this.#decoder.suspend();
    else this.#decode();
  }

  mailboxDrained(): void {
    this.#release(MAILBOX_FULL);
  }

  /** What the peer still says is only looked through for its close frame. */
  ignoreMessages(): void {
    this.#forgetRates();
    if ((this.#held & ~TURN_OVER) === 0) return;
    // In a turn of its own: this one may be in the middle of anything.
    this.#held = TURN_OVER;
    this.#awaitTurn();
  }

  /** What the peer still sends is only taken off the wire. */
  ignoreBytes(): void {
    this.close();
    this.#decoder.suspend();
    if (this.#held === 0) return;
    this.#held = 0;
    this.#heartbeat.heard();
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

  /** A turn has begun since the last `#awaitTurn`. */
  turn(): void {
    this.#awaitsTurn = false;
    this.#events = 0;
    this.#messageBytes = 0;
    if (!this.#over) this.#release(TURN_OVER);
  }

  #decode(): void {
    if (this.#decoding) return;
    this.#decoding = true;
    while (!this.#over) {
      if (this.#owner.mailboxFull) this.#hold(MAILBOX_FULL);
      if (this.#isTurnOver && this.#decoder.hasMore) this.#hold(TURN_OVER);
      if (this.#held !== 0) {
        this.#decoder.suspend();
        break;
      }
      const event = this.#decoder.next(EVENTS_PER_TURN - this.#events);
      this.#events += this.#decoder.fragments;
      if (event === undefined) {
        if (this.#isTurnOver && this.#decoder.hasMore) continue;
        break;
      }
      this.#events++;
      if (event.kind === "message") {
        this.#messageBytes += event.byteLength;
        this.#charge(1, 0);
        if (this.#over) break;
      }
      this.#owner.handle(event);
    }
    this.#decoding = false;
    if (this.#events > LIGHT_EVENTS || this.#messageBytes > LIGHT_MESSAGE_BYTES || (this.#held & TURN_OVER) !== 0) {
      this.#awaitTurn();
    } else if (!this.#awaitsTurn) {
      this.#events = 0;
      this.#messageBytes = 0;
    }
  }

  get #isTurnOver(): boolean {
    return this.#events >= EVENTS_PER_TURN || this.#messageBytes >= MESSAGE_BYTES_PER_TURN;
  }

  #awaitTurn(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    setImmediate(nextTurn, this);
  }

  #charge(messages: number, bytes: number): void {
    if (this.#rates === undefined) return;
    const overMs = this.#rates.took(messages, bytes, performance.now());
    if (overMs === 0) return;
    if ((this.#held & OVER_RATE) === 0) {
      this.#hold(OVER_RATE);
      this.#owner.overRate();
    }
    // The owner may have ended it.
    if (this.#rates !== undefined) this.#wheel.schedule(this, overMs);
  }

  #hold(reason: number): void {
    if (this.#held === 0) this.#transport.pause();
    this.#held |= reason;
  }

  #release(reason: number): void {
    if ((this.#held & reason) === 0) return;
    this.#held &= ~reason;
    if (this.#held !== 0) return;
    this.#decode();
    // What was left in the decoder may have been too much again.
    if (this.#held !== 0 || this.#over) return;
    this.#heartbeat.heard();
    this.#transport.resume();
  }

  #forgetRates(): void {
    this.#rates = undefined;
    this.#wheel.cancel(this);
  }
}

/** One function for all, not one for each connection. */
function nextTurn(inbound: Inbound): void {
  inbound.turn();
}
