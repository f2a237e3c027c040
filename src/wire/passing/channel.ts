/** The connection of two processes in a takeover. `board/takeover` knows a channel by this interface only. */
import { SwitchboardError } from "../../errors.ts";
import type { PeerProcess } from "../native/pass-descriptors.ts";

/**
 * Messages and sockets between two processes. There are two kinds: `DescriptorChannel` between any two processes of one
 * user, and `HandleChannel` between two processes under one supervisor.
 */
export interface Channel {
  /** The process at the other end. */
  readonly peer: Pick<PeerProcess, "pid">;
  /** True if each socket takes a while. Sockets are sent ahead then, while their connections go on. */
  readonly isSlow: boolean;
  /** Begins to receive. */
  start(receiver: ChannelReceiver): void;
  /**
   * Sends a message, with copies of sockets. The sockets stay open here. Does nothing after the end. Throws
   * `ERR_SYSTEM_CALL` if the sockets can't be sent, and a `DataCloneError`: then nothing was sent.
   *
   * @param descriptors sockets by number (`passed-sockets.ts`)
   */
  send(message: unknown, descriptors?: readonly number[]): void;
  /** Closes the channel when all messages have left. `ended` is called when the other process has closed it, too. */
  close(): void;
  /** Lets the process end while the channel is open. */
  unref(): void;
  /** Closes the channel at once. */
  destroy(): void;
}

export interface ChannelReceiver {
  /** @param descriptors sockets by number (`passed-sockets.ts`). They belong to the receiver, who closes them. */
  received(message: unknown, descriptors: readonly number[]): void;
  /**
   * The channel has ended. Nothing is received afterwards.
   *
   * @param error the error of this process; `ChannelCut` if the other process may run; undefined if the other process
   * closed the channel, or ended
   */
  ended(error: Error | undefined): void;
}

/**
 * The way between two processes is gone (`ERR_TAKEOVER_LOST`). Neither knows what the other has received last, and both
 * may run.
 */
export class ChannelCut extends SwitchboardError {
  constructor(message: string) {
    super("ERR_TAKEOVER_LOST", message);
  }
}
