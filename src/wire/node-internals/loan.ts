/** Lends the descriptor of a handle to another thread, which sends it to another process. Transports of shards do. */
import type { TcpHandle } from "./net.ts";

/** A descriptor whose number is valid until the end of the loan, also when its socket closes meanwhile. */
export interface Loan {
  readonly descriptor: number;
  /** Ends the loan. A close that has waited happens now. */
  end(): void;
}

interface ClosableHandle extends TcpHandle {
  close(closed?: () => void): void;
  readStop(): unknown;
}

/**
 * Lends the descriptor of a handle. The handle goes on reading and writing. `net.Socket` closes its handle by the
 * handle's method `close` (`Socket.prototype._destroy` in `lib/net.js`), which waits for the end of the loan. Undefined
 * if the handle has no descriptor.
 */
export function lend(handle: TcpHandle): Loan | undefined {
  const lent = handle as ClosableHandle;
  const { fd: descriptor = -1 } = lent;
  if (descriptor < 0) return undefined;
  let close: (() => void) | undefined;
  lent.close = (closed) => {
    lent.readStop();
    close ??= () => lent.close(closed);
  };
  const end = (): void => {
    // The method of the class is there again.
    Reflect.deleteProperty(lent, "close");
    close?.();
  };
  return { descriptor, end };
}
