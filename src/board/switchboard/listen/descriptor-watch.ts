/**
 * Notices that the process has no descriptor left. `UpgradeIntake` has one. Node closes new connections unanswered
 * then, and tells nobody: libuv keeps a descriptor in reserve, with which it accepts and closes them.
 */
import { hasDescriptor, noDescriptor } from "../../../wire/transport/descriptors.ts";

/** Time between two looks, in ms. A look opens a file and closes it, which takes about 10 µs. */
const LOOK_MS = 1_000;

export class DescriptorWatch {
  readonly #acceptFailed: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param acceptFailed called at each look that finds no descriptor */
  constructor(acceptFailed: (error: Error) => void) {
    this.#acceptFailed = acceptFailed;
  }

  start(): void {
    const look = (): void => {
      if (!hasDescriptor()) this.#acceptFailed(noDescriptor());
    };
    this.#timer = setInterval(look, LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
