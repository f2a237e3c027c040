/**
 * Limits on the connections of one user, over all shards and nodes: `user_connection_limit`, and one connection only
 * (`single_connection`). The main thread hears of each client that connects, and closes those that are too many.
 */
import type { SurveyAnswer } from "../../board/switchboard/survey.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { ClientDescription, ControlAnswer, ControlQuestion } from "../client/control/control.ts";
import type { ClientConfig } from "../config/config.ts";
import { DISCONNECTS } from "../protocol/codes.ts";

/** Number of connections of a user that are looked at. */
const MAX_LISTED = 1_000;

export class UserLimits {
  readonly #board: Pick<Switchboard, "survey">;
  readonly #limit: number;
  readonly #isSingle: boolean;
  readonly #failed: (error: unknown) => void;
  /** Users that are being looked at; true if another one of their clients came meanwhile. */
  readonly #looking = new Map<string, boolean>();

  /** @param failed called if the shards can't be asked */
  constructor(
    board: Pick<Switchboard, "survey">,
    { userConnectionLimit, subscribeToUserPersonalChannel: { enabled, singleConnection } }: ClientConfig,
    failed: (error: unknown) => void,
  ) {
    this.#board = board;
    this.#limit = userConnectionLimit;
    this.#isSingle = enabled && singleConnection;
    this.#failed = failed;
  }

  /** Says whether shards have to tell of clients that connect. */
  static isNeeded({ userConnectionLimit, subscribeToUserPersonalChannel }: ClientConfig): boolean {
    const { enabled, singleConnection } = subscribeToUserPersonalChannel;
    return userConnectionLimit > 0 || (enabled && singleConnection);
  }

  /** A client of this user has connected. Anonymous clients have no limit. */
  connected(user: string): void {
    if (this.#looking.has(user)) {
      this.#looking.set(user, true);
      return;
    }
    this.#looking.set(user, false);
    void this.#look(user);
  }

  async #look(user: string): Promise<void> {
    try {
      do {
        this.#looking.set(user, false);
        await this.#closeExcess(user);
      } while (this.#looking.get(user) === true);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#looking.delete(user);
    }
  }

  /** The newest client stays if there may be one only; else the oldest ones stay. */
  async #closeExcess(user: string): Promise<void> {
    const answers = await this.#ask({ kind: "connections", user, after: "", limit: MAX_LISTED });
    const clients = answers
      .flatMap((answer) => (answer.kind === "connections" ? answer.clients : []))
      .sort((one, other) => one.connectedAt - other.connectedAt || (one.client < other.client ? -1 : 1));
    const [excess, reason] = this.#isSingle
      ? [clients.slice(0, -1), DISCONNECTS.forceDisconnect]
      : [clients.slice(this.#limit), DISCONNECTS.connectionLimit];
    await Promise.all(excess.map((client) => this.#close(client, reason)));
  }

  async #close({ client }: ClientDescription, { code, reason }: { readonly code: number; readonly reason: string }) {
    await this.#ask({ kind: "disconnect", client, whitelist: [], code, reason });
  }

  async #ask(question: ControlQuestion): Promise<ControlAnswer[]> {
    const answers = await this.#board.survey(question);
    return answers.filter(isAnswered).map(({ answer }) => answer as ControlAnswer);
  }
}

function isAnswered(answer: SurveyAnswer): answer is SurveyAnswer & { readonly kind: "answered" } {
  return answer.kind === "answered";
}
