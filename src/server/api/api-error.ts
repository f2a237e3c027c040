/** The errors of the HTTP API, and what a thrown value becomes. Codes are those of Centrifugo. */
import { SwitchboardError } from "../../errors.ts";

/** An error that the caller of the API gets: `{"error":{"code":…,"message":…}}`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export const internalError = (): ApiError => new ApiError(100, "internal server error");
export const unknownChannel = (): ApiError => new ApiError(102, "unknown channel");
export const notFound = (message = "not found"): ApiError => new ApiError(104, message);
/** @param message says which field is wrong, and what it takes */
export const badRequest = (message: string): ApiError => new ApiError(107, `bad request: ${message}`);
export const notAvailable = (message = "not available"): ApiError => new ApiError(108, message);
export const unrecoverablePosition = (): ApiError => new ApiError(112, "unrecoverable position");

/**
 * Returns the error for the caller. Errors that the caller can't mend become error 100, without their text: the text
 * may hold secrets.
 */
export function apiErrorOf(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (!(thrown instanceof SwitchboardError)) return internalError();
  switch (thrown.code) {
    case "ERR_STREAM_EPOCH":
      return unrecoverablePosition();
    case "ERR_NO_HISTORY":
    case "ERR_NO_PRESENCE":
      return notAvailable();
    case "ERR_TOPIC":
    case "ERR_POSITION":
    case "ERR_ARGUMENT":
    case "ERR_MAIL_TOO_LARGE":
      return badRequest(thrown.message);
    default:
      return internalError();
  }
}

const STATUSES: Readonly<Record<number, number>> = {
  100: 500,
  102: 404,
  104: 404,
  106: 409,
  107: 400,
  108: 400,
  110: 400,
  112: 416,
  113: 409,
};

/** Returns the HTTP status of an error in the error mode "transport". */
export function statusOf({ code }: ApiError): number {
  return STATUSES[code] ?? 500;
}

export function errorText({ code, message }: ApiError): string {
  return `{"code":${code},"message":${JSON.stringify(message)}}`;
}
