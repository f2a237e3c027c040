/** Waits at a path for the process that takes over. A board with the option `takeover` has one. */
import type { Channel } from "../../wire/passing/channel.ts";
import { ChannelServer } from "../../wire/passing/channel-server.ts";
import { HandleChannel } from "../../wire/passing/handle-channel.ts";
import { holdsByNumber } from "../../wire/passing/passed-sockets.ts";
import { awaitSuccessor, isSupervised } from "../../wire/passing/supervised.ts";
import { noop } from "../../wire/protocol/empty.ts";
import {
  type HandOverResult,
  type HandOverSettings,
  handOver,
  refuseTakeover,
  type TakeoverSource,
} from "./predecessor.ts";
import { checkTakeoverPath } from "./takeover-directory.ts";

export interface TakeoverServerOwner {
  readonly source: TakeoverSource;
  readonly settings?: HandOverSettings;
  /** The process with this id has connected, and wants to take over. */
  begun?(pid: number): void;
  /** A process has taken over, was refused, or failed. */
  ended(result: HandOverResult): void;
}

export class TakeoverServer {
  readonly #owner: TakeoverServerOwner;
  /** Waits for any process of the user. */
  #channels: ChannelServer | undefined;
  /** Ends the wait for a process of the same supervisor. */
  #rest: () => void = noop;
  /** True during a takeover, and after one that succeeded. */
  #busy = false;

  private constructor(owner: TakeoverServerOwner) {
    this.#owner = owner;
  }

  /** Rejects with `ERR_TAKEOVER_DIRECTORY` for an unsafe folder, and as `net.Server` does. */
  static async listen(path: string, owner: TakeoverServerOwner): Promise<TakeoverServer> {
    checkTakeoverPath(path);
    const server = new TakeoverServer(owner);
    if (holdsByNumber()) {
      server.#channels = await ChannelServer.listen(path, (channel) => void server.#accept(channel));
    }
    if (isSupervised(path)) {
      server.#rest = awaitSuccessor((session) => void server.#accept(new HandleChannel(session)));
    }
    return server;
  }

  /** Waits no longer. A takeover that is under way goes on. */
  close(): void {
    this.#channels?.close();
    this.#rest();
  }

  async #accept(channel: Channel): Promise<void> {
    if (this.#busy) {
      refuseTakeover(channel, "another process is taking over, or has taken over");
      return;
    }
    this.#busy = true;
    const { source, settings } = this.#owner;
    this.#owner.begun?.(channel.peer.pid);
    const result = await handOver(channel, source, settings);
    this.#busy = result.outcome === "handedOver";
    this.#owner.ended(result);
  }
}
