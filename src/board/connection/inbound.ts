/**
 * The way of received bytes from the transport to the actor. Each `Connection` has one `Inbound`.
 */
import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Timed, TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { Decoder, DecoderEvent, DecoderState } from "../../wire/protocol/decoding/decoder.ts";
import type { Heartbeat, HeartbeatState } from "../../wire/protocol/heartbeat.ts";
import type { LentMemory, Message } from "../../wire/protocol/message.ts";
import type { Transport, TransportReceiver } from "../../wire/transport/transport.ts";
import { RateLimit, type RateOptions, type RateState } from "./rate-limit.ts";

/**
 * Events and message bytes that one connection may decode in a turn of the event loop. The budget keeps reads full of
 * tiny frames or of deflate bombs from delaying all other connections.
 */
const EVENTS_PER_TURN = 256;
const MESSAGE_BYTES_PER_TURN = 4 * 1024 * 1024;
/**
 * Part of the budget that a connection may use in any turn. Beyond it, decoding goes on only while the shard's turn has
 * time.
 */
const LIGHT_EVENTS = 16;
const LIGHT_MESSAGE_BYTES = 64 * 1024;
/**
 * Milliseconds, by the shard's wheel, and reads for which a connection is new: until one of the two is over. The reads
 * of a new connection are background work: clients that all come at once don't delay those that were there before. A
 * client tells what it wants in its first reads; to pause and copy all reads of 5 s took half of the CPU of their
 * echoes.
 */
const NEW_MS = 5_000;
const NEW_READS = 16;
/** Number of small events decoded between two looks at the clock. */
const EVENTS_PER_CLOCK_CHECK = 4;

/** Why a connection isn't read, as bits. */
const MAILBOX_FULL = 1;
const TURN_OVER = 2;
const OVER_RATE = 4;
/** The connection is new, and many others are. */
const CROWDED = 8;
/** The shard waits until no handler is under way. */
const SET_ASIDE = 16;
const WAITS_FOR_TURN = TURN_OVER | CROWDED;

/** Parts that the connections of a shard share. */
export interface InboundHost {
  readonly wheel: TimerWheel;
  readonly turns: FairScheduler;
  readonly counters: Counters;
}

/** The receiving half of a connection that moves, as plain data. */
export interface InboundState {
  readonly decoder: DecoderState;
  readonly heartbeat: HeartbeatState;
  /** Undefined if no rates are set. */
  readonly rates: RateState | undefined;
}

/** Takes the messages. The connection's `ActorCell` is the sink. */
export interface MessageSink {
  /** True while no message can be taken. The owner calls `Inbound.mailboxHasRoom` when `full` becomes false. */
  readonly full: boolean;
  deliver(message: Message): void;
  /** Calls `read`, which delivers the messages of one read. */
  takeRead<T>(read: (this: T) => void, reader: T): void;
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
  /** The peer sends more than its rates allow. `Inbound` pauses reading; the owner may close the connection. */
  rateExceeded(): void;
}

/**
 * The receiving half of one connection. `Inbound` takes bytes from the transport, decodes them, and hands messages to
 * the `MessageSink` and all other events to the owner. `Inbound` pauses the transport, and the decoder keeps its bytes,
 * while the mailbox is full, while a turn's budget is spent, or while the peer is above its rates.
 *
 * The budget of a turn limits a connection in events and bytes, and its shard in time. A read of a few messages is
 * decoded at once, whatever other connections do. A longer read goes on only while the shard's turn has time and no
 * other task waits, and otherwise waits in line. A message that may inflate to much waits in the same way.
 */
