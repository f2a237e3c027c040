/**
 * The state of a server that goes to the process which takes over, beside that of the board: the memory of publishes,
 * and the channels that the application takes for occupied. `server.ts` has one.
 */
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { PublishMemory, PublishMemoryCopy } from "../api/publish-memory.ts";
import { packTexts, type TextColumn, unpackTexts } from "../api/text-column.ts";
import type { Log } from "./log.ts";
import type { OccupancyReports } from "./occupancy-reports.ts";

interface ServerStateCopy {
  readonly format: typeof FORMAT;
  readonly publishes: PublishMemoryCopy;
  /** Undefined if the application isn't told of channels. */
  readonly occupied: TextColumn | undefined;
}

export interface ServerStateParts {
  readonly publishMemory: PublishMemory;
  readonly occupancy: OccupancyReports;
}

/** Name and version of the copy. A server ignores any other: the takeover is worth more. */
const FORMAT = "serve/1";

export class ServerState {
  readonly #parts: ServerStateParts;
  readonly #log: Log;
  #isGiven = false;

  constructor(parts: ServerStateParts, log: Log) {
    this.#parts = parts;
    this.#log = log;
  }

  /** Gives everything. Nothing of it changes here until the outcome is known. */
  readonly give = async (): Promise<ServerStateCopy> => {
    const { publishMemory, occupancy } = this.#parts;
    this.#isGiven = true;
    // Clients that are about to be suspended leave their channels after this call.
    const occupied = occupancy.give();
    const publishes = await publishMemory.give();
    return { format: FORMAT, publishes, occupied: occupied && packTexts(occupied) };
  };

  readonly take = (copy: unknown): void => {
    const { format, publishes, occupied } = copy as ServerStateCopy;
    if (format !== FORMAT) {
      this.#log.warn("the process before has given something that this version can't read", { format: String(format) });
      return;
    }
    this.#parts.publishMemory.take(publishes);
    if (occupied !== undefined) this.#parts.occupancy.await(unpackTexts(occupied));
  };

  /** Follows the takeovers of the server's board. */
  watch(board: Switchboard): void {
    board.on("takenOver", () => {
      this.#parts.occupancy.allArrived();
      this.#parts.publishMemory.unpack();
    });
    board.on("successorFailed", () => this.#goOn());
    board.on("programStateLeft", (error) => {
      this.#log.error("the next process doesn't know idempotency keys, versions and occupied channels of this one", {
        error: error.message,
      });
      this.#goOn();
    });
    board.on("handedOver", () => {
      if (this.#isGiven) this.#parts.occupancy.leave();
    });
  }

  #goOn(): void {
    if (!this.#isGiven) return;
    this.#isGiven = false;
    this.#parts.publishMemory.goOn();
    this.#parts.occupancy.goOn();
  }
}
