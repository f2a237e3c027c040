/** Log lines about calls that fail: one line now and then, with advice what to check. */
import type { CallFailure } from "./http-call.ts";

/** The log of the server, as far as this folder needs it. `facts` hold no secret. */
export interface HooksLog {
  warn(message: string, facts: Readonly<Record<string, string | number>>): void;
  info(message: string, facts: Readonly<Record<string, string | number>>): void;
}

/** Time in ms between two lines about failures of one kind of one endpoint. */
const BETWEEN_LINES_MS = 30_000;

/** Advice for the operator: the thing to check. */
function adviceFor({ kind, status = 0 }: CallFailure): string {
  switch (kind) {
    case "unreachable":
      return "check that the application runs there, and that the address of the endpoint is right";
    case "tls":
      return "check that the endpoint speaks TLS, and that its certificate is valid; for an authority of your own set NODE_EXTRA_CA_CERTS to the file of its certificate";
    case "timeout":
      return "check what keeps the application busy, or raise the endpoint's timeout";
    case "cut":
      return "check the application's log, and the proxies between";
    case "tooLarge":
      return "check that the endpoint is the right address: answers are short JSON objects";
    case "nonsense":
      return 'check the application: it has to answer {"result": …}, {"error": …} or {"disconnect": …}';
    case "status":
      if (status >= 300 && status < 400) return "set the endpoint to the address to which it redirects";
      if (status === 404 || status === 405) return "check the path of the endpoint, and that it takes POST";
      if (status === 401 || status === 403) return "check the endpoint's http.static_headers and what it demands";
      return "check the application's log";
  }
}

export class EndpointLog {
  readonly #log: HooksLog;
  readonly #facts: { readonly endpoint: string; readonly url: string };
  readonly #now: () => number;
  /**
   * Time of the last line, number of failures since, and number of dropped calls or notifications since, by kind of
   * failure.
   */
  readonly #lines = new Map<string, { at: number; silent: number; dropped: number }>();

  /**
   * @param name name of the endpoint in the config, such as "client.proxy.connect"
   * @param url its address without secrets
   * @param now gives the time in ms, of a monotonic clock
   */
  constructor(log: HooksLog, name: string, url: string, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#facts = { endpoint: name, url };
    this.#now = now;
  }

  failed(failure: CallFailure): void {
    const message = `a call to the application failed: ${failure.detail}; ${adviceFor(failure)}`;
    this.#sometimes(failure.kind, message, { failure: failure.kind });
  }

  /** Calls or notifications were given up without being sent. */
  overloaded(message: string, dropped = 1): void {
    this.#sometimes("overloaded", message, {}, dropped);
  }

  opened(failure: CallFailure, forMs: number): void {
    const message = `too many calls to the application failed in a row: none is made for ${forMs / 1_000} s`;
    this.#sometimes("opened", `${message}; the last one: ${failure.detail}; ${adviceFor(failure)}`, {
      failure: failure.kind,
    });
  }

  recovered(): void {
    // The next failure is news.
    this.#lines.clear();
    this.#log.info("the application answers again", this.#facts);
  }

  /** @param dropped number of calls or notifications that were given up; the line adds those of which there was none */
  #sometimes(kind: string, message: string, facts: Readonly<Record<string, string | number>>, dropped = 0): void {
    const now = this.#now();
    const line = this.#lines.get(kind);
    if (line !== undefined && now - line.at < BETWEEN_LINES_MS) {
      line.silent++;
      line.dropped += dropped;
      return;
    }
    this.#lines.set(kind, { at: now, silent: 0, dropped: 0 });
    const { silent = 0, dropped: before = 0 } = line ?? {};
    const given = dropped + before;
    this.#log.warn(message, {
      ...this.#facts,
      ...facts,
      ...(given > 0 ? { dropped: given } : {}),
      ...(silent > 0 ? { not_logged: silent } : {}),
    });
  }
}
