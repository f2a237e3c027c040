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

/** Works for whatever can be thrown, and gives what can be cloned. */
export function reportError(thrown: unknown): ErrorReport {
  try {
    return describeError(thrown);
  } catch {
    // A hostile or broken value: a getter or a toString of its own threw.
    const message = "a value that is no Error was thrown, and it can't be shown";
    return { name: "Error", message, stack: undefined, code: undefined };
  }
}

function describeError(thrown: unknown): ErrorReport {
  if (!(thrown instanceof Error)) {
    return {
      name: "Error",
      message: `a value that is no Error was thrown: ${String(thrown)}`,
      stack: undefined,
      code: undefined,
    };
  }
  const stack = typeof thrown.stack === "string" ? thrown.stack : undefined;
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
  return { name: String(thrown.name), message: String(thrown.message), stack, code };
}

/** The error of a report, with its own name, message, code and the stack of the thread it was thrown in. */
export function reviveError(report: ErrorReport): Error {
  const error = new Error(report.message);
  error.name = report.name;
  if (report.stack !== undefined) error.stack = report.stack;
  return report.code === undefined ? error : Object.assign(error, { code: report.code });
}
