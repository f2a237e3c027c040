/**
 * Limits on the connections of one user, over all shards and nodes: `user_connection_limit`, and one connection only
 * (`single_connection`). The main thread hears of each client that wants to connect, counts those of its user, and
 * tells the shards who may (`UserAdmission`).
 */
import type { SurveyAnswer } from "../../board/switchboard/survey.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { ClientConfig } from "../config/config.ts";
import { DISCONNECTS } from "../protocol/codes.ts";
import { type AdmissionAnswer, type AdmissionQuestion, type CountedClient, isSingle } from "./user-admission.ts";

/** Time that shards and nodes have to answer, in ms. The clients of those that don't aren't counted. */
const TIMEOUT_MS = 1_000;

export class UserLimits {
  readonly #board: Pick<Switchboard, "survey">;
  readonly #limit: number;
  readonly #isSingle: boolean;
  readonly #failed: (error: unknown) => void;
  /** Users that are looked at now; true if one more of their clients has come meanwhile. */
  readonly #looking = new Map<string, boolean>();

  constructor(board: Pick<Switchboard, "survey">, config: ClientConfig, failed: (error: unknown) => void) {
    this.#board = board;
    this.#limit = config.userConnectionLimit;
    this.#isSingle = isSingle(config);
    this.#failed = failed;
  }

  /** A client of this user wants to connect. */
  connecting(user: string): void {
    if (this.#looking.has(user)) {
      this.#looking.set(user, true);
      return;
    }
    void this.#look(user);
  }

  async #look(user: string): Promise<void> {
    try {
      do {
        this.#looking.set(user, false);
        await this.#decide(user);
      } while (this.#looking.get(user) === true);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#looking.delete(user);
    }
  }

  /**
   * The newest client stays if there may be one only. Else those that are in stay, and the oldest of those that wait.
   */
  async #decide(user: string): Promise<void> {
    const answers = await this.#ask({ kind: "clientsOf", user });
    // A client that moves may be told by both of its shards.
    const byId = new Map(answers.flatMap((answer) => answer.clients).map((one) => [one.client, one]));
    const clients = [...byId.values()];
    const single = this.#isSingle ? clients.toSorted(byAge).slice(0, -1) : [];
    const rest = clients.filter((client) => !single.includes(client)).sort(insideFirst);
    const [kept, excess] = this.#limit === 0 ? [rest, []] : [rest.slice(0, this.#limit), rest.slice(this.#limit)];
    const admitted = kept.filter(({ isWaiting }) => isWaiting).map(({ client }) => client);
    await this.#admit(user, admitted, excess, DISCONNECTS.connectionLimit);
    await this.#admit(user, [], single, DISCONNECTS.forceDisconnect);
  }

  async #admit(
    user: string,
    admitted: readonly string[],
    refused: readonly CountedClient[],
    { code, reason }: { readonly code: number; readonly reason: string },
  ): Promise<void> {
    if (admitted.length === 0 && refused.length === 0) return;
    await this.#ask({ kind: "admit", user, admitted, refused: refused.map(({ client }) => client), code, reason });
  }

  async #ask(question: AdmissionQuestion): Promise<AdmissionAnswer[]> {
    const answers = await this.#board.survey(question, { timeoutMs: TIMEOUT_MS });
    return answers.filter(isAnswered).map(({ answer }) => answer as AdmissionAnswer);
  }
}

/** Two nodes that decide at the same time decide the same. */
function byAge(one: CountedClient, other: CountedClient): number {
  return one.since - other.since || (one.client < other.client ? -1 : 1);
}

function insideFirst(one: CountedClient, other: CountedClient): number {
  return Number(one.isWaiting) - Number(other.isWaiting) || byAge(one, other);
}

function isAnswered(answer: SurveyAnswer): answer is SurveyAnswer & { readonly kind: "answered" } {
  return answer.kind === "answered";
}