export class Inbound implements TransportReceiver, Timed, ScheduledTask {
  readonly #transport: Transport;
  readonly #decoder: Decoder;
  readonly #heartbeat: Heartbeat;
  readonly #host: InboundHost;
  readonly #messages: MessageSink;
  readonly #owner: InboundOwner;
  /** Undefined if no rates are set, and once the connection is closing. */
  #rates: RateLimit | undefined;
  #held = 0;
  /** Time of the wheel at which the connection isn't new any more. */
  readonly #newUntilMs: number;
  /** Number of reads for which the connection is new yet; 0 once it isn't. */
  #newReads = NEW_READS;
  /** Number of the last turn, and the events and message bytes decoded in that turn. */
  #turn = -1;
  #events = 0;
  #messageBytes = 0;
  #decoding = false;
  /** True if messages may stay in memory of the transport. */
  #borrows = false;
  /** False once our close frame is queued: messages are then decoded and dropped. */
  #wantsMessages = true;
  #over = false;
  deadline: number | undefined;
  place = -1;

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
    this.#rates = RateLimit.of(rates);
    this.#newUntilMs = host.wheel.nowMs + NEW_MS;
  }

  /** True while the transport is read. */
  get reading(): boolean {
    return this.#held === 0;
  }

  received(chunk: Buffer, memory?: LentMemory): void {
    this.#host.counters.add("bytesReceived", chunk.length);
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    if (this.#over) return;
    this.#decoder.feed(chunk, this.#borrows ? memory : undefined);
    this.#charge(0, chunk.length);
    if (this.#newReads > 0 && this.#held === 0 && this.#isNew() && !this.#isAdmitted()) this.#hold(CROWDED);
    // A transport may end the read in progress after a pause.
    if (this.#held !== 0) this.#decoder.suspend();
    else this.#decode();
  }

  /** Returns true if the connection is new, and counts one read. */
  #isNew(): boolean {
    const isNew = this.#host.wheel.nowMs < this.#newUntilMs;
    this.#newReads = isNew ? this.#newReads - 1 : 0;
    return isNew;
  }

  /** Returns true if a new connection may decode in this turn. */
  #isAdmitted(): boolean {
    const { turns } = this.#host;
    return this.#turn === turns.now || turns.admitsBackground();
  }

  /** Long messages may stay in memory of the transport: their sink gives them back. */
  borrow(): void {
    this.#borrows = true;
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

  /** Takes no more from the peer, until `readOn`. */
  setAside(): void {
    this.#hold(SET_ASIDE);
  }

  readOn(): void {
    this.#release(SET_ASIDE);
  }

  /** Drops messages from now on, and only looks for the peer's close frame. */
  ignoreMessages(): void {
    this.#wantsMessages = false;
    this.#forgetRates();
    if ((this.#held & ~WAITS_FOR_TURN) === 0) return;
    // Decoding goes on in a later turn: the caller may be in the middle of a handler.
    this.#hold(TURN_OVER);
    this.#held = TURN_OVER;
  }

  /** Reads and drops all further bytes, without decoding them. */
  ignoreBytes(): void {
    this.close();
    this.#decoder.suspend();
    // The transport is resumed in any case: `#release` may have let go of what held the reading, and may be decoding.
    this.#held = 0;
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    this.#transport.resume();
  }

  /** Takes the state out, for `load`. Not while decoding. */
  save(): InboundState {
    const state = {
      decoder: this.#decoder.save(),
      heartbeat: this.#heartbeat.save(this.#host.wheel.nowMs),
      rates: this.#rates?.save(performance.now()),
    };
    this.close();
    return state;
  }

  /**
   * Goes on where another connection was saved. The transport starts after `goOn`.
   *
   * @returns time until the next beat of the heartbeat, in ms
   */
  load({ decoder, heartbeat, rates }: InboundState): number {
    this.#decoder.load(decoder);
    const overMs = rates === undefined ? 0 : (this.#rates?.load(rates, performance.now()) ?? 0);
    if (overMs > 0) {
      this.#hold(OVER_RATE);
      this.#host.wheel.schedule(this, overMs);
    }
    return this.#heartbeat.load(heartbeat, this.#host.wheel.nowMs);
  }

  /** Decodes what was loaded. */
  goOn(): void {
    if (this.#held === 0) this.#decode();
  }

  /** Ends decoding. */
  close(): void {
    this.#over = true;
    this.#forgetRates();
  }

  /** Called by the `TimerWheel` when the peer is within its rates again. */
  expired(): void {
    this.#release(OVER_RATE);
  }

  /** Called by the `FairScheduler` while `TURN_OVER` or `CROWDED` holds the reading. */
  takeTurn(): void {
    if (!this.#over) this.#release(WAITS_FOR_TURN);
  }

  #decode(): void {
    if (this.#decoding) return;
    this.#decoding = true;
    if (this.#turn !== this.#host.turns.now) {
      this.#turn = this.#host.turns.now;
      this.#forgetTurn();
    }
    this.#messages.takeRead(this.#decodeAll, this);
    this.#decoding = false;
    if (this.#isLight()) this.#forgetTurn();
  }

  #decodeAll(): void {
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
        if (!this.#over) this.#take(event);
        if (event.isLent()) event.handled();
      } else {
        this.#owner.controlReceived(event);
      }
    }
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

  /** True if so little was decoded that the turn's other reads start with a fresh budget. */
  #isLight(): boolean {
    return this.#events <= LIGHT_EVENTS && this.#messageBytes <= LIGHT_MESSAGE_BYTES;
  }

  /** True if the decoder has more and must wait for another turn. */
  #isTurnOver(): boolean {
    if (this.#isLight() || !this.#decoder.hasMore) return false;
    if (this.#events >= EVENTS_PER_TURN || this.#messageBytes >= MESSAGE_BYTES_PER_TURN) return true;
    // The clock isn't read after each of many small events.
    return (
      (this.#events % EVENTS_PER_CLOCK_CHECK === 0 || this.#messageBytes > LIGHT_MESSAGE_BYTES) && this.#host.turns.over
    );
  }

  #charge(messages: number, bytes: number): void {
    if (this.#rates === undefined) return;
    const overMs = this.#rates.took(messages, bytes, performance.now());
    if (overMs === 0) return;
    if ((this.#held & OVER_RATE) === 0) {
      this.#hold(OVER_RATE);
      this.#owner.rateExceeded();
    }
    // The owner may have ended the connection.
    if (this.#rates !== undefined) this.#host.wheel.schedule(this, overMs);
  }

  #hold(reason: number): void {
    if (this.#held === 0) this.#transport.pause();
    if ((this.#held & WAITS_FOR_TURN) === 0) {
      if (reason === TURN_OVER) this.#host.turns.add(this);
      if (reason === CROWDED) this.#host.turns.addBackground(this);
    }
    this.#held |= reason;
  }

  #release(reason: number): void {
    if ((this.#held & reason) === 0) return;
    this.#held &= ~reason;
    if (this.#held !== 0) return;
    this.#decode();
    // The decoder's remaining bytes may have exceeded a limit again.
    if (this.#held !== 0 || this.#over) return;
    this.#heartbeat.heard(this.#host.wheel.nowMs);
    this.#transport.resume();
  }

  #forgetRates(): void {
    this.#rates = undefined;
    this.#host.wheel.cancel(this);
  }
}
