/** Reads the body of a request, within a limit of bytes and a deadline. */
import type { HttpRequest } from "./http.ts";

export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** A body, or the reason why there is none: it is too long, it came too late, or its sender has gone. */
export type Body = Buffer | "tooLong" | "tooLate" | "gone";

/** Resolves with the body. Never rejects. The rest of a body that is too long or too late stays unread. */
export function readBody(request: HttpRequest, limits: BodyLimits): Promise<Body> {
  const { maxBytes, timeoutMs } = limits;
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (body: Body): void => {
      clearTimeout(timer);
      request.off("data", take).off("end", complete).off("close", gone);
      request.pause();
      resolve(body);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxBytes) end("tooLong");
      else chunks.push(chunk);
    };
    const complete = (): void => end(Buffer.concat(chunks));
    const gone = (): void => end("gone");
    const timer = setTimeout(() => end("tooLate"), timeoutMs);
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) return end("tooLong");
    if (request.destroyed) return end("gone");
    // The close that follows an error tells the same.
    request.on("error", () => {});
    request.on("data", take).on("end", complete).on("close", gone);
  });
}
