/**
 * All messages between the two ends of a handoff channel, by `kind`. `handoff.ts` and `relay.ts` post them and take
 * them.
 */
import type { Server, Socket } from "node:net";
import type { ErrorReport } from "../../errors.ts";

/** One socket on its way, with everything that its new owner must know. */
export interface SocketMessage<Envelope> {
  readonly kind: "socket";
  readonly serial: number;
  readonly socket: Socket;
  /** Bytes of the stream that were read before the move. */
  readonly head: Uint8Array;
  readonly envelope: Envelope;
}

/** A notice for the receiving end, which arrives before every socket that is sent later. */
export interface NoticeMessage<Notice> {
  readonly kind: "notice";
  readonly notice: Notice;
}

/** A listening server that moves to the receiver. */
export interface ServerMessage<Envelope> {
  readonly kind: "server";
  readonly server: Server;
  readonly envelope: Envelope;
}

/**
 * All messages on a port to an end that does `receiveRawSockets`. An end that does `receiveHandoffs` gets only sockets.
 */
export type RawSocketMessage<Envelope, Notice> =
  | SocketMessage<Envelope>
  | NoticeMessage<Notice>
  | ServerMessage<Envelope>;

/** Answer of the new owner to one socket or stream. An error means that the new owner closed it. */
export interface HandoffAnswer {
  readonly kind: "answer";
  readonly serial: number;
  readonly error: ErrorReport | undefined;
}

/** Opening of a relayed stream in the shard. The `serial` is also the number of the stream. */
interface RelayOpening<Envelope> {
  readonly kind: "open";
  readonly serial: number;
  readonly envelope: Envelope;
  readonly remoteAddress: string | undefined;
}

/** The shard's end of a stream that came from another shard asks for what follows. `id` is the stream's new number. */
interface RelayTake {
  readonly kind: "take";
  readonly id: number;
  /** Life of the shard's thread that had the stream before, and the stream's number there. */
  readonly from: number;
  readonly before: number;
}

/** Messages between the two ends of one relayed stream. The first four are the same in both directions. */
export type StreamNews =
  /** Bytes, in memory that belongs to the message alone. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** The receiver took this much: the sender may send as much again. */
  | { readonly kind: "credit"; readonly cost: number }
  /** No more bytes follow. */
  | { readonly kind: "end" }
  /** Both directions are closed. */
  | { readonly kind: "closed" }
  /** To the main thread: keep what you have for this end, because it is about to go to another thread. */
  | { readonly kind: "hold" }
  /** The main thread's answer to `hold`: nothing follows until the shard's end stays or has moved. */
  | { readonly kind: "held" }
  /** To the main thread: this end stays. */
  | { readonly kind: "release" }
  /** To the main thread: this end has left its thread. Another thread will take the stream. */
  | { readonly kind: "left" };

/** A message for one of the streams of a port. `id` is the stream's number. */
export type StreamMessage = StreamNews & { readonly id: number };

/** The messages of all relayed streams of a port that gathered within a turn, in order. */
interface StreamMessages {
  readonly kind: "streams";
  readonly messages: readonly StreamMessage[];
}

/** A message on the port of a relay that concerns the handoff of a stream. */
export type RelayHandoff<Envelope> = RelayOpening<Envelope> | RelayTake | HandoffAnswer;

/** All messages on the port of a relay. */
export type RelayMessage<Envelope> = RelayHandoff<Envelope> | StreamMessages;
