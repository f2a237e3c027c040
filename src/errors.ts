/** The one taxonomy: which kind of thing went wrong. */
export type ErrorKind = "protocol" | "capacity" | "transport" | "closed" | "misuse" | "configuration";

/**
 * Every error that Switchboard itself throws or reports. `code` is stable and may be matched on; the message says what to do.
 */
export class SwitchboardError extends Error {
  override readonly name = "SwitchboardError";
  readonly kind: ErrorKind;
  readonly code: string;

  constructor(kind: ErrorKind, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.code = code;
  }
}

/** An error as it crosses threads: structured clone keeps neither `code` nor the name of a class of one's own. */
export interface ErrorReport {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
}

export function reportError(thrown: unknown): ErrorReport {
  if (!(thrown instanceof Error)) {
    return {
      name: "Error",
      message: `a value that is no Error was thrown: ${String(thrown)}`,
      stack: undefined,
      code: undefined,
    };
  }
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
  return { name: thrown.name, message: thrown.message, stack: thrown.stack, code };
}

/** The error of a report, with its own name, message, code and the stack of the thread it was thrown in. */
export function reviveError(report: ErrorReport): Error {
  const error = new Error(report.message);
  error.name = report.name;
  if (report.stack !== undefined) error.stack = report.stack;
  return report.code === undefined ? error : Object.assign(error, { code: report.code });
}
